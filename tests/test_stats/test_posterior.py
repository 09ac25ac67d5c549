"""Draws become numbers of each object; a prior's end that cuts a posterior is seen, one that does not is not."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from catalogs.errors import ParameterError
from stats.diagnostics import Diagnosis, diagnose
from stats.posterior import Posteriors, at_bound


def posteriors(seed=0):
    rng = np.random.default_rng(seed)
    chains = rng.normal(size=(3, 4, 50, 8, 2)) + np.arange(3)[:, None, None, None, None]
    draws = chains.reshape(3, -1, 2)
    logpost = -0.5 * np.sum((draws - np.arange(3)[:, None, None]) ** 2, axis=-1)
    return Posteriors(
        names=("a", "b"),
        objects=("x", "y", "z"),
        draws=draws,
        logpost=logpost,
        loglike=logpost + 1.0,
        ensembles=4,
        steps=np.array([100, 200, 300]),
        acceptance=np.array([0.3, 0.4, 0.5]),
        diagnosis=Diagnosis.stack([diagnose(c) for c in chains]),
        at_bound=np.zeros((3, 2), dtype=bool),
    )


def test_numbers_of_each_object():
    found = posteriors()
    expected = np.arange(3)[:, None] + np.array([-1.0, -1.0])
    np.testing.assert_allclose(found.quantiles(0.1587), expected, atol=0.15)
    assert found.best().shape == (3, 2)
    np.testing.assert_allclose(found.best(), np.arange(3)[:, None] * np.ones(2), atol=0.2)


def test_one_object_has_all_that_is_its_own():
    found, whole = posteriors().one("y"), posteriors()
    assert found.objects == ("y",)
    np.testing.assert_array_equal(found.draws[0], whole.draws[1])
    np.testing.assert_array_equal(found.loglike[0], whole.loglike[1])
    np.testing.assert_array_equal(found.diagnosis.ess[0], whole.diagnosis.ess[1])
    assert (found.steps[0], found.acceptance[0]) == (200, 0.4)
    assert found.diagnosis.converged.shape == (1,)


def test_an_unknown_object_is_refused():
    with pytest.raises(ParameterError, match=r"no posterior of 'w'; the objects are x, y, z$"):
        posteriors().one("w")


def test_arviz():
    pytest.importorskip("arviz_base")
    found, tree = posteriors(), posteriors().to_arviz("y")
    assert set(tree.posterior.data_vars) == {"a", "b"}
    assert dict(tree.posterior.sizes) == {"chain": 4, "draw": 400}
    np.testing.assert_array_equal(tree.posterior["b"].values.reshape(-1), found.draws[1, :, 1])
    np.testing.assert_array_equal(tree.sample_stats["lp"].values.reshape(-1), found.logpost[1])


def test_without_arviz_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(ParameterError, match=r"pip install 'astrotk\[arviz\]'"):
        posteriors().to_arviz("y")


class TestAtBound:
    def ask(self, x, low=-np.inf, high=np.inf):
        return bool(at_bound(x[None, :, None], np.array([[low]]), np.array([[high]]))[0, 0])

    @pytest.mark.parametrize("distance", [0.0, 1.0, 1.8, 2.2, 3.0, 5.0])
    @pytest.mark.parametrize("side", [-1, 1])
    def test_a_gaussian_reaches_an_end_up_to_two_widths_away(self, distance, side):
        rng = np.random.default_rng(1)
        x = side * rng.normal(size=200_000)
        x = 100 + 3 * x[side * x > -distance]
        ends = {"low" if side > 0 else "high": 100 - side * 3 * distance}
        assert self.ask(x, **ends) == (distance < 2)

    def test_a_flat_posterior_reaches_both_ends_and_a_scale_changes_nothing(self):
        x = np.random.default_rng(2).uniform(size=10_000)
        for scale in (1e-6, 1.0, 1e6):
            assert self.ask(scale * x, low=0.0)
            assert self.ask(scale * x, high=scale)
            assert not self.ask(scale * x, low=-scale, high=2 * scale)

    def test_without_ends_there_is_nothing_to_reach(self):
        assert not self.ask(np.random.default_rng(3).standard_cauchy(size=10_000))
