"""The units edge: conversions against numbers known by hand, and spellings that tables use."""

from __future__ import annotations

import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Column, MaskedColumn
from astropy.utils.masked import Masked

from catalogs.errors import AstrotkError, ParameterError, UnitError
from catalogs.units import parse_unit, to_value

ERG = u.erg / u.s / u.cm**2 / u.Angstrom
SPELLINGS = {
    "km/s": u.km / u.s,
    "km s-1": u.km / u.s,
    "km s^-1": u.km / u.s,
    "km s**-1": u.km / u.s,
    "km.s-1": u.km / u.s,
    " km/sec ": u.km / u.s,
    "solMass": u.Msun,
    "Msun": u.Msun,
    "msun": u.Msun,
    "M_sun": u.Msun,
    "M⊙": u.Msun,
    "M_sol/kpc^3": u.Msun / u.kpc**3,
    "L/pc^2": u.Lsun / u.pc**2,
    "Lsun/pc2": u.Lsun / u.pc**2,
    "10^9 Lsun": 1e9 * u.Lsun,
    "10+9solLum": 1e9 * u.Lsun,
    "erg/s/cm2/Angstrom": ERG,
    "erg/(s cm2 AA)": ERG,
    "10**-17 erg/(s cm2 Ang)": 1e-17 * ERG,
    "[cm/s2]": u.dex(u.cm / u.s**2),
    "degrees": u.deg,
    "muHz": u.uHz,
    "Gyr": u.Gyr,
    "mag": u.mag,
    "%": u.percent,
    "---": u.dimensionless_unscaled,
    "": u.dimensionless_unscaled,
}


@pytest.mark.parametrize(("text", "unit"), SPELLINGS.items(), ids=repr)
def test_spellings_of_tables(text, unit):
    assert parse_unit(text) == unit


@pytest.mark.parametrize("text", ["furlongs!", "km/", "x" * 500, "(((", "\0", "1/0 m", "m^1e999"])
def test_what_is_no_unit_is_named(text):
    with pytest.raises(UnitError, match="expected a unit"):
        parse_unit(text)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("bomb", ["10**99999999 m", "10^99999999", "10+99999999m", "sqrt(10**99999999)"])
def test_powers_that_would_take_minutes_are_refused(bomb):
    with pytest.raises(UnitError):
        parse_unit(bomb)


def test_quantities_are_converted_and_numbers_taken_as_they_are():
    assert to_value(2 * u.km, "m", "r") == 2000.0
    np.testing.assert_array_equal(to_value([1, 2], "m", "r"), [1.0, 2.0])
    np.testing.assert_allclose(to_value(Column([1.0, 2.0], unit="kpc"), "pc", "r"), [1e3, 2e3])
    np.testing.assert_array_equal(to_value(Column([1.0, 2.0]), "pc", "r"), [1.0, 2.0])
    assert to_value(np.ones((2, 3), np.float32) * u.km / u.s, "km/s", "v").dtype == np.float64
    np.testing.assert_allclose(to_value(10 * u.mag, "mag", "m"), 10.0)


def test_masked_elements_become_nan():
    column = MaskedColumn([1.0, 2.0, 3.0], mask=[False, True, False], unit="kpc")
    np.testing.assert_allclose(to_value(column, "pc", "r"), [1e3, np.nan, 3e3])
    quantity = Masked([1.0, 2.0] * u.kpc, mask=[True, False])
    np.testing.assert_allclose(to_value(quantity, "pc", "r"), [np.nan, 2e3])
    np.testing.assert_array_equal(to_value(np.ma.array([1, 2], mask=[0, 1]), "pc", "r"), [1.0, np.nan])


def test_another_physical_type_names_argument_wanted_and_found():
    with pytest.raises(UnitError, match=r"speed: .*'km/s'.*'kg'"):
        to_value(3 * u.kg, "km/s", "speed")
    assert issubclass(UnitError, ValueError)
    assert issubclass(UnitError, AstrotkError)


def test_what_is_no_number_is_named():
    with pytest.raises(ParameterError, match="speed: expected numbers in 'km/s', found str"):
        to_value("fast", "km/s", "speed")


def test_plain_arrays_do_not_cost_an_import_of_astropy():
    script = (
        "import sys, numpy as np; from catalogs.units import to_value; "
        "to_value(np.ones(3), 'km/s', 'v'); sys.exit('astropy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
