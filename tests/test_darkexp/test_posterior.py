"""Posteriors of galaxies: the contract's columns, the same bits however the work is cut, failures that are named."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from astrotk.darkexp import posterior
from astrotk.darkexp.fit import fit_map
from astrotk.darkexp.mock import disks, observe
from astrotk.darkexp.model import RotationModel
from astrotk.darkexp.posterior import fit_posterior
from astrotk.darkexp.profiles import PROFILES, Profile
from catalogs.errors import CatalogFormatError
from catalogs.result import Result
from stats.parallel import open_executor

NFW, GAMMA, PISO = (PROFILES[name] for name in ("NFW", "DARKexp-gamma", "pISO"))
STEPS = 2**11


@pytest.fixture(scope="module")
def mocks():
    template, log_m200 = disks(4, seed=11)
    return observe(template, NFW, log_m200, seed=11)


@pytest.fixture(scope="module")
def fitted(mocks):
    return fit_posterior(mocks[0], [NFW, GAMMA], seed=3, max_steps=STEPS)


def test_the_catalogue_has_the_columns_of_a_posterior(mocks, fitted):
    rows = fitted.tables["catalogue"]
    assert list(rows["galaxy"]) == [name for name in mocks[0].name for _ in range(2)]
    wanted = ["galaxy", "profile", "chi2_red", "bic", "converged", "at_bound", "ess", "rhat", "p_beyond", "lacks"]
    assert set(wanted) <= set(rows.colnames)
    for name in ("distance_Mpc", "ml_disk", "r_s_kpc", "log10_m200", "r_minus2_kpc", "inner_slope"):
        low, middle, high = (np.asarray(rows[f"{name}_{end}"]) for end in ("p16", "p50", "p84"))
        assert np.all((low < middle) & (middle < high))
        assert rows[name].unit == rows[f"{name}_p50"].unit
        assert (
            rows[name].description in rows[f"{name}_p50"].description or "posterior" in rows[f"{name}_p50"].description
        )
    gamma = rows["profile"] == "DARKexp-gamma"
    assert np.all(np.isfinite(rows["phi0_p50"][gamma]))
    assert np.all(np.isnan(rows["phi0_p50"][~gamma]))
    assert np.all((np.asarray(rows["lacks"]) == "") == rows["converged"])


def test_every_column_is_documented(fitted):
    for table in ("catalogue", "summary", "galaxies", "curves"):
        for column in fitted.tables[table].columns.values():
            assert column.description, column.name


def test_the_summit_is_not_below_any_draw_nor_the_search(mocks, fitted):
    rows, maxima = fitted.tables["catalogue"], fit_map(mocks[0], [NFW, GAMMA], seed=3).tables["catalogue"]
    assert np.all(rows["chi2"] <= maxima["chi2"] + 0.05)


def test_the_truth_lies_where_the_posterior_is(mocks, fitted):
    """Of 4 galaxies x 4 quantities, each within 4.2 widths of its median: a false alarm in a thousand runs at most."""
    rows = fitted.tables["catalogue"]
    rows = rows[rows["profile"] == "NFW"]
    assert np.all(rows["converged"])
    for name in ("log10_m200", "log10_rho_s", "ml_disk", "distance_Mpc"):
        low, middle, high = (np.asarray(rows[f"{name}_{end}"]) for end in ("p16", "p50", "p84"))
        assert np.all(np.abs(np.asarray(mocks[1][name]) - middle) < 4.2 * np.maximum(high - middle, middle - low))


def test_quantiles_are_those_of_the_draws(fitted):
    rows, draws = fitted.tables["catalogue"], fitted.arrays["draws"]
    columns = fitted.arrays["draws_columns"].tolist()
    assert draws.shape == (len(rows), posterior.WRITTEN, len(columns))
    for name in ("ml_disk", "log10_rho_s"):
        own = np.quantile(draws[..., columns.index(name)], 0.5, axis=1)
        width = np.asarray(rows[f"{name}_p84"] - rows[f"{name}_p16"])
        assert np.all(np.abs(own - rows[f"{name}_p50"]) < 0.25 * width)
    assert np.all(np.isnan(draws[np.asarray(rows["profile"] == "NFW"), :, columns.index("phi0")]))


def test_bands_hold_the_curve(fitted):
    points = fitted.tables["curves"]
    assert np.all(points["v_total_p16"] <= points["v_total_p84"])
    inside = (points["v_total"] >= points["v_total_p16"]) & (points["v_total"] <= points["v_total_p84"])
    assert np.mean(inside) > 0.5


def assert_same(one: Result, other: Result) -> None:
    for name, table in one.tables.items():
        for column in table.colnames:
            np.testing.assert_array_equal(np.asarray(table[column]), np.asarray(other.tables[name][column]), column)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], name)


def test_shards_processes_and_resume_change_no_bit(mocks, fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(posterior, "SHARD", 3)
    common = {"seed": 3, "max_steps": STEPS, "folder": tmp_path / "shards"}
    with open_executor(2) as executor:
        shared = fit_posterior(mocks[0], [NFW, GAMMA], **common, executor=executor)
    assert_same(fitted, shared)
    next((tmp_path / "shards").glob("NFW*.h5")).unlink()
    counted = []
    with open_executor(1) as executor:
        resumed = fit_posterior(
            mocks[0], [NFW, GAMMA], **common, executor=executor, resume=True, progress=counted.append
        )
    assert_same(fitted, resumed)
    assert sum(counted) == 8


def test_a_galaxy_that_fails_costs_itself_alone(mocks, fitted, monkeypatch):
    curves = mocks[0]
    loglike = RotationModel.loglike

    def fragile(self, theta, objects):
        if curves.name[1] in self.curves.name:
            message = "the disk is upside down"
            raise ArithmeticError(message)
        return loglike(self, theta, objects)

    monkeypatch.setattr(RotationModel, "loglike", fragile)
    result = fit_posterior(curves, [NFW], seed=3, max_steps=STEPS)
    (lost,) = result.tables["rejected"]
    assert lost["name"] == curves.name[1]
    assert "NFW: ArithmeticError: the disk is upside down" in lost["reason"]
    rows = fitted.tables["catalogue"]
    rows = rows[(rows["profile"] == "NFW") & (rows["galaxy"] != curves.name[1])]
    for name in ("log10_rho_s_p50", "ess", "steps"):
        np.testing.assert_array_equal(result.tables["catalogue"][name], rows[name])
    with pytest.raises(CatalogFormatError, match="upside down"):
        fit_posterior(curves.select([1]), [NFW], seed=3, max_steps=STEPS)


def test_not_converged_is_a_result(mocks):
    rows = fit_posterior(mocks[0].select([0]), [GAMMA], seed=3, max_steps=512).tables["catalogue"]
    assert not rows["converged"][0]
    assert rows["lacks"][0]


def test_a_profile_of_your_own_and_one_without_r_minus2(mocks):
    hernquist = Profile("Hernquist", lambda x: 1 / (x * (1 + x) ** 3), lambda x: 0.5 * (x / (1 + x)) ** 2)
    rows = fit_posterior(mocks[0].select([0]), [hernquist, PISO], seed=3, max_steps=512).tables["catalogue"]
    assert np.isfinite(rows["r_minus2_kpc_p50"][0])
    assert np.isnan(rows["r_minus2_kpc_p50"][1])
    assert np.isnan(rows["p_beyond"][1])


def test_r_minus2_beyond_the_data_is_told(mocks):
    """Of the inner fifth of a curve, hardly anything is known of where the slope is -2."""
    curves = mocks[0].select([0])
    points = slice(0, curves.r.size // 5)
    inner = replace(
        curves,
        first=np.array([0, points.stop]),
        **{name: getattr(curves, name)[points] for name in ("r", "v_obs", "e_v_obs", "v_gas", "v_disk", "v_bulge")},
    )
    whole, part = (fit_posterior(c, [NFW], seed=3, max_steps=512).tables["catalogue"] for c in (curves, inner))
    assert part["p_beyond"][0] > whole["p_beyond"][0] + 0.1


def test_evidence_is_asked_for(mocks, monkeypatch):
    monkeypatch.setattr(posterior, "integrate", partial(posterior.integrate, live=60, dlogz=1.0))
    rows = fit_posterior(
        mocks[0].select([0]), [NFW], seed=3, max_steps=512, evidence=True, fixed={"ml_disk": 0.5}
    ).tables["catalogue"]
    assert np.isfinite(rows["ln_z"][0])
    assert 0 < rows["ln_z_err"][0] < 1
