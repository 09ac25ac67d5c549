"""The walkers of many objects: where they are, and how they step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats import _moves
from stats.resampling import stream
from stats.target import Target

__all__ = ("Walkers",)

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Share of the moves by a difference of two walkers; the others stretch.
DIFFERENTIAL = 0.9
#: Rows that keep a thread busy for a tenth of a millisecond; for fewer, no other is woken and waited for.
ROWS_A_THREAD = 4096


@dataclass
class Walkers:
    """Independent ensembles of each of many objects.

    Parameters
    ----------
    target
        The posteriors.
    objects
        (object,) indices.
    keys
        (object,) uint64, of their random numbers.
    steps, accepted
        (object,): steps done, and moves taken in them.
    low, high, mean, weight
        (object, dim): of the priors.
    power
        (object, ensemble): of the likelihood.
    x
        (object, half, ensemble, walker, dim).
    logprior, loglike
        (object, half, ensemble, walker).
    """

    target: Target
    objects: Indices
    keys: npt.NDArray[np.uint64]
    steps: npt.NDArray[np.uint64]
    accepted: Indices
    low: Array
    high: Array
    mean: Array
    weight: Array
    power: Array
    x: Array
    logprior: Array
    loglike: Array

    @classmethod
    def begin(
        cls, target: Target, objects: Indices, start: Array, *, seed: int, purpose: str, power: Array | None = None
    ) -> Self:
        """Put walkers at their starting points.

        Parameters
        ----------
        target, objects
            Whose.
        start
            (object, ensemble, walker, dim); an even number of walkers.
        seed, purpose
            Of the run, and what the random numbers are for.
        power
            (object, ensemble) of the likelihood; by default 1.

        Raises
        ------
        ParameterError
            If the posterior is zero at a starting point.
        """
        n, ensembles, walkers, dim = start.shape
        low, high = target.support(objects)
        mean, weight = target.gauss(objects)
        x = np.ascontiguousarray(start.reshape(n, ensembles, walkers // 2, 2, dim).transpose(0, 3, 1, 2, 4))
        theta = x.reshape(n, -1, dim)
        loglike = target.loglike(theta, objects)
        logprior = _joint(target, theta, objects)
        logprior -= 0.5 * np.sum(((theta - mean[:, None]) * weight[:, None]) ** 2, axis=-1)
        inside = np.all((theta >= low[:, None]) & (theta <= high[:, None]), axis=-1)
        lost = ~np.all(np.isfinite(logprior + loglike) & inside, axis=1)
        if np.any(lost):
            message = f"'{target.objects[objects[lost][0]]}' cannot start where the posterior is zero"
            raise ParameterError(message)
        names = [f"{purpose}/{target.objects[o]}" for o in objects]
        return cls(
            target=target,
            objects=objects,
            keys=np.array([stream(seed, name).bit_generator.random_raw() for name in names], np.uint64),
            steps=np.zeros(n, np.uint64),
            accepted=np.zeros(n, np.int64),
            low=low,
            high=high,
            mean=mean,
            weight=weight,
            power=np.ones((n, ensembles)) if power is None else power,
            x=x,
            logprior=logprior.reshape(x.shape[:-1]),
            loglike=loglike.reshape(x.shape[:-1]),
        )

    def _arrays(self, of: Callable[[str], Any]) -> Self:
        return type(self)(self.target, *(of(field.name) for field in fields(self)[1:]))

    def take(self, which: npt.NDArray[Any]) -> Self:
        """Return some of the objects."""
        return self._arrays(lambda name: getattr(self, name)[which])

    def join(self, others: Self) -> Self:
        """Return these objects and others."""
        return self._arrays(lambda name: np.concatenate([getattr(self, name), getattr(others, name)]))

    def by_ensemble(self, values: Array) -> Array:
        """Return values (object, half, ensemble, walker, ...) as (object, ensemble, walkers, ...)."""
        moved = np.moveaxis(values, 1, 3)
        return moved.reshape(*moved.shape[:2], -1, *moved.shape[4:])

    def step(self, count: int) -> None:
        """Move every walker `count` times."""
        n, _, ensembles, size, dim = self.x.shape
        theta, threshold = np.empty((n, ensembles * size, dim)), np.empty((n, ensembles * size))
        joint = np.zeros_like(threshold)
        threads = numba.get_num_threads()
        ours = min(threads, 1 + joint.size // ROWS_A_THREAD)
        numba.set_num_threads(ours)
        try:
            for _ in range(count):
                for half in range(2):
                    _moves.propose(
                        self.x, half, self.keys, self.steps, self.low, self.high, DIFFERENTIAL, theta, threshold
                    )
                    numba.set_num_threads(threads)
                    loglike = self.target.loglike(theta, self.objects)
                    if self.target.joint is not None:
                        joint = _joint(self.target, theta, self.objects)
                    numba.set_num_threads(ours)
                    _moves.accept(
                        self.x, self.logprior, self.loglike, self.accepted, half, theta, threshold,
                        self.power, self.mean, self.weight, loglike, joint,
                    )  # fmt: skip
                self.steps += np.uint64(1)
        finally:
            numba.set_num_threads(threads)


def _joint(target: Target, theta: Array, objects: Indices) -> Array:
    """Return the prior terms that tie parameters together, (object, row)."""
    if target.joint is None:
        return np.zeros(theta.shape[:2])
    return np.asarray(-0.5 * np.sum(target.joint(theta, objects) ** 2, axis=-1))
