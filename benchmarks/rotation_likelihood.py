"""Evaluations a second of the rotation-curve likelihood of a galaxy with 43 points, NFW halo.

Ours on one thread and on all, against the same formula written for whole arrays in NumPy. From a row of parameters to
its chi-square, no fast-math. Run: python benchmarks/rotation_likelihood.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np

from astrotk.darkexp.mock import disks, observe
from astrotk.darkexp.model import CONSTANTS, RotationModel
from astrotk.darkexp.profiles import PROFILES, Profile
from gpu.rotation import cpu, formula

ROWS, ROUNDS, POINTS = 20_000, 9, 43


def median_rate(function: Callable[[], object], evaluations: int) -> float:
    """Return evaluations a second, by the median of the rounds."""
    function()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return evaluations / float(np.median(seconds))


def main() -> None:
    """Time, and print ours, the peer's and the ratio."""
    template, log_m200 = disks(300, seed=1)
    chosen = template.select(np.flatnonzero(template.n_points == POINTS)[:1])
    curves, _ = observe(chosen, PROFILES["NFW"], log_m200[:1], seed=1)
    objects = np.array([0])
    nfw = PROFILES["NFW"]
    model = RotationModel(curves, nfw)
    plain = RotationModel(curves, Profile("NFW in NumPy", nfw.rho_hat, lambda x: np.log1p(x) - x / (1 + x)))
    cube = np.random.default_rng(0).uniform(0.2, 0.8, (1, ROWS, model.target.dim))
    theta = model.target.transform(cube, objects)
    rows = model.rows(theta, objects)
    difference = np.max(np.abs(model.loglike(theta, objects) / plain.loglike(theta, objects) - 1))

    def compiled() -> object:
        return cpu.chi2(formula.NFW, formula.SCALE, rows, objects, model.data, CONSTANTS)

    threads = numba.get_num_threads()
    reference = median_rate(lambda: plain.loglike(theta, objects), ROWS)
    print(f"{POINTS} points, NFW, {ROWS} rows, median of {ROUNDS}; largest relative difference {difference:.1e}")
    print(f"NumPy            {reference / 1e6:8.3f} million evaluations/s")
    for n in sorted({1, threads}):
        numba.set_num_threads(n)
        rate = median_rate(compiled, ROWS)
        name = f"astrotk, {n} thread{'s' * (n > 1)}"
        print(f"{name:17}{rate / 1e6:8.3f} million evaluations/s, {rate / reference:.0f} x NumPy")


if __name__ == "__main__":
    main()
