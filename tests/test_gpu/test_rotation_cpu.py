from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba import njit

from gpu.rotation import cpu, formula
from gpu.rotation.cpu import LANES
from gpu.rotation.data import Constants, Curves


@njit
def log1p(x):
    exponent, out = np.empty(x.shape[0]), np.empty(x.shape[0])
    cpu.log1p_lanes(x, exponent, out)
    return out


@settings(max_examples=60)
@given(arrays(np.float64, st.integers(1, 9), elements=st.floats(-12, 12)))
def test_log1p_lanes(log_x):
    x = 10.0**log_x
    assert np.all(np.abs(log1p(x) - np.log1p(x)) <= 4 * np.spacing(np.log1p(x)))


def test_log1p_lanes_at_the_edges_of_its_reduction():
    # Powers of two times sqrt(1/2) are where the exponent steps.
    x = np.concatenate(
        [np.nextafter(s * np.sqrt(0.5) * 2.0 ** np.arange(1, 60), t) - 1 for s in (1, 1 + 1e-12) for t in (0, np.inf)]
    )
    np.testing.assert_allclose(log1p(x), np.log1p(x), rtol=1e-15)
    assert log1p(np.zeros(1))[0] == 0.0


@pytest.fixture
def curves():
    rng = np.random.default_rng(7)
    r = np.concatenate([np.linspace(0.5, 12, 9), np.linspace(1, 30, 4)])
    speeds = rng.uniform(10, 100, (3, 13))
    return Curves(
        np.array([0, 9, 13]), r, *speeds**2, rng.uniform(80, 200, 13), 1 / rng.uniform(2, 9, 13),
        np.array([[10.0, 60.0, 2.0, 20.0, 1.0], [50.0, 75.0, 4.0, 60.0, 5.0]]),
    )  # fmt: skip


CONSTANTS = Constants(4.30091727e-6, 0.073, 0.5727)


@pytest.mark.parametrize("rows", [0, 1, LANES - 1, LANES, LANES + 1, 2 * LANES + 3])
@pytest.mark.parametrize("galaxy", [0, 1])
def test_chi2_is_the_sum_of_squared_residuals(curves, galaxy, rows):
    rng = np.random.default_rng(8)
    theta = np.zeros((rows, 7))
    theta[:, :2] = rng.uniform((0.2, 1.7), (1.0, 2.2), (rows, 2))
    theta[:, 3:5] = rng.normal(-0.3, 0.1, (rows, 2))
    theta[:, 5:] = curves.galaxy[galaxy, :2]
    residuals = cpu.residuals(formula.BURKERT, formula.SCALE, theta, galaxy, curves, CONSTANTS)
    chi2 = cpu.chi2(formula.BURKERT, formula.SCALE, theta[None], np.array([galaxy]), curves, CONSTANTS)
    assert residuals.shape == (rows, curves.first[galaxy + 1] - curves.first[galaxy])
    np.testing.assert_allclose(np.sum(residuals**2, axis=1), chi2[0], rtol=1e-13)


def test_residuals_are_signed_in_units_of_the_error(curves):
    theta = np.array([[0.0, -300.0, 0.0, -300.0, -300.0, 10.0, 60.0]])  # no halo, no stars: the gas alone
    points = slice(0, 9)
    expected = (curves.v_obs[points] - np.sqrt(curves.gas[points])) * curves.weight[points]
    found = cpu.residuals(formula.NFW, formula.SCALE, theta, 0, curves, CONSTANTS)
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)
