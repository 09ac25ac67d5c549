"""Figures show the numbers that they are given, for one parameter and many, and say what failed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from catalogs.errors import ParameterError
from stats.calibration import calibrate
from stats.diagnostics import Diagnosis, diagnose
from stats.plots import save
from stats.posterior import Posteriors
from stats.posterior_plots import corner, ranks, trace


def posteriors(dim=3, *, shift=0.0, scale=1.0, name="NGC 1"):
    rng = np.random.default_rng(1)
    chains = scale * rng.normal(size=(1, 4, 64, 8, dim))
    chains[:, 2] += shift * scale
    draws = chains.reshape(1, -1, dim)
    at_bound = np.zeros((1, dim), dtype=bool)
    at_bound[0, -1] = True
    logpost = -0.5 * np.sum(draws**2, axis=-1)
    return Posteriors(
        names=tuple(f"p{k} [km/s]" for k in range(dim)),
        objects=(name,),
        draws=draws,
        logpost=logpost,
        loglike=logpost,
        ensembles=4,
        steps=np.array([1000]),
        acceptance=np.array([0.3]),
        diagnosis=Diagnosis.stack([diagnose(chains[0])]),
        at_bound=at_bound,
    )


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_corner_has_a_panel_for_every_parameter_and_pair(dim):
    plate = corner(posteriors(dim), "NGC 1")
    assert plate.name == "corner-NGC-1"
    axes = plate.figure.axes
    assert len(axes) == dim * (dim + 1) // 2
    titles = [ax.get_title() for ax in axes if ax.get_title()]
    assert len(titles) == dim
    for title in titles:
        middle, upper, lower = (float(x) for x in re.findall(r"-?\d+\.\d+", title.replace("_{-", "_{")))
        assert middle == pytest.approx(0.0, abs=0.1)
        assert upper == pytest.approx(1.0, abs=0.1)
        assert lower == pytest.approx(1.0, abs=0.1)
    assert sum(text.get_text() == "at bound" for ax in axes for text in ax.texts) == 1


def test_corner_marks_the_truth_even_far_away():
    plate = corner(posteriors(2), "NGC 1", truths=[9.0, np.nan])
    assert "the truth" in plate.caption
    assert plate.figure.axes[0].get_xlim()[1] > 9.0
    assert plate.figure.axes[2].get_xlim()[1] < 9.0
    assert [line.get_xdata()[0] for line in plate.figure.axes[0].lines][-1] == 9.0


def test_contours_hold_what_they_say():
    own = posteriors(2)
    ax = corner(own, "NGC 1").figure.axes[1]
    lines = ax.collections[-1]
    held = [np.mean(path.contains_points(own.draws[0])) for path in lines.get_paths()]
    np.testing.assert_allclose(held, [0.95, 0.68], atol=0.04)


@pytest.mark.parametrize("scale", [1e-7, 1e9])
def test_any_scale(scale, tmp_path):
    own = posteriors(2, scale=scale)
    for plate in (corner(own, "NGC 1", truths=[0.0, scale]), trace(own, "NGC 1")):
        assert all(path.stat().st_size > 5000 for path in save(plate, tmp_path, ("png", "svg")))


def test_a_parameter_that_does_not_move_is_drawn_too(tmp_path):
    own = posteriors(2)
    own.draws[..., 1] = 3.0
    for plate in (corner(own, "NGC 1"), trace(own, "NGC 1")):
        assert save(plate, tmp_path)


def test_truths_of_another_number_are_refused():
    with pytest.raises(ParameterError, match="each of the 3 parameters, found 2"):
        corner(posteriors(), "NGC 1", truths=[0.0, 0.0])


def test_trace_says_whether_the_ensembles_agree():
    good, bad = trace(posteriors(), "NGC 1"), trace(posteriors(shift=1.0), "NGC 1")
    assert "NGC 1, converged." in good.caption
    assert "not converged: R-hat of p" in bad.caption
    assert len(good.figure.axes) == 6
    along = bad.figure.axes[0]
    middles = [np.mean(line.get_ydata()) for line in along.lines]
    np.testing.assert_allclose(middles, [0.0, 0.0, 1.0, 0.0], atol=0.15)
    assert along.get_xlim() == (500.0, 1000.0)


def test_names_that_are_no_file_names(tmp_path):
    plate = corner(posteriors(1, name="../α/β?"), "../α/β?")
    (path,) = save(plate, tmp_path)
    assert path.parent == tmp_path


@pytest.mark.parametrize("dim", [1, 5])
def test_ranks_show_every_count_and_name_what_failed(dim):
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(300, dim))
    centre = (truth + rng.normal(size=truth.shape)) / 2
    draws = centre[:, None] + rng.normal(size=(300, 200, dim)) * np.sqrt(0.5)
    draws[..., -1] += 0.5
    plate = ranks(calibrate(truth, draws, [f"p{k}" for k in range(dim)]))
    assert f"not calibrated: p{dim - 1}." in plate.caption
    assert len(plate.figure.axes) == dim
    for ax in plate.figure.axes:
        (bars,) = (patch for patch in ax.patches if hasattr(patch, "get_data"))
        assert bars.get_data().values.sum() == 300
