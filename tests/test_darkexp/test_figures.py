"""The figures draw what the result holds: every point, every profile, and nothing that is not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from astrotk.darkexp.figures import GALLERY, comparison, diversity, gallery, plates, rotation_curve, rotation_curves
from astrotk.darkexp.fit import fit_map
from astrotk.darkexp.profiles import PROFILES, Profile
from stats.plots import save


def profiles(*names):
    return [PROFILES[name] for name in names]


@pytest.fixture(scope="module")
def result(make_curves, join):
    curves = join(make_curves(6, bulge=True), make_curves(5, bulge=False, seed=3))
    return fit_map(curves, profiles("NFW", "Burkert", "pISO", "Lucky13"))


@pytest.fixture(scope="module")
def small(make_curves, shorten):
    """One galaxy, one profile, not enough points for a reduced chi-square."""
    return fit_map(shorten(make_curves(1, bulge=False), 3), profiles("NFW"))


def observed(ax):
    """The data of an axes: x, y and the error bars."""
    (container,) = ax.containers
    line, _, (bars,) = container.lines
    return line.get_xdata(), line.get_ydata(), bars.get_segments()


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def of(result, galaxy, profile):
    points = result.tables["curves"]
    return points[(points["galaxy"] == galaxy) & (points["profile"] == profile)]


def test_the_gallery_runs_from_the_slowest_to_the_fastest(result):
    plate = gallery(result, galaxies=5)
    axes = [ax for ax in plate.figure.axes if ax.get_visible()]
    table = result.tables["galaxies"]
    shown = [ax.get_title(loc="left").split("  ") for ax in axes]
    speeds = [float(table["v_last"][table["galaxy"] == name][0]) for name, _ in shown]
    assert len(axes) == 5
    assert speeds == sorted(speeds)
    assert (speeds[0], speeds[-1]) == (min(table["v_last"]), max(table["v_last"]))
    for ax, (name, profile) in zip(axes, shown, strict=True):
        assert profile == table["best_profile"][table["galaxy"] == name][0]
        points = of(result, name, profile)
        r, v, bars = observed(ax)
        np.testing.assert_array_equal(r, points["r_kpc"])
        np.testing.assert_array_equal(v, points["v_obs"])
        np.testing.assert_allclose([bar[1, 1] - bar[0, 1] for bar in bars], 2 * points["e_v_obs"])
        lines = {line.get_label(): line for line in ax.lines}
        for part in ("total", "halo", "disk", "gas"):
            np.testing.assert_array_equal(lines[part].get_ydata(), points[f"v_{part}"])
        assert ("bulge" in lines) == bool(np.any(points["v_bulge"] != 0))
        low, high = ax.get_ylim()
        assert low <= min(0, np.min(points["v_gas"]))
        assert high >= np.max(points["v_obs"])
    assert "5 galaxies" in plate.alt


def test_the_gallery_shows_no_more_than_there_are(result, small):
    for one, count in ((result, GALLERY), (small, 1)):
        assert sum(ax.get_visible() for ax in gallery(one).figure.axes) == count


def test_a_galaxy_has_its_components_and_all_profiles(result):
    name = str(result.tables["galaxies"]["galaxy"][0])
    best = str(result.tables["galaxies"]["best_profile"][0])
    plate = rotation_curve(result, name)
    left, right = plate.figure.axes
    assert set(labels(left)) == {"halo", "disk", "gas", "bulge", "total", "observed"}
    assert set(labels(right)) == {"NFW", "Burkert", "pISO", "Lucky13", "observed"}
    for ax in (left, right):
        assert len(observed(ax)[0]) == len(of(result, name, best))
    for line in right.lines:
        if line.get_label() in PROFILES:
            np.testing.assert_array_equal(line.get_ydata(), of(result, name, line.get_label())["v_total"])
    assert name in plate.caption
    assert best in plate.caption
    rows = result.tables["catalogue"]
    chi2 = rows["chi2_red"][(rows["galaxy"] == name) & (rows["profile"] == best)][0]
    assert f"{chi2:.2f}" in left.get_title(loc="left")


def test_points_out_of_order_are_joined_in_order(make_curves):
    curves = make_curves(1, bulge=False)
    shuffled = np.random.default_rng(0).permutation(12)
    mixed = replace(
        curves,
        **{key: getattr(curves, key)[shuffled] for key in ("r", "v_obs", "e_v_obs", "v_gas", "v_disk", "v_bulge")},
    )
    result = fit_map(mixed, profiles("NFW"))
    left, right = rotation_curve(result, "made up 0").figure.axes
    points = of(result, "made up 0", "NFW")
    order = np.argsort(curves.r[shuffled])
    shown = {line.get_label(): line for line in (*left.lines, *right.lines)}
    for label, column in {"NFW": "total", "total": "total", "halo": "halo", "disk": "disk", "gas": "gas"}.items():
        np.testing.assert_array_equal(shown[label].get_xdata(), points["r_kpc"][order])
        np.testing.assert_array_equal(shown[label].get_ydata(), points[f"v_{column}"][order])


def test_the_comparison_shows_all_fits_and_the_counts(result):
    plate = comparison(result)
    left, right = plate.figure.axes
    rows, summary = result.tables["catalogue"], result.tables["summary"]
    for line in summary:
        (steps,) = [drawn for drawn in left.lines if drawn.get_label() == line["profile"]]
        expected = np.sort(rows["chi2_red"][rows["profile"] == line["profile"]])
        np.testing.assert_array_equal(steps.get_xdata(), expected)
        np.testing.assert_allclose(steps.get_ydata(), np.arange(1, 12) / 11)
        assert f"{line['profile']} {line['median_chi2_red']:.2f}" in plate.caption
    names = [tick.get_text() for tick in right.get_yticklabels()]
    counts = {name: bar.get_width() for name, bar in zip(names, right.patches, strict=True)}
    assert counts == dict(zip(summary["profile"], summary["n_best_bic"], strict=True))
    assert sum(counts.values()) == 11
    colours = {line.get_label(): to_hex(line.get_color()) for line in left.lines}
    for name, bar in zip(names, right.patches, strict=True):
        assert to_hex(bar.get_facecolor()) == colours[name]


def test_the_diversity_shows_every_galaxy_with_points_around_2_kpc(result):
    plate = diversity(result)
    (ax,) = plate.figure.axes
    drawn = [line for line in ax.lines if line.get_label().startswith("best: ")]
    table = result.tables["galaxies"]
    found = np.concatenate([np.stack([line.get_xdata(), line.get_ydata()], axis=1) for line in drawn])
    expected = np.stack([table["v_last"], table["v_2kpc"]], axis=1)
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0))
    assert "11 rotation curves" in plate.caption


def test_the_diversity_counts_what_it_draws(make_curves):
    """A galaxy that one of the profiles could not be fitted to has no best profile, and is no dot."""
    some = fit_map(make_curves(3, r_eff=[True, False, False]), profiles("NFW", "coreNFW"))
    plate = diversity(some)
    dots = sum(len(line.get_xdata()) for line in plate.figure.axes[0].lines if line.get_label().startswith("best: "))
    assert f"{dots} rotation curves" in plate.caption


@pytest.mark.parametrize("points", [1, 2, 3])
def test_nothing_fails_for_one_short_galaxy_and_one_profile(make_curves, shorten, points, tmp_path):
    one = fit_map(shorten(make_curves(1, bulge=False), points), profiles("NFW"))
    assert not np.any(np.isfinite(one.tables["catalogue"]["chi2_red"]))
    drawn = [*plates(one), *rotation_curves(one)]
    assert len(drawn) == 4
    for plate in drawn:
        save(plate, tmp_path, ["png"])
    left, _ = drawn[-1].figure.axes
    assert len(observed(left)[0]) == points
    assert "too few points" in left.get_title(loc="left")


def test_more_profiles_than_colours_stay_apart(make_curves):
    own = [Profile(f"own {i}", lambda x: 1 / (1 + x) ** 3) for i in range(2)]
    many = fit_map(make_curves(1), [*PROFILES.values(), *own])
    _, right = rotation_curve(many, "made up 0").figure.axes
    looks = {(to_hex(line.get_color()), str(line.get_linestyle()), str(line._dash_pattern)) for line in right.lines}
    assert len(looks) == len(right.lines) == len(PROFILES) + len(own) + 1


@pytest.mark.parametrize("name", ["NGC 3198", "F568-V1", "a/b", "$x$", "ESO 116 (G12)", "UGC_128", "NGC^2"])
def test_galaxies_of_any_name_can_be_drawn_and_saved(make_curves, tmp_path, name):
    curves = make_curves(1)
    named = replace(curves, galaxies=replace(curves.galaxies, name=np.array([name])))
    one = fit_map(named, profiles("NFW"))
    for plate in (gallery(one), rotation_curve(one, name)):
        (path,) = save(plate, tmp_path, ["svg"])
        assert path.parent == tmp_path


def test_every_plate_says_what_it_shows(result):
    drawn = [*plates(result), *rotation_curves(result)]
    assert [plate.name for plate in drawn[:3]] == ["rotation_curves", "comparison", "diversity"]
    assert len({plate.name for plate in drawn}) == len(drawn) == 14
    for plate in drawn:
        assert len(plate.caption) > 20
        assert len(plate.alt) > 20
        assert plate.caption.endswith(".")
        for ax in plate.figure.axes:
            assert ax.lines or ax.patches or not ax.get_visible()
