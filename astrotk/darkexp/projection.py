r"""Halos seen in projection: the surface density of a profile.

.. math:: \Sigma(R) = 2\int_R^\infty \frac{\rho\,r\,dr}{\sqrt{r^2 - R^2}}
          = 2R\int_0^\infty \rho(R\cosh t)\cosh t\,dt .

In t the integrand is even, smooth and falls exponentially: the trapezoidal rule is then exact to the last digits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from astrotk.darkexp.profiles import Profile
from catalogs.errors import ParameterError
from catalogs.units import to_value

__all__ = ("Projection", "projected_density")

Array = npt.NDArray[np.float64]

#: Step and end of the trapezoidal rule in t.
STEP, END = 0.1, 40.0
#: ln X of the tables: eight decades around the scale radius, and points of the shape parameter.
LOG_X = np.linspace(math.log(1e-5), math.log(1e3), 193)
SHAPES = 61
#: What a density is at least: some fall below what a float can hold.
NOTHING = 1e-250


def _sigma_hat(profile: Profile, x: Array, *shape: npt.ArrayLike) -> Array:
    """Return Sigma / (rho_s r_s) at X = R / r_s."""
    t = np.arange(0.0, END, STEP)
    weight = np.where(t == 0, 0.5 * STEP, STEP) * np.cosh(t)
    spread = [np.asarray(value, dtype=np.float64)[..., None] for value in shape]
    return np.asarray(2 * x * np.sum(weight * profile.rho_hat(x[..., None] * np.cosh(t), *spread), axis=-1))


def projected_density(profile: Profile, r: Any, r_s: Any, *shape: npt.ArrayLike) -> Array:
    """Return Sigma / rho_s [kpc] at the projected radius r [kpc] > 0 for r_s [kpc]; Quantity accepted.

    Good to 1e-9 for a profile whose density is a smooth function of ln r; of a profile that does not fall faster than
    1/r nothing is right.

    Parameters
    ----------
    profile
        The density.
    r, r_s, shape
        Arrays that can be broadcast.
    """
    radius = to_value(r_s, "kpc", "r_s")
    return np.asarray(radius * _sigma_hat(profile, to_value(r, "kpc", "r") / radius, *shape))


def inside_of(profile: Profile, *shape: float) -> Any:
    """Return a spline over ln X, within `LOG_X`, of ln of the integral of 2 pi X Sigma dX / (rho_s r_s)."""
    return CubicSpline(LOG_X, np.log(_integral(_sigma_hat(profile, np.exp(LOG_X), *shape))))


def _integral(sigma: Array) -> Array:
    """Return the integral of 2 pi X Sigma dX within `LOG_X`, (..., 193); below it Sigma is a power of X."""
    growth = 2 * np.pi * sigma * np.exp(2 * LOG_X)
    slope = np.log(growth[..., 1:2] / growth[..., :1]) / (LOG_X[1] - LOG_X[0])
    return np.asarray(growth[..., :1] / slope + CubicSpline(LOG_X, growth, axis=-1).antiderivative()(LOG_X))


class Projection:
    """Tables of a projected profile: its surface density and what lies within, over X = R / r_s and the shape.

    Parameters
    ----------
    profile
        With one shape parameter at most.

    Raises
    ------
    ParameterError
        If the profile has more.
    """

    def __init__(self, profile: Profile) -> None:
        if len(profile.shape) > 1:
            message = (
                f"{profile.name}: expected at most one shape parameter for star counts, found {len(profile.shape)}"
            )
            raise ParameterError(message)
        self.profile = profile
        self.log_shape = bool(profile.logarithmic)
        nodes = np.zeros(1)
        shapes: list[tuple[float, ...]] = [()]
        for low, high in profile.shape.values():
            nodes = np.geomspace(low, high, SHAPES) if self.log_shape else np.linspace(low, high, SHAPES)
            shapes = [(float(value),) for value in nodes]
        sigma = np.stack([_sigma_hat(profile, np.exp(LOG_X), *shape) for shape in shapes])
        inside = _integral(sigma)
        nodes = np.log10(nodes) if self.log_shape else nodes
        self._log_sigma, self._log_inside = (
            _Surface(nodes, np.log(np.maximum(table, NOTHING))) for table in (sigma, inside)
        )

    def log_sigma(self, log_x: Array, shape: Array) -> Array:
        """Return ln of Sigma / (rho_s r_s) at ln X (row, points); `shape` (row, 1) is its log10 where `log_shape`."""
        return self._log_sigma(log_x, shape)

    def inside(self, log_x: Array, shape: Array) -> Array:
        """Return the integral of 2 pi X Sigma dX / (rho_s r_s) within X, as above; 0 where ln X is -inf."""
        return np.where(np.isneginf(log_x), 0.0, np.exp(self._log_inside(log_x, shape)))


class _Surface:
    """A bicubic spline over the shape and ln X; a row of points shares its shape.

    The coefficients of the pieces in ln X are splines of the shape: so a row costs one step for its shape and a cubic
    for each of its points.
    """

    def __init__(self, nodes: Array, table: Array) -> None:
        pieces = np.moveaxis(CubicSpline(LOG_X, table, axis=1).c, -1, 0)
        self._of_shape = CubicSpline(nodes, pieces) if nodes.size > 1 else lambda shape: pieces

    def __call__(self, log_x: Array, shape: Array) -> Array:
        log_x = np.clip(log_x, LOG_X[0], LOG_X[-1])
        at = np.minimum(((log_x - LOG_X[0]) / (LOG_X[1] - LOG_X[0])).astype(np.int64), LOG_X.size - 2)
        c3, c2, c1, c0 = (np.take_along_axis(c, at, axis=1) for c in np.moveaxis(self._rows(shape, len(at)), 1, 0))
        step = log_x - LOG_X[at]
        return np.asarray(((c3 * step + c2) * step + c1) * step + c0)

    def _rows(self, shape: Array, rows: int) -> Array:
        """Return the coefficients of each row, (row, 4, pieces)."""
        found = self._of_shape(shape[:, 0] if shape.size else shape)
        return np.broadcast_to(found, (rows, *found.shape[1:]))
