"""Profiles are what the papers say, and `check_profile` sees what is wrong with a new one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import astropy.units as u
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from astrotk.darkexp import table
from astrotk.darkexp.profiles import PROFILES, G, Profile, check_profile, profile_named
from catalogs.errors import ParameterError, UnitError

#: A shape of each profile that has one.
SHAPES = {
    "DARKexp": (3.5,),
    "DARKexp-gamma": (3.5,),
    "Einasto": (0.17,),
    "coreNFW": (0.4, 0.7),
    "DC14": (1.8, 3.1, 0.35),
}
#: The spline of DARKexp has a third derivative that jumps from node to node, the others have as many as one likes.
RTOL = {"DARKexp": 3e-4}

hernquist = Profile("Hernquist", lambda x: 1 / (x * (1 + x) ** 3), lambda x: 0.5 * (x / (1 + x)) ** 2)
generalized = Profile("gNFW", lambda x, g: x**-g * (1 + x) ** (g - 3), shape={"gamma": (0.0, 1.6)})


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_consistent(name):
    check_profile(PROFILES[name], rtol=RTOL.get(name, 1e-6))


def test_a_profile_of_ones_own_is_ten_lines_at_most():
    check_profile(hernquist)
    check_profile(Profile("Hernquist", hernquist.rho_hat, slope_hat=lambda x: -(1 + 4 * x) / (1 + x)))
    check_profile(generalized)


def nfw_mass(x):
    return np.log1p(x) - x / (1 + x)


def only_scalars(x):
    return math.exp(-x)


def branches(x):
    return 1.0 if x < 1 else x**-3


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        (Profile("a", lambda x: 1 / (x * (1 + x) ** 2), lambda x: 2 * nfw_mass(x)), "derivative x\\^2 rho_hat"),
        (Profile("b", lambda x: 2 / (x * (1 + x) ** 2), nfw_mass), "derivative x\\^2 rho_hat"),
        (Profile("c", lambda x: 1 / (1 + x**2), lambda x: x - np.arctan(x) + 1e-4), "vanish at the centre"),
        (Profile("d", lambda x: 1 / (1 + x) ** 3, slope_hat=lambda x: -2 * x / (1 + x)), "slope must be d ln rho"),
        (Profile("e", lambda x: 1 / (1 + x) ** 3, lambda x: 1 / x), "mass must increase"),
        (Profile("f", lambda x: (1 - x / 5) / (1 + x) ** 4), "mass must|finite, and positive"),
        (Profile("g", lambda x: -1 / (1 + x) ** 3), "finite, and positive"),
        (Profile("h", lambda x: x * np.nan), "finite"),
        (Profile("i", lambda x: 1.0), "arrays of the shape of x"),
        (Profile("j", lambda x: 1 / (1 + x) ** 3, lambda x: 0.1), "arrays of the shape of x"),
        (Profile("k", only_scalars), "arrays of the shape of x"),
        (Profile("l", branches), "arrays of the shape of x"),
        (Profile("m", lambda x, b: (1 + x) ** -b, lambda x, b: nfw_mass(x), shape={"b": (3, 4)}), "b = 3"),
    ],
)
def test_planted_errors_are_named(profile, complaint):
    with pytest.raises(ParameterError, match=complaint) as caught:
        check_profile(profile)
    assert str(caught.value).startswith(f"profile {profile.name}: ")
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class PerCubicKiloparsec(Profile):
    """Whoever forgets the factor 1e9 between the units of density."""

    def density(self, r, r_s, rho_s, *shape):
        return 1e9 * super().density(r, r_s, rho_s, *shape)


@dataclass(frozen=True)
class MassInsteadOfItsRoot(Profile):
    def velocity(self, r, r_s, rho_s, *shape):
        return super().velocity(r, r_s, rho_s, *shape) ** 2


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        (PerCubicKiloparsec("n", hernquist.rho_hat, hernquist.mass_hat), "4 pi r\\^2 rho in Msun"),
        (MassInsteadOfItsRoot("o", hernquist.rho_hat, hernquist.mass_hat), "V\\^2 r must be G M"),
    ],
)
def test_wrong_units_are_named(profile, complaint):
    with pytest.raises(ParameterError, match=complaint):
        check_profile(profile)


# --- against the literature ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "inner", "outer"),
    [
        ("DARKexp-gamma", 0.65 - 3 * math.log10(3.5), -4),
        ("NFW", -1, -3),
        ("pISO", 0, -2),
        ("Burkert", 0, -3),
        ("Lucky13", 0, -3),
        ("DC14", -SHAPES["DC14"][2], -SHAPES["DC14"][1]),
    ],
)
def test_slopes_at_both_ends(name, inner, outer):
    shape = SHAPES.get(name, ())
    assert float(PROFILES[name].slope(1e-6, *shape)) == pytest.approx(inner, abs=1e-4)
    assert float(PROFILES[name].slope(1e6, *shape)) == pytest.approx(outer, abs=1e-4)


def test_einasto_runs_as_a_power_through_minus_two_at_r_s():
    slopes = PROFILES["Einasto"].slope(np.array([1e-3, 1.0, 1e3]), 0.17)
    np.testing.assert_allclose(slopes, [-2 * 1e-3**0.17, -2, -2 * 1e3**0.17])


def test_corenfw_is_a_core_inside_and_nfw_outside():
    core, n = 0.4, 1.0
    assert float(PROFILES["coreNFW"].slope(1e-5, core, n)) == pytest.approx(0.0, abs=1e-3)
    assert float(PROFILES["coreNFW"].slope(30.0, core, n)) == pytest.approx(-91 / 31, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "expected", "atol"),
    [
        ("DARKexp", 1.0, 1e-3),
        ("DARKexp-gamma", 1.0, 1e-9),
        ("NFW", 1.0, 1e-9),
        ("Burkert", 1.5214, 5e-5),
        ("Lucky13", 2.0, 1e-9),
        ("Einasto", 1.0, 1e-9),
        ("DC14", (1.65 / 1.1) ** (1 / 1.8), 1e-9),
    ],
)
def test_radius_of_slope_minus_two(name, expected, atol):
    shape = SHAPES.get(name, ())
    found = brentq(lambda x: float(PROFILES[name].slope(x, *shape)) + 2, 0.1, 10)
    assert found == pytest.approx(expected, abs=atol)
    assert float(PROFILES[name].x_minus2(*shape)) == pytest.approx(found, abs=max(atol, 1e-9))


@pytest.mark.parametrize("phi0", [1.7, 3.0, 6.5])
def test_darkexp_gamma_is_the_dehnen_model_of_hjorth(phi0):
    """ApJ 811, 2 (2015), with the radius in units of r_-2 = a (2 - gamma) / 2 and the mass in that inside it."""
    gamma = 3 * math.log10(phi0) - 0.65
    x = np.geomspace(1e-3, 1e3, 13)
    y, y1 = x * (2 - gamma) / 2, (2 - gamma) / 2
    profile = PROFILES["DARKexp-gamma"]
    np.testing.assert_allclose(profile.h(x, phi0), ((y / (1 + y)) / (y1 / (1 + y1))) ** (3 - gamma), rtol=1e-12)
    hernquist_like = y**-gamma * (1 + y) ** (gamma - 4)
    np.testing.assert_allclose(profile.rho_hat(x, phi0) / profile.rho_hat(1.0, phi0),
                               hernquist_like / (y1**-gamma * (1 + y1) ** (gamma - 4)), rtol=1e-12)  # fmt: skip


def test_darkexp_gamma_is_flat_at_most_and_ends_where_it_would_not_turn():
    profile = PROFILES["DARKexp-gamma"]
    assert float(profile.slope(1e-9, 1.2)) == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_array_equal(profile.h(2.0, 1.2), profile.h(2.0, 1.6))
    for of in (profile.h, profile.rho_hat, profile.slope):
        assert np.isnan(of(2.0, 7.65))


def test_the_compiled_darkexp_is_its_table():
    x, phi0 = np.geomspace(1e-5, 1e5, 41), np.array([[0.5], [2.06], [6.4]])
    expected = x * np.exp(table.load().ln_v2(phi0, np.log(x)))
    np.testing.assert_allclose(PROFILES["DARKexp"].h(x, phi0), expected, rtol=1e-12)
    assert np.all(np.isnan(PROFILES["DARKexp"].h(x, table.load().phi0[-1] + 0.01)))


def test_the_prior_of_phi0_is_inside_the_table():
    low, high = PROFILES["DARKexp"].shape["phi0"]
    assert table.load().phi0[0] <= low < high <= table.load().phi0[-1]
    assert np.all(np.isfinite(PROFILES["DARKexp"].h(1.0, np.array([low, high]))))


def test_radius_of_the_largest_velocity_of_nfw():
    found = minimize_scalar(lambda x: -float(PROFILES["NFW"].h(x)) / x, bounds=(1, 4), options={"xatol": 1e-9})
    assert found.x == pytest.approx(2.16258, abs=2e-5)


def test_corenfw_is_that_of_read_agertz_and_collins():
    """MNRAS 459, 2573 (2016), their equations in kpc and Msun, at one halo."""
    r_s, rho_s, r_c, n = 12.0, 0.006, 5.0, 0.63
    for r in (0.05, 0.8, 5.0, 40.0):
        m_nfw = 4 * np.pi * rho_s * 1e9 * r_s**3 * (math.log(1 + r / r_s) - r / (r + r_s))
        rho_nfw = rho_s / ((r / r_s) * (1 + r / r_s) ** 2)
        f = math.tanh(r / r_c)
        mass = m_nfw * f**n
        density = f**n * rho_nfw + n * f ** (n - 1) * (1 - f**2) / (4 * np.pi * r**2 * r_c) * m_nfw / 1e9
        shape = (r_c / r_s, n)
        assert float(PROFILES["coreNFW"].enclosed_mass(r, r_s, rho_s, *shape)) == pytest.approx(mass, rel=1e-10)
        assert float(PROFILES["coreNFW"].density(r, r_s, rho_s, *shape)) == pytest.approx(density, rel=1e-10)


@pytest.mark.parametrize("x_star", [-3.6, -2.6, -1.4])
def test_dc14_is_that_of_di_cintio(x_star):
    """MNRAS 441, 2986 (2014), eq. 3, and its mass by quadrature."""
    alpha = 2.94 - math.log10(10 ** (-1.08 * (x_star + 2.33)) + 10 ** (2.29 * (x_star + 2.33)))
    beta = 4.23 + 1.34 * x_star + 0.26 * x_star**2
    gamma = -0.06 + math.log10(10 ** (-0.68 * (x_star + 2.56)) + 10 ** (x_star + 2.56))
    low, high = np.array(list(PROFILES["DC14"].shape.values())).T
    assert np.all((low <= [alpha, beta, gamma]) & ([alpha, beta, gamma] <= high))
    for x in (0.03, 0.9, 1.1, 25.0):
        expected, _ = quad(
            lambda t: t ** (2 - gamma) * (1 + t**alpha) ** ((gamma - beta) / alpha), 0, x, epsabs=0, epsrel=1e-11
        )
        assert float(PROFILES["DC14"].h(x, alpha, beta, gamma)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "DARKexp"])
def test_the_numerical_mass_of_a_profile_without_one_agrees(name):
    x, shape = np.geomspace(1e-3, 1e3, 25), SHAPES.get(name, ())
    plain = Profile(name, PROFILES[name].rho_hat, shape=PROFILES[name].shape)
    np.testing.assert_allclose(plain.h(x, *shape), PROFILES[name].h(x, *shape), rtol=1e-8)
    np.testing.assert_allclose(plain.slope(x, *shape), PROFILES[name].slope(x, *shape), rtol=1e-5, atol=1e-6)


def test_shapes_broadcast_against_radii():
    x, alpha = np.geomspace(0.1, 10, 5), np.array([[0.1], [0.3]])
    for profile in (PROFILES["Einasto"], Profile("own", PROFILES["Einasto"].rho_hat)):
        together = profile.h(x, alpha)
        assert together.shape == (2, 5)
        np.testing.assert_allclose(together[1], profile.h(x, 0.3), rtol=1e-13)


# --- units --------------------------------------------------------------------------------------------------------


def test_velocity_of_a_known_halo():
    """M(<r_s) = 4 pi rho_s r_s^3 (ln 2 - 1/2), V = sqrt(G M / r), with G of CODATA and the IAU's solar mass."""
    mass = 4 * np.pi * 0.01 * 1e9 * 10.0**3 * (math.log(2) - 0.5)
    g = 6.6743e-11 * 1.98841e30 / 3.0856775814913673e19 / 1e6
    assert pytest.approx(g, rel=1e-4) == G
    assert float(PROFILES["NFW"].enclosed_mass(10.0, 10.0, 0.01)) == pytest.approx(mass, rel=1e-12)
    assert float(PROFILES["NFW"].velocity(10.0, 10.0, 0.01)) == pytest.approx(math.sqrt(g * mass / 10), rel=1e-4)


@pytest.mark.parametrize("method", ["density", "enclosed_mass", "velocity"])
def test_quantities_are_converted(method):
    function = getattr(PROFILES["Burkert"], method)
    plain = function(np.array([1.0, 2.0]), 4.0, 0.02)
    quantities = function([1000, 2000] * u.pc, 0.004 * u.Mpc, 2e7 * u.Msun / u.kpc**3)
    np.testing.assert_allclose(quantities, plain, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((1 * u.km / u.s, 4.0, 0.02), "r"),
        ((1.0, 4 * u.Msun, 0.02), "r_s"),
        ((1.0, 4.0, 0.02 * u.Msun / u.pc**2), "rho_s"),
    ],
)
def test_wrong_units_are_refused(arguments, name):
    for method in ("density", "enclosed_mass", "velocity"):
        with pytest.raises(UnitError, match=f"^{name}: "):
            getattr(PROFILES["NFW"], method)(*arguments)


def test_names():
    assert [profile_named(name.upper()).name for name in PROFILES] == list(PROFILES)
    assert profile_named(" corenfw ") is PROFILES["coreNFW"]
    with pytest.raises(ParameterError, match="'Plummer': choose from DARKexp, DARKexp-gamma, NFW"):
        profile_named("Plummer")
