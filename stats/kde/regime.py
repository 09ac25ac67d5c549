r"""How many samples a kernel density estimate rests on, and the law that it follows from one data set to the next.

The terms of the sum at a typical point are the Boltzmann weights of a random-energy model, with alpha = (ln n) / d. Let
``phi(lam) = (1/d) ln E exp(-lam |x - y|^2 / 2)`` at lam = 1/h^2, and I = lam phi' - phi. Then

- above h_CLT, I(2/h^2) < alpha, the central limit theorem holds;
- below it the estimate has a tail of index mu < 2: its scatter is that of its rarest terms, and neither a bootstrap
  nor a standard error measures it;
- below h_G, I(1/h^2) > alpha, mu < 1 and a few samples make up the sum: it is condensed.

I(1/h_G^2) = I(2/h_CLT^2), so h_CLT = sqrt(2) h_G for any density. The thresholds here are those of Gaussian samples.
They are limits of many dimensions; the counted number of samples is neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats.kde.density import Cloud, check_bandwidth

__all__ = ("FEW", "Regime", "bandwidth_regime", "h_clt", "h_condensation", "h_optimal", "tail_index")

Floats = npt.NDArray[np.float64]

#: An estimate that rests on fewer samples than this is not one to trust.
FEW = 10


def _rate(lam: Any) -> Any:
    """Return I(lam) of a standard Gaussian."""
    return 0.5 * np.log1p(lam) - 0.5 * lam / (1 + lam) ** 2


def h_condensation(alpha: npt.ArrayLike) -> Floats:
    """Return h_G of Gaussian samples, below which a few of them make up the sum at a typical point.

    Parameters
    ----------
    alpha
        (ln n) / d, positive; any shape.

    Raises
    ------
    ParameterError
        If one is not positive and finite.
    """
    from scipy.optimize import elementwise

    a = np.asarray(alpha, dtype=np.float64)
    if not np.all((a > 0) & np.isfinite(a)):
        message = f"alpha = (ln n) / d is positive, found {alpha!r}"
        raise ParameterError(message)
    # ln(1 + lam) / 2 - 1/8 <= I <= 3 lam^2 / 4 bound the logarithm of the root.
    bracket = 0.5 * np.log(4 * a / 3) - 1e-3, 2 * a + 0.251
    root = elementwise.find_root(lambda log_lam, a: _rate(np.exp(log_lam)) - a, bracket, args=(a,))
    h: Floats = np.exp(-0.5 * root.x)
    return h


def h_clt(alpha: npt.ArrayLike) -> Floats:
    """Return sqrt(2) h_G, above which the central limit theorem holds; as `h_condensation`."""
    return math.sqrt(2) * h_condensation(alpha)


def h_optimal(alpha: npt.ArrayLike) -> Floats:
    """Return the bandwidth of the smallest Kullback-Leibler divergence in many dimensions; as `h_condensation`.

    It is that of the nearest sample, below h_G. At 10 to 40 dimensions the true optimum is 5 to 30% larger.
    """
    square = h_condensation(alpha) ** 2
    h: Floats = np.sqrt(square * (1 + 2 * square)) / (1 + square)
    return h


def tail_index(h: float, n: float, dim: int) -> float:
    """Return the index mu of the tail of the kernels' values at a typical point, ``|x|^2 = d``, of n Gaussian samples.

    It is 2 h^2 d(ln F)/d(r^2) where the probability F to lie within r of x is 1/n, as for the nearest sample, and tends
    to (h / h_G)^2 in many dimensions. Below h_G the mean of 1 / `n_eff` over data sets is about 1 - mu. Further out in
    the tail the index grows slowly.

    Parameters
    ----------
    h
        The bandwidth.
    n, dim
        How many samples, in how many dimensions.
    """
    from scipy.stats import ncx2

    return float(2 * h**2 * n * ncx2.pdf(ncx2.ppf(1 / n, dim, dim), dim, dim))


@dataclass(frozen=True)
class Regime:
    """Where a bandwidth stands.

    Parameters
    ----------
    h
        The bandwidth, in units of the whitened samples.
    size
        How many samples of equal weight the samples are worth.
    dim, dropped
        The number of directions in which they spread, and of those that were left out because they do not.
    n_eff, n_shannon
        (points,): the numbers of samples that carry the estimate at held-out samples, as in `stats.kde.Density`.
    share
        (points,): the weight of each held-out sample, summing to one.
    """

    h: float
    size: float
    dim: int
    dropped: int
    n_eff: Floats
    n_shannon: Floats
    share: Floats

    @property
    def alpha(self) -> float:
        """(ln n) / d."""
        return float(np.log(self.size) / self.dim)

    @property
    def h_condensation(self) -> float:
        """As the function, for Gaussian samples of this number and dimension."""
        return float(h_condensation(self.alpha))

    @property
    def h_clt(self) -> float:
        """As the function, for Gaussian samples of this number and dimension."""
        return float(h_clt(self.alpha))

    @property
    def h_optimal(self) -> float:
        """As the function, for Gaussian samples of this number and dimension."""
        return float(h_optimal(self.alpha))

    @property
    def mu(self) -> float:
        """The index of the tail in many dimensions, (h / h_G)^2."""
        return (self.h / self.h_condensation) ** 2

    @property
    def mu_finite(self) -> float:
        """The index of the tail in this number of dimensions, see `tail_index`."""
        return tail_index(self.h, self.size, self.dim)

    @property
    def verdict(self) -> Literal["CLT", "heavy-tailed", "condensed"]:
        """The regime of Gaussian samples at this bandwidth."""
        if self.h > self.h_clt:
            return "CLT"
        return "heavy-tailed" if self.h > self.h_condensation else "condensed"

    @property
    def typical_n_eff(self) -> float:
        """The median of `n_eff`."""
        return float(np.quantile(self.n_eff, 0.5, weights=self.share, method="inverted_cdf"))

    @property
    def too_few(self) -> float:
        """The share of the held-out samples whose `n_eff` is below `FEW`."""
        return float(np.sum(self.share[self.n_eff < FEW]))

    def __str__(self) -> str:
        dropped = f", {self.dropped} without spread left out" if self.dropped else ""
        trust = f"; do not trust it: fewer than {FEW}" if self.typical_n_eff < FEW else ""
        return (
            f"h = {self.h:.3g} with {self.size:.0f} samples in {self.dim} dimensions{dropped}: {self.verdict} "
            f"(h_G = {self.h_condensation:.3g}, h_CLT = {self.h_clt:.3g}, h_opt = {self.h_optimal:.3g}); "
            f"the estimate rests on {self.typical_n_eff:.1f} samples at a typical point, "
            f"on fewer than {FEW} at {100 * self.too_few:.0f}% of the points{trust}"
        )


def bandwidth_regime(
    samples: npt.ArrayLike,
    h: float,
    weights: npt.ArrayLike | None = None,
    *,
    blocks: npt.ArrayLike | None = None,
    points: int = 1000,
) -> Regime:
    """Tell the regime of a bandwidth, and count the samples that carry the estimate.

    The thresholds and `mu` are those of Gaussian samples. The counts are measured at samples that are left out in turn,
    and assume nothing.

    Parameters
    ----------
    samples, h, weights
        As for `stats.kde.kde`.
    blocks
        (n,): a label for each sample; those of one block are left out together. By default each is left out alone,
        with those that repeat it.
    points
        How many samples are left out at most, in turn; where there are more, those at equal steps.

    Raises
    ------
    ParameterError
        As `stats.kde.kde`, and for a single block.
    """
    cloud = Cloud(samples, weights, blocks)
    index, share = cloud.held_out(points)
    found = cloud.density_left_out(index, h)
    return Regime(
        h=check_bandwidth(h),
        size=cloud.size,
        dim=cloud.dim,
        dropped=cloud.columns - cloud.dim,
        n_eff=found.n_eff,
        n_shannon=found.n_shannon,
        share=share,
    )
