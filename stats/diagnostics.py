"""Whether a run of ensemble samplers has converged, and what its draws are worth.

The walkers of one ensemble propose from each other, so they are not independent of each other; ensembles are. R-hat
therefore compares halves of ensembles, each with its walkers pooled, and the effective sample size starts from the mean
over the walkers at each step, a series whose own correlation in time can be measured (Goodman & Weare 2010). With one
walker an ensemble is a chain, and all numbers are those of Vehtari et al. (2021, doi:10.1214/20-BA1221).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri

from catalogs.errors import ParameterError

__all__ = ("Diagnosis", "Gate", "autocorrelation_time", "diagnose", "quick")

Array = npt.NDArray[np.float64]

#: Steps below which half of a series has no autocorrelation to speak of.
FEWEST_STEPS = 10
#: The two tails whose probabilities must be known as well as the bulk.
TAILS = 0.05, 0.95


@dataclass(frozen=True)
class Gate:
    """What a run must reach to count as converged.

    Parameters
    ----------
    rhat
        The largest R-hat of a parameter stays below this.
    ess
        The smallest effective sample size, of bulk and tails, reaches this.
    taus
        The steps reach so many autocorrelation times of every parameter. R-hat and the sample size do not ask for
        this: among many walkers a sample is large before the ensemble has moved once through the posterior. A short
        series is thought faster than it is or slower, so ten measured times are hardly ever fewer than seven true ones;
        where the input is the second half of a run, as many before it have let it forget its start.
    ensembles
        So many independent ensembles at least; fewer could all have missed the same mode.
    """

    rhat: float = 1.01
    ess: float = 400.0
    taus: float = 10.0
    ensembles: int = 4


@dataclass(frozen=True)
class Diagnosis:
    """The state of convergence of many objects; (...) are the axes of the objects.

    Parameters
    ----------
    rhat
        (..., dim): rank-normalised split R-hat, of bulk or folded draws, whichever is larger.
    ess
        (..., dim): effective sample size, of bulk or tails, whichever is smaller.
    tau
        (..., dim): integrated autocorrelation time of the mean over the walkers, in steps of the input.
    steps
        (...): length of the input.
    stuck
        (...): walkers that never moved.
    ensembles
        (...): how many.
    gate
        What `converged` was asked for.
    """

    rhat: Array
    ess: Array
    tau: Array
    steps: npt.NDArray[np.int64]
    stuck: npt.NDArray[np.int64]
    ensembles: npt.NDArray[np.int64]
    gate: Gate = field(default_factory=Gate)

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Whether the gate is passed and no walker is stuck, (...)."""
        return np.asarray(
            (self.rhat.max(axis=-1) < self.gate.rhat)
            & (self.ess.min(axis=-1) >= self.gate.ess)
            & (self.steps >= self.gate.taus * self.tau.max(axis=-1))
            & (self.ensembles >= self.gate.ensembles)
            & (self.stuck == 0)
        )

    def reasons(self, names: Sequence[str]) -> npt.NDArray[np.str_]:
        """Say in words what each object lacks, (...); empty where it has converged."""
        words = [
            self._reason(names, where) if not done else "" for where, done in np.ndenumerate(np.asarray(self.converged))
        ]
        return np.array(words, dtype=np.str_).reshape(self.steps.shape)

    def _reason(self, names: Sequence[str], where: tuple[int, ...]) -> str:
        rhat, ess, tau = self.rhat[where], self.ess[where], self.tau[where]
        steps, stuck, ensembles = int(self.steps[where]), int(self.stuck[where]), int(self.ensembles[where])
        lacks = []
        if ensembles < self.gate.ensembles:
            lacks.append(f"{ensembles} of {self.gate.ensembles} ensembles")
        if stuck:
            lacks.append(f"{stuck} walkers never moved")
        if not rhat.max() < self.gate.rhat:
            lacks.append(f"R-hat of {names[rhat.argmax()]} is {rhat.max():.3f}")
        if not ess.min() >= self.gate.ess:
            lacks.append(f"{ess.min():.0f} effective draws of {names[ess.argmin()]}")
        if not steps >= self.gate.taus * tau.max():
            lacks.append(f"{steps / tau.max():.1f} autocorrelation times of {names[tau.argmax()]}")
        return ", ".join(lacks)

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """Put diagnoses of the same gate side by side, along a new first axis."""
        arrays = {f.name: np.stack([getattr(part, f.name) for part in parts]) for f in fields(cls) if f.name != "gate"}
        return cls(**arrays, gate=parts[0].gate)

    def take(self, objects: npt.NDArray[np.int64]) -> Self:
        """Return the diagnosis of some of the objects of the first axis."""
        arrays = {f.name: getattr(self, f.name)[objects] for f in fields(self) if f.name != "gate"}
        return replace(self, **arrays)


def diagnose(chains: npt.ArrayLike, *, gate: Gate | None = None) -> Diagnosis:
    """Measure the convergence of each object.

    Parameters
    ----------
    chains
        (..., ensemble, step, walker, dim), burn-in removed; of an odd number of steps the first is left out.
    gate
        What to ask for; by default `Gate`'s defaults.

    Returns
    -------
    Diagnosis
        A parameter that is constant or somewhere not finite has an R-hat of infinity and no effective draw.

    Raises
    ------
    ParameterError
        If there are fewer than 10 steps, or an axis is missing or empty.
    """
    halves, shape = _halves(chains)
    *objects, ensembles, steps, _, dim = shape
    flat = halves.reshape(-1, *halves.shape[len(objects) :])
    rhat, ess, tau = (np.empty((len(flat), dim)) for _ in range(3))
    for k, one in enumerate(flat):
        rhat[k], ess[k], tau[k] = _diagnose_one(one)
    stuck = np.all(halves[..., :ensembles, :1, :, :] == halves[..., ensembles:, -1:, :, :], axis=-1)
    return Diagnosis(
        rhat.reshape(*objects, dim),
        ess.reshape(*objects, dim),
        tau.reshape(*objects, dim),
        np.full(objects, steps),
        stuck.sum(axis=(-3, -2, -1)),
        np.full(objects, ensembles),
        Gate() if gate is None else gate,
    )


def quick(chains: npt.ArrayLike) -> Array:
    """Return the split R-hat of the draws as they are, (..., dim): what tells in no time that a run is not ready.

    Ranks make R-hat fit for heavy tails; without them it is fifteen times cheaper and nearly the same for a
    well-behaved posterior. It never replaces `diagnose`.

    Parameters
    ----------
    chains
        As for `diagnose`.
    """
    halves, _ = _halves(chains)
    with np.errstate(invalid="ignore"):
        means, variances = halves.mean(axis=(-3, -2)), halves.var(axis=(-3, -2))
    rhat = _rhat(means, variances, halves.shape[-3] * halves.shape[-2], axis=-2)
    return np.where(np.isnan(rhat), np.inf, rhat)


def autocorrelation_time(series: npt.ArrayLike) -> Array:
    """Return the integrated autocorrelation time of one long run of one ensemble, in steps, (dim).

    emcee's estimate: the autocorrelation averaged over the walkers, summed over Sokal's window. Only a run of some
    fifty of these times gives one that can be trusted.

    Parameters
    ----------
    series
        (step, walker, dim).
    """
    from emcee.autocorr import integrated_time

    with np.errstate(invalid="ignore"):  # a walker that stands still
        return np.asarray(integrated_time(np.asarray(series, dtype=np.float64), tol=0), dtype=np.float64)


def _halves(chains: npt.ArrayLike) -> tuple[Array, tuple[int, ...]]:
    """Return (..., 2 ensembles, half the steps, walker, dim), all first halves first, and the shape of the input."""
    x = np.asarray(chains, dtype=np.float64)
    if x.ndim < 4 or x.size == 0 or x.shape[-3] < FEWEST_STEPS:
        message = f"chains are (..., ensemble, step, walker, dim) of >= {FEWEST_STEPS} steps, found shape {x.shape}"
        raise ParameterError(message)
    half = x.shape[-3] // 2
    return np.concatenate([x[..., -2 * half : -half, :, :], x[..., -half:, :, :]], axis=-4), x.shape


def _diagnose_one(halves: Array) -> tuple[Array, Array, Array]:
    """Return R-hat, effective sample size and autocorrelation time of one object, (dim) each."""
    x = np.ascontiguousarray(np.moveaxis(halves, -1, 0))
    shape, draws = x.shape, x.reshape(len(x), -1)
    bad = ~np.isfinite(draws).all(axis=1) | (draws.min(axis=1) == draws.max(axis=1))
    draws[bad] = 0.0
    order = np.argsort(draws, axis=1)
    ordered = np.take_along_axis(draws, order, axis=1)
    middle = draws.shape[1] // 2
    folded = np.abs(ordered - ordered[:, middle - 1 : middle + 1].mean(axis=1, keepdims=True))
    again = np.argsort(folded, axis=1, kind="stable")  # one run falls, one rises: timsort merges them in no time
    folded_order = np.take_along_axis(order, again, axis=1)
    bulk = _normal_scores(ordered, order).reshape(shape)
    fold = _normal_scores(np.take_along_axis(folded, again, axis=1), folded_order).reshape(shape)
    tails = [draws <= ends[:, None] for ends in _sorted_quantiles(ordered)]
    with np.errstate(divide="ignore", invalid="ignore"):
        rhat = np.maximum(_pooled_rhat(bulk), _pooled_rhat(fold))
        ess, tau = _effective(np.stack([bulk, *(tail.reshape(shape) for tail in tails)]))
    return np.where(bad, np.inf, rhat), np.where(bad, 0.0, ess.min(axis=0)), np.where(bad, np.inf, tau[0])


def _sorted_quantiles(ordered: Array) -> Array:
    """Return the quantiles of the two tails, (2, dim), of draws in order, (dim, draw)."""
    place = np.multiply(TAILS, ordered.shape[1] - 1)
    below = place.astype(np.int64)
    low, high = ordered[:, below], ordered[:, below + 1]
    return np.asarray((low + (place - below) * (high - low)).T)


@lru_cache(maxsize=16)
def _score_table(draws: int) -> Array:
    """Return the normal score (Blom 1958) of every rank of so many draws, and of the ranks half-way between."""
    return np.concatenate([[np.nan, np.nan], ndtri((np.arange(2, 2 * draws + 1) / 2 - 3 / 8) / (draws + 1 / 4))])


def _normal_scores(ordered: Array, order: npt.NDArray[np.intp]) -> Array:
    """Return the normal scores of ranks, (dim, draw); draws that are equal share the mean of their ranks."""
    dim, n = ordered.shape
    new = np.ones((dim, n), dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.flatnonzero(new)
    count = np.diff(first, append=dim * n)
    scores = np.empty((dim, n))
    ranked = np.repeat(_score_table(n)[2 * (first % n) + 1 + count], count)
    np.put_along_axis(scores, order, ranked.reshape(dim, n), axis=1)
    return scores


def _rhat(means: Array, variances: Array, size: int, axis: int) -> Array:
    """Return R-hat from the means and the variances (divided by n) of chains of a size."""
    within = variances.mean(axis=axis) * size / (size - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sqrt((size - 1) / size + means.var(axis=axis, ddof=1) / within))


def _pooled_rhat(z: Array) -> Array:
    """Return R-hat of (dim, half ensemble, step, walker), the walkers of a half pooled as one chain."""
    return _rhat(z.mean(axis=(2, 3)), z.var(axis=(2, 3)), z.shape[2] * z.shape[3], axis=1)


def _effective(z: Array) -> tuple[Array, Array]:
    """Return effective sample size and autocorrelation time of (quantity, dim, half ensemble, step, walker).

    The mean over the walkers has so many independent values as its autocorrelation leaves (Geyer 1992: pairs of
    autocorrelations, as long as they are positive, each no larger than the one before); each is worth as many draws as
    its variance is smaller than that of a draw.
    """
    walked = z.mean(axis=-1)
    chains, n = walked.shape[-2:]
    covariance = _autocovariance(walked)
    between = walked.mean(axis=-1).var(axis=-1, ddof=1)
    total = covariance[..., 0] + between
    draw = z.var(axis=(-2, -1)).mean(axis=-1) + between
    rho = 1 - (covariance[..., :1] * n / (n - 1) - covariance) / total[..., None]
    rho[..., 0] = 1
    last = -(-n // 2) - 2
    pairs = rho[..., 0 : 2 * last + 1 : 2] + rho[..., 1 : 2 * last + 2 : 2]
    ends = pairs[..., 1:] <= 0
    end = np.where(ends.any(axis=-1), ends.argmax(axis=-1) + 1, last)[..., None]
    kept = np.where(np.arange(last + 1) < end, np.minimum.accumulate(pairs, axis=-1), 0).sum(axis=-1)
    even, pair = (np.take_along_axis(a, k, axis=-1)[..., 0] for a, k in ((rho, 2 * end), (pairs, end)))
    tau = -1 + 2 * kept + np.where((even > 0) | (pair >= 0), even, 0)
    tau = np.maximum(tau, 1 / np.log10(chains * n))
    # A tail that holds all draws or none says nothing against them.
    return np.where(draw > 0, chains * n / tau * draw / total, z[0, 0].size), tau


def _autocovariance(series: Array) -> Array:
    """Return the autocovariance (divided by n) of (..., chain, step), averaged over the chains: (..., lag)."""
    n = series.shape[-1]
    size = next_fast_len(2 * n, real=True)
    spectrum = rfft(series - series.mean(axis=-1, keepdims=True), size, axis=-1)
    power = np.mean(spectrum.real**2 + spectrum.imag**2, axis=-2)
    return np.asarray(irfft(power, size, axis=-1)[..., :n] / n)
