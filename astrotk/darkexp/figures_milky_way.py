"""Figures of a fit to the Milky Way: the curve with its components, and the density of dark matter at the Sun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from astrotk.darkexp.figures import rotation_curve
from astrotk.darkexp.milky_way import GALAXY
from stats.plots import INK, PALETTE, SOFT, Plate, new_figure, style

if TYPE_CHECKING:
    from catalogs.result import Result

__all__ = ("local_density", "plates")


@style()
def local_density(result: Result) -> Plate:
    """Draw the density at the Sun under each profile: the posterior's median and 68 % interval, and the best fit."""
    local = result.tables["local"]
    figure = new_figure(width=5.6, height=1.5 + 0.38 * len(local))
    ax = figure.subplots()
    y = np.arange(len(local))[::-1]
    middle, low, high = (np.asarray(local[f"rho_local_gev_{key}"]) for key in ("p50", "p16", "p84"))
    sure = np.asarray(local["converged"], dtype=bool)
    for mine, color, label in ((sure, PALETTE[0], "median and 68 %"), (~sure, SOFT, "not converged")):
        if np.any(mine):
            spread = np.stack([middle - low, high - middle])[:, mine]
            ax.errorbar(middle[mine], y[mine], xerr=spread, fmt="o", color=color, markersize=6, label=label)
    ax.plot(local["rho_local_gev"], y, "|", color=INK, markersize=11, label="maximum a posteriori")
    ax.set_yticks(y, list(local["profile"]))
    ax.set_ylim(-0.6, len(local) - 0.4)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("dark matter at the Sun [GeV/cm$^3$]")
    figure.legend(loc="outside upper left", ncols=3)
    told = ", ".join(f"{row['profile']} {row['rho_local_gev_p50']:.2f}" for row in local)
    return Plate(
        "local_density",
        figure,
        f"Density of dark matter at the Sun under each profile [GeV/cm3]: {told}. The errors are those of the model "
        "with its priors; that of the model itself is not among them.",
        f"Local density of dark matter: {told} GeV/cm3.",
    )


def plates(result: Result) -> tuple[Plate, ...]:
    """Return the figures of a fit to the Milky Way."""
    return rotation_curve(result, GALAXY), local_density(result)
