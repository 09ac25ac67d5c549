"""Every prior integrates to one, is sampled by its quantiles, and says truly where it is Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from scipy.integrate import quad

from stats.priors import Normal, Uniform

ONE = np.zeros(1, dtype=np.int64)

PRIORS = {
    "flat": Uniform(-2.0, 3.0),
    "Gaussian": Normal(1.0, 0.5),
    "cut on both sides": Normal(1.0, 0.5, 0.3, 2.0),
    "cut below": Normal(1.0, 0.5, low=0.9),
    "cut above": Normal(1.0, 0.5, high=0.9),
    "upper tail": Normal(0.0, 1.0, 12.0, 13.0),
    "lower tail": Normal(0.0, 1.0, -13.0, -12.0),
    "open upper tail": Normal(3.0, 0.1, low=6.0),
    "beyond the range of ndtr": Normal(0.0, 1.0, 45.0, 46.0),
}
every_prior = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


def logpdf(prior, x):
    return prior.logpdf(np.atleast_2d(x), ONE)[0]


def quantiles(prior, u):
    return prior.transform(np.atleast_2d(u), ONE)[0]


def reach(prior):
    """The part of the support that holds all but 1e-30 of the density."""
    low, high = quantiles(prior, [1e-30, 1 - 1e-16])
    return low, high


@every_prior
def test_density_integrates_to_one(prior):
    low, high = reach(prior)
    total, _ = quad(lambda x: np.exp(logpdf(prior, x)[0]), low, high, epsrel=1e-11, limit=200)
    assert total == pytest.approx(1.0, abs=1e-9)


@every_prior
def test_transform_inverts_the_cumulative_distribution(prior):
    low, _ = reach(prior)
    for u in (1e-6, 0.1, 0.5, 0.93):
        below, _ = quad(lambda x: np.exp(logpdf(prior, x)[0]), low, quantiles(prior, u)[0], epsrel=1e-11)
        assert below == pytest.approx(u, rel=1e-7, abs=1e-12)


@every_prior
def test_gauss_is_the_density_up_to_a_constant(prior):
    x = quantiles(prior, np.linspace(0.05, 0.95, 7))
    (mean,), (weight,) = prior.gauss(ONE)
    constant = logpdf(prior, x) + 0.5 * ((x - mean) * weight) ** 2
    np.testing.assert_allclose(constant, constant[0], rtol=1e-10, atol=1e-10)


@every_prior
def test_nothing_lies_outside_the_support(prior):
    (low,), (high,) = prior.support(ONE)
    outside = np.array([np.nextafter(low, -np.inf), np.nextafter(high, np.inf)])
    assert np.all(np.isneginf(logpdf(prior, outside)))
    assert np.isneginf(logpdf(prior, np.nan)[0])
    ends = np.array([end for end in (low, high) if np.isfinite(end)])
    assert np.all(np.isfinite(logpdf(prior, ends)))


@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.5, 4.0), (4.0, 5.5), (-8.0, -7.0), (2.5, np.inf)])
def test_draws_follow_the_cut_gaussian(low, high):
    mean, sd = 2.0, 0.8
    u = np.random.default_rng(3).uniform(size=4000)
    reference = scipy_stats.truncnorm((low - mean) / sd, (high - mean) / sd, loc=mean, scale=sd)
    draws = quantiles(Normal(mean, sd, low, high), u)
    assert scipy_stats.kstest(draws, reference.cdf).pvalue > 1e-3
    np.testing.assert_allclose(logpdf(Normal(mean, sd, low, high), draws), reference.logpdf(draws), rtol=1e-9)


finite = st.floats(-50, 50)


intervals = st.tuples(finite, finite).map(sorted).filter(lambda ends: ends[1] - ends[0] > 1e-6)


@given(finite, st.floats(0.01, 100), intervals, st.floats(0, 1))
def test_a_quantile_always_lies_in_the_support(mean, sd, ends, u):
    low, high = ends
    for prior in (Normal(mean, sd, low, high), Uniform(low, high)):
        x = quantiles(prior, u)
        assert low <= x[0] <= high
        assert np.isfinite(logpdf(prior, x)[0])


@given(finite, st.floats(0.1, 10), intervals, st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_quantiles_grow(mean, sd, ends, u):
    first, second = quantiles(Normal(mean, sd, *ends), u)
    assert first <= second


@given(st.floats(0, 1))
def test_quantiles_of_both_tails_mirror_each_other(u):
    upper, lower = Normal(0.0, 1.0, 6.0, 7.0), Normal(0.0, 1.0, -7.0, -6.0)
    assert quantiles(upper, u)[0] == pytest.approx(-quantiles(lower, 1 - u)[0], rel=1e-12)


def test_objects_have_their_own_numbers_and_share_scalars():
    prior = Normal(np.array([0.0, 10.0, 20.0]), 2.0, low=np.array([-1.0, 9.0, 19.0]))
    objects = np.array([2, 0])
    x = np.array([[19.5, 21.0], [0.5, 18.0]])
    expected = [
        [logpdf(Normal(mean, 2.0, low=mean - 1), value)[0] for value in row]
        for mean, row in zip((20.0, 0.0), x, strict=True)
    ]
    np.testing.assert_allclose(prior.logpdf(x, objects), expected, rtol=1e-14)
    thirds = prior.transform(np.full((2, 1), 0.3), objects) - [[20], [0]]
    np.testing.assert_allclose(thirds, quantiles(Normal(0.0, 2.0, -1.0), 0.3)[0])
    np.testing.assert_array_equal(prior.support(objects), [[19, -1], [np.inf, np.inf]])
    np.testing.assert_array_equal(prior.gauss(objects), [[20, 0], [0.5, 0.5]])

    flat = Uniform(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 6.0]))
    np.testing.assert_allclose(flat.logpdf(np.array([[4.0], [4.0]]), objects), [[-np.log(4)], [-np.inf]])
    np.testing.assert_array_equal(flat.transform(np.full((2, 1), 0.5), objects), [[4.0], [0.5]])
