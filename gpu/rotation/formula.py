r"""The formulas of a rotation curve, each standing once: plain scalar Python that numba compiles for CPU and GPU.

A halo of density :math:`\rho(r) = \rho_s \hat\rho(x)`, :math:`x = r/r_s`, encloses
:math:`M(r) = 4\pi\rho_s r_s^3 h(x)` with :math:`h(x) = \int_0^x t^2 \hat\rho(t)\,dt`, so that

.. math:: V^2(r) = A\,h(x)/x, \qquad A = 4\pi G \rho_s r_s^2 .

Near the centre every closed form of :math:`h` loses digits to cancellation; below `SERIES` its power series is
summed instead.

Sources: Navarro, Frenk & White 1997 (NFW); Begeman, Broeils & Sanders 1991 (pISO); Burkert 1995; Einasto 1965 with
Retana-Montenegro et al. 2012 (its mass); Read, Agertz & Collins 2016 (coreNFW); Di Cintio et al. 2014 (DC14);
Li et al. 2020, ApJS 247, 31 (Lucky13 and the conventions of the fit).
"""

import math

NFW, PISO, BURKERT, EINASTO, CORENFW, DC14, LUCKY13 = range(7)
#: How the two halo parameters of a row are to be read.
SCALE, VIRIAL, DENSITY = range(3)
#: The columns of a row of parameters.
FIRST, SECOND, EXTRA, LOG_ML_DISK, LOG_ML_BULGE, DISTANCE, INCLINATION = range(7)
#: The columns of a row that describes a galaxy.
DISTANCE_0, INCLINATION_0, R_EFF, L_DISK, L_BULGE = range(5)

#: Where the power series in x takes over.
SERIES = 0.02
#: Relative size of the last term of a sum.
TINY = 1e-16
DEGREE = math.pi / 180.0
#: Positive nodes and weights of the 12-point Gauss-Legendre rule on [-1, 1].
NODES = (
    0.12523340851146892,
    0.36783149899818018,
    0.58731795428661748,
    0.76990267419430469,
    0.90411725637047491,
    0.98156063424671924,
)
WEIGHTS = (
    0.24914704581340277,
    0.23349253653835481,
    0.20316742672306592,
    0.16007832854334623,
    0.10693932599531843,
    0.04717533638651183,
)


def mass_nfw(x, log1p):
    """Return h(x) of 1 / (x (1 + x)^2), given ln(1 + x)."""
    if x < SERIES:
        return x * x * (1 / 2 - x * (2 / 3 - x * (3 / 4 - x * (4 / 5 - x * (5 / 6 - x * (6 / 7 - x * (7 / 8)))))))
    return log1p - x / (1.0 + x)


def mass_piso(x):
    """Return h(x) of 1 / (1 + x^2)."""
    if x < 5 * SERIES:
        y = x * x
        return x * y * (1 / 3 - y * (1 / 5 - y * (1 / 7 - y * (1 / 9 - y * (1 / 11 - y * (1 / 13 - y / 15))))))
    return x - math.atan(x)


def mass_burkert(x, log1p):
    """Return h(x) of 1 / ((1 + x) (1 + x^2)), given ln(1 + x)."""
    if x < SERIES:
        y = x * x * x * x
        return x * x * x * (1 / 3 - x / 4 + y * (1 / 7 - x / 8 + y * (1 / 11 - x / 12)))
    return 0.5 * (0.5 * math.log1p(x * x) + log1p - math.atan(x))


def mass_lucky13(x, log1p):
    """Return h(x) of 1 / (1 + x)^3, given ln(1 + x)."""
    if x < SERIES:
        return (
            x * x * x * (1 / 3 - x * (3 / 4 - x * (6 / 5 - x * (10 / 6 - x * (15 / 7 - x * (21 / 8 - x * (28 / 9)))))))
        )
    u = x / (1.0 + x)
    return log1p - u * (1.0 + 0.5 * u)


def mass_einasto(x, alpha):
    r"""Return h(x) of exp(-2/alpha (x^alpha - 1)): an incomplete gamma function of a = 3/alpha, z = 2 x^alpha / alpha.

    Below z = a + 1 by the series of positive terms
    :math:`h = x^3 \hat\rho(x)/\alpha \sum_n z^n / (a (a+1) \dots (a+n))`, above by the continued fraction of the
    mass outside x.
    """
    a = 3.0 / alpha
    z = 2.0 / alpha * x**alpha
    shell = x * x * x * math.exp(2.0 / alpha - z) / alpha
    if z < a + 1.0:
        term = 1.0 / a
        total = term
        n = a
        while term > TINY * total:
            n += 1.0
            term *= z / n
            total += term
        return shell * total
    whole = math.exp(math.lgamma(a) + 2.0 / alpha - a * math.log(2.0 / alpha)) / alpha
    b = z + 1.0 - a
    c = 1e300
    d = 1.0 / b
    fraction = d
    for i in range(1, 1000):
        numerator = -i * (i - a)
        b += 2.0
        d = 1.0 / (numerator * d + b)
        c = b + numerator / c
        step = c * d
        fraction *= step
        if abs(step - 1.0) < 1e-15:
            break
    return whole - shell * fraction


def density_double_power(x, alpha, beta, gamma):
    """Return x^-gamma (1 + x^alpha)^(-(beta - gamma) / alpha), the density of DC14."""
    return x ** (-gamma) * (1.0 + x**alpha) ** (-(beta - gamma) / alpha)


def mass_double_power(x, alpha, beta, gamma):
    r"""Return h(x) of a double power law.

    Up to x = 1 by the hypergeometric series of positive terms
    :math:`h = x^3\hat\rho(x)/(3-\gamma) \sum_n \frac{(b)_n}{(a+1)_n} u^n` with :math:`u = x^\alpha/(1+x^\alpha)`,
    :math:`a = (3-\gamma)/\alpha`, :math:`b = (\beta-\gamma)/\alpha`; beyond by Gauss-Legendre in ln x.
    """
    y = 1.0 if x > 1.0 else x  # not min(): on a GPU it swallows NaN
    u = y**alpha
    u /= 1.0 + u
    a = (3.0 - gamma) / alpha
    b = (beta - gamma) / alpha
    term = 1.0
    total = 1.0
    n = 0.0
    while term > TINY * total:
        n += 1.0
        term *= u * (b + n - 1.0) / (a + n)
        total += term
    inner = y * y * y * density_double_power(y, alpha, beta, gamma) / (3.0 - gamma) * total
    if not x > 1.0:
        return inner
    panels = int(math.log(x) / 1.5) + 1
    half = 0.5 * math.log(x) / panels
    outer = 0.0
    for panel in range(panels):
        middle = (2 * panel + 1) * half
        for k in range(6):
            for sign in (-1.0, 1.0):
                t = math.exp(middle + sign * half * NODES[k])
                outer += WEIGHTS[k] * t * t * t * density_double_power(t, alpha, beta, gamma)
    return inner + half * outer


def mass_corenfw(x, log1p, core, n):
    """Return h(x) of an NFW halo whose inside r_c = core r_s was flattened by tanh(r / r_c)^n, given ln(1 + x)."""
    return mass_nfw(x, log1p) * math.tanh(x / core) ** n


def mass(kind, x, log1p, p0, p1, p2):
    """Return h(x) of any of the profiles, given ln(1 + x); p0..p2 are its shape (see `halo`)."""
    if kind == NFW:
        return mass_nfw(x, log1p)
    if kind == BURKERT:
        return mass_burkert(x, log1p)
    if kind == PISO:
        return mass_piso(x)
    if kind == LUCKY13:
        return mass_lucky13(x, log1p)
    if kind == EINASTO:
        return mass_einasto(x, p0)
    if kind == CORENFW:
        return mass_corenfw(x, log1p, p0, p1)
    return mass_double_power(x, p0, p1, p2)


def dc14_shape(x_star):
    """Return alpha, beta, gamma of DC14 for x_star = log10(M*/M200), held within its calibration [-4.1, -1.3]."""
    x = -4.1 if x_star < -4.1 else -1.3 if x_star > -1.3 else x_star  # NaN stays NaN, on a GPU too
    alpha = 2.94 - math.log10(10.0 ** (-1.08 * (x + 2.33)) + 10.0 ** (2.29 * (x + 2.33)))
    beta = 4.23 + 1.34 * x + 0.26 * x * x
    gamma = -0.06 + math.log10(10.0 ** (-0.68 * (x + 2.56)) + 10.0 ** (x + 2.56))
    return alpha, beta, gamma


def halo(kind, coordinates, row, galaxy, ratio, ml_disk, ml_bulge, constants):
    """Turn a row of parameters into r_s, A and the shape p0, p1, p2.

    Parameters
    ----------
    kind, coordinates
        The profile, and how the halo parameters of the row are to be read: SCALE log10 r_s [kpc] and log10 of the
        halo's velocity at r_s [km/s]; VIRIAL log10 V200 [km/s] and log10 C200; DENSITY log10 r_s [kpc] and
        log10 rho_s [Msun/pc^3]. coreNFW is named by the NFW halo that it was.
    row, galaxy
        The parameters and the galaxy's constants, in the order of the columns above. EXTRA is log10 alpha for
        Einasto, and log10 M200 [Msun] for DC14 in DENSITY.
    ratio, ml_disk, ml_bulge
        D / D0 and the mass-to-light ratios.
    constants
        `gpu.rotation.data.Constants`.
    """
    first = 10.0 ** row[FIRST]
    second = 10.0 ** row[SECOND]
    p0 = 0.0
    p1 = 0.0
    p2 = 0.0
    if kind == EINASTO:
        p0 = 10.0 ** row[EXTRA]
    elif kind == DC14:
        stars = (ml_disk * galaxy[L_DISK] + ml_bulge * galaxy[L_BULGE]) * 1e9 * ratio * ratio
        m200 = (
            first * first * first / (10.0 * constants.g * constants.h0) if coordinates == VIRIAL else 10.0 ** row[EXTRA]
        )
        p0, p1, p2 = dc14_shape(math.log10(stars / m200))

    parent = NFW if kind == CORENFW else kind
    if coordinates == VIRIAL:
        r_s = first / (10.0 * constants.h0) / second
        amplitude = first * first * second / mass(parent, second, math.log(1.0 + second), p0, p1, p2)
    elif coordinates == SCALE:
        r_s = first
        amplitude = second * second / mass(parent, 1.0, math.log(2.0), p0, p1, p2)
    else:
        r_s = first
        amplitude = 4.0 * math.pi * constants.g * (second * 1e9) * r_s * r_s
    if kind == CORENFW:
        period = 2.0 * math.pi * r_s / math.sqrt(amplitude * (math.log(2.0) - 0.5))
        p0 = 1.75 * galaxy[R_EFF] * ratio / r_s
        p1 = math.tanh(constants.core_age / period)
    return r_s, amplitude, p0, p1, p2


def tilt(row, galaxy):
    """Return sin(i) / sin(i0), which brings a model velocity into the frame where the errors were measured."""
    return math.sin(row[INCLINATION] * DEGREE) / math.sin(galaxy[INCLINATION_0] * DEGREE)


def baryons(gas, disk, bulge, ml_disk, ml_bulge, ratio):
    """Return V^2 of gas and stars from their signed squares at D0, for M/L and ratio = D / D0."""
    return (gas + ml_disk * disk + ml_bulge * bulge) * ratio
