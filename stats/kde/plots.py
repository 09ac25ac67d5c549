"""The figure of `stats.kde`: where a bandwidth stands among the regimes, and how many samples carry the estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stats.kde.bandwidth import scott, silverman
from stats.kde.regime import FEW, Regime, h_clt, h_condensation, h_optimal
from stats.plots import INK, PALETTE, PAPER, SOFT, Plate, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ("regimes",)

BLUE, ORANGE, GREEN = PALETTE[:3]


def _map(ax: Axes, found: Regime) -> None:
    """Draw the regimes of as many Gaussian samples against their dimension, with the usual rules and the bandwidth."""
    from matplotlib.ticker import LogLocator

    dim = np.geomspace(1, max(60, 2 * found.dim), 200)
    alpha = np.log(found.size) / dim
    condensation, clt = h_condensation(alpha), h_clt(alpha)
    low, high = 0.6 * min(found.h, float(scott(found.size, 1))), 1.15 * max(found.h, float(clt[-1]))
    ax.fill_between(dim, clt, high, color=GREEN, alpha=0.13, linewidth=0)
    ax.fill_between(dim, condensation, clt, color=ORANGE, alpha=0.18, linewidth=0)
    ax.fill_between(dim, low, condensation, where=condensation > low, color=BLUE, alpha=0.13, linewidth=0)
    ax.plot(dim, clt, color=ORANGE, label="$h_\\mathrm{CLT}$")
    ax.plot(dim, condensation, color=BLUE, label="$h_G$")
    ax.plot(dim, h_optimal(alpha), color=INK, linewidth=1.3, linestyle=(0, (4, 1.6)), label="$h_\\mathrm{opt}$")
    ax.plot(dim, scott(found.size, dim), color=SOFT, linewidth=1.1, label="Scott")
    ax.plot(dim, silverman(found.size, dim), color=SOFT, linewidth=1.1, linestyle=(0, (1, 1.2)), label="Silverman")
    ax.plot(
        found.dim,
        found.h,
        "o",
        color=INK,
        markeredgecolor=PAPER,
        markersize=9,
        label="this $h$",
        ls="none",
        clip_on=False,
    )
    ax.set(xscale="log", yscale="log", xlim=(1, dim[-1]), ylim=(low, high), title=f"{found.size:.0f} samples")
    ax.set(xlabel="dimensions", ylabel="$h$, whitened samples")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    for words, x, y in (("central limit theorem", 0.03, 0.93), ("condensed", 0.97, 0.05)):
        ax.text(x, y, words, transform=ax.transAxes, ha="left" if x < 0.5 else "right", color=SOFT, fontsize="small")
    middle = dim[178], np.sqrt(condensation[178] * clt[178])
    ax.text(*middle, "heavy tails", rotation=32, ha="center", va="center", color=SOFT, fontsize="small")
    ax.grid(visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.92), handlelength=1.6, labelspacing=0.25)


def _counts(ax: Axes, found: Regime) -> None:
    """Draw how many samples carry the estimate at the samples that were left out."""
    edges = list(np.geomspace(1, max(2 * FEW, np.max(found.n_shannon)), 25))
    ax.axvspan(edges[0], FEW, color=BLUE, alpha=0.13, linewidth=0)
    n_eff, n_shannon = (
        np.clip(counts, 1, edges[-1]) for counts in (found.n_eff, found.n_shannon)
    )  # 1 as it is rounded
    ax.hist(n_eff, edges, weights=found.share, color=ORANGE, alpha=0.85, label="$N_\\mathrm{eff}$")
    ax.hist(n_shannon, edges, weights=found.share, histtype="step", color=INK, linewidth=1.4, label="exp entropy")
    ax.axvline(found.typical_n_eff, color=INK, linewidth=1.2, linestyle=(0, (2, 1.5)), label="median $N_\\mathrm{eff}$")
    ax.set(
        xscale="log", xlim=(edges[0], edges[-1]), xlabel="samples that carry the estimate", ylabel="share of the points"
    )
    ax.set_title(f"Fewer than {FEW} at {100 * found.too_few:.0f}% of the points")
    ax.grid(visible=False)
    ax.legend(loc="best", handlelength=1.4, labelspacing=0.25)


@style()
def regimes(found: Regime) -> Plate:
    """Draw where a bandwidth stands among the regimes, and the numbers of samples that carry the estimate.

    Parameters
    ----------
    found
        From `stats.kde.bandwidth_regime`.
    """
    figure = new_figure(width=9.2, height=4.2)
    left, right = figure.subplots(1, 2)
    _map(left, found)
    _counts(right, found)
    return Plate(
        "density_regimes",
        figure,
        f"Left: the regimes of a kernel density estimate of so many Gaussian samples. Blue: a few samples make up the "
        f"sum. Orange: heavy tails. Green: the central limit theorem holds. Right: the numbers of samples that carry "
        f"the estimate at samples that were left out. {found}.",
        f"Thresholds in the bandwidth against the dimension, and a histogram of effective numbers of samples: {found}.",
    )
