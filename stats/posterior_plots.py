"""Figures of draws: one and two parameters at a time, along the run, and the ranks of known truths among them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from catalogs.errors import ParameterError
from stats.calibration import RANKED, Calibration, rank_bins
from stats.plots import INK, PALETTE, RULE, SOFT, Plate, new_figure, style
from stats.posterior import Posteriors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ("corner", "corner_of", "ranks", "trace")

Array = npt.NDArray[np.float64]

BLUE, ORANGE = PALETTE[:2]
#: Probability inside the contours.
INSIDE = 0.95, 0.68
#: Cells of a histogram along an axis, the fewest for few draws, and by how many of them it is smoothed.
CELLS, FEW_CELLS, SMOOTH = 40, 18, 1.4
#: Axes end where so much of the draws is left out at each side.
OUTSIDE = 0.002
#: Stretches of time in which an ensemble is summed up.
TIMES = 64
COLUMNS = 4
#: Half of a percent of the bars lies above the band and half below.
BAND = 0.99


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "object"


def _digits(value: float, error: float) -> str:
    """Return a value to the second digit of its error."""
    places = max(0, 1 - int(np.floor(np.log10(error)))) if np.isfinite(error) and error > 0 else 2
    return f"{value:.{places}f}"


def _summary(values: Array) -> str:
    low, middle, high = np.quantile(values, [0.16, 0.5, 0.84])
    error = min(high - middle, middle - low)
    upper, lower = _digits(high - middle, error), _digits(middle - low, error)
    return f"${_digits(middle, error)}^{{+{upper}}}_{{-{lower}}}$"


def _range(values: Array, truth: float | None) -> tuple[float, float]:
    low, high = np.quantile(values, [OUTSIDE, 1 - OUTSIDE])
    if truth is not None and np.isfinite(truth):
        low, high = min(low, truth), max(high, truth)
    margin = 0.04 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def corner(posteriors: Posteriors, name: str, truths: npt.ArrayLike | None = None) -> Plate:
    """Draw the posterior of one object, one parameter and two at a time.

    Parameters
    ----------
    posteriors
        Draws.
    name
        Of the object.
    truths
        (dim): values to mark, such as those that a mock was made with; NaN for none.
    """
    own = posteriors.one(name)
    return corner_of(name, own.draws[0], own.names, truths, own.at_bound[0])


@style()
def corner_of(
    name: str,
    draws: Array,
    names: Sequence[str],
    truths: npt.ArrayLike | None = None,
    at_bound: npt.ArrayLike | None = None,
) -> Plate:
    """Draw any draws as `corner` does.

    Parameters
    ----------
    name
        Of the object.
    draws
        (draw, dim).
    names
        (dim) of the parameters.
    truths
        (dim): values to mark; NaN for none.
    at_bound
        (dim): which parameters an end of their prior cuts.
    """
    dim = len(names)
    cut = np.zeros(dim, dtype=bool) if at_bound is None else np.asarray(at_bound)
    marks: list[Any] = [None] * dim if truths is None else [float(value) for value in np.asarray(truths)]
    if len(marks) != dim:
        message = f"truths has one value for each of the {dim} parameters, found {len(marks)}"
        raise ParameterError(message)
    ranges = [_range(draws[:, k], marks[k]) for k in range(dim)]
    side = max(5.6, 1.7 * dim + 0.7)
    figure = new_figure(width=side, height=side)
    grid: Any = figure.subplots(dim, dim, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)  # type: ignore[union-attr, call-arg]
    for i, j in np.ndindex(dim, dim):
        ax = grid[i, j]
        if j > i:
            ax.remove()
            continue
        _label(ax, names[j] if i == dim - 1 else "", names[i] if j == 0 < i else "")
        if i == j:
            _draw_one(ax, draws[:, i], ranges[i], marks[i])
            ax.set_title(_summary(draws[:, i]), loc="center", fontweight="normal", fontsize=11)
            if cut[i]:
                _note(ax, "at bound", left=bool(np.median(draws[:, i]) > np.mean(ranges[i])))
        else:
            _draw_two(ax, draws[:, j], draws[:, i], ranges[j], ranges[i], (marks[j], marks[i]))
            ax.set_ylim(*ranges[i])
        ax.set_xlim(*ranges[j])
        if i < dim - 1:
            ax.tick_params(labelbottom=False)
        if 0 < j < i:
            ax.tick_params(labelleft=False)
    figure.align_labels()
    words = "; ".join(f"{names[k]} = {_summary(draws[:, k]).strip('$')}" for k in range(dim))
    shown = " Orange: the truth." if truths is not None else ""
    return Plate(
        f"corner-{_slug(name)}",
        figure,
        f"{name}: medians with 16 and 84 % quantiles; the contours hold 68 and 95 % of the draws.{shown}",
        f"Posterior of {name}. {re.sub(r'[{}]', '', words)}.",
    )


def _label(ax: Axes, x: str, y: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.grid(visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
    ax.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
    ax.tick_params(axis="x", rotation=40)
    ax.set(xlabel=x, ylabel=y)
    for label, text in ((ax.xaxis.label, x), (ax.yaxis.label, y)):
        label.set_fontsize(min(12.0, 150.0 / max(len(text), 1)))  # long names do not run into each other


def _note(ax: Axes, text: str, *, left: bool) -> None:
    place = {"x": 0.04, "ha": "left"} if left else {"x": 0.98, "ha": "right"}
    ax.text(y=0.97, s=text, va="top", transform=ax.transAxes, color=SOFT, fontsize=9, **place)  # type: ignore[arg-type]


def _draw_one(ax: Axes, values: Array, limits: tuple[float, float], truth: float | None) -> None:
    counts, edges = np.histogram(values, _cells(values), limits)
    ax.stairs(counts, edges, fill=True, color=BLUE, alpha=0.25)
    ax.stairs(counts, edges, color=BLUE, linewidth=1.4)
    for quantile, dashes in ((0.16, ":"), (0.5, "-"), (0.84, ":")):
        ax.axvline(float(np.quantile(values, quantile)), color=INK, linewidth=0.9, linestyle=dashes)
    if truth is not None:
        ax.axvline(truth, color=ORANGE, linewidth=1.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylim(0, 1.08 * max(counts.max(), 1))


def _draw_two(
    ax: Axes, x: Array, y: Array, x_range: tuple[float, float], y_range: tuple[float, float], truth: tuple[Any, Any]
) -> None:
    counts, x_edges, y_edges = np.histogram2d(x, y, _cells(x), (x_range, y_range))
    # Beyond an end of a prior there is nothing; mirrored there, the density does not fall towards it.
    density = gaussian_filter(counts, SMOOTH, mode="reflect")
    levels = _levels(density)
    if levels is not None:
        centres = [(edges[1:] + edges[:-1]) / 2 for edges in (x_edges, y_edges)]
        for level, alpha in zip(levels, (0.22, 0.45), strict=True):
            ax.contourf(*centres, density.T, [level, np.inf], colors=[BLUE], alpha=alpha)
        ax.contour(*centres, density.T, levels, colors=[BLUE], linewidths=1.1)
    for draw, value in ((ax.axvline, truth[0]), (ax.axhline, truth[1])):
        if value is not None:
            draw(value, color=ORANGE, linewidth=1.2)


def _cells(values: Array) -> int:
    """Return the cells along an axis: fewer for few draws, whose noise would be all that is seen."""
    return min(CELLS, max(FEW_CELLS, int(values.size**0.5)))


def _levels(density: Array) -> list[float] | None:
    """Return the densities of the contours that hold the probabilities `INSIDE`; None where they coincide."""
    ordered = np.sort(density.ravel())[::-1]
    share = np.cumsum(ordered) / ordered.sum()
    levels = [float(ordered[np.searchsorted(share, inside)]) for inside in INSIDE]
    return levels if levels[0] < levels[1] < ordered[0] else None


@style()
def trace(posteriors: Posteriors, name: str) -> Plate:
    """Draw the ensembles of one object along the run; where they lie upon each other, they agree.

    Parameters
    ----------
    posteriors
        Draws.
    name
        Of the object.
    """
    own = posteriors.one(name)
    dim, ensembles = len(own.names), own.ensembles
    times = min(TIMES, own.draws.shape[1] // ensembles)
    begin = own.draws.shape[1] // ensembles % times
    chains = own.draws[0].reshape(ensembles, -1, dim)[:, begin:].reshape(ensembles, times, -1, dim)
    bands = np.quantile(chains, [0.16, 0.5, 0.84], axis=2)
    last = int(own.steps[0])
    steps = np.linspace(last - last // 2, last, times)
    figure = new_figure(width=7.2, height=1.2 + 1.35 * dim)
    rows = figure.subplots(dim, 2, squeeze=False, sharey="row", sharex="col", width_ratios=(5, 1))
    for k, (along, beside) in enumerate(rows):
        limits = _range(own.draws[0, :, k], None)
        for e in range(ensembles):
            color = PALETTE[e % len(PALETTE)]
            low, middle, high = bands[:, e, :, k]
            along.fill_between(steps, low, high, color=color, alpha=0.12, linewidth=0)
            along.plot(steps, middle, color=color, linewidth=1.2)
            counts, edges = np.histogram(chains[e, ..., k], CELLS, limits)
            beside.stairs(counts, edges, orientation="horizontal", color=color, linewidth=1.1)
        along.set(ylabel=own.names[k], ylim=limits, xlim=(steps[0], steps[-1]))
        rhat, ess = own.diagnosis.rhat[0, k], own.diagnosis.ess[0, k]
        along.set_title(f"R-hat {rhat:.3f}, {ess:.0f} effective draws", fontweight="normal", fontsize=10, color=SOFT)
        beside.set_xticks([])
        beside.spines["bottom"].set_visible(False)
        beside.grid(visible=False)
        beside.tick_params(labelleft=False)
    rows[-1, 0].set_xlabel("step")
    figure.align_ylabels(rows[:, 0])
    verdict = str(own.diagnosis.reasons(own.names)[0])
    state = f"not converged: {verdict}" if verdict else "converged"
    return Plate(
        f"trace-{_slug(name)}",
        figure,
        f"{name}, {state}. Median and 68 % of the walkers of each ensemble over the second half of the run.",
        f"Trace of {ensembles} ensembles of {name}: {state}.",
    )


@style()
def ranks(calibration: Calibration) -> Plate:
    """Draw how often each rank occurs; of a calibrated parameter 99 in 100 bars end within the grey band.

    Parameters
    ----------
    calibration
        From `stats.calibration.calibrate`.
    """
    from scipy.stats import binom

    mocks, dim = calibration.ranks.shape
    bins = rank_bins(mocks)
    rows = -(-dim // COLUMNS)
    columns = -(-dim // rows)
    figure = new_figure(width=max(5.6, 2.6 * columns), height=0.9 + 2.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    low, high = binom.interval(BAND, mocks, 1 / bins)
    edges = np.linspace(0, 1, bins + 1)
    for k, ax in enumerate(grid[:dim]):
        counts, _ = np.histogram((calibration.ranks[:, k] + 0.5) / (RANKED + 1), edges)
        ax.axhspan(low, high, color=RULE, alpha=0.7, linewidth=0)
        ax.axhline(mocks / bins, color=SOFT, linewidth=0.9)
        ax.stairs(counts, edges, color=BLUE if calibration.calibrated[k] else ORANGE, linewidth=1.6)
        ax.set_title(f"{calibration.names[k]}\n", fontsize=11)
        ax.text(0, 1.03, f"p = {calibration.p[k]:.2g}", transform=ax.transAxes, color=SOFT, fontsize=10)
        ax.grid(visible=False)
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        ax.tick_params(labelbottom=k + columns >= dim)
    for ax in grid[dim:]:
        ax.remove()
    grid[0].set_ylim(bottom=0)
    figure.supxlabel("rank of the truth among the draws", fontsize=12)
    figure.supylabel("mocks", fontsize=12)
    failed = [name for name, good in zip(calibration.names, calibration.calibrated, strict=True) if not good]
    state = f"not calibrated: {', '.join(failed)}" if failed else "all parameters are calibrated"
    return Plate(
        "ranks",
        figure,
        f"Ranks of the truths of {mocks} mocks; {state}. Of even ranks 99 in 100 bars end within the grey band.",
        f"Histograms of the ranks of {mocks} truths for {', '.join(calibration.names)}: {state}.",
    )
