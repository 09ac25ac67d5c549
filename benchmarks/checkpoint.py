"""What a checkpoint costs a run of emcee: ours in blocks of steps, and emcee's own file at every step.

The clock runs in the calls that store, and around the whole run; the cost is the time in those calls over the time
without them, which other load on the machine lengthens alike. Run: python benchmarks/checkpoint.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import emcee
import numpy as np

from stats import sampling
from stats.diagnostics import Gate
from stats.priors import Uniform
from stats.target import Target

DIM, WALKERS, STEPS, ENSEMBLES, ROUNDS = 5, 32, 1024, 4, 5


def loglike(theta: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return that of a Gaussian: the cheapest likelihood, so that nothing hides the cost."""
    return -0.5 * np.sum(theta**2, axis=-1)


TARGET = Target(tuple("abcde"), (Uniform(-20.0, 20.0),) * DIM, ["Gaussian"], loglike)


class Clock:
    """Seconds spent in functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with the clock running in it."""

        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def ours(folder: Path, clock: Clock) -> None:
    """Sample with our checkpoint."""
    storing = {name: clock.around(getattr(sampling, name)) for name in ("create", "append")}
    with mock.patch.multiple(sampling, **storing):
        sampling.sample(
            TARGET, walkers=WALKERS, ensembles=ENSEMBLES, max_steps=STEPS, gate=Gate(ess=np.inf), checkpoint=folder
        )


def theirs(folder: Path, clock: Clock) -> None:
    """Sample as many steps with emcee alone."""
    for k in range(ENSEMBLES):
        backend = emcee.backends.HDFBackend(str(folder / f"{k}.h5"))
        backend.save_step, backend.grow = clock.around(backend.save_step), clock.around(backend.grow)
        sampler = emcee.EnsembleSampler(
            WALKERS, DIM, lambda x: loglike(x, x), moves=emcee.moves.DEMove(), backend=backend, vectorize=True
        )
        sampler.run_mcmc(np.random.default_rng(k).normal(size=(WALKERS, DIM)), STEPS)


def cost(function: Callable[[Path, Clock], None]) -> tuple[float, float]:
    """Return the seconds without storing, and how much longer storing makes them, by the median of the rounds."""
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            clock, start = Clock(), time.perf_counter()
            function(Path(folder), clock)
            rest = time.perf_counter() - start - clock.seconds
        rounds.append((rest, clock.seconds / rest))
    rest, share = np.median(rounds, axis=0)
    return float(rest), float(share)


def main() -> None:
    """Time, and print both costs and their ratio."""
    print(f"{ENSEMBLES} ensembles of {WALKERS} walkers, {STEPS} steps, {DIM} parameters; median of {ROUNDS} rounds")
    shares = []
    for name, function in (("astrotk, blocks of 128", ours), ("emcee, HDFBackend", theirs)):
        rest, share = cost(function)
        shares.append(share)
        print(f"{name:24}{1e3 * rest / STEPS / ENSEMBLES:8.3f} ms a step, the file costs {100 * share:7.2f} % more")
    print(f"ours costs 1/{shares[1] / shares[0]:.0f} of emcee's")


if __name__ == "__main__":
    main()
