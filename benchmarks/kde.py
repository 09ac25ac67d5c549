"""Kernel log densities against SciPy and scikit-learn: seconds in one run, and how right they are.

A thousand queries, Scott's bandwidth, correlated Gaussian samples; the contestants take turns, medians. The errors are
those against the sum over all pairs. scikit-learn, which may be absent, gets the whitened samples; exact, with atol and
rtol of zero, is its default. Run: python benchmarks/kde.py [rounds]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numba
import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import gaussian_kde

from stats.kde import kde_grid, kde_logpdf, scott

QUERIES = 1000
CASES = ((1, 100_000), (2, 100_000), (6, 20_000), (20, 20_000), (30, 20_000))

Floats = np.ndarray


def peers(samples: Floats, queries: Floats, h: float) -> dict[str, Callable[[], Floats]]:
    """Return the contestants by name; ours first."""
    found = {
        "astrotk": lambda: kde_logpdf(samples, queries, h),
        "scipy": lambda: gaussian_kde(samples.T, h).logpdf(queries.T),
    }
    if find_spec("sklearn"):
        from sklearn.neighbors import KernelDensity

        root = np.linalg.cholesky(np.atleast_2d(np.cov(samples.T)))
        white = [np.linalg.solve(root, x.T).T for x in (samples, queries)]
        log_volume = np.sum(np.log(np.diag(root)))
        for name, options in {"scikit-learn": {}, "scikit-learn 1e-4": {"rtol": 1e-4}}.items():
            estimator = KernelDensity(bandwidth=h, **options)
            found[name] = lambda e=estimator: e.fit(white[0]).score_samples(white[1]) - log_volume
    return found


def exact(samples: Floats, queries: Floats, h: float) -> Floats:
    """Return the log density from all pairs."""
    n, dim = samples.shape
    root = h * np.linalg.cholesky(np.atleast_2d(np.cov(samples.T)))
    white = [np.linalg.solve(root, x.T).T for x in (queries, samples)]
    constant = np.log(n) + 0.5 * dim * np.log(2 * np.pi) + np.sum(np.log(np.diag(root)))
    blocks = np.split(white[0], 20)
    return np.concatenate([logsumexp(-0.5 * cdist(x, white[1], "sqeuclidean"), axis=1) for x in blocks]) - constant


def main() -> None:
    """Time, and print ours, the peers' and the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rng = np.random.default_rng(0)
    print(f"{QUERIES} queries, {numba.get_num_threads()} threads, median of {rounds} rounds")
    for dim, n in CASES:
        mixing = rng.normal(size=(dim, dim)) + 2 * np.eye(dim)
        samples, queries = (rng.normal(size=(rows, dim)) @ mixing for rows in (n, QUERIES))
        h = float(scott(n, dim))
        contestants = peers(samples, queries, h)
        true = exact(samples, queries, h)
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        errors = {}
        for turn in range(rounds + 1):
            for name, contestant in contestants.items():
                start = time.perf_counter()
                found = contestant()
                if turn:  # the first compiles
                    seconds[name].append(time.perf_counter() - start)
                errors[name] = np.max(np.abs(found - true))
        ours = np.median(seconds["astrotk"])
        print(f"d = {dim}, n = {n}, h = {h:.3f}")
        for name, times in seconds.items():
            middle = np.median(times)
            print(f"  {name:18}{middle:8.3f} s {middle / ours:7.2f} x ours   largest error {errors[name]:.1e} nats")
        if dim <= 2:
            axis = np.linspace(-4, 4, 512 if dim == 1 else 128)
            grid = axis if dim == 1 else (axis, axis)
            times = []
            for _ in range(rounds + 1):
                start = time.perf_counter()
                kde_grid(samples, grid)
                times.append(time.perf_counter() - start)
            print(f"  {'astrotk on a grid':18}{np.median(times[1:]):8.3f} s   of {len(axis)}{'^2' * (dim - 1)} nodes")


if __name__ == "__main__":
    main()
