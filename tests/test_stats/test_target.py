"""A target adds its parts, shuts out what is impossible, and refuses to be built wrongly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from catalogs.errors import ParameterError
from stats.priors import Normal, Uniform
from stats.target import Target

CENTRES = np.array([0.0, 1.0, 2.0])


def loglike(theta, objects):
    return -0.5 * np.sum((theta - CENTRES[objects][:, None, None]) ** 2, axis=-1)


def target(**changes):
    parts = {
        "names": ("a", "b"),
        "priors": (Uniform(-5.0, 5.0), Normal(CENTRES, 2.0, low=-4.0)),
        "objects": ["x", "y", "z"],
        "loglike": loglike,
    }
    return Target(**(parts | changes))


def test_shapes():
    t = target(joint=lambda theta, objects: theta[..., :1] - theta[..., 1:])
    objects = np.array([2, 0])
    theta = t.transform(np.full((2, 5, 2), 0.4), objects)
    assert t.dim == 2
    assert theta.shape == (2, 5, 2)
    for function in (t.logprior, t.logpost):
        assert function(theta, objects).shape == (2, 5)
        assert np.all(np.isfinite(function(theta, objects)))
    assert [end.shape for end in t.support(objects)] == [(2, 2), (2, 2)]
    assert [part.shape for part in t.gauss(objects)] == [(2, 2), (2, 2)]
    np.testing.assert_array_equal(t.everything(), [0, 1, 2])


def test_the_posterior_is_the_sum_of_its_parts():
    t = target(joint=lambda theta, objects: np.stack([theta[..., 0] - theta[..., 1], 3 * theta[..., 0]], axis=-1))
    a, b, o = 0.7, 1.9, 1
    theta = np.array([[[a, b]]])
    mass = 0.5 * (1 + math.erf((CENTRES[o] + 4.0) / 2.0 / np.sqrt(2)))
    expected = (
        -np.log(10)
        - 0.5 * ((b - 1.0) / 2.0) ** 2
        - np.log(2.0 * np.sqrt(2 * np.pi) * mass)
        - 0.5 * (a - b) ** 2
        - 0.5 * (3 * a) ** 2
        - 0.5 * ((a - 1.0) ** 2 + (b - 1.0) ** 2)
    )
    assert t.logpost(theta, np.array([o]))[0, 0] == pytest.approx(expected, rel=1e-13)


def test_transform_draws_from_the_priors_of_each_object():
    t, objects = target(), np.array([1, 2])
    u = np.random.default_rng(1).uniform(size=(2, 2000, 2))
    theta = t.transform(u, objects)
    np.testing.assert_allclose(theta[..., 0], 10 * u[..., 0] - 5)
    assert theta[..., 1].min() > -4
    np.testing.assert_allclose(theta[..., 1].mean(axis=1), CENTRES[objects], atol=0.15)


@pytest.mark.parametrize("bad", [[-5.1, 0.0], [5.1, 0.0], [0.0, -4.1], [np.nan, 0.0], [0.0, np.nan]])
def test_outside_the_support_is_impossible(bad):
    theta = np.array([[[0.0, 0.0], bad]])
    found = target().logpost(theta, np.array([0]))
    assert np.isfinite(found[0, 0])
    assert np.isneginf(found[0, 1])


def test_the_likelihood_may_be_nonsense_outside_the_support():
    def explodes(theta, objects):
        return np.where(np.abs(theta[..., 0]) > 5, np.inf, 0.0)

    assert np.isneginf(target(loglike=explodes).logpost(np.array([[[6.0, 0.0]]]), np.array([0])))[0, 0]


def test_a_likelihood_or_joint_prior_that_is_not_a_number_is_impossible():
    def hole(theta, objects):
        return np.where(theta[..., 0] > 0, np.nan, 0.0)

    theta = np.array([[[1.0, 0.0], [-1.0, 0.0]]])
    for t in (target(loglike=hole), target(joint=lambda theta, objects: hole(theta, objects)[..., None])):
        found = t.logpost(theta, np.array([0]))[0]
        assert np.isneginf(found[0])
        assert np.isfinite(found[1])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"names": ("a", "b", "c")}, "3 names, 2 priors"),
        ({"priors": (Uniform(0.0, 1.0),)}, "2 names, 1 priors"),
        ({"names": ("a", "a")}, "different names, found a, a"),
        ({"objects": ["x", "y", "x"]}, "objects of a target need different names"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, complaint):
    with pytest.raises(ParameterError, match=complaint):
        target(**changes)
