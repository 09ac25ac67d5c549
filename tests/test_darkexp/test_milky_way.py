"""The Milky Way: discs pull as discs do, masses are those of the model, and the halo put in is found at the Sun."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from astropy import constants, units
from astropy.table import Table
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from astrotk.cli.darkexp.mw import mw
from astrotk.darkexp import figures_milky_way, mock
from astrotk.darkexp.fit import fit_map
from astrotk.darkexp.milky_way import (
    GEV_PER_CM3,
    OU2024,
    R0,
    baryon_velocities,
    bulge_velocity_squared,
    disk_velocity_squared,
    fit_milky_way,
    halo_density,
    milky_way_curves,
)
from astrotk.darkexp.model import RotationModel
from astrotk.darkexp.profiles import PROFILES
from catalogs.errors import ParameterError
from catalogs.milky_way import BaryonModel, Bulge, Disk, VelocityCurve, read_velocity_curve
from catalogs.provenance import Source

G = 4.30091e-6
NFW = PROFILES["NFW"]
R_S, RHO_S = 14.0, 0.012


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """One galaxy has nothing to share among threads, and on a busy machine they wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def made_up(percent: float = 1.0, points: int = 30, seed: int = 1) -> VelocityCurve:
    """The model of Ou et al. in an NFW halo of 0.4 GeV/cm3, seen from 5 to 25 kpc."""
    r = np.linspace(5.0, 25.0, points)
    parts = baryon_velocities(OU2024, r)
    v = np.sqrt(sum(part**2 for part in parts.values()) + NFW.velocity(r, R_S, RHO_S) ** 2)
    error = 0.01 * percent * v
    noise = np.random.default_rng(seed).normal(size=points)
    return VelocityCurve(r, v + error * noise, 0.9 * error, 1.1 * error, 8.2, "made up", Source("made up", "0" * 64))


# --- what is seen ----------------------------------------------------------------------------------------------------


@given(scale=st.floats(0.5, 20.0), r=st.floats(0.05, 20.0))
@settings(max_examples=30)
def test_a_thin_disk_is_that_of_freeman(scale: float, r: float) -> None:
    found = disk_velocity_squared(np.array([r * scale]), Disk(1e10, scale))
    assert found[0] == pytest.approx(float(mock.disk_velocity(np.array(r * scale), 1e10, scale)) ** 2, rel=1e-9)


@pytest.mark.parametrize("disk", [*OU2024.stars, *OU2024.gas[:2], Disk(1e10, 3.0, 1.0)])
def test_a_thick_disk_is_that_of_galpy(disk: Disk) -> None:
    potential = pytest.importorskip("galpy.potential")
    r = disk.scale * np.geomspace(0.3, 12.0, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # galpy overflows on its way
        oracle = potential.DoubleExponentialDiskPotential(amp=1.0, hr=disk.scale, hz=disk.height)
        force = np.array([-x * oracle.Rforce(x, 0.0) for x in r])
    expected = G * disk.mass * force / (4 * np.pi * disk.scale**2 * disk.height)
    np.testing.assert_allclose(disk_velocity_squared(r, disk), expected, rtol=1e-7)


def test_thickness_slows_and_far_away_a_disk_is_a_point() -> None:
    r = np.array([1.0, 3.0, 8.0])
    speeds = [disk_velocity_squared(r, Disk(1e10, 2.0, height)) for height in (0.0, 0.1, 0.5, 1.0)]
    assert np.all(np.diff(speeds, axis=0) < 0)
    far = np.array([300.0])
    assert disk_velocity_squared(far, Disk(1e10, 2.0, 0.4))[0] == pytest.approx(G * 1e10 / 300.0, rel=2e-3)


def test_a_bulge_is_that_of_hernquist() -> None:
    r = np.geomspace(0.01, 100, 7)
    hernquist = replace(NFW, name="Hernquist", kind=None, rho_hat=lambda x: 1 / (x * (1 + x) ** 3), slope_hat=None)
    rho = 1.55e10 / (2 * np.pi * 0.7**3) / 1e9
    np.testing.assert_allclose(
        np.sqrt(bulge_velocity_squared(r, Bulge(1.55e10, 0.7))), hernquist.velocity(r, 0.7, rho), rtol=1e-6
    )


# --- a galaxy like others --------------------------------------------------------------------------------------------


def test_the_masses_of_the_model_stand_where_the_priors_do() -> None:
    curves = milky_way_curves(made_up())
    model = RotationModel(curves, NFW)
    assert model.free == ("r_s_kpc", "v_s_kms", "ml_disk", "ml_bulge")
    middle = np.array([1.1, 2.2, math.log10(0.5), math.log10(0.7)])
    parts, expected = model.components(middle, 0), baryon_velocities(OU2024, curves.r)
    for name, v in expected.items():
        np.testing.assert_allclose(parts[name], v, rtol=1e-12)
    gaussian = [prior.gauss(np.array([0]))[0][0] for prior in model.target.priors[2:]]
    np.testing.assert_allclose(gaussian, middle[2:])
    stars = (
        0.5 * (curves.galaxies.luminosity - curves.galaxies.bulge_luminosity) + 0.7 * curves.galaxies.bulge_luminosity
    )
    np.testing.assert_allclose(stars * 1e9, 3.65e10 + 1.55e10)
    np.testing.assert_allclose(curves.galaxies.r_eff, 1.67835 * 2.35, rtol=1e-5)


def test_errors_and_the_place_of_the_sun() -> None:
    curve = made_up()
    plain = milky_way_curves(curve)
    np.testing.assert_allclose(plain.e_v_obs, 0.5 * (curve.e_plus + curve.e_minus))
    wide = milky_way_curves(curve, systematic={22.0: 15.0, 0.0: 3.0})
    added = np.where(curve.r >= 22.0, 0.15, 0.03) * curve.v
    np.testing.assert_allclose(wide.e_v_obs**2, plain.e_v_obs**2 + added**2)
    inner = milky_way_curves(curve, systematic={float(curve.r[7]): 5.0})
    np.testing.assert_array_equal(inner.e_v_obs == plain.e_v_obs, np.arange(len(curve)) < 7)
    assert plain.distance[0] == pytest.approx(8.2e-3)
    assert milky_way_curves(replace(curve, r0=math.nan)).distance[0] == pytest.approx(R0 / 1e3)
    assert milky_way_curves(curve, r0=8.0).distance[0] == pytest.approx(8e-3)
    with pytest.raises(ParameterError, match="5 to 12 kpc, found 80"):
        milky_way_curves(curve, r0=80.0)
    with pytest.raises(ParameterError, match="expected 0 to 100 percent"):
        milky_way_curves(curve, systematic={0.0: -1.0})


def test_profiles_that_ask_for_more_can_be_fitted() -> None:
    curves = milky_way_curves(made_up())
    result = fit_map(curves, [PROFILES[name] for name in ("DARKexp", "coreNFW", "DC14")])
    assert result.tables["catalogue"]["profile"].tolist() == ["DARKexp", "coreNFW", "DC14"]
    assert len(result.tables["rejected"]) == 0


def test_a_galaxy_without_a_bulge() -> None:
    curves = milky_way_curves(made_up(), BaryonModel(stars=(Disk(5e10, 2.5),)))
    assert RotationModel(curves, NFW).free == ("r_s_kpc", "v_s_kms", "ml_disk")
    np.testing.assert_allclose(curves.galaxies.luminosity, 5e10 / 0.5 / 1e9)


# --- the dark matter around the Sun ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
def test_the_density_is_that_of_the_profile(name: str) -> None:
    """rho = d(r V^2)/dr / (4 pi G r^2), by differences of the velocities that the kernels give."""
    step = 1e-4
    r = 8.2 * np.array([1 - step, 1.0, 1 + step])
    curves = milky_way_curves(replace(made_up(points=3), r=r))
    model = RotationModel(curves, PROFILES[name])
    theta = model.target.transform(np.full((1, 1, model.target.dim), 0.62), np.array([0]))[0]
    mass = r * model.components(theta[0], 0)["halo"] ** 2 / G
    expected = (mass[2] - mass[0]) / (r[2] - r[0]) / (4 * np.pi * 8.2**2) / 1e9
    assert halo_density(model, theta, 8.2)[0] == pytest.approx(expected, rel=1e-5)


def test_units() -> None:
    density = (1 * units.Msun / units.pc**3 * constants.c**2).to_value("GeV/cm3")
    assert pytest.approx(density, rel=1e-5) == GEV_PER_CM3


@pytest.fixture(scope="module")
def fitted():
    return fit_milky_way(made_up(), [NFW], seed=3, systematic={22.0: 5.0})


def test_the_halo_put_in_is_found_at_the_sun(fitted) -> None:
    (row,) = fitted.tables["local"]
    truth = float(NFW.density(8.2, R_S, RHO_S))
    spread = 0.5 * (row["rho_local_p84"] - row["rho_local_p16"])
    assert 0.0 < spread < 0.2 * truth
    assert abs(row["rho_local_p50"] - truth) < 4 * spread
    assert abs(row["rho_local"] - truth) < 4 * spread
    assert row["rho_local_gev_p50"] == pytest.approx(row["rho_local_p50"] * GEV_PER_CM3)
    assert abs(math.log10(row["m_disk_p50"] / 3.65e10)) < 0.3
    assert row["converged"]
    assert row["ess"] > 400
    assert fitted.tables["local"]["rho_local_p16"].unit == "solMass / pc3"
    assert len(fitted.tables["baryons"]) == 6
    settings_ = fitted.provenance.settings
    assert settings_["r0_kpc"] == 8.2
    assert settings_["systematic_percent_from_kpc"] == {"22": 5.0}


def test_the_same_seed_gives_the_same_numbers(fitted) -> None:
    again = fit_milky_way(made_up(), [NFW], seed=3, systematic={22.0: 5.0})
    assert tuple(again.tables["local"][0]) == tuple(fitted.tables["local"][0])


def test_figures_say_what_they_show(fitted) -> None:
    plates = figures_milky_way.plates(fitted)
    assert [plate.name for plate in plates] == ["rotation_curve_Milky_Way", "local_density"]
    value = fitted.tables["local"]["rho_local_gev_p50"][0]
    assert f"NFW {value:.2f}" in plates[1].alt
    (shown,) = [line for line in plates[1].figure.axes[0].lines if line.get_marker() == "o"]
    assert shown.get_xdata()[0] == pytest.approx(value)


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path) -> None:
    curve = made_up()
    columns = {"R": curve.r, "vc": curve.v, "sig_plus": curve.e_plus, "sig_minus": curve.e_minus}
    Table(columns).write(tmp_path / "curve.csv")
    (tmp_path / "discs.toml").write_text(
        "[[stars]]\nmass = 3.6e10\nscale = 2.35\n[bulge]\nmass = 1.5e10\nscale = 0.7\n"
    )
    arguments = [str(tmp_path / "curve.csv"), "--profiles", "nfw", "--baryons", str(tmp_path / "discs.toml")]
    arguments += ["--systematic", "2", "--systematic", "15@20", "--r-max", "24", "--r0", "8.1"]
    arguments += ["-o", str(tmp_path / "fit")]
    run = CliRunner().invoke(mw, [*arguments, "--json"], catch_exceptions=False)
    report = json.loads(run.stdout)
    (row,) = report["profiles"]
    assert report["points"] == 28
    assert 0.1 < row["rho_local_gev_p16"] < row["rho_local_gev_p84"] < 1.0
    assert {path.name for path in (tmp_path / "fit").iterdir()} == {
        *("local.ecsv", "catalogue.ecsv", "result.h5"),
        *("rotation_curve_Milky_Way.png", "local_density.png"),
    }
    run = CliRunner().invoke(mw, [*arguments, "--figures", "none"], catch_exceptions=False)
    assert "NFW" in run.stdout
    wrong = CliRunner().invoke(mw, [*arguments, "--systematic", "much"])
    assert (wrong.exit_code, "for example 3 or 15@22, found 'much'" in wrong.output) == (2, True)


def test_the_curve_of_ou(data_dir: Path) -> None:
    """Not their analysis: their curve and baryons, with an error of 3 percent, under an NFW halo."""
    path = data_dir / "darkexp" / "milkyway" / "MW_RC_Ou2024_table1.tsv"
    if not path.is_file():
        pytest.skip(f"no curve of the Milky Way at {path}")
    curve = read_velocity_curve(path).within(r_max=22.0)
    (row,) = fit_milky_way(curve, [NFW], systematic={0.0: 3.0}).tables["local"]
    assert 0.3 < row["rho_local_gev_p50"] < 0.5  # the range of the literature: Read 2014, de Salas & Widmark 2021
    assert row["converged"]
