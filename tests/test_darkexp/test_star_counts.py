"""Star counts: a likelihood that counts, and made-up dwarfs that are found again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numba
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import kstest

from astrotk.cli.darkexp.project import project
from astrotk.darkexp import figures_projection
from astrotk.darkexp.profiles import PROFILES, Profile
from astrotk.darkexp.star_counts import DwarfModel, fit_stars, made_up_dwarf
from catalogs.errors import ParameterError
from catalogs.provenance import Source
from catalogs.star_counts import Rings, StarPositions
from stats.optimize import maximize

PLUMMER = Profile("Plummer", lambda x: (1 + x**2) ** -2.5)
NOWHERE = Source("made up", "")
#: r_s, members, background of the dwarfs here, in a field of 20.
TRUTH = np.array([[math.log10(3.0), math.log10(600.0), 0.3]])
EDGES = np.array([0.0, 1.0, 2.0, 3.5, 5.0, 8.0, 12.0, 20.0])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """One dwarf has nothing to share among threads, and on a busy machine they wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def in_rings(stars: StarPositions, *, with_error: bool = False) -> Rings:
    count = np.histogram(stars.r, EDGES)[0].astype(np.float64)
    area = np.pi * np.diff(EDGES**2)
    error = np.sqrt(np.maximum(count, 1.0)) / area if with_error else None
    return Rings(EDGES[:-1], EDGES[1:], count / area if with_error else count, error, "arcmin", NOWHERE)


def model_of(*stars: StarPositions | Rings, profile: Profile = PLUMMER) -> DwarfModel:
    return DwarfModel(tuple(f"dwarf {i}" for i in range(len(stars))), stars, profile)


def test_expected_numbers_have_their_closed_form() -> None:
    model = model_of(in_rings(made_up_dwarf(PLUMMER)))
    inside = EDGES**2 / (9.0 + EDGES**2)
    expected = 600.0 * np.diff(inside) / inside[-1] + 0.3 * np.pi * np.diff(EDGES**2)
    np.testing.assert_allclose(model.expected(TRUTH, (0.0, 20.0), EDGES[:-1], EDGES[1:])[0], expected, rtol=1e-5)
    r = np.array([0.1, 4.0, 19.0])
    density = 600.0 / inside[-1] * 9.0 / np.pi / (9.0 + r**2) ** 2 + 0.3
    np.testing.assert_allclose(model.densities(TRUTH, (0.0, 20.0), r)[0], density, rtol=1e-5)
    ring = model.expected(TRUTH, (1.0, 20.0), EDGES[1:-1], EDGES[2:])[0]  # a field with a hole has all its members
    assert ring.sum() == pytest.approx(600.0 + 0.3 * np.pi * (400.0 - 1.0))


def test_the_likelihoods_are_those_of_poisson_and_gauss() -> None:
    stars = made_up_dwarf(PLUMMER, seed=2)
    counts, densities = in_rings(stars), in_rings(stars, with_error=True)
    model = model_of(stars, counts, densities)
    other = TRUTH + np.array([[0.05, -0.03, 0.02]])
    theta = np.stack([TRUTH, other])[:, 0][None].repeat(3, axis=0)
    positions, poisson, gauss = model.loglike(theta, np.arange(3))
    mean = np.array([model.expected(row, (0.0, 20.0), EDGES[:-1], EDGES[1:])[0] for row in (TRUTH, other)])
    assert poisson[0] - poisson[1] == pytest.approx(
        np.sum(counts.value * np.log(mean[0] / mean[1])) - mean[0].sum() + mean[1].sum()
    )
    chi2 = np.sum(((densities.value - mean / (np.pi * np.diff(EDGES**2))) / densities.error) ** 2, axis=1)
    np.testing.assert_allclose(gauss, -0.5 * chi2)
    per_star = np.array([model.densities(row, (0.0, 20.0), stars.r)[0] for row in (TRUTH, other)])
    assert positions[0] - positions[1] == pytest.approx(
        np.sum(np.log(per_star[0] / per_star[1])) - mean[0].sum() + mean[1].sum()
    )


def test_stars_are_drawn_from_the_profile() -> None:
    stars = made_up_dwarf(PLUMMER, members=4000, background=0.5, seed=4)
    inside, field = 400.0 / 409.0, 0.5 * np.pi * 400.0

    def share(r):
        return (4000 * r**2 / (9 + r**2) / inside + 0.5 * np.pi * r**2) / (4000 + field)

    assert kstest(stars.r, share).pvalue > 1e-3
    assert abs(len(stars) - 4000 - field) < 4 * math.sqrt(4000 + field)
    np.testing.assert_array_equal(stars.r, made_up_dwarf(PLUMMER, members=4000, background=0.5, seed=4).r)
    assert not np.array_equal(stars.r[:5], made_up_dwarf(PLUMMER, members=4000, background=0.5, seed=5).r[:5])


def test_maxima_scatter_around_the_truth_as_their_errors_say() -> None:
    """12 dwarfs, as positions and in rings: the pulls are standard normal."""
    stars = [made_up_dwarf(PLUMMER, seed=seed) for seed in range(12)]
    for kind in (stars, [in_rings(each) for each in stars]):
        found = maximize(model_of(*kind).target, draws=128, starts=2)
        assert np.all(found.converged)
        pull = (found.theta - TRUTH) / np.sqrt(np.diagonal(found.covariance, axis1=1, axis2=2))
        assert np.all(np.abs(pull.mean(axis=0)) < 4 / math.sqrt(12))
        assert np.all((np.sum(pull**2, axis=0) > 2.0) & (np.sum(pull**2, axis=0) < 34.0))  # chi2(12): once in 700


def test_what_a_row_means() -> None:
    model = model_of(made_up_dwarf(PLUMMER))
    found = {key: float(value[0]) for key, value in model.describe(TRUTH, 0).items()}
    half = 0.5 * 400.0 / 409.0
    assert found["r_half"] == pytest.approx(3.0 * math.sqrt(half / (1 - half)), rel=1e-5)
    assert found["r_minus2"] == pytest.approx(3.0 * math.sqrt(2 / 3), rel=1e-5)
    assert (found["r_s"], found["members"], found["background"]) == pytest.approx((3.0, 600.0, 0.3))
    gamma = model_of(made_up_dwarf(PLUMMER), profile=PROFILES["DARKexp-gamma"])
    assert gamma.target.names == ("log10_r_s", "phi0", "log10_members", "background")
    assert gamma.describe(np.array([[0.5, 3.0, 2.0, 0.1]]), 0)["phi0"][0] == 3.0


@pytest.fixture(scope="module")
def fitted():
    stars = made_up_dwarf(PROFILES["DARKexp-gamma"], 3.0, members=900.0, seed=1)
    return fit_stars({"A": in_rings(stars)}, [PROFILES["DARKexp-gamma"], PLUMMER], seed=1)


def test_a_dwarf_is_found_again(fitted) -> None:
    fits = fitted.tables["fits"]
    assert fits["object"].tolist() == ["A", "A"]
    assert fits["profile"].tolist() == ["DARKexp-gamma", "Plummer"]
    row = fits[0]
    assert row["converged"]
    for name, truth in (("r_s", 3.0), ("phi0", 3.0), ("members", 900.0), ("background", 0.3)):
        spread = 0.5 * (row[f"{name}_p84"] - row[f"{name}_p16"])
        assert abs(row[f"{name}_p50"] - truth) < 4 * spread, name
    assert math.isnan(fits["phi0"][1])
    assert row["bic"] < fits["bic"][1] + 20
    assert (fits["r_s"].unit, fits["background"].unit) == ("arcmin", "1 / arcmin2")
    rings = fitted.tables["rings"]
    mine = rings[rings["profile"] == "DARKexp-gamma"]
    pull = (mine["density"] - mine["model"]) / mine["e_density"]
    assert np.sum(pull**2) < 25
    assert np.all(mine["model_p16"] < mine["model_p84"])


def test_figures_show_every_dwarf(fitted) -> None:
    plates = list(figures_projection.plates(fitted))
    assert [plate.name for plate in plates] == ["surface_density_A"]
    labels = plates[0].figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["DARKexp-gamma", "Plummer", "star counts"]


def test_dwarfs_have_one_unit() -> None:
    stars = made_up_dwarf(PLUMMER)
    with pytest.raises(ParameterError, match="in one unit, found arcmin, pc"):
        fit_stars({"A": stars, "B": made_up_dwarf(PLUMMER, unit="pc")}, [PLUMMER])
    with pytest.raises(ParameterError, match="found no star counts"):
        fit_stars({}, [PLUMMER])


def test_the_command(tmp_path: Path) -> None:
    stars = made_up_dwarf(PROFILES["Burkert"], members=300.0, background=0.1, seed=3)
    (tmp_path / "draco.csv").write_text("R\n" + "\n".join(f"{r:.6f}" for r in stars.r) + "\n")
    arguments = [str(tmp_path / "draco.csv"), "--profiles", "Burkert", "--r-max", "20", "-o", str(tmp_path / "out")]
    run = CliRunner().invoke(project, [*arguments, "--json"], catch_exceptions=False)
    report = json.loads(run.stdout)
    (row,) = report["fits"]
    assert (row["object"], row["profile"], row["n_stars"], row["converged"]) == ("draco", "Burkert", len(stars), True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("fits.ecsv", "rings.ecsv", "result.h5", "surface_density_draco.png")
    }
    with pytest.raises(ParameterError, match="rings have their own edges"):
        CliRunner().invoke(project, [*arguments, "--rings"], catch_exceptions=False)
    wrong = CliRunner().invoke(project, [*arguments, "--centre", "here"])
    assert (wrong.exit_code, "for example 228.2,67.2" in wrong.output) == (2, True)
