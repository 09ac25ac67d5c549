r"""The formulas of a rotation curve, each standing once: plain scalar Python that numba compiles for CPU and GPU.

A halo of density :math:`\rho(r) = \rho_s \hat\rho(x)`, :math:`x = r/r_s`, encloses
:math:`M(r) = 4\pi\rho_s r_s^3 h(x)` with :math:`h(x) = \int_0^x t^2 \hat\rho(t)\,dt`, so that

.. math:: V^2(r) = A\,h(x)/x, \qquad A = 4\pi G \rho_s r_s^2 .

Near the centre the closed forms of :math:`h` lose digits to cancellation; below `SERIES` their power series are
summed instead. The functions of one profile take the logarithms that they need, so that a runner with functions of its
own for those can hand them over; `mass` is for everyone else.

Where :math:`h` is a long sum, a runner that goes outwards point by point may instead add
:math:`\int x^3\hat\rho\,d\ln x` from one point to the next (`reach`, from `taylor`, from the ``growth`` of a profile).

Sources: Navarro, Frenk & White 1997 (NFW); Begeman, Broeils & Sanders 1991 (pISO); Burkert 1995; Einasto 1965 with
Retana-Montenegro et al. 2012 (its mass); Read, Agertz & Collins 2016 (coreNFW); Di Cintio et al. 2014 (DC14);
Li et al. 2020, ApJS 247, 31 (Lucky13 and the conventions of the fit); Hjorth & Williams 2010 (DARKexp) with
Hjorth et al. 2015, ApJ 811, 2 (DARKexp-gamma).
"""

import math

NFW, PISO, BURKERT, EINASTO, CORENFW, DC14, LUCKY13, DARKEXP, DARKEXP_GAMMA = range(9)
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
#: A place in a grid, in steps, is known no better.
ROUNDING = 1e-9
DEGREE = math.pi / 180.0
LN_10 = math.log(10.0)
#: The phi0 at which the inner slope of DARKexp-gamma is 0: a core; below it there is nothing flatter.
PHI0_CORE = 10.0 ** (0.65 / 3.0)


def mass_nfw(x, log1p):
    """Return h(x) of 1 / (x (1 + x)^2), given ln(1 + x)."""
    if x < SERIES:
        return x * x * (1 / 2 - x * (2 / 3 - x * (3 / 4 - x * (4 / 5 - x * (5 / 6 - x * (6 / 7 - x * (7 / 8)))))))
    return log1p - x / (1.0 + x)


def mass_piso(x, arctangent):
    """Return h(x) of 1 / (1 + x^2), given atan(x)."""
    if x < 5 * SERIES:
        y = x * x
        return x * y * (1 / 3 - y * (1 / 5 - y * (1 / 7 - y * (1 / 9 - y * (1 / 11 - y * (1 / 13 - y / 15))))))
    return x - arctangent


def mass_burkert(x, log1p, log1p_square, arctangent):
    """Return h(x) of 1 / ((1 + x) (1 + x^2)), given ln(1 + x), ln(1 + x^2) and atan(x)."""
    if x < SERIES:
        y = x * x * x * x
        return x * x * x * (1 / 3 - x / 4 + y * (1 / 7 - x / 8 + y * (1 / 11 - x / 12)))
    return 0.5 * (0.5 * log1p_square + log1p - arctangent)


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


def mass_double_power(x, alpha, beta, gamma):
    r"""Return h(x) of x^-gamma (1 + x^alpha)^(-(beta - gamma) / alpha), the density of DC14; beta > 3 - alpha.

    An incomplete beta function of :math:`u = x^\alpha/(1+x^\alpha)`. Up to x = 1 by the series of positive
    terms, :math:`h = x^3\hat\rho(x)/(3-\gamma) \sum_n \frac{(b)_n}{(a+1)_n} u^n`, :math:`a = (3-\gamma)/\alpha`,
    :math:`b = (\beta-\gamma)/\alpha`. Beyond, with w = 1 - u and :math:`c = b - a`, by the binomial series of
    :math:`h = h(1) + \frac1\alpha \int_w^{1/2} s^{c-1} (1-s)^{a-1}\,ds`, whose first term is a logarithm at c = 0.
    """
    a = (3.0 - gamma) / alpha
    b = (beta - gamma) / alpha
    y = 1.0 if x > 1.0 else x  # not min(): on a GPU it swallows NaN
    v = y**alpha
    u = v / (1.0 + v)
    term = 1.0
    total = 1.0
    n = 0.0
    while term > TINY * total:
        n += 1.0
        term *= u * (b + n - 1.0) / (a + n)
        total += term
    inner = y ** (3.0 - gamma) * (1.0 + v) ** -b / (3.0 - gamma) * total
    if not x > 1.0:
        return inner
    c = (beta - 3.0) / alpha
    v = x**alpha
    fall = 2.0 / (1.0 + v)  # 2 w
    descent = c * math.log(fall)
    total = -math.log(fall) if c == 0.0 else -math.expm1(descent) / c
    power = math.exp(descent)
    term = 1.0
    n = 0.0
    while abs(term) > TINY:
        n += 1.0
        term *= 0.5 * (n - a) / n
        power *= fall
        total += term * (1.0 - power) / (n + c)
    return inner + 0.5**c / alpha * total


def mass_corenfw(x, log1p, flattening):
    """Return h(x) of an NFW halo whose inside was flattened, given ln(1 + x) and tanh(r / r_c)^n."""
    return mass_nfw(x, log1p) * flattening


def dehnen_gamma(phi0):
    """Return the inner slope gamma of the Dehnen model that resembles a DARKexp halo; NaN where gamma would reach 2."""
    if phi0 < PHI0_CORE:
        return 0.0
    gamma = 3.0 * math.log10(phi0) - 0.65
    return math.nan if gamma >= 2.0 else gamma


def log_mass_dehnen(log_x, log1p_y, log1p_y1, gamma):
    """Return ln h(x) of y^-gamma (1 + y)^(gamma - 4), given ln x, ln(1 + y) at x and at 1, y = x (1 - gamma / 2).

    So the slope is -2 at x = 1, and h(1) = 1.
    """
    return (3.0 - gamma) * (log_x - (log1p_y - log1p_y1))


def cell(x, first, step, count):
    """Return the interval of a uniform grid of `count` nodes that holds x, and the place in it from 0 to 1.

    Beyond an end it is the interval at that end, and NaN is in the first: it may always be looked up.
    """
    t = (x - first) / step
    i = count - 2 if t >= count - 2 else int(t) if t > 0.0 else 0
    return i, t - i


def spline(u, c0, c1, c2, c3):
    """Return the uniform cubic B-spline of four coefficients at u in [0, 1]."""
    v = 1.0 - u
    inner = (4.0 - 3.0 * u * u * (1.0 + v)) * c1 + (4.0 - 3.0 * v * v * (1.0 + u)) * c2
    return (1 / 6) * (v * v * v * c0 + inner + u * u * u * c3)


def place_phi0(phi0, constants):
    """Return the interval of DARKexp's table that holds phi0 and the place in it, NaN outside the table."""
    count = constants.coefficients.shape[0] - 2
    i, u = cell(phi0, constants.phi0_first, constants.phi0_step, count)
    return i, u if -ROUNDING <= i + u <= count - 1 + ROUNDING else math.nan


def place(log_x, constants):
    """Return ln x held within DARKexp's table, the interval there and the place in it."""
    count = constants.coefficients.shape[1] - 2
    last = constants.x_first + (count - 1) * constants.x_step
    inside = constants.x_first if log_x < constants.x_first else last if log_x > last else log_x
    j, v = cell(inside, constants.x_first, constants.x_step, count)
    return inside, j, v


def extended(beyond, step, v, c0, c1, c2, c3):
    """Return the spline at v, and a straight line from there where ln x is so far `beyond` an end of the table."""
    slope = (c2 - c0 if beyond < 0.0 else c3 - c1) / (2.0 * step)
    return spline(v, c0, c1, c2, c3) + slope * beyond


def log_v2_darkexp(log_x, phi0, constants):
    """Return ln V^2 of DARKexp in units of V(``r_-2``), from its table; beyond, a power law in x, and NaN in phi0."""
    c = constants.coefficients
    i, u = place_phi0(phi0, constants)
    inside, j, v = place(log_x, constants)
    c0 = spline(u, c[i, j], c[i + 1, j], c[i + 2, j], c[i + 3, j])
    c1 = spline(u, c[i, j + 1], c[i + 1, j + 1], c[i + 2, j + 1], c[i + 3, j + 1])
    c2 = spline(u, c[i, j + 2], c[i + 1, j + 2], c[i + 2, j + 2], c[i + 3, j + 2])
    c3 = spline(u, c[i, j + 3], c[i + 1, j + 3], c[i + 2, j + 3], c[i + 3, j + 3])
    return extended(log_x - inside, constants.x_step, v, c0, c1, c2, c3)


def mass(kind, x, p0, p1, p2, constants):
    """Return h(x) of any of the profiles; p0..p2 are its shape (see `halo`)."""
    if kind == NFW:
        return mass_nfw(x, math.log1p(x))
    if kind == BURKERT:
        return mass_burkert(x, math.log1p(x), math.log1p(x * x), math.atan(x))
    if kind == PISO:
        return mass_piso(x, math.atan(x))
    if kind == LUCKY13:
        return mass_lucky13(x, math.log1p(x))
    if kind == EINASTO:
        return mass_einasto(x, p0)
    if kind == CORENFW:
        return mass_corenfw(x, math.log1p(x), math.tanh(x / p0) ** p1)
    if kind == DC14:
        return mass_double_power(x, p0, p1, p2)
    if kind == DARKEXP:
        return x * math.exp(log_v2_darkexp(math.log(x), p0, constants))
    gamma = dehnen_gamma(p0)
    y1 = 1.0 - 0.5 * gamma
    return math.exp(log_mass_dehnen(math.log(x), math.log1p(x * y1), math.log1p(y1), gamma))


def growth_einasto(v, alpha):
    """Return the Taylor coefficients 0 to 3 in ln x of d ln(x^3 rho) / d ln x of Einasto, given v = x^alpha."""
    l1 = -2.0 * alpha * v
    l2 = (1 / 2) * alpha * l1
    return 3.0 - 2.0 * v, l1, l2, (1 / 3) * alpha * l2


def growth_double_power(v, alpha, beta, gamma):
    """Return the Taylor coefficients 0 to 3 in ln x of d ln(x^3 rho) / d ln x of DC14, given v = x^alpha."""
    q = v / (1.0 + v)
    turn = 1.0 - 2.0 * q
    q1 = alpha * q * (1.0 - q)
    q2 = (1 / 2) * alpha * q1 * turn
    q3 = (1 / 3) * alpha * (q2 * turn - q1 * q1)
    steep = gamma - beta
    return 3.0 - gamma + steep * q, steep * q1, steep * q2, steep * q3


def taylor(shell, l0, l1, l2, l3):
    """Return the Taylor coefficients 1 to 4 in ln x of x^3 rho from those of its growth."""
    f1 = l0 * shell
    f2 = (1 / 2) * (l0 * f1 + l1 * shell)
    f3 = (1 / 3) * (l0 * f2 + l1 * f1 + l2 * shell)
    return f1, f2, f3, (1 / 4) * (l0 * f3 + l1 * f2 + l2 * f1 + l3 * shell)


def reach(step, f0, f1, f2, f3, f4):
    """Return what the Taylor coefficients at one end of an interval add to the integral over it.

    The difference of those of both ends, each with the step that leads to the other, is the integral of the polynomial
    of degree 9 that has all ten coefficients.
    """
    return step * (
        (1 / 2) * f0
        + step * ((1 / 9) * f1 + step * ((1 / 36) * f2 + step * ((1 / 168) * f3 + step * ((1 / 1260) * f4))))
    )


def power_of_ten(x):
    """Return 10^x, three times as fast as the power and right to 15 digits."""
    return math.exp(LN_10 * x)


def dc14_shape(x_star):
    """Return alpha, beta, gamma of DC14 for x_star = log10(M*/M200), held within its calibration [-4.1, -1.3]."""
    x = -4.1 if x_star < -4.1 else -1.3 if x_star > -1.3 else x_star  # NaN stays NaN, on a GPU too
    alpha = 2.94 - math.log10(power_of_ten(-1.08 * (x + 2.33)) + power_of_ten(2.29 * (x + 2.33)))
    beta = 4.23 + 1.34 * x + 0.26 * x * x
    gamma = -0.06 + math.log10(power_of_ten(-0.68 * (x + 2.56)) + power_of_ten(x + 2.56))
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
        Einasto, phi0 for DARKexp, and log10 M200 [Msun] for DC14 in DENSITY.
    ratio, ml_disk, ml_bulge
        D / D0 and the mass-to-light ratios.
    constants
        `gpu.rotation.data.Constants`.
    """
    first = power_of_ten(row[FIRST])
    second = power_of_ten(row[SECOND])
    p0 = 0.0
    p1 = 0.0
    p2 = 0.0
    if kind == EINASTO:
        p0 = power_of_ten(row[EXTRA])
    elif kind in (DARKEXP, DARKEXP_GAMMA):
        p0 = row[EXTRA]
    elif kind == DC14:
        stars = (ml_disk * galaxy[L_DISK] + ml_bulge * galaxy[L_BULGE]) * 1e9 * ratio * ratio
        m200 = (
            first * first * first / (10.0 * constants.g * constants.h0)
            if coordinates == VIRIAL
            else power_of_ten(row[EXTRA])
        )
        p0, p1, p2 = dc14_shape(math.log10(stars / m200))

    parent = NFW if kind == CORENFW else kind
    if coordinates == VIRIAL:
        r_s = first / (10.0 * constants.h0) / second
        amplitude = first * first * second / mass(parent, second, p0, p1, p2, constants)
    elif coordinates == SCALE:
        r_s = first
        amplitude = second * second / mass(parent, 1.0, p0, p1, p2, constants)
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
