"""Rotation curves on the CPU: the lanes of the vector unit are rows of parameters, not points.

A block of `LANES` rows of one galaxy goes through its points together. Every row sums its own points in their order, so
neither the batch, nor the number of threads, nor the width of the vector unit changes a bit.
"""

import math

import numpy as np
from numba import njit, prange

from gpu._compile import compile_formulas
from gpu.rotation import formula

LANES = 64
_compiled = compile_formulas(formula, njit(error_model="numpy"))
mass, mass_nfw, halo, tilt, baryons = (
    _compiled.mass,
    _compiled.mass_nfw,
    _compiled.halo,
    _compiled.tilt,
    _compiled.baryons,
)
NFW, PISO, EINASTO, DC14 = formula.NFW, formula.PISO, formula.EINASTO, formula.DC14
DISTANCE, DISTANCE_0 = formula.DISTANCE, formula.DISTANCE_0
LOG_ML_DISK, LOG_ML_BULGE = formula.LOG_ML_DISK, formula.LOG_ML_BULGE

#: ln 2 in two parts, and the mantissa of sqrt(1/2) as an integer: the split of ln(m 2^k) into ln m + k ln 2.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
#: The minimax polynomial of ln((1 + s) / (1 - s)) / s - 2 in s^2, of Sun's fdlibm.
L1, L2, L3, L4 = 6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01
L5, L6, L7 = 1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01


@njit(error_model="numpy", inline="always")
def log1p_lanes(x, exponent, out):
    """Write ln(1 + x) for x >= 0, to 4 units in the last place.

    Arithmetic alone, so that LLVM puts it on the vector unit: m = (1 + x) / 2^k in [sqrt(1/2), sqrt(2)), then the
    minimax polynomial of ln((1 + s) / (1 - s)), s = (m - 1) / (m + 1), of Sun's fdlibm.
    """
    bits = out.view(np.int64)
    for w in range(x.shape[0]):
        out[w] = 1.0 + x[w]
    for w in range(x.shape[0]):
        k = (bits[w] - np.int64(SQRT_HALF_BITS)) >> np.int64(52)
        exponent[w] = k
        bits[w] -= k << np.int64(52)
    for w in range(x.shape[0]):
        f = x[w] if exponent[w] == 0.0 else out[w] - 1.0  # 1 + x has rounded the last digits of a small x away
        s = f / (2.0 + f)
        z = s * s
        tail = z * (L1 + z * (L2 + z * (L3 + z * (L4 + z * (L5 + z * (L6 + z * L7))))))
        out[w] = exponent[w] * LN2_HIGH + (s * (2.0 + tail) + exponent[w] * LN2_LOW)


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
    ratio, ml_disk, ml_bulge, slant = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    scale, amplitude, p0, p1, p2 = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    x, exponent, log1p = np.empty(n), np.empty(n), np.empty(n)
    for w in range(n):
        row = rows[w]
        ratio[w] = row[DISTANCE] / galaxy[DISTANCE_0]
        slant[w] = tilt(row, galaxy)
        ml_disk[w] = 10.0 ** row[LOG_ML_DISK]
        ml_bulge[w] = 10.0 ** row[LOG_ML_BULGE]
        r_s, a, p0[w], p1[w], p2[w] = halo(kind, coordinates, row, galaxy, ratio[w], ml_disk[w], ml_bulge[w], constants)
        scale[w] = ratio[w] / r_s
        amplitude[w] = a / scale[w]
        chi2[w] = 0.0
    with_log = kind not in (PISO, EINASTO, DC14)
    for j in range(r.shape[0]):
        for w in range(n):
            x[w] = r[j] * scale[w]
        if with_log:
            log1p_lanes(x, exponent, log1p)
        if kind == NFW:  # on its own, so that the loop fits the vector unit
            for w in range(n):
                x[w] = mass_nfw(x[w], log1p[w])
        else:
            for w in range(n):
                x[w] = mass(kind, x[w], log1p[w], p0[w], p1[w], p2[w])
        for w in range(n):
            v2 = baryons(gas[j], disk[j], bulge[j], ml_disk[w], ml_bulge[w], ratio[w]) + amplitude[w] * x[w] / r[j]
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
def masses(kind, x, p0, p1, p2):
    """Return h(x), (n,), of n halos of one kind with the shapes p0, p1, p2, (n,) each."""
    out = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        out[i] = mass(kind, x[i], math.log1p(x[i]), p0[i], p1[i], p2[i])
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
            kind, coordinates, row, own, ratio, 10.0 ** row[LOG_ML_DISK], 10.0 ** row[LOG_ML_BULGE], constants
        )
    return out
