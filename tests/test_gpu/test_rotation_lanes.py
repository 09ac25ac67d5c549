"""The elementary functions of lanes against NumPy's, over all of their range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba import njit

from gpu.rotation import lanes


@njit(error_model="numpy")
def log1p(x):
    exponent, out = np.empty(x.shape[0]), np.empty(x.shape[0])
    lanes.log1p_lanes(x, exponent, out)
    return out


@njit(error_model="numpy")
def exp(x):
    scale, out = np.empty(x.shape[0]), np.empty(x.shape[0])
    lanes.exp_lanes(x, scale, out)
    return out


@njit(error_model="numpy")
def expm1(x):
    scale, out = np.empty(x.shape[0]), np.empty(x.shape[0])
    lanes.expm1_lanes(x, scale, out)
    return out


@njit(error_model="numpy")
def atan(x):
    out = np.empty(x.shape[0])
    lanes.atan_lanes(x, out)
    return out


def assert_close(found, expected, units):
    assert np.all(np.abs(found - expected) <= units * np.spacing(np.abs(expected)))


several = st.integers(1, 9)


@settings(max_examples=60)
@given(arrays(np.float64, several, elements=st.floats(-12, 12)))
def test_log1p_and_atan_of_what_is_positive(log_x):
    x = 10.0**log_x
    assert_close(log1p(x), np.log1p(x), 4)
    assert_close(atan(x), np.arctan(x), 2)


@settings(max_examples=60)
@given(arrays(np.float64, several, elements=st.floats(-707, 708)))
def test_exp(x):
    assert_close(exp(x), np.exp(x), 2)


@settings(max_examples=60)
@given(arrays(np.float64, several, elements=st.floats(-12, 2.85)))
def test_expm1_of_what_is_positive(log_x):
    assert_close(expm1(10.0**log_x), np.expm1(10.0**log_x), 3)


def test_where_the_reductions_step():
    # powers of two times sqrt(1/2), odd multiples of ln(2) / 2, tan(3 pi / 8) and 0.66
    x = np.concatenate(
        [np.nextafter(s * np.sqrt(0.5) * 2.0 ** np.arange(1, 60), t) - 1 for s in (1, 1 + 1e-12) for t in (0, np.inf)]
    )
    assert_close(log1p(x), np.log1p(x), 5)
    x = np.log(2) * (np.arange(-100, 100)[:, None] + [0.5, 0.5 + 1e-13, 0.5 - 1e-13]).ravel()
    assert_close(exp(x), np.exp(x), 2)
    x = np.nextafter(np.repeat([np.sqrt(2) + 1, 0.66], 2), np.tile([0, np.inf], 2))
    assert_close(atan(x), np.arctan(x), 2)


@pytest.mark.parametrize(("function", "at_zero"), [(log1p, 0.0), (exp, 1.0), (expm1, 0.0), (atan, 0.0)])
def test_zero_nan_and_far_away(function, at_zero):
    assert function(np.zeros(1))[0] == at_zero
    assert np.isnan(function(np.array([np.nan, 1.0]))).tolist() == [True, False]
    assert function(np.array([1e300]))[0] > 1


def test_the_exponential_stays_a_normal_number():
    assert exp(np.array([-1e300]))[0] == pytest.approx(np.exp(-708.0))
    assert exp(np.array([1e300]))[0] == expm1(np.array([1e300]))[0] == pytest.approx(np.exp(709.0))


def test_a_lane_alone_has_the_bits_of_the_lane_in_company():
    x = 10.0 ** np.random.default_rng(3).uniform(-6, 2, 67)
    for function in (log1p, exp, expm1, atan):
        together = function(x)
        assert [function(x[w : w + 1])[0] for w in range(x.size)] == together.tolist()
