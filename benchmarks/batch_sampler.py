"""Effective draws a second of many posteriors at once against emcee with `vectorize=True`, in one run.

Both sample the same posteriors from the same starting points, and `stats.diagnostics` measures the effective sample
size of both, of the worst parameter. emcee gets what a good user gives it: 32 walkers, whole arrays, the plain
likelihood and prior, and its start for nothing. Both are counted twice: all steps, as if none were burn-in; and as one
who wants a posterior pays: emcee with the first half of its run as burn-in, ours as the whole call, with start,
burn-in and judgement. The contestants take turns, medians.

The rotation curve is NGC 3198 of SPARC (43 points), NFW (data at ASTROTK_DATA, by default ../shared/data). The Gaussian
has five correlated parameters, in NumPy, and compiled. Run: python benchmarks/batch_sampler.py [rounds]
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import emcee
import numba
import numpy as np

from astrotk.darkexp.model import RotationModel
from astrotk.darkexp.profiles import PROFILES
from catalogs.sparc import read_rotation_curves
from stats.batch import sample
from stats.diagnostics import diagnose
from stats.priors import Uniform
from stats.starts import starting_points
from stats.target import Target
from stats.walkers import Walkers

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ASTROTK_DATA", ROOT.parent / "shared" / "data")).resolve()
COPIES, JUDGED, DIM, WALKERS, ENSEMBLES = 64, 8, 5, 32, 4
STEPS, PEER_STEPS = 512, 2000

Floats = np.ndarray


def many(loglike: Callable[[Floats, Floats], Floats], like: Target) -> Target:
    """Return the first posterior of a target many times, under different names, so with other random numbers."""
    priors = tuple(
        replace(prior, **{k: v if np.ndim(v) == 0 else float(v[0]) for k, v in vars(prior).items()})
        for prior in like.priors
    )
    names = [f"copy {k}" for k in range(COPIES)]
    return Target(like.names, priors, names, loglike)


def galaxy() -> Target:
    """Return the posterior of NGC 3198 under an NFW halo."""
    curves = read_rotation_curves(DATA / "darkexp" / "sparc" / "Rotmod_LTG")
    own = curves.select(np.flatnonzero(curves.name == "NGC3198"))
    model = RotationModel(own, PROFILES["NFW"])
    return many(lambda theta, objects: model.loglike(theta, np.zeros_like(objects)), model.target)


def gaussians() -> tuple[Target, Target]:
    """Return a correlated Gaussian in NumPy and the same compiled."""
    mixing = np.random.default_rng(0).normal(size=(DIM, DIM))
    whiten = np.linalg.inv(np.linalg.cholesky(mixing @ mixing.T + np.eye(DIM))).T.copy()

    def in_numpy(theta: Floats, objects: Floats) -> Floats:
        z = theta @ whiten
        return -0.5 * np.einsum("...k,...k", z, z)

    @numba.njit(parallel=True)
    def compiled(theta: Floats, objects: Floats) -> Floats:
        out = np.empty(theta.shape[:2])
        for o in numba.prange(theta.shape[0]):
            for w in range(theta.shape[1]):
                total = 0.0
                for j in range(theta.shape[2]):
                    z = 0.0
                    for k in range(theta.shape[2]):
                        z += theta[o, w, k] * whiten[k, j]
                    total += z * z
                out[o, w] = -0.5 * total
        return out

    like = Target(tuple("abcde"), (Uniform(-50.0, 50.0),) * DIM, ["one"], in_numpy)
    return many(in_numpy, like), many(compiled, like)


def peer(target: Target, start: Floats, move: emcee.moves.Move, burn_in: int = 0) -> Callable[[], float]:
    """Return a run of independent emcee samplers that returns effective draws a second."""
    own = np.array([0])
    (low, high), (mean, weight) = target.support(own), target.gauss(own)

    def logpost(theta: Floats) -> Floats:
        inside = np.all((theta >= low) & (theta <= high), axis=1)
        logprior = -0.5 * np.sum(((theta - mean) * weight) ** 2, axis=1)
        return np.where(inside, logprior + target.loglike(theta[None], own)[0], -np.inf)

    def run() -> float:
        chains, begin = [], time.perf_counter()
        for walkers in start:
            sampler = emcee.EnsembleSampler(WALKERS, target.dim, logpost, vectorize=True, moves=move)
            sampler.run_mcmc(walkers, PEER_STEPS)
            chains.append(sampler.get_chain(discard=burn_in))
        seconds = time.perf_counter() - begin
        return float(diagnose(chains).ess.min()) / seconds

    return run


def whole(target: Target) -> Callable[[], float]:
    """Return a call of the batch sampler that returns effective draws a second, of all objects."""

    def run() -> float:
        begin = time.perf_counter()
        found = sample(target)
        seconds = time.perf_counter() - begin
        return float(found.diagnosis.ess.min(axis=1).sum()) / seconds

    return run


def steps_alone(target: Target, start: Floats) -> Callable[[], float]:
    """Return a run of the steps, every one kept, that returns effective draws a second; eight copies stand for all."""

    def run() -> float:
        crew = Walkers.begin(target, target.everything(), start, seed=0, purpose="walk")
        chain = np.zeros((STEPS, JUDGED, ENSEMBLES, WALKERS, target.dim))
        begin = time.perf_counter()
        for entry in chain:
            crew.step(1)
            entry[:] = crew.by_ensemble(crew.x[:JUDGED])
        seconds = time.perf_counter() - begin
        return float(diagnose(np.moveaxis(chain, 0, 2)).ess.min(axis=1).mean()) * COPIES / seconds

    return run


def main() -> None:
    """Time, and print ours, the peer's and the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    in_numpy, compiled = gaussians()
    cases = {f"{DIM}-d Gaussian": in_numpy, f"{DIM}-d Gaussian, compiled": compiled}
    if DATA.is_dir():
        cases["NGC 3198, NFW"] = galaxy()
    threads = numba.get_num_threads()
    print(f"effective draws a second of the worst parameter, {COPIES} copies, median of {rounds} rounds")
    for name, target in cases.items():
        start = starting_points(target, target.everything(), seed=0, ensembles=ENSEMBLES, walkers=WALKERS)
        plain = replace(target, objects=["one"])
        contestants = {
            "emcee, stretch": (1, peer(plain, start[0], emcee.moves.StretchMove())),
            "emcee, stretch, burn-in": (1, peer(plain, start[0], emcee.moves.StretchMove(), PEER_STEPS // 2)),
            "emcee, DEMove": (1, peer(plain, start[0], emcee.moves.DEMove())),
        }
        for n in sorted({1, threads}):
            contestants[f"batch, whole call, {n} threads"] = (n, whole(target))
            contestants[f"batch, steps, {n} threads"] = (n, steps_alone(target, start))
        rates: dict[str, list[float]] = {contestant: [] for contestant in contestants}
        for _ in range(rounds):  # the search for the starting points has compiled everything
            for contestant, (n, run) in contestants.items():
                numba.set_num_threads(n)
                rates[contestant].append(run())
        numba.set_num_threads(threads)
        steps, posterior = (np.median(rates[f"emcee, stretch{what}"]) for what in ("", ", burn-in"))
        print(f"{name:42}{'x emcee':>10}{'with burn-in':>14}")
        for contestant, values in rates.items():
            middle = np.median(values)
            print(f"  {contestant:28}{middle:12.0f}{middle / steps:10.1f}{middle / posterior:14.1f}")


if __name__ == "__main__":
    main()
