"""Rotation curves on the GPU: one thread is one row of parameters of one galaxy.

Neighbouring threads are rows of the same galaxy, so they read its points together. A thread sums its points
in their order: neither the batch nor the size of a block changes a bit.
"""

import math
from functools import cache

import numpy as np
from numba import typeof, void

from gpu import _cuda
from gpu._compile import compile_formulas
from gpu.rotation import formula
from gpu.rotation.data import Constants, Curves
from gpu.rotation.formula import DISTANCE, DISTANCE_0, LOG_ML_BULGE, LOG_ML_DISK

cuda = _cuda.cuda()
_compiled = compile_formulas(formula, cuda.jit(device=True))
mass, halo, tilt, baryons = _compiled.mass, _compiled.halo, _compiled.tilt, _compiled.baryons
power_of_ten = _compiled.power_of_ten


def chi2_kernel(kind):
    """Return the kernel of one profile, as plain Python.

    As `kind` is a constant there, the compiler drops the other profiles, whose powers and gamma function
    would claim registers in every thread.
    """

    def kernel(coordinates, theta, objects, curves, constants, out):
        thread = cuda.grid(1)
        i = thread // theta.shape[1]
        w = thread % theta.shape[1]
        if i >= theta.shape[0]:
            return
        o = objects[i]
        galaxy = curves.galaxy[o]
        row = theta[i, w]
        ratio = row[DISTANCE] / galaxy[DISTANCE_0]
        slant = tilt(row, galaxy)
        ml_disk = power_of_ten(row[LOG_ML_DISK])
        ml_bulge = power_of_ten(row[LOG_ML_BULGE])
        r_s, amplitude, p0, p1, p2 = halo(kind, coordinates, row, galaxy, ratio, ml_disk, ml_bulge, constants)
        scale = ratio / r_s
        chi2 = 0.0
        for j in range(curves.first[o], curves.first[o + 1]):
            x = curves.r[j] * scale
            v2 = baryons(curves.gas[j], curves.disk[j], curves.bulge[j], ml_disk, ml_bulge, ratio)
            v2 += amplitude * mass(kind, x, p0, p1, p2, constants) / x
            v = math.sqrt(0.0 if v2 < 0.0 else v2)  # not max(): on a GPU it swallows NaN
            residual = (curves.v_obs[j] - slant * v) * curves.weight[j]
            chi2 += residual * residual
        out[i, w] = chi2

    return kernel


@cache
def _dispatcher(kind):
    return cuda.jit(chi2_kernel(kind))


def chi2(kind, coordinates, theta, objects, curves, constants):
    """Return the data's chi-square of many rows of parameters for many galaxies.

    Arguments as for `gpu.rotation.cpu.chi2`. NumPy arrays are copied to the device, arrays that live there
    are not; the answer, (objects, rows), comes back to where `theta` was. The two devices have different
    mathematical functions, so that V^2 of a halo may differ from the CPU's by 1e-11 of itself: most just
    above the radius where a series ends, where closed forms lose that many digits.
    """
    out = cuda.device_array(theta.shape[:2], np.float64)
    _cuda.launch(
        _dispatcher(kind),
        out.size,
        coordinates,
        _cuda.to_device(theta),
        _cuda.to_device(objects),
        Curves(*map(_cuda.to_device, curves)),
        constants._replace(coefficients=_cuda.to_device(constants.coefficients)),
        out,
    )
    return _cuda.returned_like(theta, out)


def variants():
    """Yield the name, the plain kernel and the signature of everything that `chi2` may launch."""
    points = np.empty(1)
    curves = Curves(np.empty(1, np.int64), points, points, points, points, points, points, np.empty((1, 5)))
    arguments = (
        formula.SCALE,
        np.empty((1, 1, 7)),
        np.empty(1, np.int64),
        curves,
        Constants(1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, np.empty((1, 1))),
        np.empty((1, 1)),
    )
    for name in ("NFW", "PISO", "BURKERT", "EINASTO", "CORENFW", "DC14", "LUCKY13", "DARKEXP", "DARKEXP_GAMMA"):
        yield name.lower(), chi2_kernel(getattr(formula, name)), void(*map(typeof, arguments))
