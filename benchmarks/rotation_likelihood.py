"""Evaluations a second of the rotation-curve likelihood of a galaxy with 43 points, every halo.

Ours on one thread and on all, from a row of parameters to its chi-square, no fast-math; for NFW against the same
formula written for whole arrays in NumPy. The rows are the middle six tenths of the priors. Run:
python benchmarks/rotation_likelihood.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np

from astrotk.darkexp.mock import disks, observe
from astrotk.darkexp.model import RotationModel
from astrotk.darkexp.profiles import PROFILES, Profile, kernel_constants
from gpu.rotation import cpu

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
    objects, threads = np.array([0]), numba.get_num_threads()
    print(f"{POINTS} points, {ROWS} rows, median of {ROUNDS}; million evaluations/s, ns a point")
    print(f"{'':16}{'1 thread':>16}{f'{threads} threads':>16}")
    for name, profile in PROFILES.items():
        model = RotationModel(curves, profile)
        cube = np.random.default_rng(0).uniform(0.2, 0.8, (1, ROWS, model.target.dim))
        theta = model.target.transform(cube, objects)
        arguments = profile.kind, model.coordinates, model.rows(theta, objects), objects, model.data, kernel_constants()
        rates = []
        for n in (1, threads):
            numba.set_num_threads(n)
            rates.append(median_rate(lambda arguments=arguments: cpu.chi2(*arguments), ROWS))
        line = f"{name:16}" + "".join(f"{rate / 1e6:8.3f} {1e9 / rate / POINTS:7.1f}" for rate in rates)
        if name == "NFW":
            plain = RotationModel(curves, Profile("in NumPy", profile.rho_hat, lambda x: np.log1p(x) - x / (1 + x)))
            difference = np.max(np.abs(model.loglike(theta, objects) / plain.loglike(theta, objects) - 1))
            peer = median_rate(lambda plain=plain, theta=theta: plain.loglike(theta, objects), ROWS)
            line += f"   NumPy {peer / 1e6:.3f}, ratio {rates[0] / peer:.0f} and {rates[1] / peer:.0f}, "
            line += f"largest difference {difference:.0e}"
        print(line)


if __name__ == "__main__":
    main()
