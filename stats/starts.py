"""Where walkers begin: draws of the prior, brought to the posterior by small steps so that none is lost on the way.

A walker that starts in the outskirts may stay at a local maximum of no weight for ever, and spoil a whole run. So
the likelihood is switched on gradually, its power as large as most of the walkers can bear, and walkers that fall
behind continue from the place of others (sequential Monte Carlo: Del Moral, Doucet & Jasra 2006). Ensembles do this
independently of each other; where they end in different places, R-hat tells.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats.resampling import stream
from stats.target import Target
from stats.walkers import Walkers

__all__ = ("starting_points",)

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: So many walkers come in for each that is wanted: a crowd keeps small modes that a few walkers would lose.
CROWD = 8
#: Draws of the prior for each of them.
CHOICE = 8
#: Effective draws that must remain where the likelihood gains power: a walker's worth at first, then less.
FIRST, ALIVE = 1.0, 0.7
#: Steps between two gains.
STEPS = 8
#: Draws of the prior evaluated at a time.
AT_A_TIME = 2**18


def starting_points(target: Target, objects: Indices, *, seed: int, ensembles: int, walkers: int) -> Array:
    """Find starting points for independent ensembles.

    Parameters
    ----------
    target
        The posteriors.
    objects
        (object,) indices.
    seed
        Of the run; each object has a stream of its own.
    ensembles, walkers
        How many ensembles, and walkers in each, an even number.

    Returns
    -------
    ndarray
        (object, ensemble, walker, dim), inside the support.

    Raises
    ------
    ParameterError
        If hardly a draw of the prior has a finite likelihood.
    """
    chunk = max(1, AT_A_TIME // (ensembles * walkers * CROWD * CHOICE))
    parts = [
        _start(target, objects[begin : begin + chunk], seed, ensembles, walkers)
        for begin in range(0, objects.size, chunk)
    ]
    return np.concatenate(parts)


def _start(target: Target, objects: Indices, seed: int, ensembles: int, walkers: int) -> Array:
    """Do `starting_points` for objects that fit into memory together."""
    streams = [stream(seed, f"start/{target.objects[o]}") for o in objects]
    start, power = _choose(target, objects, streams, ensembles, CROWD * walkers)
    crew = Walkers.begin(target, objects, start, seed=seed, purpose="anneal", power=power)
    ends = np.empty((objects.size, ensembles, walkers, target.dim))
    place = np.arange(objects.size)
    while place.size:
        crew.step(STEPS)
        arrived = np.all(crew.power == 1.0, axis=1)
        ends[place[arrived]] = crew.by_ensemble(crew.x)[arrived, :, ::CROWD]
        place, crew = place[~arrived], crew.take(~arrived)
        if place.size:
            _gain(crew, np.stack([streams[k].uniform(size=ensembles) for k in place]))
    return ends


def _choose(
    target: Target, objects: Indices, streams: list[np.random.Generator], ensembles: int, walkers: int
) -> tuple[Array, Array]:
    """Choose among draws of the prior by a power of the likelihood, and return both."""
    n, tries = objects.size, walkers * CHOICE
    u = np.stack([rng.uniform(size=(ensembles * tries, target.dim)) for rng in streams])
    theta = target.transform(u, objects)
    log_weight = target.loglike(theta, objects)
    if target.joint is not None:
        log_weight = log_weight - 0.5 * np.sum(target.joint(theta, objects) ** 2, axis=-1)
    log_weight = np.where(np.isfinite(log_weight), log_weight, -np.inf).reshape(n, ensembles, tries)
    usable = np.sum(log_weight > -np.inf, axis=-1).min(axis=-1)
    if np.any(usable < walkers):
        poor = int(np.argmin(usable))
        message = (
            f"'{target.objects[objects[poor]]}': of {tries} draws of the prior {usable[poor]} have a finite "
            f"likelihood, expected at least {walkers} to start from; check the data and the prior"
        )
        raise ParameterError(message)
    power = _power(log_weight, FIRST * walkers, np.zeros((n, ensembles)))
    u = np.stack([rng.uniform(size=ensembles) for rng in streams])
    chosen = _systematic(power[..., None] * _below(log_weight), u, walkers)
    return np.take_along_axis(theta.reshape(n, ensembles, tries, -1), chosen[..., None], axis=2), power


def _gain(crew: Walkers, u: Array) -> None:
    """Raise the power of the likelihood, and let walkers that have lost their weight continue from others' places."""
    loglike = crew.by_ensemble(crew.loglike)
    power = _power(loglike, ALIVE * loglike.shape[-1], crew.power)
    chosen = _systematic((power - crew.power)[..., None] * _below(loglike), u, loglike.shape[-1])
    crew.power = power
    shape = crew.x.shape
    for name in ("x", "logprior", "loglike"):
        values = crew.by_ensemble(getattr(crew, name))
        values = np.take_along_axis(values, chosen.reshape(*chosen.shape, *[1] * (values.ndim - 3)), axis=2)
        split = values.reshape(shape[0], shape[2], shape[3], 2, *values.shape[3:])
        setattr(crew, name, np.ascontiguousarray(np.moveaxis(split, 3, 1)))


def _below(values: Array) -> Array:
    """Return values less the largest of the last axis."""
    return np.asarray(values - np.max(values, axis=-1, keepdims=True))


def _power(loglike: Array, wanted: float, power: Array) -> Array:
    """Return the largest power up to 1, above `power`, whose gain keeps `wanted` effective draws of the last axis."""
    low, high = np.full(power.shape, -16.0), np.log10(np.maximum(1.0 - power, 1e-16))
    below = _below(loglike)
    whole = _effective(10.0 ** high[..., None] * below) >= wanted
    for _ in range(40):
        middle = 0.5 * (low + high)
        enough = _effective(10.0 ** middle[..., None] * below) >= wanted
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return np.where(whole, 1.0, np.minimum(power + 10.0**low, 1.0))


def _effective(log_weight: Array) -> Array:
    weight = np.exp(log_weight)
    return np.asarray(np.sum(weight, axis=-1) ** 2 / np.sum(weight**2, axis=-1))


def _systematic(log_weight: Array, u: Array, wanted: int) -> Indices:
    """Draw `wanted` places of the last axis in proportion to weights, evenly: Kitagawa 1996."""
    upto = np.cumsum(np.exp(log_weight), axis=-1)
    upto /= upto[..., -1:]
    marks = (np.arange(wanted) + u[..., None]) / wanted
    chosen = [np.searchsorted(row, mark) for row, mark in zip(_rows(upto), _rows(marks), strict=True)]
    return np.asarray(np.minimum(np.reshape(chosen, marks.shape), log_weight.shape[-1] - 1))


def _rows(values: Array) -> Array:
    return values.reshape(-1, values.shape[-1])
