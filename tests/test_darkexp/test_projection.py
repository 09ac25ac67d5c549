"""Projected profiles have their closed forms, and dwarfs that were made up are found again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from astrotk.darkexp.profiles import PROFILES, Profile
from astrotk.darkexp.projection import Projection, projected_density
from catalogs.errors import ParameterError, UnitError

PLUMMER = Profile("Plummer", lambda x: (1 + x**2) ** -2.5)
HERNQUIST = Profile("Hernquist", lambda x: 1 / (x * (1 + x) ** 3))
JAFFE = Profile("Jaffe", lambda x: x**-2.0 * (1 + x) ** -2)
X = np.array([1e-4, 1e-2, 0.3, 0.9, 1.1, 3.0, 40.0, 900.0])


def outside(x):
    """X(s) of Hernquist 1990, eq. 33."""
    inner, outer = np.minimum(x, 1.0), np.maximum(x, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            x < 1, np.arccosh(1 / inner) / np.sqrt(1 - inner**2), np.arccos(1 / outer) / np.sqrt(outer**2 - 1)
        )


CLOSED = {
    "Plummer": (PLUMMER, 4 / 3 * (1 + X**2) ** -2),
    "pISO": (PROFILES["pISO"], np.pi / np.sqrt(1 + X**2)),
    "NFW": (PROFILES["NFW"], 2 * (1 - outside(X)) / (X**2 - 1)),  # Bartelmann 1996
    "Hernquist": (HERNQUIST, ((2 + X**2) * outside(X) - 3) / (1 - X**2) ** 2),
    "Jaffe": (JAFFE, np.pi / X + 2 * (1 - (2 - X**2) * outside(X)) / (1 - X**2)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name: str) -> None:
    profile, expected = CLOSED[name]
    r_s = 2.5
    found = projected_density(profile, X * r_s, r_s)
    # near X = 1, and far out, it is the closed forms that lose digits
    np.testing.assert_allclose(found, r_s * expected, rtol=1e-9 if name in ("Plummer", "pISO") else 1e-6)


@settings(max_examples=20)
@given(phi0=st.floats(1.7, 6.4), log_x=st.floats(-3, 2))
def test_darkexp_gamma_by_another_quadrature(phi0: float, log_x: float) -> None:
    """With r = R sqrt(1 + z^2): Sigma = 2 R int rho dz along the line of sight."""
    profile, x = PROFILES["DARKexp-gamma"], 10.0**log_x
    values = [
        quad(lambda y: float(profile.rho_hat(np.hypot(x, math.exp(y)), phi0)) * math.exp(y), a, a + 4, epsrel=1e-11)[0]
        for a in np.arange(math.log(x) - 28, math.log(x) + 28, 4.0)
    ]
    assert float(projected_density(profile, x, 1.0, phi0)) == pytest.approx(2 * sum(values), rel=1e-8)


def test_units_and_shapes() -> None:
    found = projected_density(PROFILES["NFW"], np.array([100.0, 200.0]) * u.pc, 1.0 * u.kpc)
    np.testing.assert_allclose(found, projected_density(PROFILES["NFW"], np.array([0.1, 0.2]), 1.0))
    both = projected_density(PROFILES["Einasto"], np.array([[0.1], [1.0]]), 1.0, np.array([0.2, 0.5, 1.0]))
    assert both.shape == (2, 3)
    with pytest.raises(UnitError, match="r_s"):
        projected_density(PROFILES["NFW"], 1.0, 1.0 * u.s)


# --- the tables ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables():
    return {name: Projection(PROFILES[name]) for name in ("Burkert", "DARKexp-gamma", "Einasto")}


@pytest.mark.parametrize("name", ["Burkert", "DARKexp-gamma", "Einasto"])
def test_tables_are_exact_between_their_points(tables, name: str) -> None:
    rng, table, profile = np.random.default_rng(3), tables[name], PROFILES[name]
    log_x = rng.uniform(math.log(2e-5), math.log(30.0), (40, 5))
    ends = {"Burkert": (), "DARKexp-gamma": (1.7, 6.4), "Einasto": (math.log10(0.1), math.log10(2.0))}[name]
    shape = rng.uniform(*ends, (40, 1)) if ends else np.empty((40, 0))
    own = [10.0**shape if table.log_shape else shape] if ends else []
    x = np.exp(log_x)
    expected = projected_density(profile, x, 1.0, *[np.broadcast_to(value, x.shape) for value in own])
    found = np.exp(table.log_sigma(log_x, shape))
    # the end of an Einasto halo is steeper than any spline, and has nothing to count
    tolerance = {"Burkert": (3e-6, 0.0), "DARKexp-gamma": (3e-6, 0.0), "Einasto": (3e-5, 1e-6)}[name]
    np.testing.assert_allclose(found, expected, rtol=tolerance[0], atol=tolerance[1])


def test_what_lies_within_a_cylinder(tables) -> None:
    """Of Plummer M(R) = R^2 / (1 + R^2); all of Burkert's by quadrature."""
    x = np.array([[1e-4, 0.1, 1.0, 10.0]])
    table, nothing = Projection(PLUMMER), np.empty((1, 0))
    np.testing.assert_allclose(table.inside(np.log(x), nothing), 4 * np.pi / 3 * x**2 / (1 + x**2), rtol=3e-6)
    burkert = tables["Burkert"]
    for outer in (0.01, 2.0):
        expected = quad(lambda s: 2 * math.pi * s * float(projected_density(PROFILES["Burkert"], s, 1.0)), 0, outer)[0]
        assert burkert.inside(np.array([[math.log(outer)]]), nothing)[0, 0] == pytest.approx(expected, rel=1e-5)
    assert burkert.inside(np.array([[-np.inf]]), nothing)[0, 0] == 0.0


def test_too_many_shapes_are_refused() -> None:
    with pytest.raises(ParameterError, match="DC14: expected at most one shape parameter for star counts, found 3"):
        Projection(PROFILES["DC14"])
