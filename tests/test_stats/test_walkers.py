"""Walkers of many objects: priors and ties respected, nothing asked outside the support, NaN never taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from catalogs.errors import ParameterError
from stats import walkers
from stats.priors import Normal, Uniform
from stats.target import Target
from stats.walkers import Walkers

OBJECTS = ("NGC 1", "NGC 2", "UGC 3")


def gaussian(theta, objects):
    return -0.5 * np.sum((theta - objects[:, None, None]) ** 2, axis=-1)


def make(**changes):
    parts = {
        "names": ("a", "b"),
        "priors": (Normal(0.0, 3.0, low=-1.0), Uniform(-2.0, 5.0)),
        "objects": OBJECTS,
        "loglike": gaussian,
    }
    return Target(**(parts | changes))


def begin(target, objects=None, *, seed=1, power=None):
    objects = target.everything() if objects is None else np.asarray(objects)
    start = np.random.default_rng(0).uniform(0, 1, (len(OBJECTS), 2, 8, 2))[objects]
    return Walkers.begin(target, objects, start, seed=seed, purpose="walk", power=power)


class TestBookkeeping:
    def test_what_is_remembered_is_what_the_target_says(self):
        target = make(joint=lambda theta, _: theta[..., :1] - theta[..., 1:])
        crew = begin(target)
        crew.step(20)
        theta, objects = crew.by_ensemble(crew.x).reshape(3, -1, 2), target.everything()
        np.testing.assert_array_equal(crew.by_ensemble(crew.loglike).reshape(3, -1), gaussian(theta, objects))
        difference = crew.by_ensemble(crew.logprior).reshape(3, -1) - target.logprior(theta, objects)
        np.testing.assert_allclose(difference, difference[:, :1].repeat(16, axis=1), atol=1e-12)
        np.testing.assert_array_equal(crew.steps, 20)
        assert np.all((crew.accepted > 0) & (crew.accepted < 20 * 16))

    def test_walkers_are_returned_in_the_order_they_came(self):
        start = np.random.default_rng(3).uniform(size=(3, 2, 8, 2))
        crew = Walkers.begin(make(), np.arange(3), start, seed=1, purpose="walk")
        np.testing.assert_array_equal(crew.by_ensemble(crew.x), start)

    @pytest.mark.parametrize("outside", [-2.1, 5.1])
    def test_a_start_outside_the_posterior_is_refused_by_name(self, outside):
        start = np.full((2, 2, 8, 2), 0.5)
        start[1, 0, 3, 1] = outside
        with pytest.raises(ParameterError, match="'UGC 3' cannot start"):
            Walkers.begin(make(), np.array([0, 2]), start, seed=1, purpose="walk")

    def test_a_start_without_a_likelihood_is_refused_by_name(self):
        target = make(loglike=lambda theta, objects: np.where(objects[:, None] == 1, np.nan, gaussian(theta, objects)))
        with pytest.raises(ParameterError, match="'NGC 2' cannot start"):
            begin(target)


class TestSteps:
    def test_the_target_is_never_asked_outside_its_support(self):
        asked = []

        def record(theta, objects):
            asked.append(theta.copy())
            return np.zeros(theta.shape[:2])

        crew = begin(make(priors=(Uniform(0.0, 1.0), Normal(0.5, 10.0, 0.0, 1.0)), loglike=record))
        crew.step(200)
        seen = np.concatenate([theta.ravel() for theta in asked])
        assert seen.min() >= 0
        assert seen.max() <= 1
        assert np.ptp(seen) > 0.98

    def test_a_likelihood_that_is_no_number_is_never_taken(self):
        def holes(theta, objects):
            hole = np.where(theta[..., 0] > 2, np.nan, -np.inf)
            return np.where(np.abs(theta[..., 0] - 1) > 1, hole, gaussian(theta, objects))

        crew = begin(make(loglike=holes))
        crew.step(300)
        assert np.isfinite(crew.loglike).all()
        assert np.all(np.abs(crew.x[..., 0] - 1) <= 1)

    def test_without_a_likelihood_the_priors_and_their_ties_are_sampled(self):
        """a ~ N(0, 1), b ~ N(0, 1), tied by (a - b) / s: differences of variance 2 s^2 / (2 + s^2)."""
        objects = [str(k) for k in range(300)]
        target = Target(
            ("a", "b"),
            (Normal(0.0, 1.0), Normal(0.0, 1.0)),
            objects,
            lambda theta, _: np.zeros(theta.shape[:2]),
            joint=lambda theta, _: (theta[..., :1] - theta[..., 1:]) / 0.5,
        )
        start = np.random.default_rng(0).uniform(-1, 1, (300, 1, 16, 2))
        crew = Walkers.begin(target, target.everything(), start, seed=2, purpose="walk")
        crew.step(150)
        a, b = crew.x.reshape(-1, 2).T
        # 4800 draws, variances known to 2.1 %: 4 standard errors
        assert np.var(a - b) == pytest.approx(2 * 0.25 / 2.25, rel=0.085)
        assert np.var(a + b) == pytest.approx(2.0, rel=0.085)

    def test_the_power_is_that_of_the_likelihood(self):
        objects = [str(k) for k in range(200)]
        target = make(objects=objects, priors=(Uniform(-50, 50),) * 2, loglike=lambda t, _: -0.5 * np.sum(t**2, -1))
        start = np.random.default_rng(0).normal(size=(200, 2, 16, 2))
        power = np.tile([1.0, 0.25], (200, 1))
        crew = Walkers.begin(target, target.everything(), start, seed=2, purpose="walk", power=power)
        crew.step(100)
        for e, variance in ((0, 1.0), (1, 4.0)):  # 6400 numbers, variances known to 1.8 %: 4 standard errors
            assert np.var(crew.x[:, :, e]) == pytest.approx(variance, rel=0.071)


class TestSameBits:
    def test_whoever_else_is_there(self):
        target = make()
        together, apart = begin(target), [begin(target, [k]) for k in range(3)]
        together.step(50)
        for k, crew in enumerate(apart):
            crew.step(30)
            crew.step(20)
            np.testing.assert_array_equal(crew.x[0], together.x[k])
            assert crew.accepted[0] == together.accepted[k]

    def test_whoever_comes_and_goes(self):
        target = make()
        whole = begin(target)
        whole.step(50)
        some = begin(target, [2, 0])
        some.step(20)
        some = some.take(np.array([1])).join(begin(target, [1]))
        some.step(30)
        np.testing.assert_array_equal(some.steps, [50, 30])
        np.testing.assert_array_equal(some.x[0], whole.x[0])

    def test_on_any_number_of_threads(self, monkeypatch):
        monkeypatch.setattr(walkers, "ROWS_A_THREAD", 1)
        threads, found = numba.get_num_threads(), []
        try:
            for n in (1, threads):
                numba.set_num_threads(n)
                crew = begin(make())
                crew.step(20)
                found.append(crew.x)
                assert numba.get_num_threads() == n
        finally:
            numba.set_num_threads(threads)
        np.testing.assert_array_equal(*found)

    def test_the_threads_are_given_back_when_the_target_fails(self):
        def interrupted(theta, objects):
            if theta.shape[1] == 8:
                raise KeyboardInterrupt
            return gaussian(theta, objects)

        crew, threads = begin(make(loglike=interrupted)), numba.get_num_threads()
        with pytest.raises(KeyboardInterrupt):
            crew.step(1)
        assert numba.get_num_threads() == threads

    def test_seed_and_purpose_make_other_draws(self):
        target, start = make(), np.full((3, 1, 8, 2), 0.5) + np.arange(8)[:, None] / 10
        draws = []
        for seed, purpose in ((1, "walk"), (2, "walk"), (1, "anneal")):
            crew = Walkers.begin(target, target.everything(), start, seed=seed, purpose=purpose)
            crew.step(20)
            draws.append(crew.x)
        assert np.any(draws[0] != draws[1])
        assert np.any(draws[0] != draws[2])


WALK = """
import hashlib, json
import numpy as np
from stats import _moves
from stats.priors import Normal
from stats.target import Target
from stats.walkers import Walkers

def loglike(theta, objects):
    return -0.5 * np.sum((theta - objects[:, None, None]) ** 2, axis=-1)

target = Target(("a", "b"), (Normal(0.0, 3.0),) * 2, ("NGC 1", "NGC 2"), loglike)
start = np.linspace(-1, 1, 2 * 2 * 6 * 2).reshape(2, 2, 6, 2)
crew = Walkers.begin(target, target.everything(), start, seed=1, purpose="walk")
crew.step(25)
stats = getattr(_moves.propose, "stats", None), getattr(_moves.accept, "stats", None)
misses = sum(sum(s.cache_misses.values()) for s in stats if s)
hits = sum(sum(s.cache_hits.values()) for s in stats if s)
print(json.dumps([hashlib.sha256(crew.x.tobytes()).hexdigest(), hits, misses]))
"""


def walk(**environment):
    run = subprocess.run(
        [sys.executable, "-c", WALK], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def test_a_second_process_compiles_nothing_and_plain_python_gives_the_same_bits(tmp_path):
    first, hits, misses = walk(NUMBA_CACHE_DIR=str(tmp_path))
    assert (hits, misses) == (0, 2)
    second, hits, misses = walk(NUMBA_CACHE_DIR=str(tmp_path))
    assert (hits, misses) == (2, 0)
    plain, _, _ = walk(NUMBA_DISABLE_JIT="1")
    assert first == second == plain
