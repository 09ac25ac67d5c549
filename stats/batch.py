"""Many independent posteriors advanced together, each with its own random numbers, gate and end.

Python only asks the target for likelihoods, of all objects at once; the steps around it are compiled (`stats._moves`).
An object runs until its ensembles agree, as `stats.diagnostics` judges, and makes room for the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats import _moves
from stats.diagnostics import Diagnosis, Gate, diagnose, quick
from stats.posterior import Posteriors, at_bound
from stats.starts import starting_points
from stats.target import Target
from stats.walkers import Walkers

__all__ = ("sample",)

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Steps that are judged and returned: the second half of a run, evenly spaced.
KEPT = 64
#: A chain is judged when it holds so many entries; at the last of them every second entry goes.
FIRST_LOOK, FULL = 4 * KEPT, 6 * KEPT
#: Steps between two entries at the beginning.
EVERY = 2
#: Bytes of chains that are held at a time.
MEMORY = 2**28
#: A chain whose plain R-hat exceeds 1 by so many times what the gate allows is not judged in full.
HOPELESS = 2.0


def sample(
    target: Target,
    *,
    seed: int = 0,
    objects: Indices | None = None,
    ensembles: int = 4,
    walkers: int | None = None,
    gate: Gate | None = None,
    max_steps: int = 2**14,
    start: Array | None = None,
    progress: Callable[[str], Any] | None = None,
) -> Posteriors:
    """Sample the posteriors of many objects until each passes the gate.

    Every object has independent ensembles of walkers that move by differences of other walkers (ter Braak 2006) and by
    stretches (Goodman & Weare 2010). The second half of a run is judged at growing intervals; what passes, or has done
    `max_steps`, is finished. The draws of an object do not depend on the other objects, on the size of the batch or on
    the number of threads, to the last bit, if its likelihood does not.

    Parameters
    ----------
    target
        The posteriors.
    seed
        Of the run; every object has a stream of its own.
    objects
        Indices of those to sample; all of them by default.
    ensembles
        Independent ensembles an object.
    walkers
        In each ensemble, even; by default 32, or four a parameter where that is more.
    gate
        What counts as converged.
    max_steps
        After which an object is given up, as its diagnosis then says.
    start
        (object, ensemble, walker, dim): where to begin; by default `stats.starts.starting_points`.
    progress
        Called with the name of each object when it is finished.

    Returns
    -------
    Posteriors
        In the order of `objects`: 64 steps of all walkers each.

    Raises
    ------
    ParameterError
        If there is nothing to sample, or nowhere to start from.
    """
    objects = target.everything() if objects is None else np.asarray(objects, dtype=np.int64)
    walkers = max(32, 4 * target.dim) if walkers is None else walkers
    gate = gate or Gate()
    if objects.size == 0:
        message = "there is nothing to sample: the target has no objects"
        raise ParameterError(message)
    if walkers % 2 or walkers < 2 * target.dim + 2:
        message = f"walkers must be even and at least {2 * target.dim + 2} for {target.dim} parameters, found {walkers}"
        raise ParameterError(message)
    if max_steps < EVERY * FIRST_LOOK:
        message = f"max_steps must be at least {EVERY * FIRST_LOOK}, found {max_steps}"
        raise ParameterError(message)
    if start is None:
        start = starting_points(target, objects, seed=seed, ensembles=ensembles, walkers=walkers)

    chains = _Chains(objects.size, (ensembles, walkers, target.dim + 2))
    entries = np.empty((objects.size, ensembles, KEPT, walkers, target.dim + 2))
    steps, acceptance = np.zeros(objects.size, np.int64), np.zeros(objects.size)
    verdicts = np.empty(objects.size, dtype=object)

    def begin(places: Indices) -> Walkers:
        return Walkers.begin(target, objects[places], start[places], seed=seed, purpose="walk")

    place = np.arange(min(objects.size, chains.room))
    slot, waiting = place.copy(), place.size
    crew = begin(place)
    while place.size:
        crew.step(EVERY)
        chains.remember(crew, slot)
        going = np.ones(place.size, dtype=bool)
        for k in chains.due(crew, slot):
            kept, last = chains.kept(slot[k]), crew.steps[k] >= max_steps
            draws = kept[..., : target.dim]
            if not last and quick(draws).max() > 1 + HOPELESS * (gate.rhat - 1):
                continue
            verdict = diagnose(draws, gate=gate)
            if last or verdict.converged:
                going[k] = False
                entries[place[k]], verdicts[place[k]] = kept, verdict
                steps[place[k]] = crew.steps[k]
                acceptance[place[k]] = crew.accepted[k] / (steps[place[k]] * ensembles * walkers)
                if progress is not None:
                    progress(target.objects[crew.objects[k]])
        chains.thin()
        if not np.all(going):
            coming = np.arange(waiting, min(objects.size, waiting + np.sum(~going)))
            waiting += coming.size
            vacant = chains.empty(slot[~going])[: coming.size]
            crew, place, slot = crew.take(going), place[going], slot[going]
            if coming.size:
                crew = crew.join(begin(coming))
                place, slot = np.append(place, coming), np.append(slot, vacant)

    flat = entries.reshape(objects.size, -1, target.dim + 2)
    draws = flat[..., : target.dim]
    return Posteriors(
        names=target.names,
        objects=tuple(target.objects[o] for o in objects),
        draws=draws,
        logpost=flat[..., -2],
        loglike=flat[..., -1],
        ensembles=ensembles,
        steps=steps,
        acceptance=acceptance,
        diagnosis=Diagnosis.stack(verdicts.tolist()),
        at_bound=at_bound(draws, *target.support(objects)),
    )


class _Chains:
    """Room for the chains of the objects under way: thinner, the longer they run, so that they never outgrow it."""

    def __init__(self, objects: int, entry: tuple[int, int, int]) -> None:
        self.room = min(objects, max(1, MEMORY // (8 * FULL * int(np.prod(entry)))))
        self.values = np.empty((self.room, FULL, *entry))
        self.filled, self.every = np.zeros(self.room, np.int64), np.full(self.room, EVERY)

    def remember(self, crew: Walkers, slot: Indices) -> None:
        """Add where the walkers are to the chains of those objects whose time it is."""
        _moves.remember(crew.x, crew.logprior, crew.loglike, crew.steps, slot, self.every, self.filled, self.values)

    def due(self, crew: Walkers, slot: Indices) -> Indices:
        """Return which objects are to be judged now."""
        fresh = crew.steps.astype(np.int64) % self.every[slot] == 0
        return np.flatnonzero(fresh & np.isin(self.filled[slot], (FIRST_LOOK, FULL)))

    def kept(self, slot: int) -> Array:
        """Return the second half of a chain, evenly spaced: (ensemble, step, walker, dim + 2)."""
        filled = int(self.filled[slot])
        between = filled // 2 // KEPT
        return self.values[slot, filled // 2 + between - 1 : filled : between].swapaxes(0, 1)

    def thin(self) -> None:
        """Make room in chains that are full: every second entry goes."""
        for slot in np.flatnonzero(self.filled == FULL):
            self.values[slot, : FULL // 2] = self.values[slot, 1::2]
            self.filled[slot], self.every[slot] = FULL // 2, 2 * self.every[slot]

    def empty(self, slots: Indices) -> Indices:
        """Clear chains for those who come next."""
        self.filled[slots], self.every[slots] = 0, EVERY
        return slots
