"""Priors of one parameter, for many objects at once.

The numbers of a prior are scalars, or arrays with one entry an object. Every method takes `objects`, the indices of
the objects that the first axis of its argument stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtr, ndtri

__all__ = ("Normal", "Prior", "Uniform")

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class Prior(Protocol):
    """What a prior can do; arrays are (objects, walkers)."""

    def logpdf(self, x: Array, objects: Indices) -> Array:
        """Return the log density, -inf outside the support."""
        ...

    def transform(self, u: Array, objects: Indices) -> Array:
        """Return the quantiles of u in [0, 1]."""
        ...

    def support(self, objects: Indices) -> tuple[Array, Array]:
        """Return the ends of the support, (objects,) each."""
        ...

    def gauss(self, objects: Indices) -> tuple[Array, Array]:
        """Return mean m and inverse width w with logpdf = constant - ((x - m) w)^2 / 2 inside the support."""
        ...


def _rows(value: npt.ArrayLike, objects: Indices) -> Array:
    """Return (objects,) of a number that is shared or has one entry an object."""
    array = np.asarray(value, dtype=np.float64)
    return np.full(objects.shape, array) if array.ndim == 0 else array[objects]


@dataclass(frozen=True)
class Uniform:
    """A flat density between two ends.

    Parameters
    ----------
    low, high
        The ends, in the parameter's unit; scalars or (objects,).
    """

    low: Any
    high: Any

    def logpdf(self, x: Array, objects: Indices) -> Array:
        """Return -ln(high - low) inside, -inf outside."""
        low, high = (end[:, None] for end in self.support(objects))
        return np.where((x >= low) & (x <= high), -np.log(high - low), -np.inf)

    def transform(self, u: Array, objects: Indices) -> Array:
        """Return low + u (high - low)."""
        low, high = (end[:, None] for end in self.support(objects))
        return low + u * (high - low)

    def support(self, objects: Indices) -> tuple[Array, Array]:
        """Return low and high, (objects,) each."""
        return _rows(self.low, objects), _rows(self.high, objects)

    def gauss(self, objects: Indices) -> tuple[Array, Array]:
        """Return a width of infinity."""
        return np.zeros(objects.shape), np.zeros(objects.shape)


@dataclass(frozen=True)
class Normal:
    """A Gaussian, cut off outside an interval.

    Parameters
    ----------
    mean, sd
        Of the Gaussian before it is cut, in the parameter's unit; scalars or (objects,).
    low, high
        The ends of the interval.
    """

    mean: Any
    sd: Any
    low: Any = -np.inf
    high: Any = np.inf

    def _standard(self, objects: Indices) -> tuple[Array, Array, Array, Array]:
        mean, sd = _rows(self.mean, objects)[:, None], _rows(self.sd, objects)[:, None]
        low, high = (end[:, None] for end in self.support(objects))
        return mean, sd, (low - mean) / sd, (high - mean) / sd

    def logpdf(self, x: Array, objects: Indices) -> Array:
        """Return the log density, normalised over the interval."""
        mean, sd, a, b = self._standard(objects)
        z = (x - mean) / sd
        flip = a > 0  # the tail is measured from the side where it does not cancel
        lower, upper = np.where(flip, -b, a), np.where(flip, -a, b)
        log_inside = log_ndtr(upper) + np.log1p(-np.exp(log_ndtr(lower) - log_ndtr(upper)))
        density = -0.5 * z * z - np.log(sd) - 0.5 * np.log(2 * np.pi) - log_inside
        return np.where((z >= a) & (z <= b), density, -np.inf)

    def transform(self, u: Array, objects: Indices) -> Array:
        """Return the quantiles of the cut Gaussian."""
        mean, sd, a, b = self._standard(objects)
        flip = a > 0
        lower, upper = np.where(flip, -b, a), np.where(flip, -a, b)
        share = np.where(flip, 1 - u, u)
        z = ndtri(ndtr(lower) + share * (ndtr(upper) - ndtr(lower)))
        return np.clip(mean + sd * np.where(flip, -z, z), mean + sd * a, mean + sd * b)

    def support(self, objects: Indices) -> tuple[Array, Array]:
        """Return low and high, (objects,) each."""
        return _rows(self.low, objects), _rows(self.high, objects)

    def gauss(self, objects: Indices) -> tuple[Array, Array]:
        """Return mean and 1 / sd."""
        return _rows(self.mean, objects), 1.0 / _rows(self.sd, objects)
