"""Priors of one parameter, for many objects at once.

The numbers of a prior are scalars, or arrays with one entry an object. Every method takes `objects`, the indices of
the objects that the first axis of its argument stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtri_exp

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
        return np.clip(low + u * (high - low), low, high)

    def support(self, objects: Indices) -> tuple[Array, Array]:
        """Return low and high, (objects,) each."""
        return _rows(self.low, objects), _rows(self.high, objects)

    def gauss(self, objects: Indices) -> tuple[Array, Array]:
        """Return a width of infinity."""
        return np.zeros(objects.shape), np.zeros(objects.shape)


def _mirrored(mean: Array, sd: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Return the ends in units of sd, turned to the lower tail, where probabilities keep their digits, and the side."""
    a, b = (low - mean) / sd, (high - mean) / sd
    turned = a > 0
    return np.where(turned, -1.0, 1.0), np.where(turned, -b, a), np.where(turned, -a, b)


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

    def _columns(self, objects: Indices) -> tuple[Array, Array, Array, Array]:
        """Return mean, sd, low and high as columns, (objects, 1) each."""
        mean, sd, low, high = (_rows(value, objects) for value in (self.mean, self.sd, self.low, self.high))
        return mean[:, None], sd[:, None], low[:, None], high[:, None]

    def logpdf(self, x: Array, objects: Indices) -> Array:
        """Return the log density, normalised over the interval."""
        mean, sd, low, high = self._columns(objects)
        z = (x - mean) / sd
        _, lower, upper = _mirrored(mean, sd, low, high)
        log_inside = log_ndtr(upper) + np.log1p(-np.exp(log_ndtr(lower) - log_ndtr(upper)))
        density = -0.5 * z * z - np.log(sd) - 0.5 * np.log(2 * np.pi) - log_inside
        return np.where((x >= low) & (x <= high), density, -np.inf)

    def transform(self, u: Array, objects: Indices) -> Array:
        """Return the quantiles of the cut Gaussian."""
        mean, sd, low, high = self._columns(objects)
        side, lower, upper = _mirrored(mean, sd, low, high)
        share = np.where(side < 0, 1 - u, u)
        with np.errstate(divide="ignore"):  # the logarithm of the ends of [0, 1]
            log_below = np.logaddexp(np.log1p(-share) + log_ndtr(lower), np.log(share) + log_ndtr(upper))
        return np.asarray(np.clip(mean + sd * side * ndtri_exp(log_below), low, high))

    def support(self, objects: Indices) -> tuple[Array, Array]:
        """Return low and high, (objects,) each."""
        return _rows(self.low, objects), _rows(self.high, objects)

    def gauss(self, objects: Indices) -> tuple[Array, Array]:
        """Return mean and 1 / sd."""
        return _rows(self.mean, objects), 1.0 / _rows(self.sd, objects)
