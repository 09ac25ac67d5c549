"""Mock surveys come back through the readers, and their truth through the fit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import kstest

from astrotk.cli.darkexp.simulate import simulate as command
from astrotk.darkexp.fit import fit_map
from astrotk.darkexp.mock import disks, observe_from_prior
from astrotk.darkexp.model import RotationModel
from astrotk.darkexp.profiles import PROFILES
from astrotk.darkexp.simulate import host_mass, simulate
from catalogs.errors import ParameterError
from catalogs.result import read_result_table
from catalogs.sparc import read_rotation_curves

NFW, BURKERT = PROFILES["NFW"], PROFILES["Burkert"]


def test_the_prior_is_what_is_drawn() -> None:
    template, _ = disks(200, seed=3)
    curves, truth = observe_from_prior(template, BURKERT, seed=5)
    target = RotationModel(curves, BURKERT).target
    theta = np.stack([truth[name] for name in target.names], axis=1)
    assert np.all(np.isfinite(target.logprior(theta[:, None], target.everything())))
    for k, prior in enumerate(target.priors):
        # back to the unit cube by bisection of the quantile function
        low, high = np.zeros((200, 1)), np.ones((200, 1))
        for _ in range(40):
            middle = 0.5 * (low + high)
            below = prior.transform(middle, target.everything()) < theta[:, [k]]
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        assert kstest(low[:, 0], "uniform").pvalue > 1e-3, target.names[k]
    chi2 = -2 * target.loglike(theta[:, None], target.everything())[:, 0]
    pull = (chi2 - curves.n_points) / np.sqrt(2 * curves.n_points)
    assert abs(pull.mean()) < 4 / math.sqrt(200)  # false alarm 6e-5


def test_draws_belong_to_the_galaxy() -> None:
    template, _ = disks(3, seed=3)
    both, truth = observe_from_prior(template, NFW, seed=1)
    alone, own = observe_from_prior(template.select([2]), NFW, seed=1)
    np.testing.assert_array_equal(both.v_obs[both.points(2)], alone.v_obs)
    assert tuple(truth[2]) == pytest.approx(tuple(own[0]), nan_ok=True)
    assert not np.any(observe_from_prior(template, NFW, seed=2)[0].v_obs == both.v_obs)


def test_real_galaxies_are_taken_in_turn(make_curves) -> None:
    template = make_curves(2)
    result = simulate(NFW, 5, template=template, seed=2)
    names = result.tables["galaxies"]["galaxy"].tolist()
    assert names == [f"made up {i % 2}-mock-{i + 1}" for i in range(5)]
    curves = result.tables["curves"]
    assert result.tables["truth"]["galaxy"].tolist() == names
    for i, name in enumerate(names):
        mine = curves[curves["galaxy"] == name]
        points = template.points(i % 2)
        for key in ("r", "e_v_obs", "v_gas", "v_bulge"):
            np.testing.assert_array_equal(mine[key], getattr(template, key)[points])
    assert len(set(np.asarray(curves["v_obs"]).tolist())) == len(curves)
    fewer = simulate(NFW, 3, template=template, seed=2).tables["curves"]
    np.testing.assert_array_equal(fewer["v_obs"], curves["v_obs"][: len(fewer)])


def test_the_halo_belongs_to_the_stars() -> None:
    curves, log_m200 = disks(200, seed=1)
    difference = host_mass(curves) - log_m200
    assert abs(np.median(difference)) < 0.1
    truth = simulate(NFW, 4, template=curves, seed=1).tables["truth"]
    np.testing.assert_allclose(truth["log10_m200"], host_mass(curves)[:4], atol=1e-3)
    heavy = simulate(NFW, 2, log_m200=12.5).tables["truth"]
    np.testing.assert_allclose(heavy["log10_m200"], 12.5, atol=1e-3)


def test_what_the_template_does_not_tell(make_curves) -> None:
    with pytest.raises(ParameterError, match=r"made up 1: expected its luminosity in the galaxy table, found none"):
        simulate(NFW, 2, template=make_curves(2, luminosity=np.array([False, True])))
    with pytest.raises(ParameterError, match="expected its r_eff"):
        simulate(PROFILES["coreNFW"], 2, template=make_curves(2, r_eff=True), log_m200=11.0)
    assert len(simulate(NFW, 2, template=make_curves(2, luminosity=True), log_m200=11.0).tables["truth"]) == 2
    with pytest.raises(ParameterError, match="choose from typical, prior, found 'heavy'"):
        simulate(NFW, 1, halos="heavy")


def test_galaxies_with_and_without_a_bulge_stand_in_one_template(make_curves, join) -> None:
    template = join(make_curves(1), make_curves(1, bulge=False))
    result = simulate(NFW, 4, template=template, halos="prior")
    truth = result.tables["truth"]
    np.testing.assert_array_equal(np.isfinite(truth["log10_ml_bulge"]), [True, False, True, False])


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "fits"])
def test_fit_recovers_what_the_command_writes(tmp_path: Path, suffix: str) -> None:
    arguments = ["--profile", "burkert", "-n", "6", "-o", str(tmp_path), "--format", suffix, "--seed", "4", "--json"]
    run = CliRunner().invoke(command, arguments, catch_exceptions=False)
    report = json.loads(run.stdout)
    curves = read_rotation_curves(report["curves"], report["galaxies"])
    assert (len(curves), curves.r.size, curves.rejected) == (6, report["points"], ())
    truth, provenance = read_result_table(report["truth"])
    assert provenance.seed == 4
    rows = fit_map(curves, [BURKERT]).tables["catalogue"]
    assert rows["galaxy"].tolist() == truth["galaxy"].tolist()
    assert rows["n_free"].tolist() == [5] * 6  # distance and inclination came along
    pull = (rows["log10_m200"] - truth["log10_m200"]) / rows["log10_m200_err"]
    known = np.isfinite(pull)
    assert np.sum(known) >= 4
    assert np.all(np.abs(pull[known]) < 5)


def test_a_real_galaxy_by_command(tmp_path: Path, sparc, data_dir: Path) -> None:
    path = data_dir / "darkexp" / "sparc" / "Rotmod_LTG" / "NGC3198_rotmod.dat"
    run = CliRunner().invoke(command, ["--template", str(path), "-n", "3", "-o", str(tmp_path)], catch_exceptions=False)
    assert run.stdout.startswith("3 galaxies, 129 points\n")
    curves = read_rotation_curves(tmp_path / "curves.ecsv", tmp_path / "galaxies.ecsv")
    own = sparc.select(sparc.name == "NGC3198")
    np.testing.assert_array_equal(curves.e_v_obs, np.tile(own.e_v_obs, 3))
