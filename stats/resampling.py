"""Bootstrap and jackknife over rows or whole groups, and one random stream for each object.

A statistic is a function of the rows and of how often each of them counts: ``statistic(data, weights)``, with
``data`` of shape (rows, ...) and ``weights`` of shape (draws, rows), gives (draws, ...). Weights of one are
the data themselves, a bootstrap draw is a row of counts, a jackknife leaves some rows at zero. Several
statistics can so share their draws, and a weighted mean is one matrix product. `by_rows` turns any function
of rows alone into such a statistic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError

__all__ = ("Jackknife", "Statistic", "bootstrap", "bootstrap_interval", "by_rows", "jackknife", "stream")

Floats = npt.NDArray[np.float64]

#: Weights held at a time: 32 MB.
WEIGHTS_AT_A_TIME = 2**22


class Statistic(Protocol):
    """A function of the rows and of how often each of them counts."""

    def __call__(self, data: npt.NDArray[Any], weights: Floats, /) -> npt.ArrayLike:
        """Return one value, or one array, for each row of weights."""


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream of one object, which no other object, order or shard can change.

    Parameters
    ----------
    seed
        Of the whole run, not negative.
    name
        Of the object; its SHA-256 is the key.

    Raises
    ------
    ParameterError
        If the seed is negative.
    """
    if seed < 0:
        message = f"a seed is an integer from 0 on, found {seed!r}"
        raise ParameterError(message)
    key = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key.tolist()))


def by_rows(statistic: Callable[[npt.NDArray[Any]], npt.ArrayLike]) -> Statistic:
    """Turn a function of rows alone, such as a median, into a statistic of rows and counts.

    Parameters
    ----------
    statistic
        Called once a draw, with each row repeated as often as it counts.
    """

    def counted(data: npt.NDArray[Any], weights: Floats, /) -> npt.ArrayLike:
        return np.array([statistic(np.repeat(data, counts.astype(np.intp), axis=0)) for counts in weights])

    return counted


def _members(rows: int, groups: npt.ArrayLike | None) -> tuple[npt.NDArray[np.intp], int]:
    """Return the number of each row's group, and how many groups there are; alone, a row is its own group."""
    labels = np.arange(rows) if groups is None else np.asarray(groups)
    if labels.shape != (rows,):
        message = f"groups has one label a row: expected shape ({rows},), found {labels.shape}"
        raise ParameterError(message)
    names, members = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        what = "rows" if groups is None else "groups"
        message = f"resampling needs at least 2 {what}, found {len(names)}"
        raise ParameterError(message)
    return members, len(names)


def _evaluate(statistic: Statistic, data: npt.NDArray[Any], weights: Floats) -> Floats:
    values = np.asarray(statistic(data, weights), dtype=float)
    if values.shape[:1] != (len(weights),):
        message = (
            f"statistic(data, weights) gives one value for each of the {len(weights)} rows of weights, "
            f"found shape {values.shape}: see by_rows for a function of rows alone"
        )
        raise ParameterError(message)
    return values


def _resampled(
    statistic: Statistic,
    data: npt.ArrayLike,
    n: int,
    seed: int | np.random.Generator,
    groups: npt.ArrayLike | None,
    **options: Any,
) -> Any:
    """Let scipy resample the numbers of the groups; the statistic sees how often each was drawn."""
    import scipy.stats

    if n < 2:
        message = f"a bootstrap needs at least 2 draws, found n={n}"
        raise ParameterError(message)
    data = np.asarray(data)
    members, size = _members(len(data), groups)

    def of_numbers(numbers: npt.NDArray[np.intp], axis: int) -> Floats:
        drawn = numbers.reshape(-1, numbers.shape[axis])
        cells = drawn + size * np.arange(len(drawn))[:, None]
        counts = np.bincount(cells.ravel(), minlength=size * len(drawn)).reshape(-1, size)
        values = _evaluate(statistic, data, counts[:, members].astype(float))
        return np.moveaxis(values, 0, -1).reshape((*values.shape[1:], *numbers.shape[:-1]))

    return scipy.stats.bootstrap(
        (np.arange(size),),
        of_numbers,
        n_resamples=n,
        rng=seed if isinstance(seed, np.random.Generator) else stream(seed, "bootstrap"),
        vectorized=True,
        batch=max(1, WEIGHTS_AT_A_TIME // len(data)),
        **options,
    )


def bootstrap(
    statistic: Statistic,
    data: npt.ArrayLike,
    *,
    n: int,
    seed: int | np.random.Generator,
    groups: npt.ArrayLike | None = None,
) -> Floats:
    """Draw a statistic of data resampled with replacement.

    Parameters
    ----------
    statistic
        ``statistic(data, weights)``, see the module.
    data
        Shape (rows, ...).
    n
        How many draws.
    seed
        A seed, or the object's `stream`.
    groups
        Shape (rows,): a label for each row. Rows of a group are drawn together, as rows that are not
        independent must be. By default each row is drawn alone.

    Returns
    -------
    ndarray
        Shape (n, ...): the statistic of each draw.

    Raises
    ------
    ParameterError
        For fewer than two draws, rows or groups, labels that do not fit the rows, or a statistic of the wrong
        shape.
    """
    result = _resampled(statistic, data, n, seed, groups, method="percentile")
    return np.moveaxis(result.bootstrap_distribution, -1, 0)


def bootstrap_interval(
    statistic: Statistic,
    data: npt.ArrayLike,
    *,
    n: int,
    seed: int | np.random.Generator,
    groups: npt.ArrayLike | None = None,
    level: float = 0.6827,
    method: Literal["bca", "percentile"] = "bca",
) -> tuple[Floats, Floats]:
    """Return the bootstrap confidence interval of a statistic.

    Parameters
    ----------
    statistic, data, n, seed, groups
        As in `bootstrap`.
    level
        The probability of the interval.
    method
        ``bca`` corrects for bias and skewness at the price of one more draw for each row or group;
        ``percentile`` does not.

    Returns
    -------
    low, high
        Each of the shape of the statistic. ``bca`` gives NaN, and scipy's warning, where all draws are equal.

    Raises
    ------
    ParameterError
        As `bootstrap`, and for a level outside (0, 1) or an unknown method.
    """
    if not 0 < level < 1:
        message = f"the level of an interval lies between 0 and 1, found {level}"
        raise ParameterError(message)
    if method not in {"bca", "percentile"}:
        message = f"the method of a bootstrap interval is 'bca' or 'percentile', found {method!r}"
        raise ParameterError(message)
    result = _resampled(statistic, data, n, seed, groups, method=method, confidence_level=level)
    low, high = result.confidence_interval
    return np.asarray(low), np.asarray(high)


@dataclass(frozen=True)
class Jackknife:
    """A statistic with its jackknife errors.

    Parameters
    ----------
    estimate
        The statistic of all the data, any shape.
    values
        Shape (groups, ...): the statistic without each row or group.
    """

    estimate: Floats
    values: Floats

    @property
    def bias(self) -> Floats:
        """By how much the statistic of all the data is expected to be too large."""
        bias: Floats = (len(self.values) - 1) * (self.values.mean(axis=0) - self.estimate)
        return bias

    @property
    def covariance(self) -> Floats:
        """The covariance of the flattened statistic, shape (size, size)."""
        size = len(self.values)
        deviation = (self.values - self.values.mean(axis=0)).reshape(size, -1)
        covariance: Floats = (size - 1) / size * deviation.T @ deviation
        return covariance

    @property
    def error(self) -> Floats:
        """The standard error, of the shape of the statistic."""
        return np.sqrt(np.diag(self.covariance)).reshape(self.estimate.shape)


def jackknife(statistic: Statistic, data: npt.ArrayLike, *, groups: npt.ArrayLike | None = None) -> Jackknife:
    """Evaluate a statistic without each row, or without each group, in turn.

    Parameters
    ----------
    statistic
        ``statistic(data, weights)``, see the module. It should be smooth in the weights: the jackknife
        error of a median is wrong however many rows there are.
    data
        Shape (rows, ...).
    groups
        Shape (rows,): a label for each row, such as a region of the sky. Groups of similar size.

    Raises
    ------
    ParameterError
        For fewer than two rows or groups, labels that do not fit the rows, or a statistic of the wrong shape.
    """
    data = np.asarray(data)
    members, size = _members(len(data), groups)
    step = max(1, WEIGHTS_AT_A_TIME // len(data))
    left_out = [np.arange(start, min(start + step, size)) for start in range(0, size, step)]
    values = [_evaluate(statistic, data, (members != group[:, None]).astype(float)) for group in left_out]
    return Jackknife(estimate=_evaluate(statistic, data, np.ones((1, len(data))))[0], values=np.concatenate(values))
