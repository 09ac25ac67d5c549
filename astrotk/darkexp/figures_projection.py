"""Figures of star counts: the surface density of each dwarf with the projected profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from stats.plots import PALETTE, SOFT, Plate, new_figure, style

if TYPE_CHECKING:
    from catalogs.result import Result

__all__ = ("plates", "surface_density")

LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))


@style()
def surface_density(result: Result, name: str) -> Plate:
    """Draw the star counts of one dwarf with the posterior of each profile, over the background."""
    rings, fits = (table[table["object"] == name] for table in (result.tables["rings"], result.tables["fits"]))
    figure = new_figure(width=5.6, height=4.2)
    ax = figure.subplots()
    for i, fit in enumerate(fits):
        mine = rings[rings["profile"] == fit["profile"]]
        middle = np.sqrt(0.5 * (mine["r_low"].value ** 2 + mine["r_high"].value ** 2))
        color, dashes = PALETTE[i % len(PALETTE)], LINES[i // len(PALETTE) % len(LINES)]
        ax.fill_between(middle, mine["model_p16"], mine["model_p84"], color=color, alpha=0.2, linewidth=0)
        ax.plot(middle, mine["model"], color=color, linestyle=dashes, label=fit["profile"])
    ax.axhline(fits["background_p50"][np.argmin(fits["bic"])], color=SOFT, linewidth=0.9, linestyle=LINES[1])
    spread = [middle - mine["r_low"], mine["r_high"] - middle]
    seen = mine["density"] > 0
    ax.errorbar(
        middle[seen], mine["density"][seen], mine["e_density"][seen], np.array(spread)[:, seen],
        fmt="o", color=SOFT, markersize=3.5, elinewidth=0.9, zorder=3, label="star counts",
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    unit = mine["r_low"].unit
    ax.set_xlabel(f"projected radius [{unit}]")
    ax.set_ylabel(f"stars / {unit}$^2$")
    ax.set_title(name, fontsize="small")
    ax.legend(loc="upper right")
    half = ", ".join(f"{fit['profile']} {fit['r_half_p50']:.3g}" for fit in fits)
    return Plate(
        "surface_density_" + re.sub(r"[^\w.-]+", "_", name),
        figure,
        f"{name}: star counts, the projected profiles at the maximum a posteriori with their 68 % bands, and the "
        f"background (dashed). Half-number radii [{unit}]: {half}.",
        f"Surface density of the stars of {name} with projected profiles.",
    )


def plates(result: Result) -> Iterator[Plate]:
    """Yield the figure of each dwarf."""
    for name in dict.fromkeys(result.tables["fits"]["object"].tolist()):
        yield surface_density(result, name)
