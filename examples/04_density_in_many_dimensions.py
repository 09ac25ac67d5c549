"""The density of samples in many dimensions, and on how many of them it rests.

A kernel density estimate always returns a number. In 20 dimensions that number may be made of two samples.
"""

# %% Samples of a posterior with 20 correlated parameters, and points at which its density is known
from pathlib import Path

import numpy as np
from scipy.stats import multivariate_normal

from stats.kde import bandwidth_loo, bandwidth_regime, kde, kde_grid, scott
from stats.kde.plots import regimes
from stats.plots import PALETTE, Plate, new_figure, save, style

rng = np.random.default_rng(4)
n, dim = 3000, 20
mixing = rng.normal(size=(dim, dim)) + 3 * np.eye(dim)
truth = multivariate_normal(np.zeros(dim), mixing @ mixing.T)
samples, points = truth.rvs(n, random_state=rng), truth.rvs(300, random_state=rng)

# %% Scott's bandwidth, made for few dimensions, against the one that predicts samples best when they are left out
for name, h in (("Scott", float(scott(n, dim))), ("left out", bandwidth_loo(samples))):
    found = kde(samples, points, h)
    error = found.logpdf - truth.logpdf(points)
    print(f"{name:9} {bandwidth_regime(samples, h)}")
    print(f"{'':9} log density off by {np.mean(error):+.1f} on average, {np.std(error):.1f} from point to point\n")

# %% The same in a figure, with the thresholds for Gaussian samples
folder = Path("density")
print(*save(regimes(bandwidth_regime(samples, bandwidth_loo(samples))), folder))

# %% A chain repeats samples, and its neighbours are close: leave out whole stretches of it, or thin it
chain = np.zeros((4000, 3))
for i in range(1, len(chain)):
    step = chain[i - 1] + 0.5 * rng.normal(size=3)
    accepted = np.log(rng.random()) < 0.5 * (chain[i - 1] @ chain[i - 1] - step @ step)
    chain[i] = step if accepted else chain[i - 1]
try:
    bandwidth_loo(chain)
except ValueError as error:
    print(error)
print(f"in stretches of 200: h = {bandwidth_loo(chain, blocks=np.arange(len(chain)) // 200):.3f}")

# %% One and two parameters for a figure, by Fourier transform
axes = np.linspace(-20, 20, 200), np.linspace(-20, 20, 200)
with style():
    figure = new_figure(width=8.4, height=3.7)
    left, right = figure.subplots(1, 2)
    left.plot(axes[0], kde_grid(samples[:, 0], axes[0]), color=PALETTE[0])
    left.set(xlabel="first parameter", ylabel="density", ylim=(0, None))
    right.contourf(*axes, kde_grid(samples[:, :2], axes).T, levels=12)
    right.set(xlabel="first parameter", ylabel="second parameter")
    plate = Plate("marginals", figure, "Densities of one and two parameters.", "A bell and its contours.")
print(*save(plate, folder))
