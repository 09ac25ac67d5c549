"""The mass of every profile is the integral of its density, and the published shapes are reproduced."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gamma as gamma_function
from scipy.special import gammainc, hyp2f1

from gpu.rotation import formula
from gpu.rotation.formula import BURKERT, CORENFW, DC14, EINASTO, LUCKY13, NFW, PISO

RADII = np.concatenate([np.geomspace(1e-6, 1e3, 19), [0.0199, 0.0201, 0.099, 0.101, 0.999, 1.001]])
DC14_SHAPES = [formula.dc14_shape(x) for x in np.linspace(-4.1, -1.3, 8)]
SHAPES = [
    *((kind, ()) for kind in (NFW, PISO, BURKERT, LUCKY13)),
    *((EINASTO, (alpha,)) for alpha in (0.02, 0.05, 0.1, 0.17, 0.3, 0.6, 1.0, 1.5, 2.2, 3.0, 5.0)),
    *((CORENFW, (core, n)) for core in (0.05, 0.4, 3.0) for n in (0.0, 0.3, 0.8, 1.0)),
    *((DC14, shape) for shape in DC14_SHAPES),
]


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
    return formula.mass(kind, x, math.log1p(x), *shape, *[0.0] * (3 - len(shape)))


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


def test_gauss_legendre_constants():
    nodes, weights = np.polynomial.legendre.leggauss(12)
    np.testing.assert_allclose(formula.NODES, nodes[6:], rtol=1e-15)
    np.testing.assert_allclose(formula.WEIGHTS, weights[6:], rtol=1e-14)


log_radius = st.floats(-6, 3)


@settings(max_examples=60)
@given(
    st.sampled_from([NFW, PISO, BURKERT, LUCKY13, EINASTO, CORENFW, DC14]),
    st.lists(log_radius, min_size=2, max_size=2, unique=True),
    st.floats(0.02, 5),
    st.floats(0, 1),
    st.floats(-6, 0),
)
def test_mass_is_finite_and_grows(kind, log_radii, scale, n, x_star):
    shape = {EINASTO: (scale,), CORENFW: (scale, n), DC14: formula.dc14_shape(x_star)}.get(kind, ())
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
