"""What follows from a halo, against bisection and the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from astrotk.darkexp.halos import INNER_RADIUS, derived, halo_at_200
from astrotk.darkexp.profiles import PROFILES, G, Profile

H0 = 0.073
SHAPES = {
    "DARKexp": [(1.0,), (2.06,), (4.5,)],
    "DARKexp-gamma": [(1.7,), (4.5,)],
    "Einasto": [(0.05,), (0.17,), (4.0,)],
    "coreNFW": [(0.02, 0.3), (0.4, 0.9), (4.0, 1.0), (0.4, 0.0)],
    "DC14": [(1.8, 3.1, 0.35), (0.7, 2.9, 1.2)],
}
CASES = [(name, shape) for name in PROFILES for shape in SHAPES.get(name, [()])]
generalized = Profile("gNFW", lambda x, g: x**-g * (1 + x) ** (g - 3), shape={"gamma": (0.0, 1.6)})


def halos(shape, n=4):
    r_s, v_s = np.geomspace(0.4, 40, n), np.geomspace(30, 300, n)
    return r_s, v_s, np.tile(np.array(shape, dtype=np.float64), (n, 1))


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_mean_density_within_r200_is_200_times_critical(name, shape):
    profile, (r_s, v_s, shapes) = PROFILES[name], halos(shape)
    rho_s = v_s**2 / (4 * np.pi * G * r_s**2 * float(profile.h(1.0, *shape))) / 1e9
    v200, c200 = halo_at_200(profile, r_s, 4 * np.pi * G * rho_s * 1e9 * r_s**2, shapes)
    r200 = r_s * c200
    critical = 3 * H0**2 / (8 * np.pi * G)
    mass = profile.enclosed_mass(r200, r_s, rho_s, *shape)
    np.testing.assert_allclose(mass / (4 / 3 * np.pi * r200**3), 200 * critical, rtol=1e-9)
    np.testing.assert_allclose(v200**2, G * mass / r200, rtol=1e-9)


def test_a_halo_that_is_nowhere_dense_enough_has_no_v200():
    amplitude = np.array([10.0, 1e4, np.nan])
    v200, c200 = halo_at_200(PROFILES["Burkert"], np.full(3, 10.0), amplitude, np.empty((3, 0)))
    np.testing.assert_array_equal(np.isnan(v200), [True, False, True])
    np.testing.assert_array_equal(np.isnan(c200), [True, False, True])
    assert v200[1] == pytest.approx(10 * H0 * 10 * c200[1])


def test_no_halos_have_no_columns_of_their_own():
    for profile in (PROFILES["coreNFW"], PROFILES["NFW"]):
        columns = derived(profile, np.empty(0), np.empty(0), np.empty((0, len(profile.shape))))
        assert all(column.shape == (0,) for column in columns.values())


@pytest.mark.parametrize(("name", "shape"), [case for case in CASES if case[0] != "pISO"])
def test_r_minus2_is_where_the_slope_is_minus_two(name, shape):
    profile, (r_s, v_s, shapes) = PROFILES[name], halos(shape)
    columns = derived(profile, r_s, v_s**2, shapes)
    x = columns["r_minus2_kpc"] / r_s
    assert x == pytest.approx(brentq(lambda t: float(profile.slope(t, *shape)) + 2, 0.05, 20), rel=2e-3)
    np.testing.assert_allclose(columns["v_minus2_kms"], v_s * np.sqrt(profile.h(x, *shape) / x), rtol=1e-9)
    np.testing.assert_allclose(columns["inner_slope"], profile.slope(INNER_RADIUS / r_s, *shape), rtol=1e-12)


def test_piso_never_falls_as_steeply():
    columns = derived(PROFILES["pISO"], np.ones(2), np.ones(2), np.empty((2, 0)))
    assert np.all(np.isnan(columns["r_minus2_kpc"]) & np.isnan(columns["v_minus2_kms"]))


def test_a_profile_of_ones_own_is_searched():
    gamma = np.array([0.0, 1.0, 1.5])
    np.testing.assert_allclose(generalized.x_minus2(gamma), 2 - gamma, rtol=1e-6)
    own = Profile("own pISO", lambda x: 1 / (1 + x**2))
    assert np.isnan(own.x_minus2())
    columns = derived(generalized, np.full(3, 5.0), np.full(3, 1e4), gamma[:, None])
    np.testing.assert_allclose(columns["r_minus2_kpc"], 5 * (2 - gamma), rtol=1e-6)
