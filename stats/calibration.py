"""Whether posteriors mean what they say: ranks of known truths among their draws, and coverage of their intervals.

A truth drawn from the prior is one more draw from the posterior of the data that it made, so its rank among the draws
is uniform (Talts et al. 2018, arXiv:1804.06788). That sees what no comparison of chains can: a sampler that converges,
everywhere alike, to something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, erf

from catalogs.errors import ParameterError
from stats.demo import limit
from stats.resampling import stream
from stats.target import Target

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ("Calibration", "calibrate", "prior_truth")

Array = npt.NDArray[np.float64]

#: Draws of each posterior among which the truth is ranked; with it, they are a hundred.
RANKED = 99
#: Bins of the ranks, each a whole number of them, as many as leave ten mocks a bin.
BINS = 2, 4, 5, 10, 20
FEWEST_MOCKS = 10 * BINS[0]
#: Probability of a parameter's ranks below which they are not called uniform.
IMPLAUSIBLE = 1e-3
#: The intervals of one and two standard deviations.
LEVELS = float(erf(np.sqrt(0.5))), float(erf(np.sqrt(2.0)))
CALIBRATED, MISCALIBRATED = "calibrated", "not calibrated"
#: Candidates of a truth at a time, and how often, where priors are tied together.
CANDIDATES, ROUNDS = 256, 1000


@dataclass(frozen=True)
class Calibration:
    """Ranks and coverage of mocks with known truth.

    Parameters
    ----------
    names
        The parameters.
    ranks
        (mock, dim): how many of 99 draws lie below the truth, 0 to 99.
    p_chi2, p_ks
        (dim): the probability of such ranks, if they are uniform, by a chi-square over bins, which sees any shape, and
        by Kolmogorov's and Smirnov's test, which sees a shift best.
    coverage
        (2, dim): share of the truths within the central 68.27 and 95.45 % of the posterior.
    """

    names: tuple[str, ...]
    ranks: npt.NDArray[np.int64]
    p_chi2: Array
    p_ks: Array
    coverage: Array

    @property
    def p(self) -> Array:
        """The gate, (dim): the smaller of the two probabilities, twice, because there are two."""
        return np.asarray(np.minimum(1.0, 2 * np.minimum(self.p_chi2, self.p_ks)))

    @property
    def error(self) -> Array:
        """The standard error of a coverage of so many mocks, (2)."""
        level = np.array(LEVELS)
        return np.asarray(np.sqrt(level * (1 - level) / len(self.ranks)))

    @property
    def sigmas(self) -> Array:
        """How many standard errors the coverage is too large, (2, dim)."""
        return np.asarray((self.coverage - np.array(LEVELS)[:, None]) / self.error[:, None])

    @property
    def calibrated(self) -> npt.NDArray[np.bool_]:
        """Whether each parameter passes, (dim): its p above 1e-3, its coverage within `stats.demo.limit` of all."""
        covered = np.abs(self.sigmas) <= limit(self.sigmas.size)
        return np.asarray((self.p > IMPLAUSIBLE) & np.all(covered, axis=0))

    def table(self) -> Table:
        """Return one row a parameter."""
        from astropy.table import Table

        table = Table({"parameter": list(self.names), "mocks": np.full(len(self.names), len(self.ranks))})
        table["p_chi2"], table["p_ks"], table["p"] = self.p_chi2, self.p_ks, self.p
        for level, coverage, error, sigmas in zip(("68", "95"), self.coverage, self.error, self.sigmas, strict=True):
            table[f"coverage_{level}"], table[f"coverage_{level}_err"] = coverage, error
            table[f"coverage_{level}_sigmas"] = sigmas
        table["verdict"] = np.where(self.calibrated, CALIBRATED, MISCALIBRATED)
        return table


def prior_truth(target: Target, seed: int) -> Array:
    """Draw a truth for each object from its prior, (object, dim).

    Parameters
    ----------
    target
        Terms that tie parameters together are taken into account.
    seed
        Of the run; every object has a stream of its own.

    Raises
    ------
    ParameterError
        If hardly any draw of the single priors fits the terms that tie them together.
    """
    return np.array([_truth_of(target, k, stream(seed, f"truth/{name}")) for k, name in enumerate(target.objects)])


def _truth_of(target: Target, k: int, rng: np.random.Generator) -> Array:
    """Draw from the single priors until the joint terms, at most 1, let one pass."""
    own = np.array([k])
    for _ in range(ROUNDS):
        theta = target.transform(rng.uniform(size=(1, CANDIDATES, target.dim)), own)
        chance = 1 - rng.uniform(size=CANDIDATES)
        squares = 0.0 if target.joint is None else np.sum(target.joint(theta, own)[0] ** 2, axis=-1)
        passed = np.log(chance) < -0.5 * squares
        if passed.any():
            return np.asarray(theta[0, passed.argmax()])
    message = f"'{target.objects[k]}': none of {ROUNDS * CANDIDATES} draws of the single priors fits the joint prior"
    raise ParameterError(message)


def calibrate(truth: npt.ArrayLike, draws: npt.ArrayLike, names: Sequence[str], *, seed: int = 0) -> Calibration:
    """Compare truths drawn from the prior with the posteriors of the data that they made.

    Parameters
    ----------
    truth
        (mock, dim), see `prior_truth`. Every mock must be here, converged or not.
    draws
        (mock, draw, dim), of at least 99 draws; 99 of them, evenly spaced, are ranked, so that it matters little if
        neighbours are alike.
    names
        The parameters.
    seed
        For the ranks of truths that equal draws, which are spread evenly.

    Raises
    ------
    ParameterError
        If shapes do not fit, there are too few mocks or draws, or something is not finite.
    """
    from scipy.stats import kstest

    truth, draws = np.asarray(truth, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    _check(truth, draws, names)
    rng = stream(seed, "calibration")
    chosen = draws[:, np.linspace(0, draws.shape[1] - 1, RANKED).round().astype(np.int64)]
    below = np.sum(chosen < truth[:, None], axis=1)
    ranks = below + rng.integers(0, np.sum(chosen == truth[:, None], axis=1), endpoint=True)
    tails = np.array([(1 - level) / 2 for level in LEVELS])
    # Weibull's quantiles: of n draws, n p / (n + 1) lie below, as many as would a truth among them.
    low, high = (np.quantile(draws, ends, axis=1, method="weibull") for ends in (tails, 1 - tails))
    return Calibration(
        tuple(names),
        ranks,
        np.array([_chi2_p(column) for column in ranks.T]),
        kstest((ranks + rng.uniform(size=ranks.shape)) / (RANKED + 1), "uniform", axis=0).pvalue,
        np.mean((low <= truth) & (truth <= high), axis=1),
    )


def _check(truth: Array, draws: Array, names: Sequence[str]) -> None:
    if truth.ndim != 2 or draws.ndim != 3 or draws[:, 0].shape != truth.shape or truth.shape[1] != len(names):
        message = (
            f"calibration needs truth (mock, dim), draws (mock, draw, dim) and dim names, "
            f"found {truth.shape}, {draws.shape} and {len(names)} names"
        )
    elif len(truth) < FEWEST_MOCKS or draws.shape[1] < RANKED:
        message = (
            f"calibration needs at least {FEWEST_MOCKS} mocks and {RANKED} draws of each, "
            f"found {len(truth)} and {draws.shape[1]}"
        )
    elif not (np.isfinite(truth).all() and np.isfinite(draws).all()):
        message = "calibration needs finite truths and draws; a mock left out for its result would spoil the ranks"
    else:
        return
    raise ParameterError(message)


def rank_bins(mocks: int) -> int:
    """Return into how many bins the ranks of so many mocks are counted."""
    return max(bins for bins in BINS if mocks >= 10 * bins)


def _chi2_p(ranks: npt.NDArray[np.int64]) -> float:
    """Return the chi-square probability of ranks counted in bins."""
    bins = rank_bins(ranks.size)
    counts = np.bincount(ranks * bins // (RANKED + 1), minlength=bins)
    expected = ranks.size / bins
    return float(chdtrc(bins - 1, np.sum((counts - expected) ** 2) / expected))
