"""The figure of one DARKexp halo: density and slope, and the energies that make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stats.plots import INK, PALETTE, RULE, SOFT, Plate, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from astrotk.darkexp.solver import Solution

__all__ = ("halo",)

#: The range of r/r_-2 that is drawn, and the least N, as a share of the largest.
RADII, LEAST = (3e-4, 300.0), 1e-3


@style()
def halo(solution: Solution) -> Plate:
    """Draw a solution, and how far its N(E) is that of DARKexp."""
    figure = new_figure(width=8.6, height=5.6)
    density, number, slope, phase_space = figure.subplots(2, 2, sharex="col", height_ratios=(5, 4)).flat
    x, share = solution.r / solution.r_minus2, solution.eps / solution.phi0
    shown = (x > RADII[0]) & (x < RADII[1])

    density.loglog(x[shown], (solution.rho / solution.rho_minus2)[shown], color=PALETTE[0])
    density.set_xlim(x[shown][0], RADII[1])
    density.set_ylabel(r"$\rho\,/\,\rho_{-2}$")
    slope.semilogx(x[shown], solution.sphere.slope_at(np.log(solution.r[shown])), color=PALETTE[0])
    slope.set_ylabel(r"d ln $\rho$ / d ln $r$")
    slope.set_xlabel(r"$r\,/\,r_{-2}$")
    for level in (-1, -2, -3, -4):
        slope.axhline(level, color=RULE, linewidth=0.6, zorder=0)
    slope.set_ylim(-4.2, 0.2)
    slope.plot([1], [-2], "o", color=INK, markersize=4)

    number.plot(share, solution.n_target, color=SOFT, linewidth=4, alpha=0.45, label="DARKexp")
    number.plot(share, solution.n_model, color=PALETTE[1], linewidth=1.5, label="of this density")
    number.set_yscale("log")
    number.set_ylim(LEAST * solution.n_target.max(), 2 * solution.n_target.max())
    number.set_ylabel(r"$N(\varepsilon)$")
    number.legend(loc="lower left")
    phase_space.semilogy(share, solution.f, color=PALETTE[2])
    middle = solution.f[(share > 0.05) & (share < 0.999)]
    phase_space.set_ylim(0.5 * middle.min(), 3 * middle.max())
    phase_space.set_xlim(0, 1.01)
    phase_space.set_ylabel(r"$f(\varepsilon)$")
    phase_space.set_xlabel(r"binding energy $\varepsilon\,/\,\phi_0$")

    _shade((density, slope), RADII[0], solution.r_boundary / solution.r_minus2)
    _shade((number, phase_space), solution.eps_boundary / solution.phi0, 1.01)
    density.set_title(rf"$\phi_0$ = {solution.phi0:g}, {solution.boundary}", fontsize="medium")
    number.set_title(
        f"residual of N {solution.residual_rms:.1g},  virial ratio {_near_one(solution.virial_ratio)}",
        fontsize="small", fontweight="normal",
    )  # fmt: skip
    grey = " Grey: where N gives way and the centre is imposed." if solution.r_boundary else ""
    return Plate(
        "darkexp_halo",
        figure,
        f"DARKexp halo of depth {solution.phi0:g}, in units of G = M = beta = 1: density, slope, N(E) and f(E)." + grey,
        f"Density, slope, energy distribution and phase-space density of a DARKexp halo of depth {solution.phi0:g}.",
    )


def _shade(axes: tuple[Axes, ...], start: float, end: float) -> None:
    if start < end:
        for ax in axes:
            ax.axvspan(start, end, color=RULE, alpha=0.5, linewidth=0, zorder=0)


def _near_one(value: float) -> str:
    return f"1 {'+' if value >= 1 else '-'} {abs(value - 1):.1g}"
