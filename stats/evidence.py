r"""The evidence of every object of a target, by nested sampling (dynesty), with a test of the run itself.

Nested sampling carries a set of live points through shrinking shells of prior volume. What its evidence rests on is
that each new point is drawn from all of the prior above the lowest likelihood; then its rank among the live points is
uniform. Fowlie, Handley & Su (2020, MNRAS 497, 5256) make a test of that, which every run here has to pass.

The sampler draws from ``target.transform``, of which the `joint` terms J are no part. They belong to the prior and
leave it unnormalised, so

.. math:: \ln Z = \ln\int L J\,\pi\,d\theta - \ln\int J\,\pi\,d\theta

takes a second run, on J alone.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats.resampling import stream
from stats.target import Target

__all__ = ("Evidence", "evidence")

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: A run whose insertion ranks are less probable than this has missed a part of the prior.
UNIFORM = 1e-3


@dataclass(frozen=True)
class Evidence:
    """The evidence of each object, and draws of its posterior.

    Parameters
    ----------
    log_z, log_z_err
        (object,): ln of the integral of the likelihood over the prior, and its standard error. The likelihood is taken
        as the target gives it: up to a constant of the object, which differences between models do not see.
    information
        (object,): from prior to posterior [nat]; with `joint` terms, from the part of the prior that `transform` holds.
    n_calls
        (object,): of the likelihood.
    draws
        (object, draw, dim): posterior draws of equal weight; NaN where the likelihood is nowhere finite.
    insertion_p
        (object,): p-value of the uniformity of the insertion ranks; of two runs the lower, doubled.
    converged
        (object,): the live points that were left hold less than `dlogz` of ln Z, and the insertion ranks pass at
        `UNIFORM`, which a sound run fails once in a thousand.
    """

    log_z: Array
    log_z_err: Array
    information: Array
    n_calls: Indices
    draws: Array
    insertion_p: Array
    converged: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Run:
    """What one run of nested sampling finds."""

    log_z: float
    variance: float
    information: float
    n_calls: int
    draws: Array
    insertion_p: float
    finished: bool


def evidence(
    target: Target,
    *,
    seed: int = 0,
    live: int = 500,
    dlogz: float = 0.1,
    draws: int = 1000,
    max_calls: int = 5_000_000,
    sample: str = "rwalk",
    progress: Callable[[str], Any] | None = None,
) -> Evidence:
    """Integrate the likelihood of every object over its prior.

    Parameters
    ----------
    target
        The posteriors; their priors must be proper.
    seed
        Of the run; every object draws from its own stream, so that subsets and order change nothing.
    live
        Live points: the error of ln Z falls with their root, the cost grows with their number.
    dlogz
        A run ends when what the live points can still add to ln Z is less than this.
    draws
        Of each posterior.
    max_calls
        Of the likelihood, in one run; one that needs more is not converged.
    sample
        How dynesty finds a new point: by a random walk (``rwalk``), slices (``slice``, ``rslice``), or draws from
        ellipsoids around the live points (``unif``), which need no walk to forget its start but starve in a posterior
        that is thin and bent. The insertion ranks judge them all.
    progress
        Called with the name of each object when it is done.

    Returns
    -------
    Evidence
        In the order of ``target.objects``.

    Raises
    ------
    ParameterError
        If the target has no objects, or fewer live points are asked for than twice its parameters.
    """
    if not target.objects:
        message = "there is no evidence to find: the target has no objects"
        raise ParameterError(message)
    if live <= 2 * target.dim:
        message = f"live: expected more than twice the {target.dim} parameters, found {live}"
        raise ParameterError(message)

    def run(o: int, part: str, log_factor: Callable[[Array, Indices], Array]) -> _Run:
        rng = stream(seed, f"evidence/{part}/{target.objects[o]}")
        return _nested(target, o, log_factor, rng, live, dlogz, draws, max_calls, sample)

    found = []
    for o, name in enumerate(target.objects):
        if target.joint is None:
            found.append(run(o, "likelihood", target.loglike))
        else:
            whole = run(o, "likelihood", lambda theta, own: target.loglike(theta, own) + _log_joint(target, theta, own))
            prior = run(o, "joint", lambda theta, own: _log_joint(target, theta, own))
            found.append(_ratio(whole, prior))
        if progress is not None:
            progress(name)

    def column(key: str) -> Array:
        return np.array([getattr(each, key) for each in found])

    insertion_p = column("insertion_p")
    return Evidence(
        log_z=column("log_z"),
        log_z_err=np.sqrt(column("variance")),
        information=column("information"),
        n_calls=column("n_calls").astype(np.int64),
        draws=column("draws"),
        insertion_p=insertion_p,
        converged=column("finished").astype(bool) & (insertion_p > UNIFORM),
    )


def _log_joint(target: Target, theta: Array, objects: Indices) -> Array:
    assert target.joint is not None  # noqa: S101  # for the type checker: `evidence` asks only then
    return -0.5 * np.asarray(np.sum(target.joint(theta, objects) ** 2, axis=-1))


def _ratio(whole: _Run, prior: _Run) -> _Run:
    """Divide the integral of the likelihood over J and the prior by that of J over the prior."""
    return _Run(
        log_z=whole.log_z - prior.log_z,
        variance=whole.variance + prior.variance,
        information=whole.information,
        n_calls=whole.n_calls + prior.n_calls,
        draws=whole.draws,
        insertion_p=min(1.0, 2 * min(whole.insertion_p, prior.insertion_p)),
        finished=whole.finished and prior.finished,
    )


def _nested(
    target: Target,
    o: int,
    log_factor: Callable[[Array, Indices], Array],
    rng: np.random.Generator,
    live: int,
    dlogz: float,
    draws: int,
    max_calls: int,
    sample: str,
) -> _Run:
    """Integrate one factor over the prior of one object."""
    import dynesty

    objects = np.array([o])

    def loglike(theta: Array) -> float:
        with np.errstate(invalid="ignore"):
            value = float(log_factor(theta[None, None], objects)[0, 0])
        return -np.inf if np.isnan(value) else value

    def transform(u: Array) -> Array:
        return np.asarray(target.transform(u[None, None], objects)[0, 0])

    # What dynesty warns of, a run stopped short or a plateau, is said by `finished` and the insertion ranks.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sampler = dynesty.NestedSampler(loglike, transform, target.dim, nlive=live, sample=sample, rstate=rng)
        except RuntimeError:  # no draw of the prior has a finite likelihood
            return _Run(np.nan, np.nan, np.nan, 0, np.full((draws, target.dim), np.nan), np.nan, finished=False)
        sampler.run_nested(dlogz=dlogz, maxcall=max_calls, print_progress=False, save_bounds=False)
    found = sampler.results
    last = found.logl.size - live - 1  # the dead points; the live ones follow, in the order of their likelihood
    left = np.logaddexp(0.0, found.logl[-1] + found.logvol[last] - found.logz[last])
    chosen = rng.choice(found.logl.size, size=draws, p=found.importance_weights())
    return _Run(
        log_z=float(found.logz[-1]),
        variance=float(found.logzerr[-1] ** 2),
        information=float(found.information[-1]),
        n_calls=int(np.sum(found.ncall)),
        draws=found.samples[chosen],
        insertion_p=_uniformity(_insertion_ranks(found.logl, found.samples_id, live), live, rng),
        finished=bool(left < dlogz),
    )


def _insertion_ranks(logl: Array, slot: Indices, live: int) -> Indices:
    """Return the rank, 0 to live - 1, at which each new point came among the other live points.

    A point takes the slot of the one that died for it, and so is found as the next of that slot. While several live
    points share the lowest likelihood the ranks say nothing; those are left out.

    Parameters
    ----------
    logl, slot
        (point,): ln likelihood and slot, the dead points first, in the order of their death; then the live ones.
    live
        Slots.
    """
    order = np.argsort(slot, kind="stable")
    own = slot[order]
    follows = np.append(own[1:] == own[:-1], False)
    successor = np.empty(slot.size, dtype=np.int64)
    successor[order[follows]] = order[np.flatnonzero(follows) + 1]
    first = np.append(True, ~follows[:-1])
    standing = np.sort(logl[order[first]]).tolist()
    ranks = []
    for value in logl[successor[: slot.size - live]].tolist():
        worst = standing.pop(0)
        rank = bisect_left(standing, value)
        if standing[0] > worst:
            ranks.append(rank)
        standing.insert(rank, value)
    return np.array(ranks, dtype=np.int64)


def _uniformity(ranks: Indices, live: int, rng: np.random.Generator) -> float:
    """Return the Kolmogorov-Smirnov p-value of ranks that should be uniform on 0 to live - 1, their steps blurred."""
    from scipy.stats import kstest

    return float(kstest((ranks + rng.uniform(size=ranks.size)) / live, "uniform").pvalue) if ranks.size else 0.0
