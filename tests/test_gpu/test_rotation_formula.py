"""The mass of every profile is the integral of its density, and the published shapes are reproduced."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.interpolate import BSpline, NdBSpline
from scipy.special import gamma as gamma_function
from scipy.special import gammainc, hyp2f1

from gpu.rotation import formula
from gpu.rotation.data import Constants
from gpu.rotation.formula import BURKERT, CORENFW, DARKEXP, DARKEXP_GAMMA, DC14, EINASTO, LUCKY13, NFW, PISO

RADII = np.concatenate([np.geomspace(1e-6, 1e3, 19), [0.0199, 0.0201, 0.099, 0.101, 0.999, 1.001]])
DC14_SHAPES = [formula.dc14_shape(x) for x in np.linspace(-4.1, -1.3, 8)]
SHAPES = [
    *((kind, ()) for kind in (NFW, PISO, BURKERT, LUCKY13)),
    *((EINASTO, (alpha,)) for alpha in (0.02, 0.05, 0.1, 0.17, 0.3, 0.6, 1.0, 1.5, 2.2, 3.0, 5.0)),
    *((CORENFW, (core, n)) for core in (0.05, 0.4, 3.0) for n in (0.0, 0.3, 0.8, 1.0)),
    *((DC14, shape) for shape in DC14_SHAPES),
    *((DARKEXP_GAMMA, (phi0,)) for phi0 in (1.2, 1.647, 1.7, 3.0, 5.0, 7.6)),
]
#: A table of the form of DARKexp's: phi0 from 1 to 3 and ln x from -1.5 to 1.5, with coefficients that mean nothing.
PHI0, LOG_X = (1.0, 0.25, 9), (-1.5, 0.5, 7)
COEFFICIENTS = np.random.default_rng(5).uniform(-1, 1, (11, 9))
CONSTANTS = Constants(1.0, 1.0, 1.0, *PHI0[:2], *LOG_X[:2], COEFFICIENTS)


def nfw_mass(x):
    return 0.5 * x * x * hyp2f1(2, 2, 3, -x) if x < 0.1 else math.log1p(x) - x / (1 + x)


def density(kind, x, shape=()):
    """The definitions as they are published, in units of rho_s, with no eye for rounding or speed."""
    if kind == NFW:
        return 1 / (x * (1 + x) ** 2)
    if kind == PISO:
        return 1 / (1 + x**2)
    if kind == BURKERT:
        return 1 / ((1 + x) * (1 + x**2))
    if kind == LUCKY13:
        return 1 / (1 + x) ** 3
    if kind == EINASTO:
        return math.exp(-2 / shape[0] * (x ** shape[0] - 1))
    if kind == DARKEXP_GAMMA:  # in units where h is 1 at the radius of slope -2
        gamma = max(3 * math.log10(shape[0]) - 0.65, 0.0)
        scale = (2 - gamma) / 2
        return (3 - gamma) * (1 + scale) ** (3 - gamma) / (x**gamma * (1 + scale * x) ** (4 - gamma))
    if kind == CORENFW:
        core, n = shape
        f = math.tanh(x / core)
        return f**n / (x * (1 + x) ** 2) + n * f ** (n - 1) * (1 - f**2) / core * nfw_mass(x) / x**2
    alpha, beta, gamma = shape
    return 1 / (x**gamma * (1 + x**alpha) ** ((beta - gamma) / alpha))


def integrated(kind, x, shape=()):
    """The integral of t^2 density(t) from 0 to x, over ln t in steps too small for quad to miss a peak."""

    def shell(u):
        return math.exp(3 * u) * density(kind, math.exp(u), shape)

    edges = math.log(x) - np.arange(41)
    negligible = 1e-14 * max(map(shell, edges))
    return math.fsum(quad(shell, low, high, epsabs=negligible, epsrel=1e-12)[0] for high, low in pairwise(edges))


def mass(kind, x, shape=()):
    return formula.mass(kind, x, *shape, *[0.0] * (3 - len(shape)), CONSTANTS)


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_mass_is_the_integral_of_the_density(kind, shape):
    for x in RADII.tolist():
        assert mass(kind, x, shape) == pytest.approx(integrated(kind, x, shape), rel=1e-10)


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.17, 0.6, 1.0, 2.2, 5.0])
def test_einasto_is_an_incomplete_gamma_function(alpha):
    x = np.geomspace(1e-6, 1e3, 40)
    a, s = 3 / alpha, 2 / alpha
    whole = math.exp(s) * s**-a / alpha * gamma_function(a)
    with np.errstate(under="ignore"):
        expected = whole * gammainc(a, s * x**alpha)
    found = [mass(EINASTO, value, (alpha,)) for value in x.tolist()]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize(("kind", "switch"), [(NFW, 0.02), (PISO, 0.1), (BURKERT, 0.02), (LUCKY13, 0.02)])
def test_series_meets_closed_form(kind, switch):
    below, above = np.nextafter(switch, 0), np.nextafter(switch, 1)
    assert mass(kind, float(below)) == pytest.approx(mass(kind, float(above)), rel=3e-11)


@pytest.mark.parametrize("alpha", [0.05, 0.17, 0.6, 1.0, 2.2, 5.0])
def test_einasto_series_meets_continued_fraction(alpha):
    x = ((3 / alpha + 1) * alpha / 2) ** (1 / alpha)
    below, above = mass(EINASTO, x * (1 - 1e-14), (alpha,)), mass(EINASTO, x * (1 + 1e-14), (alpha,))
    assert below == pytest.approx(above, rel=1e-12)


@pytest.mark.parametrize("shape", DC14_SHAPES)
def test_double_power_series_meets_quadrature(shape):
    assert mass(DC14, 1.0, shape) == pytest.approx(mass(DC14, 1.0 + 1e-14, shape), rel=1e-12)


def test_double_power_contains_the_profiles_with_closed_forms():
    for x in RADII.tolist():
        assert mass(DC14, x, (1.0, 3.0, 1.0)) == pytest.approx(mass(NFW, x), rel=1e-10)
        assert mass(DC14, x, (1.0, 3.0, 0.0)) == pytest.approx(mass(LUCKY13, x), rel=1e-10)
        assert mass(DC14, x, (2.0, 2.0, 0.0)) == pytest.approx(mass(PISO, x), rel=1e-10)


@pytest.mark.parametrize("beta", [3.0, 3.0 + 1e-9, 3.0 - 1e-9, 2.5, 3.4])
def test_the_mass_outside_passes_through_its_logarithm(beta):
    shape = (1.7, beta, 0.4)
    for x in (1.0 + 1e-9, 1.2, 30.0, 1e4):
        assert mass(DC14, x, shape) == pytest.approx(integrated(DC14, x, shape), rel=1e-11)


# --- DARKexp ------------------------------------------------------------------------------------------------------


def knots(first, step, count):
    return first + step * np.arange(-3, count + 3)


def test_spline_is_the_uniform_b_spline():
    coefficients = np.array([0.3, -1.0, 2.0, 0.7])
    for u in (0.0, 0.2, 0.9, 1.0):
        expected = BSpline(np.arange(-3.0, 5.0), coefficients, 3)(u)
        assert formula.spline(u, *coefficients.tolist()) == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize("phi0", [1.0, 1.1, 2.0, 2.9999, 3.0])
def test_log_v2_is_the_tensor_product_spline(phi0):
    expected = NdBSpline((knots(*PHI0), knots(*LOG_X)), COEFFICIENTS, 3)
    for log_x in (-1.5, -1.2, 0.0, 0.3, 1.4999, 1.5):
        assert formula.log_v2_darkexp(log_x, phi0, CONSTANTS) == pytest.approx(
            float(expected([phi0, log_x])), rel=1e-12
        )


@pytest.mark.parametrize(("end", "outward"), [(-1.5, -1.0), (1.5, 1.0)])
def test_beyond_its_ends_the_curve_is_a_power_law_that_continues_it(end, outward):
    def at(distance):
        return formula.log_v2_darkexp(end + outward * distance, 1.4, CONSTANTS)

    slope = (at(0.0) - at(-1e-6)) / 1e-6
    for distance in (1e-9, 0.2, 3.0):
        assert at(distance) == pytest.approx(at(0.0) + slope * distance, abs=1e-5 * distance)


def test_outside_its_phi0_the_table_knows_nothing():
    for phi0 in (0.999, 3.001, -1e300, 1e300, math.inf, math.nan):
        assert math.isnan(formula.log_v2_darkexp(0.1, phi0, CONSTANTS))
    assert math.isnan(formula.log_v2_darkexp(math.nan, 2.0, CONSTANTS))


def test_mass_of_darkexp_is_x_v2():
    for x in (0.1, 1.0, 2.5):
        v2 = math.exp(formula.log_v2_darkexp(math.log(x), 1.7, CONSTANTS))
        assert mass(DARKEXP, x, (1.7,)) == pytest.approx(x * v2, rel=1e-14)


def test_gamma_of_hjorth():
    assert formula.dehnen_gamma(10.0 ** (1.65 / 3)) == pytest.approx(1.0, rel=1e-14)
    assert formula.dehnen_gamma(1.646) == formula.dehnen_gamma(0.3) == 0.0
    assert formula.dehnen_gamma(1.66) == pytest.approx(3 * math.log10(1.66) - 0.65)
    assert math.isnan(formula.dehnen_gamma(7.65))
    assert math.isnan(formula.dehnen_gamma(math.nan))


@pytest.mark.parametrize("phi0", [1.0, 2.0, 4.0, 6.5])
def test_r_s_of_darkexp_gamma_is_where_the_slope_is_minus_two(phi0):
    step = 1e-5
    slope = math.log(density(DARKEXP_GAMMA, math.exp(step), (phi0,)) / density(DARKEXP_GAMMA, math.exp(-step), (phi0,)))
    assert slope / (2 * step) == pytest.approx(-2.0, abs=1e-6)
    assert mass(DARKEXP_GAMMA, 1.0, (phi0,)) == pytest.approx(1.0, rel=1e-14)


# --- steps outwards -----------------------------------------------------------------------------------------------


def test_reach_integrates_polynomials_of_degree_nine():
    polynomial = np.polynomial.Polynomial(np.random.default_rng(2).uniform(-1, 1, 10))
    begin, end = 0.3, 1.7

    def series(x):
        return [polynomial.deriv(k)(x) / math.factorial(k) for k in range(5)]

    found = formula.reach(end - begin, *series(begin)) - formula.reach(begin - end, *series(end))
    primitive = polynomial.integ()
    assert found == pytest.approx(primitive(end) - primitive(begin), rel=1e-12)


@pytest.mark.parametrize(("kind", "shape"), [(EINASTO, (0.3,)), (EINASTO, (4.0,)), *((DC14, s) for s in DC14_SHAPES)])
def test_taylor_series_follow_the_density(kind, shape):
    growth = formula.growth_einasto if kind == EINASTO else formula.growth_double_power
    for x in (1e-3, 0.5, 1.4):
        shell = x**3 * density(kind, x, shape)
        series = (shell, *formula.taylor(shell, *growth(x ** shape[0], *shape)))
        for step in (-0.01, 0.01):
            found = sum(f * step**k for k, f in enumerate(series))
            there = x * math.exp(step)
            assert found == pytest.approx(
                there**3 * density(kind, there, shape), rel=3e-8 if shape == (4.0,) else 2e-10
            )


log_radius = st.floats(-6, 3)


@settings(max_examples=60)
@given(
    st.sampled_from([NFW, PISO, BURKERT, LUCKY13, EINASTO, CORENFW, DC14, DARKEXP_GAMMA]),
    st.lists(log_radius, min_size=2, max_size=2, unique=True),
    st.floats(0.02, 5),
    st.floats(0, 1),
    st.floats(-6, 0),
)
def test_mass_is_finite_and_grows(kind, log_radii, scale, n, x_star):
    shapes = {EINASTO: (scale,), CORENFW: (scale, n), DC14: formula.dc14_shape(x_star), DARKEXP_GAMMA: (1 + scale,)}
    shape = shapes.get(kind, ())
    inside, outside = (mass(kind, 10.0**log_x, shape) for log_x in sorted(log_radii))
    assert 0 < inside <= outside * (1 + 1e-10)
    assert math.isfinite(outside)


@settings(max_examples=40)
@given(log_radius, st.floats(0.02, 3))
def test_a_flattened_cusp_has_less_mass_inside_and_all_of_it_far_out(log_x, core):
    x = 10.0**log_x
    assert mass(CORENFW, x, (core, 1.0)) <= mass(CORENFW, x, (core, 0.3)) <= mass(CORENFW, x, (core, 0.0))
    assert mass(CORENFW, x, (core, 0.0)) == mass(NFW, x)
    assert mass(CORENFW, 100.0, (core, 1.0)) == pytest.approx(mass(NFW, 100.0), rel=1e-10)


@pytest.mark.parametrize(
    ("x_star", "expected"),
    [
        # Di Cintio et al. 2014, equation 3, worked out by hand at the two radii where a power of ten is one.
        (-2.33, (2.94 - math.log10(2), 2.519314, -0.06 + math.log10(10**-0.1564 + 10**0.23))),
        (-2.56, (2.94 - math.log10(10**0.2484 + 10**-0.5267), 2.503536, -0.06 + math.log10(2))),
    ],
)
def test_dc14_shape(x_star, expected):
    assert formula.dc14_shape(x_star) == pytest.approx(expected, rel=1e-12)


def test_dc14_shape_is_held_within_its_calibration():
    assert formula.dc14_shape(-7.0) == formula.dc14_shape(-4.1) != formula.dc14_shape(-4.0)
    assert formula.dc14_shape(0.0) == formula.dc14_shape(-1.3) != formula.dc14_shape(-1.4)
    assert all(math.isnan(value) for value in formula.dc14_shape(math.nan))


def test_baryons_keep_their_signs_and_tilt_is_one_at_the_tabulated_inclination():
    assert formula.baryons(-4.0, 10.0, 2.0, 0.5, 0.7, 2.0) == pytest.approx((-4 + 5 + 1.4) * 2, rel=1e-15)
    galaxy, row = np.zeros(5), np.zeros(7)
    galaxy[formula.INCLINATION_0], row[formula.INCLINATION] = 30.0, 90.0
    assert formula.tilt(row, galaxy) == pytest.approx(2.0, rel=1e-15)
    row[formula.INCLINATION] = 30.0
    assert formula.tilt(row, galaxy) == 1.0
