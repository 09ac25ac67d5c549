"""Chains of independent walkers are judged as ArviZ does; walkers that are not independent count as one."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base import array_stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from catalogs.errors import ParameterError
from stats.diagnostics import Diagnosis, Gate, autocorrelation_time, diagnose, quick


def autoregressive(rng, tau, steps, *, ensembles=4, walkers=32, dim=2, start=1.0):
    """Walkers of unit variance and a known autocorrelation time."""
    phi = (tau - 1) / (tau + 1)
    noise = rng.normal(size=(ensembles, steps, walkers, dim)) * np.sqrt(1 - phi**2)
    z0 = rng.normal(size=(ensembles, 1, walkers, dim)) * start
    return lfilter([1], [1, -phi], noise, axis=1, zi=phi * z0)[0]


class TestOneWalker:
    @settings(max_examples=60, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        ensembles=st.integers(2, 6),
        steps=st.integers(5, 200).map(lambda half: 2 * half),
        tau=st.sampled_from([0.4, 1.0, 5.0, 40.0]),
        digits=st.sampled_from([0, 1, 12]),
    )
    def test_numbers_are_those_of_arviz(self, seed, ensembles, steps, tau, digits):
        rng = np.random.default_rng(seed)
        chains = autoregressive(rng, tau, steps, ensembles=ensembles, walkers=1, dim=1).round(digits)
        assume(np.ptp(chains) > 0)
        found, plain = diagnose(chains), chains[..., 0, 0]
        bulk = array_stats.ess(plain, method="bulk")
        tail = array_stats.ess(plain, method="tail", prob=(0.05, 0.95))
        np.testing.assert_allclose(found.ess[0], min(bulk, tail), rtol=1e-9)
        np.testing.assert_allclose(found.rhat[0], array_stats.rhat(plain), rtol=1e-9)
        np.testing.assert_allclose(quick(chains)[0], array_stats.rhat(plain, method="split"), rtol=1e-9)

    def test_the_first_of_an_odd_number_of_steps_is_left_out(self):
        chains = autoregressive(np.random.default_rng(1), 3.0, 51)
        np.testing.assert_array_equal(diagnose(chains).rhat, diagnose(chains[:, 1:]).rhat)


class TestManyWalkers:
    def test_independent_walkers_are_worth_their_number(self):
        chains = autoregressive(np.random.default_rng(2), 9.0, 1800, dim=1)
        found = diagnose(chains)
        assert found.tau[0] == pytest.approx(9.0, rel=0.2)
        bulk_or_tail = chains.size / 9.0
        assert 0.75 * bulk_or_tail < found.ess[0] < 1.5 * bulk_or_tail

    def test_walkers_that_move_as_one_are_worth_one(self):
        one = autoregressive(np.random.default_rng(3), 9.0, 1800, walkers=1, dim=1)
        many = np.repeat(one, 32, axis=2)
        np.testing.assert_allclose(diagnose(many).ess, diagnose(one).ess, rtol=1e-3)

    def test_the_planted_bug_of_counting_walkers_as_independent_is_off_by_their_number(self):
        """32 walkers with a common drift of a tenth of the variance: most of the naive sample is not there."""
        rng = np.random.default_rng(4)
        own, common = (autoregressive(rng, 9.0, 1800, walkers=w, dim=1) for w in (32, 1))
        chains = np.sqrt(0.9) * own + np.sqrt(0.1) * common
        means = chains.reshape(4, 9, 200, -1).mean(axis=(2, 3))  # of stretches of 22 times: nearly independent
        truth = 1.0 / (means.var(ddof=1) / means.size)  # +- 24 %
        naive = array_stats.ess(chains[..., 0].swapaxes(1, 2).reshape(128, 1800), method="bulk")
        assert diagnose(chains).ess[0] == pytest.approx(truth, rel=0.75)
        assert naive > 2.5 * truth

    def test_the_truth_lies_within_the_error_that_the_sample_size_promises(self):
        rng = np.random.default_rng(5)
        pulls = []
        for _ in range(25):
            chains = autoregressive(rng, 6.0, 160, dim=8)
            pulls.append(chains.mean(axis=(0, 1, 2)) * np.sqrt(diagnose(chains).ess))
        # 200 pulls of unit variance scatter by 5 %; the smaller of bulk and tail makes the pulls smaller.
        assert 0.6 < np.var(pulls) < 1.2


class TestGate:
    def test_a_good_run_passes_and_each_lack_has_its_reason(self):
        names = ("slope", "offset")
        good = autoregressive(np.random.default_rng(6), 3.0, 200)
        shifted, wide = good.copy(), good.copy()
        slow = autoregressive(np.random.default_rng(6), 20.0, 140)
        shifted[2, ..., 1] += 0.7
        wide[2, ..., 1] *= 1.6
        frozen = good.copy()
        frozen[1, :, 7] = frozen[1, 0, 7]
        for chains, reason in [
            (good, ""),
            (shifted, "R-hat of offset is 1."),
            (wide, "R-hat of offset is 1."),
            (slow, "autocorrelation times of "),
            (good[:3], "3 of 4 ensembles"),
            (frozen, "1 walkers never moved"),
            (good[:, :, ::32], "effective draws of "),
        ]:
            found = diagnose(chains)
            assert bool(found.converged) == (reason == "")
            assert reason in str(found.reasons(names))
            assert (str(found.reasons(names)) == "") == (reason == "")

    def test_folded_ranks_see_what_means_do_not(self):
        chains = autoregressive(np.random.default_rng(7), 3.0, 200)
        chains[2] *= 1.6
        assert np.all(diagnose(chains).rhat > 1.01)
        assert np.all(quick(chains) < 1.01)

    @pytest.mark.parametrize("run", range(12))
    def test_seven_times_the_autocorrelation_are_not_enough(self, run):
        rng = np.random.default_rng(100 + run)
        tau, steps = 20.0, 140
        chains = autoregressive(rng, tau, 2 * steps, dim=4, start=2.0)[:, steps:]
        found = diagnose(chains)
        assert not found.converged
        assert diagnose(autoregressive(rng, 2.0, steps, dim=4)).converged

    def test_another_gate(self):
        chains = autoregressive(np.random.default_rng(8), 3.0, 200)
        assert not diagnose(chains, gate=Gate(ess=1e5)).converged
        assert not diagnose(chains, gate=Gate(taus=100)).converged
        assert diagnose(chains[:2], gate=Gate(ensembles=2)).converged


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None])
def test_what_is_not_finite_or_constant_has_not_converged(value):
    chains = autoregressive(np.random.default_rng(9), 2.0, 100, dim=3)
    if value is None:
        chains[..., 1] = 3.0
    else:
        chains[1, 5, 2, 1] = value
    found = diagnose(chains)
    assert np.isinf(found.rhat[1])
    assert found.ess[1] == 0
    assert not found.converged
    assert np.all(np.isfinite(found.rhat[[0, 2]]))
    assert np.all(found.ess[[0, 2]] > 100)
    assert np.isinf(quick(chains)[1])


def test_objects_are_judged_one_by_one():
    chains = autoregressive(np.random.default_rng(10), 3.0, 100, ensembles=24).reshape(2, 3, 4, 100, 32, 2)
    found = diagnose(chains)
    assert found.rhat.shape == (2, 3, 2)
    assert found.converged.shape == found.steps.shape == found.reasons(("a", "b")).shape == (2, 3)
    one = diagnose(chains[1, 2])
    np.testing.assert_array_equal(found.ess[1, 2], one.ess)
    np.testing.assert_array_equal(Diagnosis.stack([diagnose(chains[0]), diagnose(chains[1])]).rhat, found.rhat)
    np.testing.assert_array_equal(found.take(np.array([1])).rhat, found.rhat[1:])


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 1000))
def test_units_change_nothing(scale, shift, seed):
    chains = autoregressive(np.random.default_rng(seed), 3.0, 40)
    changed = diagnose(scale * chains + shift)
    found = diagnose(chains)
    np.testing.assert_allclose(changed.rhat, found.rhat, rtol=1e-3)
    np.testing.assert_allclose(changed.ess, found.ess, rtol=0.02)


def test_autocorrelation_time_of_a_long_run():
    chain = autoregressive(np.random.default_rng(11), 10.0, 4000, ensembles=1)[0]
    np.testing.assert_allclose(autocorrelation_time(chain), 10.0, rtol=0.15)


@pytest.mark.parametrize("shape", [(4, 9, 32, 2), (200, 32, 2), (4, 200, 0, 2)])
def test_what_are_no_chains_is_refused(shape):
    for function in (diagnose, quick):
        with pytest.raises(ParameterError, match=r"ensemble, step, walker, dim"):
            function(np.zeros(shape))
