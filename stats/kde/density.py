"""The density of weighted samples under Gaussian kernels, exact in any number of dimensions.

The estimate is a function of the empirical distribution alone. Samples that repeat each other are one sample with
their summed weight, and the order of the samples changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats.kde._loops import NOTHING, TILE, affine, log_sums, triangle

__all__ = ("Density", "kde", "kde_logpdf")

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

EPS = float(np.finfo(np.float64).eps)

#: A direction in which the samples spread by less than so many of their rounding errors is no direction.
ROUNDING_ERRORS = 64
#: How far outside the directions of the samples a query may lie, in units of their spread along the axes.
OUTSIDE = 1e-8
#: Whitened coordinates are rounded to EPS times their size. Where that is more of h than this, they get more digits.
ROUGH = 1e-12


@dataclass(frozen=True)
class Density:
    """What a sum of kernels says at each query, and how many samples stand behind it.

    Parameters
    ----------
    logpdf
        (queries,): natural logarithm of the density.
    n_eff
        (queries,): 1 / sum w^2 of the normalised terms w of the sum, the number of samples that carry it.
    entropy
        (queries,): -sum w ln w.
    dim
        The number of directions in which the samples spread.
    """

    logpdf: Floats
    n_eff: Floats
    entropy: Floats
    dim: int

    @property
    def n_shannon(self) -> Floats:
        """Exp(entropy), (queries,): another number of samples, that counts the fainter ones for more."""
        return np.exp(self.entropy)


def kde(
    samples: npt.ArrayLike,
    queries: npt.ArrayLike,
    h: float,
    weights: npt.ArrayLike | None = None,
) -> Density:
    """Evaluate a kernel density estimate, and count the samples that carry it.

    Parameters
    ----------
    samples
        (n, d), or (n,) in one dimension. At a query that is itself a sample, its own kernel counts too.
    queries
        (q, d), or (q,) in one dimension.
    h
        Bandwidth in units of the whitened samples: the kernel is a Gaussian with h^2 times their covariance. The
        `factor` of `scipy.stats.gaussian_kde`.
    weights
        (n,), not negative, of any sum.

    Returns
    -------
    Density
        The log density is right to 1e-10, relative or absolute, whichever is larger. Where h is so small beside the
        distances between the samples that rounded coordinates would spoil that, they are kept in extended precision;
        on a machine without one the error is then about 1e-16 times the largest distance over h.

    Notes
    -----
    Directions in which the samples do not spread are left out: the density is one on the plane of the samples, and
    its logarithm is -inf outside.

    Raises
    ------
    ParameterError
        For arrays of the wrong shape, values that are not finite, fewer than two different samples, or a bandwidth
        that is not positive.
    """
    cloud = Cloud(samples, weights)
    return cloud.density(table_of(queries, "queries", cloud.columns), h)


def kde_logpdf(
    samples: npt.ArrayLike,
    queries: npt.ArrayLike,
    h: float,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Return the natural logarithm of a kernel density estimate, (q,); all else as for `kde`."""
    return kde(samples, queries, h, weights).logpdf


def table_of(values: npt.ArrayLike, name: str, columns: int | None = None) -> Floats:
    """Return (rows, columns) float64 of finite numbers; a vector is one column."""
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] != (columns or table.shape[1]) or table.shape[1] == 0:
        expected = f"(rows, {columns})" if columns else "(rows, dimensions)"
        message = f"{name} has one row a point: expected shape {expected}, found {np.shape(values)}"
        raise ParameterError(message)
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if bad.size:
        message = f"{name}, row {bad[0]}: expected finite numbers, found {table[bad[0]].tolist()}; remove such rows"
        raise ParameterError(message)
    return table


def weights_of(weights: npt.ArrayLike | None, rows: int) -> Floats:
    """Return weights, (rows,), scaled by a power of two to at most 1."""
    w = np.ones(rows) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (rows,):
        message = f"weights has one number a sample: expected shape ({rows},), found {w.shape}"
        raise ParameterError(message)
    if not (np.all(np.isfinite(w)) and np.all(w >= 0) and np.any(w > 0)):
        message = "weights are finite and not negative, and one at least is positive"
        raise ParameterError(message)
    return np.asarray(np.ldexp(w, -np.frexp(np.max(w))[1]))


def check_bandwidth(h: float) -> float:
    """Return a bandwidth that is one."""
    if not (np.isfinite(h) and h > 0):
        message = f"a bandwidth is a positive number, found h={h}"
        raise ParameterError(message)
    return float(h)


def _check_different(samples: int) -> None:
    if samples < 2:
        message = f"a density needs at least 2 different samples, found {samples}"
        raise ParameterError(message)


def _sorted(table: Floats) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return the order that sorts rows, the first of equal rows first, and which rows in it differ from the last."""
    order = np.argsort(table[:, 0], kind="stable")
    if np.any(table[order[1:], 0] == table[order[:-1], 0]):
        order = np.lexsort(table.T[::-1])
    new = np.ones(len(table), dtype=bool)
    new[1:] = np.any(table[order[1:]] != table[order[:-1]], axis=1)
    return order, new


class Cloud:
    """Different samples with their weights, and the coordinates in which their covariance is the unit matrix.

    Parameters
    ----------
    samples, weights
        As for `kde`.
    blocks
        (n,): a label for each sample; those of one block are left out together. By default each is its own block.

    Attributes
    ----------
    points
        (m, d): the different samples, sorted.
    share
        (m,): their weights, summing to one.
    block
        (m,): the number of each one's block; of a sample that repeats, the block where it is first.
    repeats
        How many samples repeated another.
    size
        1 / sum share^2: how many samples of equal weight are worth as much.
    dim
        The number of directions in which the samples spread, of d = `columns`.
    covariance
        (d, d): of the samples, without the directions in which they do not spread.
    log_volume
        Logarithm of the whitened volume of a unit volume in those directions.
    """

    def __init__(
        self, samples: npt.ArrayLike, weights: npt.ArrayLike | None = None, blocks: npt.ArrayLike | None = None
    ) -> None:
        table = table_of(samples, "samples")
        _check_different(len(table))
        weight = weights_of(weights, len(table))
        labels = np.arange(len(table)) if blocks is None else np.asarray(blocks)
        if labels.shape != (len(table),):
            message = f"blocks has one label a sample: expected shape ({len(table)},), found {labels.shape}"
            raise ParameterError(message)
        counted = weight > 0
        table, weight, labels = table[counted], weight[counted], labels[counted]
        order, new = _sorted(table)
        first = np.flatnonzero(new)
        _check_different(first.size)
        self.points, weight = table[order[first]], np.add.reduceat(weight[order], first)
        self.share = weight / np.sum(weight)
        self.block = np.unique(labels[order[first]], return_inverse=True)[1].astype(np.int64)
        self.repeats = len(table) - first.size
        self.size = float(1 / np.sum(self.share**2))
        self.columns = table.shape[1]
        self._whiten()

    def _whiten(self) -> None:
        largest = np.max(np.abs(self.points), axis=0)
        self._origin = np.sum(self.share[:, None] * self.points, axis=0)
        deviation = self.points - self._origin
        root = np.sqrt(self.share * self.size / (self.size - 1))[:, None]  # so that equal weights give n - 1
        spread = np.linalg.norm(root * deviation, axis=0)
        rounding = ROUNDING_ERRORS * EPS * largest
        live = spread > rounding
        unit = np.where(live, spread, np.where(largest > 0, largest, 1.0))
        _, values, axes = np.linalg.svd(triangle(root * deviation / unit))
        along = values > values[0] * max(ROUNDING_ERRORS * EPS, np.max(rounding / unit))
        self.dim = int(np.sum(along))
        self._transform = axes[along].T / values[along] / unit[:, None]
        self._outside = axes[~along].T / unit[:, None]
        back = unit[:, None] * axes[along].T * values[along]
        self.covariance = back @ back.T
        lengths = [values[along], unit[live]] if self.dim == np.sum(live) else [np.linalg.svd(back, compute_uv=False)]
        self.log_volume = -float(np.sum(np.log(np.concatenate(lengths))))
        self._reach = float(np.max(np.max(np.abs(deviation), axis=0) @ np.abs(self._transform)))

    def _coordinates(self, points: Floats, *, fine: bool) -> Floats:
        """Return whitened coordinates, (parts, points, dim), in two parts that add up where they need more digits."""
        if not fine:
            plain: Floats = affine(points, self._origin, self._transform)[None]
            return plain
        exact = (points.astype(np.longdouble) - self._origin) @ self._transform.astype(np.longdouble)
        high = exact.astype(np.float64)
        return np.stack([high, (exact - high).astype(np.float64)])

    def _tiles(self, *, fine: bool) -> Floats:
        coordinates = self._coordinates(self.points, fine=fine).transpose(0, 2, 1)
        return np.ascontiguousarray(np.pad(coordinates, ((0, 0), (0, 0), (0, -len(self.points) % TILE))))

    @cached_property
    def _plain_tiles(self) -> Floats:
        return self._tiles(fine=False)

    @cached_property
    def _fine_tiles(self) -> Floats:
        return self._tiles(fine=True)

    def density(self, queries: Floats, h: float, own: Integers | None = None) -> Density:
        """Evaluate the estimate at (q, d) points, each without the samples of its `own` block, (q,), if that is given.

        Raises
        ------
        ParameterError
            If the bandwidth is not positive, or a block holds all the weight.
        """
        h = check_bandwidth(h)
        fine = EPS * self._reach / h > ROUGH
        padding = (0, -len(self.points) % TILE)
        sums = log_sums(
            np.ascontiguousarray(self._coordinates(queries, fine=fine)),
            np.full(len(queries), -1, dtype=np.int64) if own is None else own,
            self._fine_tiles if fine else self._plain_tiles,
            np.pad(self.block, padding, constant_values=-1),
            np.pad(np.log(self.share), padding, constant_values=NOTHING),
            h**-2,
        )
        logpdf = sums[:, 0] + self.log_volume - self.dim * (np.log(h) + 0.5 * np.log(2 * np.pi))
        if own is not None:
            logpdf -= np.log(self._left(own))
        outside = np.any(np.abs((queries - self._origin) @ self._outside) > OUTSIDE, axis=1)
        return Density(np.where(outside, -np.inf, logpdf), sums[:, 1], sums[:, 2], self.dim)

    def _left(self, own: Integers) -> Floats:
        """Return the weight that is left without each of these blocks."""
        blocks = np.bincount(self.block, self.share)
        if blocks.size < 2:
            message = "leaving one block out needs at least 2 blocks with different samples, found 1"
            raise ParameterError(message)
        return np.asarray(1 - blocks[own])

    def held_out(self, most: int) -> tuple[Integers, Floats]:
        """Return at most so many typical samples, as indices of `points`, and the share of each.

        All of them, or else those at equal steps of their summed weight.
        """
        if len(self.points) <= most:
            return np.arange(len(self.points)), self.share
        steps = (np.arange(most) + 0.5) / most
        drawn = np.searchsorted(np.cumsum(self.share), steps).clip(max=len(self.points) - 1)
        index, count = np.unique(drawn, return_counts=True)
        return index, count / most

    def density_left_out(self, index: Integers, h: float) -> Density:
        """Evaluate the estimate at samples, each without its own block."""
        return self.density(self.points[index], h, self.block[index])
