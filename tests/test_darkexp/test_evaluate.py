"""Given parameters get the chi-square that a fit with them had, and what cannot be computed is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from astrotk.darkexp.evaluate import PARAMETER_COLUMNS, evaluate, read_parameters
from astrotk.darkexp.fit import fit_map
from astrotk.darkexp.profiles import PROFILES
from catalogs.errors import CatalogFormatError

KNOWN = [spec.name for spec in PARAMETER_COLUMNS]


@pytest.fixture(scope="module")
def fitted(make_curves, join):
    """Three galaxies, one of them without a bulge and one of which little is known, with all fits."""
    curves = join(
        make_curves(1, bulge=True, points=16),
        make_curves(1, bulge=False, points=12, seed=1),
        make_curves(1, bulge=False, points=9, seed=2, e_distance=True, e_inclination=True, inclination=True),
    )
    return curves, fit_map(curves, list(PROFILES.values()), seed=4).tables["catalogue"]


@pytest.fixture
def parameters(tmp_path):
    """Write a table and read it as parameters."""

    def written(table, name="parameters.ecsv", **options):
        table.write(tmp_path / name)
        return read_parameters(tmp_path / name, **options)

    return written


def evaluated(given, curves):
    return evaluate(given, curves).tables


def test_a_catalogue_gives_its_own_chi2(fitted, parameters):
    curves, catalogue = fitted
    table = evaluated(parameters(catalogue), curves)["evaluation"]
    assert len(table) == len(catalogue) == 27
    np.testing.assert_allclose(table["chi2"], catalogue["chi2"], rtol=1e-9)
    np.testing.assert_allclose(table["chi2_red"], catalogue["chi2_red"], rtol=1e-9)
    np.testing.assert_array_equal(table["n_points"], catalogue["n_points"])
    np.testing.assert_array_equal(table["n_free"], catalogue["n_free"])


def test_v200_and_c200_do_as_well(fitted, parameters):
    curves, catalogue = fitted
    virial = catalogue.copy()
    virial.remove_columns(["r_s_kpc", "log10_rho_s", "log10_m200", "n_free"])
    table = evaluated(parameters(virial), curves)["evaluation"]
    np.testing.assert_allclose(table["chi2"], catalogue["chi2"], rtol=1e-7)
    np.testing.assert_array_equal(table["n_free"], catalogue["n_free"])


def test_one_halo_worked_out_by_hand(make_curves, parameters):
    """NFW with the tabulated distance and inclination."""
    curves = make_curves(1, bulge=False)
    r_s, log_rho, ml = 8.0, -2.1, 0.45
    given = Table({"Name": ["made up 0"], "Model": ["nfw"]})
    given["r_s_kpc"], given["log10_rho_s"], given["ml_disk"] = [r_s], [log_rho], [ml]
    x = curves.r / r_s
    halo = 4 * np.pi * 4.30091e-6 * 10**log_rho * 1e9 * r_s**3 / curves.r * (np.log(1 + x) - x / (1 + x))
    v = np.sqrt(halo + curves.v_gas * np.abs(curves.v_gas) + ml * curves.v_disk**2)
    (row,) = evaluated(parameters(given), curves)["evaluation"]
    assert row["chi2"] == pytest.approx(np.sum(((curves.v_obs - v) / curves.e_v_obs) ** 2), rel=1e-12)
    assert row["n_free"] == 5
    assert row["chi2_red"] == pytest.approx(row["chi2"] / 7)


def test_an_inclination_has_nothing_to_be_compared_with_where_the_data_have_none(fitted, parameters):
    curves, catalogue = fitted
    given = catalogue[catalogue["galaxy"] == "joined 2"]
    given["inclination_deg"] = 50.0
    np.testing.assert_allclose(evaluated(parameters(given), curves)["evaluation"]["chi2"], given["chi2"], rtol=1e-9)


def test_the_number_of_free_parameters_of_the_table_counts(fitted, parameters):
    curves, catalogue = fitted
    given = catalogue.copy()
    given["n_free"] = np.arange(27.0)
    given["n_free"][5] = np.nan
    table = evaluated(parameters(given), curves)["evaluation"]
    expected = np.where(np.arange(27) == 5, catalogue["n_free"], np.arange(27))
    np.testing.assert_array_equal(table["n_free"], expected)
    degrees = np.asarray(catalogue["n_points"]) - expected
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(
            table["chi2_red"], np.where(degrees > 0, catalogue["chi2"] / degrees, np.nan), rtol=1e-9
        )


def test_rows_stay_in_order_and_keep_their_columns(fitted, parameters):
    curves, catalogue = fitted
    mixed = catalogue[[26, 3, 3, 11, 0]]
    mixed["note"] = list("abcde")
    table = evaluated(parameters(mixed), curves)["evaluation"]
    assert list(table["note"]) == list("abcde")
    assert list(table["galaxy"]) == list(mixed["galaxy"])
    np.testing.assert_allclose(table["chi2"], mixed["chi2"], rtol=1e-9)
    np.testing.assert_array_equal(table["chi2_given"], mixed["chi2"])


BAD = {
    "galaxy": ("NGC 0", "expected a galaxy of the data, found 'NGC 0'"),
    "profile": ("Plummer", "expected a profile among DARKexp, DARKexp-gamma, NFW, pISO"),
    "ml_disk": (-0.1, "ml_disk of 0 or more"),
    "ml_bulge": (np.nan, "ml_bulge of 0 or more for the bulge"),
    "distance_Mpc": (-3.0, "distance_Mpc > 0"),
    "inclination_deg": (0.0, "inclination_deg between 0 and 180"),
    "r_s_kpc": (-1.0, "finite chi-square"),
    "log10_rho_s": (400.0, "finite chi-square"),
    "alpha": (np.nan, "alpha > 0"),
}


@pytest.mark.parametrize("column", BAD)
def test_a_row_that_cannot_be_computed_is_empty_and_named(fitted, parameters, column):
    curves, catalogue = fitted
    value, reason = BAD[column]
    given = catalogue[catalogue["galaxy"] == "joined 0"]
    (place,) = np.flatnonzero(given["profile"] == "Einasto")
    given[column][place] = value
    tables = evaluated(parameters(given), curves)
    table = tables["evaluation"]
    assert len(table) == 9
    np.testing.assert_array_equal(np.isnan(table["chi2"]), np.arange(9) == place)
    assert np.isnan(table["chi2_red"][place])
    (line,) = tables["rejected"]
    assert reason in line["reason"]
    assert line["where"].endswith(f"parameters.ecsv, row {place + 1}")
    assert line["name"] == given["galaxy"][place]


def test_stars_without_mass_are_no_error(fitted, parameters):
    """A published catalogue may print a mass-to-light ratio of 0.00."""
    curves, catalogue = fitted
    given = catalogue[catalogue["profile"] == "NFW"]
    given["ml_disk"] = given["ml_bulge"] = 0.0
    bare = replace(curves, v_disk=np.zeros_like(curves.v_disk), v_bulge=np.zeros_like(curves.v_bulge))
    found = evaluated(parameters(given), curves)
    assert len(found["rejected"]) == 0
    given["ml_disk"] = given["ml_bulge"] = 0.5
    np.testing.assert_allclose(
        found["evaluation"]["chi2"], evaluated(parameters(given, "bare.ecsv"), bare)["evaluation"]["chi2"], rtol=1e-12
    )


def test_a_halo_must_be_given_one_way_or_the_other(fitted, parameters):
    curves, catalogue = fitted
    given = catalogue[catalogue["profile"] == "NFW"][:1]
    given["r_s_kpc"], given["c200"] = np.nan, np.nan
    (line,) = evaluated(parameters(given), curves)["rejected"]
    assert "expected r_s_kpc and log10_rho_s, or v200 and c200, found none" in line["reason"]


DARKEXP = ("DARKexp", "DARKexp-gamma")


def test_darkexp_may_be_given_by_where_its_slope_is_minus_two(fitted, parameters):
    curves, catalogue = fitted
    chosen = catalogue[np.isin(catalogue["profile"], DARKEXP)]
    given = chosen["galaxy", "profile", "ml_disk", "ml_bulge", "distance_Mpc", "inclination_deg", "phi0"]
    given["r_minus2_kpc"], given["v_minus2_kms"] = chosen["r_minus2_kpc"], chosen["v_minus2_kms"]
    np.testing.assert_allclose(evaluated(parameters(given), curves)["evaluation"]["chi2"], chosen["chi2"], rtol=1e-9)
    given["v_minus2_kms"][0], given["phi0"][1:3] = np.nan, [9.0, np.nan]
    reasons = list(evaluated(parameters(given, "worse.ecsv"), curves)["rejected"]["reason"])
    assert len(reasons) == 3
    assert "expected r_s_kpc and log10_rho_s, or r_minus2_kpc and v_minus2_kms, or v200 and c200, found" in reasons[0]
    assert "DARKexp-gamma expected phi0 between 1.65 and 6.5, found none" in reasons[1]
    assert "phi0 between 0.3 and 6.5" in reasons[2]


def test_where_the_slope_is_minus_two_is_not_enough_for_others(fitted, parameters):
    curves, catalogue = fitted
    given = catalogue[catalogue["profile"] == "NFW"][:1]["galaxy", "profile", "ml_disk", "ml_bulge", "r_minus2_kpc"]
    given["v_minus2_kms"] = 90.0
    (line,) = evaluated(parameters(given), curves)["rejected"]
    assert "expected r_s_kpc and log10_rho_s, or v200 and c200, found none" in line["reason"]


def test_corenfw_needs_the_effective_radius(make_curves, parameters):
    curves = make_curves(2, r_eff=[False, True])
    given = fit_map(make_curves(2), [PROFILES["coreNFW"]]).tables["catalogue"]
    tables = evaluated(parameters(given), curves)
    np.testing.assert_array_equal(np.isnan(tables["evaluation"]["chi2"]), [False, True])
    assert list(tables["rejected"]["reason"]) == ["coreNFW expected r_eff in the galaxy table, found none"]


def test_a_table_without_one_usable_row_still_has_its_rows(make_curves, parameters):
    given = Table({"galaxy": ["nobody", "no one"], "profile": ["NFW", "NFW"]})
    tables = evaluated(parameters(given), make_curves())
    assert len(tables["evaluation"]) == len(tables["rejected"]) == 2


@pytest.mark.parametrize("name", ["given.csv", "given.fits"])
def test_other_formats_and_names_of_columns(fitted, parameters, name):
    curves, catalogue = fitted
    given = catalogue[["galaxy", "profile", *(name for name in KNOWN[2:] if name in catalogue.colnames)]]
    for column in given.columns.values():
        column.unit = None if str(column.unit).startswith("dex") else column.unit  # astropy's writer cannot
    given.rename_column("ml_disk", "Ydisk")
    given.rename_column("galaxy", "ID")
    table = evaluated(parameters(given, name, column_map={"ml_disk": "Ydisk"}), curves)["evaluation"]
    np.testing.assert_allclose(table["chi2"], catalogue["chi2"], rtol=1e-6)


def test_a_table_without_galaxies_is_refused(parameters):
    with pytest.raises(CatalogFormatError, match="galaxy"):
        parameters(Table({"profile": ["NFW"], "r_s_kpc": [3.0]}))
