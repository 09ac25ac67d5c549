"""Figures of a fit: the rotation curves with their components, the comparison of the profiles, the diversity."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from astrotk.darkexp.profiles import PHI0_TABLE
from stats.plots import INK, PALETTE, SOFT, Plate, new_figure, style
from stats.posterior_plots import corner_of

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes

    from catalogs.result import Result

__all__ = ("comparison", "diversity", "gallery", "plates", "rotation_curve", "rotation_curves")

#: Component -> colour and dashes; the total is drawn over them.
COMPONENTS: dict[str, tuple[str, Any]] = {
    "halo": (PALETTE[0], (0, (5, 2))),
    "disk": (PALETTE[1], (0, (3, 1, 1, 1))),
    "gas": (PALETTE[2], (0, (1, 1.2))),
    "bulge": (PALETTE[3], (0, (6, 1.5, 1, 1.5))),
}
LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))
GALLERY = 6


def _line_of(i: int) -> dict[str, Any]:
    """Return colour and dashes of the i-th profile."""
    return {"color": PALETTE[i % len(PALETTE)], "linestyle": LINES[i // len(PALETTE) % len(LINES)]}


def _draw_curve(ax: Axes, points: Table, *, components: bool = True) -> None:
    """Draw the data, and one model with its components; of a posterior also the 68 % bands."""
    order = np.argsort(points["r_kpc"])
    r = np.asarray(points["r_kpc"])[order]
    for name, color in (("halo", COMPONENTS["halo"][0]), ("total", INK)):
        if f"v_{name}_p16" in points.colnames:
            low, high = (np.asarray(points[f"v_{name}_{end}"])[order] for end in ("p16", "p84"))
            ax.fill_between(r, low, high, color=color, alpha=0.16, linewidth=0)
    if components:
        for name, (color, dashes) in COMPONENTS.items():
            v = np.asarray(points[f"v_{name}"])[order]
            if np.any(v != 0):
                ax.plot(r, v, color=color, linestyle=dashes, linewidth=1.4, label=name)
    ax.plot(r, np.asarray(points["v_total"])[order], color=INK, linewidth=1.8, label="total")
    _draw_data(ax, points)


def _draw_data(ax: Axes, points: Table) -> None:
    ax.errorbar(
        points["r_kpc"], points["v_obs"], points["e_v_obs"],
        fmt="o", color=SOFT, markersize=3.2, elinewidth=0.9, zorder=1, label="observed",
    )  # fmt: skip


def _best(result: Result, galaxy: str) -> str:
    """Return the profile of the lowest BIC of a galaxy."""
    rows = result.tables["catalogue"]
    mine = rows[rows["galaxy"] == galaxy]
    return str(mine["profile"][np.argmin(mine["bic"])])


def _points(result: Result, galaxy: str, profile: str) -> Table:
    points = result.tables["curves"]
    return points[(points["galaxy"] == galaxy) & (points["profile"] == profile)]


def _chi2(result: Result, galaxy: str, profile: str) -> str:
    rows = result.tables["catalogue"]
    value = rows["chi2_red"][(rows["galaxy"] == galaxy) & (rows["profile"] == profile)][0]
    return f"$\\chi^2_\\nu$ = {value:.2f}" if np.isfinite(value) else "too few points for $\\chi^2_\\nu$"


@style()
def gallery(result: Result, galaxies: int = GALLERY) -> Plate:
    """Draw galaxies over the whole range of velocities, each with its best halo."""
    table = result.tables["galaxies"]
    ranked = table[np.argsort(table["v_last"])]
    shown = ranked[np.unique(np.linspace(0, len(ranked) - 1, min(galaxies, len(ranked))).round().astype(int))]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    width, height = 0.75 + 3.0 * columns, 1.15 + 2.3 * rows
    figure = new_figure(width=width, height=height)
    figure.set_layout_engine("none")  # panels of one shape need no solver, which costs more than drawing them
    edges = {"left": 0.75 / width, "right": 1 - 0.1 / width, "bottom": 0.6 / height, "top": 1 - 0.75 / height}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw={**edges, "wspace": 0.22, "hspace": 0.42})
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    for ax, galaxy in zip(axes.flat, shown["galaxy"], strict=False):
        profile = _best(result, galaxy)
        _draw_curve(ax, _points(result, galaxy, profile))
        ax.set_title(f"{galaxy}  {profile}", fontsize="small")
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        ax.set_xlim(left=0.0)
    figure.supxlabel("radius [kpc]", y=0.08 / height, va="bottom", fontsize="medium")
    figure.supylabel("circular velocity [km/s]", x=0.08 / width, ha="left", fontsize="medium")
    handles: dict[str, Any] = {}
    for ax in axes.flat:
        found, labels = ax.get_legend_handles_labels()
        handles |= dict(zip(labels, found, strict=True))
    figure.legend(handles.values(), handles.keys(), loc="upper center", ncols=len(handles))
    return Plate(
        "rotation_curves",
        figure,
        "Rotation curves from the slowest to the fastest galaxy, each with the halo of the lowest BIC and its "
        "components at the maximum a posteriori.",
        f"Rotation curves of {len(shown)} galaxies with model and components.",
    )


@style()
def rotation_curve(result: Result, galaxy: str) -> Plate:
    """Draw one galaxy: all profiles, and the components of the best."""
    figure = new_figure(width=8.2, height=4.6)
    left, right = figure.subplots(1, 2, sharey=True)
    rows = result.tables["catalogue"]
    best = _best(result, galaxy)
    _draw_curve(left, _points(result, galaxy, best))
    left.set_title(f"{galaxy}  {best}, {_chi2(result, galaxy, best)}", fontsize="small")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    for i, profile in enumerate(rows["profile"][rows["galaxy"] == galaxy]):
        points = _points(result, galaxy, profile)
        order = np.argsort(points["r_kpc"])
        right.plot(points["r_kpc"][order], points["v_total"][order], label=profile, linewidth=1.4, **_line_of(i))
    _draw_data(right, points)
    right.set_title("all profiles", fontsize="small")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    left.set_ylabel("circular velocity [km/s]")
    for ax in (left, right):
        ax.set_xlim(left=0.0)
        ax.set_xlabel("radius [kpc]", labelpad=1)
    return Plate(
        "rotation_curve_" + re.sub(r"[^\w.-]+", "_", galaxy),
        figure,
        f"{galaxy}: components of the {best} halo (left) and all profiles (right).",
        f"Rotation curve of {galaxy} with the fitted halos.",
    )


@style()
def comparison(result: Result) -> Plate:
    """Draw the distribution of the reduced chi-square of each profile, and how often each has the lowest BIC."""
    rows, summary = result.tables["catalogue"], result.tables["summary"]
    figure = new_figure(width=8.2, height=3.9)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for i, profile in enumerate(summary["profile"]):
        chi2 = np.sort(rows["chi2_red"][rows["profile"] == profile])
        chi2 = chi2[np.isfinite(chi2)]
        share = np.arange(1, chi2.size + 1) / max(chi2.size, 1)
        left.step(np.maximum(chi2, 0.02), share, where="post", label=profile, **_line_of(i))
    left.set_xscale("log")
    left.set_xlim(0.05, 50)
    left.set_ylim(0, 1)
    left.axvline(1.0, color=SOFT, linewidth=0.8)
    left.set_xlabel("reduced $\\chi^2$")
    left.set_ylabel("share of galaxies below")
    left.legend(loc="lower right")
    names, counts = list(summary["profile"]), np.asarray(summary["n_best_bic"])
    order = np.argsort(counts)
    right.barh([names[i] for i in order], counts[order], color=[_line_of(i)["color"] for i in order], height=0.62)
    for y, i in enumerate(order):
        right.annotate(
            f"{counts[i]}", (counts[i], y), (4, 0), textcoords="offset points", va="center", fontsize="small"
        )
    right.set_xlim(0, 1.15 * max(1, counts.max()))
    right.grid(axis="y", visible=False)
    right.set_xlabel("galaxies with the lowest BIC")
    medians = ", ".join(f"{row['profile']} {row['median_chi2_red']:.2f}" for row in summary)
    return Plate(
        "comparison",
        figure,
        f"Reduced chi-square of the fits and profile of the lowest BIC. Medians: {medians}.",
        f"Cumulative distributions of the reduced chi-square; medians: {medians}.",
    )


@style()
def diversity(result: Result) -> Plate:
    """Draw the velocity at 2 kpc against the outermost one."""
    table = result.tables["galaxies"]
    known = np.isfinite(table["v_2kpc"]) & (table["best_profile"] != "")
    figure = new_figure(width=5.6, height=4.6)
    ax = figure.subplots()
    v_max, v_2kpc = result.arrays["lcdm_v_max"], result.arrays["lcdm_v_2kpc"]
    grid = np.geomspace(15, 350, 80)
    low, mean, high = (np.interp(grid, v_max[i], v_2kpc[i]) for i in (1, 0, 2))
    ax.fill_between(grid, low, high, color=PALETTE[0], alpha=0.18, linewidth=0)
    ax.plot(grid, mean, color=PALETTE[0], label="NFW halos of $\\Lambda$CDM alone, mean and 0.11 dex")
    ax.plot([10, 400], [10, 400], color=SOFT, linewidth=0.8, linestyle=LINES[1], label="flat from 2 kpc on")
    names = list(result.tables["summary"]["profile"])
    for i, profile in enumerate(names):
        mine = known & (table["best_profile"] == profile)
        if np.any(mine):
            ax.plot(
                table["v_last"][mine], table["v_2kpc"][mine], "o", color=PALETTE[i % len(PALETTE)],
                markersize=4.5, markerfacecolor="none" if i >= len(PALETTE) else None, label=f"best: {profile}",
            )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(13, 400)
    ax.set_ylim(6, 400)
    for axis, ticks in ((ax.xaxis, (20, 50, 100, 200)), (ax.yaxis, (10, 20, 50, 100, 200))):
        axis.set_ticks(ticks, [f"{tick}" for tick in ticks])
        axis.set_ticks([], minor=True)
    ax.set_xlabel("outermost velocity [km/s]")
    ax.set_ylabel("velocity at 2 kpc [km/s]")
    ax.legend(loc="upper left", fontsize="x-small")
    return Plate(
        "diversity",
        figure,
        f"Diversity of the {np.sum(known)} rotation curves with points around 2 kpc, with what halos alone would show; "
        "the band is the scatter of their concentrations.",
        "Velocity at 2 kpc against outermost velocity, with the expectation for NFW halos.",
    )


@style()
def shape(result: Result) -> Plate:
    """Draw the posteriors of phi0, one galaxy at a time and all together."""
    rows = result.tables["catalogue"]
    mine = np.asarray(rows["profile"] == "DARKexp")
    rows, outermost = rows[mine], result.tables["galaxies"]
    v_last = dict(zip(outermost["galaxy"], outermost["v_last"], strict=True))
    v = np.array([v_last[name] for name in rows["galaxy"]])
    draws = result.arrays["draws"][mine, :, result.arrays["draws_columns"].tolist().index("phi0")]
    limit = np.array(["phi0" in text.split("+") for text in rows["at_bound"]], dtype=bool)
    known, unknown = ~limit & rows["converged"], ~np.asarray(rows["converged"])
    figure = new_figure(width=8.2, height=4.2)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(5, 2))
    kinds = (
        (known, PALETTE[0], "o", True, "measured"),
        (limit & ~unknown, PALETTE[1], "o", False, "cut by an end of the prior: a limit at best"),
        (unknown, SOFT, "x", False, "not converged"),
    )
    for which, color, marker, filled, label in kinds:
        if np.any(which):
            p16, p50, p84 = (np.asarray(rows[f"phi0_{end}"])[which] for end in ("p16", "p50", "p84"))
            left.errorbar(
                v[which], p50, np.stack([p50 - p16, p84 - p50]), fmt=marker, color=color, markersize=3.6,
                elinewidth=0.8, markerfacecolor=None if filled else "none", alpha=0.9 if filled else 0.55,
                label=f"{np.sum(which)} {label}",
            )  # fmt: skip
    cells = np.linspace(*PHI0_TABLE, 40)
    right.hist(draws[~unknown].ravel(), cells, orientation="horizontal", density=True, color=SOFT, alpha=0.35)
    if np.any(known):
        weight = np.sum(known) / max(1, np.sum(~unknown))
        right.hist(
            draws[known].ravel(), cells, orientation="horizontal", density=False, color=PALETTE[0], histtype="step",
            weights=np.full(draws[known].size, weight / draws[known].size / (cells[1] - cells[0])), linewidth=1.4,
        )  # fmt: skip
    left.set_xscale("log")
    left.set_xticks([20, 50, 100, 200], ["20", "50", "100", "200"])
    left.xaxis.set_ticks([], minor=True)
    left.set_ylim(*PHI0_TABLE)
    left.set_xlabel("outermost velocity [km/s]")
    left.set_ylabel("$\\phi_0$ of DARKexp")
    left.legend(loc="upper left", fontsize="x-small")
    right.set_xlabel("all posteriors")
    right.set_xticks([])
    return Plate(
        "phi0",
        figure,
        f"Shape parameter of DARKexp, median and 68 % interval, for {len(rows)} galaxies (left), and all draws "
        "together (right; outlined: the galaxies where no end of the prior cuts the posterior). One at an end of the "
        "prior is a limit and no measurement.",
        "Shape parameter phi0 of DARKexp against outermost velocity, and its distribution.",
    )


#: Scales of a halo, of which a corner plot has two.
SCALES = ("r_minus2_kpc", "v_minus2_kms", "r_s_kpc", "log10_rho_s")
#: Quantities of a corner plot: what is sampled, as the catalogue has it, and whether it is drawn as its logarithm.
SAMPLED = {
    "r_minus2_kpc": True,
    "v_minus2_kms": True,
    "r_s_kpc": True,
    "log10_rho_s": False,
    "phi0": False,
    "alpha": True,
    "ml_disk": True,
    "ml_bulge": True,
    "distance_Mpc": False,
    "inclination_deg": False,
}


def corners(result: Result, galaxy: str) -> Iterator[Plate]:
    """Yield the posterior of each profile of a galaxy."""
    rows, columns = result.tables["catalogue"], result.arrays["draws_columns"].tolist()
    for k in np.flatnonzero(rows["galaxy"] == galaxy):
        draws, profile = result.arrays["draws"][k].astype(np.float64), str(rows["profile"][k])
        scales = ("r_s_kpc", "log10_rho_s") if np.isnan(draws[:, columns.index("r_minus2_kpc")]).any() else (
            "r_minus2_kpc", "v_minus2_kms",
        )  # fmt: skip
        shown = {
            (f"log10_{name}" if log else name): np.log10(values) if log else values
            for name, log in SAMPLED.items()
            if name in columns and (name in scales or name not in SCALES)
            for values in [draws[:, columns.index(name)]]
            if np.ptp(values) > 0
        }
        limits = str(rows["at_bound"][k]).split("+")
        cut = [name.removeprefix("log10_") in limits for name in shown]
        yield corner_of(f"{galaxy} {profile}", np.stack(list(shown.values()), axis=1), list(shown), None, cut)


def plates(result: Result) -> tuple[Plate, ...]:
    """Return the figures that sum up a fit."""
    common = gallery(result), comparison(result), diversity(result)
    return (*common, shape(result)) if "phi0_p50" in _columns_of(result, "DARKexp") else common


def _columns_of(result: Result, profile: str) -> list[str]:
    """Return the columns of the catalogue where a profile is in it."""
    rows = result.tables["catalogue"]
    return rows.colnames if profile in rows["profile"] else []


def rotation_curves(result: Result) -> Iterator[Plate]:
    """Yield the figures of each galaxy in turn; there may be many."""
    for galaxy in result.tables["galaxies"]["galaxy"]:
        yield rotation_curve(result, str(galaxy))
        if "draws" in result.arrays:
            yield from corners(result, str(galaxy))
