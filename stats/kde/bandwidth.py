"""Bandwidths in units of the whitened samples: two rules, and the likelihood of what is left out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats.kde.density import Cloud

__all__ = ("bandwidth_loo", "scott", "silverman")

Floats = npt.NDArray[np.float64]

#: A bandwidth at which every sum of kernels is its largest term.
NARROW = 1e-9


def scott(n: npt.ArrayLike, dim: npt.ArrayLike) -> Floats:
    """Return Scott's bandwidth n^(-1/(d+4)), made for few dimensions: in many it lies in the condensed regime."""
    h: Floats = np.power(n, -1 / (np.asarray(dim) + 4))
    return h


def silverman(n: npt.ArrayLike, dim: npt.ArrayLike) -> Floats:
    """Return Silverman's bandwidth (n (d+2) / 4)^(-1/(d+4)); as `scott`."""
    d = np.asarray(dim)
    h: Floats = np.power(np.asarray(n) * (d + 2) / 4, -1 / (d + 4))
    return h


def bandwidth_loo(
    samples: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    blocks: npt.ArrayLike | None = None,
    points: int = 1000,
) -> float:
    """Return the bandwidth that makes left-out samples most likely.

    In many dimensions it lies near or below the condensation: `bandwidth_regime` tells how many samples
    the estimate then rests on.

    Parameters
    ----------
    samples, weights
        As for `kde`.
    blocks
        (n,): a label for each sample, such as its stretch of a Markov chain longer than the autocorrelation time. A
        sample is predicted without its whole block, because its neighbours in a chain would draw h to zero.
    points
        How many samples are left out at most, in turn; where there are more, those at equal steps.

    Raises
    ------
    ParameterError
        As `kde`, and for samples that repeat each other without `blocks`.
    """
    from scipy.optimize import minimize_scalar

    cloud = Cloud(samples, weights, blocks)
    if cloud.repeats and blocks is None:
        message = (
            f"samples: {cloud.repeats} of {cloud.repeats + len(cloud.points)} repeat another, as in a Markov chain: "
            "thin it by its autocorrelation time, or pass blocks="
        )
        raise ParameterError(message)
    index, share = cloud.held_out(points)

    def loss(log_h: float) -> float:
        return -float(np.sum(share * cloud.density_left_out(index, np.exp(log_h)).logpdf))

    # d(loss)/d(ln h) = d - <|x - y|^2> / h^2 over the terms of the sums. That mean grows with h, from the distance of
    # the nearest sample to 2d, the mean of all whitened pairs, or more without the largest block. So every minimum lies
    # between the two.
    nearest = -2 * NARROW**2 * cloud.density_left_out(index, NARROW).logpdf
    low = 0.5 * np.log(np.sum(share * nearest) / cloud.dim)
    high = 0.5 * np.log(2 / (1 - np.max(np.bincount(cloud.block, cloud.share)))) + np.log(2)
    trials = np.linspace(low, high, 2 + int((high - low) / np.log(2)))
    best = int(np.argmin([loss(log_h) for log_h in trials]))
    bounds = trials[max(best - 1, 0)], trials[min(best + 1, len(trials) - 1)]
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))
