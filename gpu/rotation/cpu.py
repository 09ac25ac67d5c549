"""Rotation curves on the CPU: the lanes of the vector unit are rows of parameters, not points.

A block of `LANES` rows of one galaxy goes through its points together. Every row sums its own points in their order, so
neither the batch, nor the number of threads, nor the width of the vector unit changes a bit.
"""

import math

import numpy as np
from numba import njit, prange

from gpu._compile import compile_formulas
from gpu.rotation import formula
from gpu.rotation.lanes import atan_lanes, exp_lanes, expm1_lanes, log1p_lanes

LANES = 64
_compiled = compile_formulas(formula, njit(error_model="numpy"))
mass, halo, tilt, baryons = _compiled.mass, _compiled.halo, _compiled.tilt, _compiled.baryons
mass_nfw, mass_piso, mass_burkert = _compiled.mass_nfw, _compiled.mass_piso, _compiled.mass_burkert
mass_lucky13, mass_corenfw = _compiled.mass_lucky13, _compiled.mass_corenfw
dehnen_gamma, log_mass_dehnen = _compiled.dehnen_gamma, _compiled.log_mass_dehnen
growth_einasto, growth_double_power = _compiled.growth_einasto, _compiled.growth_double_power
taylor, reach = _compiled.taylor, _compiled.reach
power_of_ten = _compiled.power_of_ten
place, place_phi0, spline, extended = _compiled.place, _compiled.place_phi0, _compiled.spline, _compiled.extended
NFW, PISO, BURKERT, EINASTO, CORENFW = formula.NFW, formula.PISO, formula.BURKERT, formula.EINASTO, formula.CORENFW
DC14, LUCKY13, DARKEXP, DARKEXP_GAMMA = formula.DC14, formula.LUCKY13, formula.DARKEXP, formula.DARKEXP_GAMMA
DISTANCE, DISTANCE_0 = formula.DISTANCE, formula.DISTANCE_0
LOG_ML_DISK, LOG_ML_BULGE = formula.LOG_ML_DISK, formula.LOG_ML_BULGE

#: The longest steps in ln x over which `reach` keeps 11 digits, at the largest alpha of the priors.
STEP_EINASTO, STEP_DC14 = 0.05, 0.125


@njit(error_model="numpy")
def closed_masses(kind, x, log_x, p0, p1, h, work):
    """Write h(x) of the profiles that have it in closed form."""
    n = x.shape[0]
    y, scratch, log1p, square = work
    if kind == PISO:
        atan_lanes(x, y)
        for w in range(n):
            h[w] = mass_piso(x[w], y[w])
        return
    if kind != DARKEXP_GAMMA:
        log1p_lanes(x, scratch, log1p)
    if kind == NFW:
        for w in range(n):
            h[w] = mass_nfw(x[w], log1p[w])
    elif kind == LUCKY13:
        for w in range(n):
            h[w] = mass_lucky13(x[w], log1p[w])
    elif kind == BURKERT:
        for w in range(n):
            y[w] = x[w] * x[w]
        log1p_lanes(y, scratch, square)
        atan_lanes(x, y)
        for w in range(n):
            h[w] = mass_burkert(x[w], log1p[w], square[w], y[w])
    elif kind == CORENFW:
        for w in range(n):  # tanh(y)^n = exp(-n ln(1 + 2 / (exp(2 y) - 1)))
            y[w] = 2.0 * x[w] / p0[w]
        expm1_lanes(y, scratch, h)
        for w in range(n):
            h[w] = 2.0 / h[w]
        log1p_lanes(h, scratch, y)
        for w in range(n):
            h[w] = -p1[w] * y[w]
        exp_lanes(h, scratch, y)
        for w in range(n):
            h[w] = mass_corenfw(x[w], log1p[w], y[w])
    else:
        for w in range(n):
            y[w] = x[w] * (1.0 - 0.5 * p0[w])
        log1p_lanes(y, scratch, log1p)
        for w in range(n):
            y[w] = log_mass_dehnen(log_x[w], log1p[w], p1[w], p0[w])
        exp_lanes(y, scratch, h)


@njit(error_model="numpy")
def expand(kind, log_x, p0, p1, p2, series, work):
    """Write the Taylor coefficients 0 to 4 of x^3 rho in ln x to `series`, five of (rows,), for Einasto and DC14."""
    n = log_x.shape[0]
    y, scratch, v, _ = work
    f0, f1, f2, f3, f4 = series
    for w in range(n):
        y[w] = p0[w] * log_x[w]
    exp_lanes(y, scratch, v)
    if kind == EINASTO:
        for w in range(n):
            y[w] = 3.0 * log_x[w] + 2.0 / p0[w] * (1.0 - v[w])
    else:
        log1p_lanes(v, scratch, f0)
        for w in range(n):
            y[w] = (3.0 - p2[w]) * log_x[w] - (p1[w] - p2[w]) / p0[w] * f0[w]
    exp_lanes(y, scratch, f0)
    if kind == EINASTO:
        for w in range(n):
            l0, l1, l2, l3 = growth_einasto(v[w], p0[w])
            f1[w], f2[w], f3[w], f4[w] = taylor(f0[w], l0, l1, l2, l3)
    else:
        for w in range(n):
            l0, l1, l2, l3 = growth_double_power(v[w], p0[w], p1[w], p2[w])
            f1[w], f2[w], f3[w], f4[w] = taylor(f0[w], l0, l1, l2, l3)


@njit(error_model="numpy")
def advance(kind, gap, log_x, p0, p1, p2, series, h, work):
    """Carry h(x) and its `series` from ln x outwards over a gap, in steps that depend on the gap alone."""
    steps = math.ceil(gap / (STEP_EINASTO if kind == EINASTO else STEP_DC14))
    f0, f1, f2, f3, f4 = series
    for _ in range(steps):
        step = gap / steps
        for w in range(h.shape[0]):
            h[w] += reach(step, f0[w], f1[w], f2[w], f3[w], f4[w])
            log_x[w] += step
        expand(kind, log_x, p0, p1, p2, series, work)
        for w in range(h.shape[0]):
            h[w] -= reach(-step, f0[w], f1[w], f2[w], f3[w], f4[w])


@njit(error_model="numpy")
def look_up(phi0, log_scale, log_r, constants, log_v2):
    """Write ln (V / ``V_-2``)^2 of DARKexp, (rows, points): for a row the spline of its phi0, then the points."""
    c = constants.coefficients
    points, nearest, farthest = log_r.shape[0], np.min(log_r), np.max(log_r)
    own, v, beyond, at = np.empty(c.shape[1]), np.empty(points), np.empty(points), np.empty(points, np.int64)
    for w in range(phi0.shape[0]):
        i, u = place_phi0(phi0[w], constants)
        _, begin, _ = place(nearest + log_scale[w], constants)
        _, end, _ = place(farthest + log_scale[w], constants)
        used = slice(begin, end + 4)
        mixed, out = own[used], log_v2[w]
        c0, c1, c2, c3 = c[i, used], c[i + 1, used], c[i + 2, used], c[i + 3, used]
        for k in range(mixed.shape[0]):
            mixed[k] = spline(u, c0[k], c1[k], c2[k], c3[k])
        for j in range(points):
            log_x = log_r[j] + log_scale[w]
            inside, at[j], v[j] = place(log_x, constants)
            beyond[j] = log_x - inside
        for j in range(points):
            k = at[j]
            out[j] = extended(beyond[j], constants.x_step, v[j], own[k], own[k + 1], own[k + 2], own[k + 3])


@njit(error_model="numpy")
def block(kind, coordinates, rows, o, curves, constants, chi2, residuals):
    """Compare up to `LANES` rows of parameters with galaxy o.

    Writes the sums of squares to `chi2` (rows,), the residuals to `residuals` (rows, points) unless that is empty.
    """
    n = rows.shape[0]
    galaxy = curves.galaxy[o]
    points = slice(curves.first[o], curves.first[o + 1])
    r, v_obs, weight = curves.r[points], curves.v_obs[points], curves.weight[points]
    gas, disk, bulge = curves.gas[points], curves.disk[points], curves.bulge[points]
    log_r = np.log(r)
    ratio, ml_disk, ml_bulge, slant = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    scale, amplitude, p0, p1, p2 = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    x, log_x, log_scale, h = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    work = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for w in range(n):
        row = rows[w]
        ratio[w] = row[DISTANCE] / galaxy[DISTANCE_0]
        slant[w] = tilt(row, galaxy)
        ml_disk[w] = power_of_ten(row[LOG_ML_DISK])
        ml_bulge[w] = power_of_ten(row[LOG_ML_BULGE])
        r_s, a, p0[w], p1[w], p2[w] = halo(kind, coordinates, row, galaxy, ratio[w], ml_disk[w], ml_bulge[w], constants)
        scale[w] = ratio[w] / r_s
        log_scale[w] = math.log(scale[w])
        amplitude[w] = a / scale[w]
        chi2[w] = 0.0
    if kind == DARKEXP_GAMMA:
        for w in range(n):
            p0[w] = dehnen_gamma(p0[w])
            p1[w] = math.log1p(1.0 - 0.5 * p0[w])
    stepped = kind in (EINASTO, DC14)
    series = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    log_v2 = np.empty((n, r.shape[0] if kind == DARKEXP else 0))
    if log_v2.shape[1] > 0:
        look_up(p0, log_scale, log_r, constants, log_v2)
    for j in range(r.shape[0]):
        for w in range(n):
            x[w] = r[j] * scale[w]
        if kind == DARKEXP:
            for w in range(n):
                log_x[w] = log_v2[w, j]
            exp_lanes(log_x, work[0], h)
            for w in range(n):
                h[w] *= x[w]
        elif not stepped:
            for w in range(n):
                log_x[w] = log_r[j] + log_scale[w]
            closed_masses(kind, x, log_x, p0, p1, h, work)
        elif j > 0 and r[j] >= r[j - 1]:
            advance(kind, log_r[j] - log_r[j - 1], log_x, p0, p1, p2, series, h, work)
        else:  # the first point, or one further in
            for w in range(n):
                h[w] = mass(kind, x[w], p0[w], p1[w], p2[w], constants)
                log_x[w] = log_r[j] + log_scale[w]
            expand(kind, log_x, p0, p1, p2, series, work)
        for w in range(n):
            v2 = baryons(gas[j], disk[j], bulge[j], ml_disk[w], ml_bulge[w], ratio[w]) + amplitude[w] * h[w] / r[j]
            x[w] = (v_obs[j] - slant[w] * math.sqrt(max(v2, 0.0))) * weight[j]
            chi2[w] += x[w] * x[w]
        if residuals.shape[0] > 0:
            for w in range(n):
                residuals[w, j] = x[w]


@njit(cache=True, parallel=True, error_model="numpy")
def chi2(kind, coordinates, theta, objects, curves, constants):
    """Return the data's chi-square of many rows of parameters for many galaxies, on all threads.

    Parameters
    ----------
    kind, coordinates
        Of `gpu.rotation.formula`.
    theta
        (objects, rows, 7) float64, C order; columns as in `gpu.rotation.formula`.
    objects
        (objects,) int64: which galaxy of `curves` each is.
    curves, constants
        `gpu.rotation.data.Curves` and `Constants`.

    Returns
    -------
    ndarray
        (objects, rows).
    """
    rows = theta.shape[1]
    out = np.empty((theta.shape[0], rows))
    blocks = (rows + LANES - 1) // LANES
    for task in prange(theta.shape[0] * blocks):
        i = task // blocks
        lanes = slice(task % blocks * LANES, min(rows, task % blocks * LANES + LANES))
        block(kind, coordinates, theta[i, lanes], objects[i], curves, constants, out[i, lanes], np.empty((0, 0)))
    return out


@njit(cache=True, error_model="numpy")
def residuals(kind, coordinates, theta, o, curves, constants):
    """Return (V_obs - V sin i / sin i0) / error of the points of one galaxy, (rows, points), on this thread.

    Arguments as for `chi2`, but `theta` is (rows, 7) and `o` one galaxy.
    """
    out = np.empty((theta.shape[0], curves.first[o + 1] - curves.first[o]))
    for begin in range(0, theta.shape[0], LANES):
        lanes = slice(begin, min(theta.shape[0], begin + LANES))
        rows = theta[lanes]
        block(kind, coordinates, rows, o, curves, constants, np.empty(rows.shape[0]), out[lanes])
    return out


@njit(cache=True, error_model="numpy")
def masses(kind, x, p0, p1, p2, constants):
    """Return h(x), (n,), of n halos of one kind with the shapes p0, p1, p2, (n,) each."""
    out = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        out[i] = mass(kind, x[i], p0[i], p1[i], p2[i], constants)
    return out


@njit(cache=True, error_model="numpy")
def halos(kind, coordinates, theta, objects, galaxy, constants):
    """Return r_s [kpc], A [km^2 s^-2] and the shape p0, p1, p2 of every row, (rows, 5).

    `theta` is (rows, 7) and `objects` (rows,) names the galaxy of each.
    """
    out = np.empty((theta.shape[0], 5))
    for i in range(theta.shape[0]):
        row = theta[i]
        own = galaxy[objects[i]]
        ratio = row[DISTANCE] / own[DISTANCE_0]
        out[i] = halo(
            kind,
            coordinates,
            row,
            own,
            ratio,
            power_of_ten(row[LOG_ML_DISK]),
            power_of_ten(row[LOG_ML_BULGE]),
            constants,
        )
    return out


@njit(cache=True)
def complete(template, objects, places, theta):
    """Return the rows of parameters of many galaxies, (objects, rows, columns): those that are free, and the others.

    Parameters
    ----------
    template
        (galaxies, columns): a row for each galaxy with every parameter that is not free.
    objects
        (objects,): which galaxy each is.
    places
        (columns,): the place of each column in `theta`, or -1.
    theta
        (objects, rows, free).
    """
    out = np.empty((theta.shape[0], theta.shape[1], template.shape[1]))
    for i in range(out.shape[0]):
        own = template[objects[i]]
        for w in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[i, w, k] = own[k] if places[k] < 0 else theta[i, w, places[k]]
    return out
