"""Many posteriors at once: calibrated, equal to emcee's, the same bits in any company; a planted bug is caught."""

from __future__ import annotations

import inspect
import types

import emcee
import numba
import numpy as np
import pytest
from scipy.stats import ks_2samp

from catalogs.errors import ParameterError
from stats import _moves, batch, walkers
from stats.batch import sample
from stats.calibration import calibrate, prior_truth
from stats.diagnostics import Gate
from stats.priors import Normal, Uniform
from stats.starts import starting_points
from stats.target import Target

FEW = {"walkers": 16, "max_steps": 512}


def gaussian(theta, objects):
    return -0.5 * np.sum((theta - objects[:, None, None]) ** 2, axis=-1)


def make(**changes):
    parts = {
        "names": ("a", "b"),
        "priors": (Normal(0.0, 3.0), Uniform(-2.0, 8.0)),
        "objects": ("NGC 1", "NGC 2", "UGC 3", "UGC 4", "UGC 5"),
        "loglike": gaussian,
    }
    return Target(**(parts | changes))


@pytest.fixture(autouse=True)
def one_thread():
    """On a busy machine many small loops wait for each other longer than they run."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


def ridges():
    """Curved ridges, narrower from object to object."""

    def loglike(theta, objects):
        width = 0.75 ** objects[:, None]
        return -0.5 * (((theta[..., 1] - theta[..., 0] ** 2) / width) ** 2 + theta[..., 0] ** 2)

    return make(loglike=loglike)


class TestWhatComesBack:
    def test_numbers_belong_together(self):
        target, heard = make(), []
        found = sample(target, objects=np.array([3, 1, 0]), progress=heard.append)
        assert found.objects == ("UGC 4", "NGC 2", "NGC 1")
        assert sorted(heard) == sorted(found.objects)
        assert found.draws.shape == (3, 4 * 64 * 32, 2)
        assert np.all(found.diagnosis.converged)
        objects = np.array([3, 1, 0])
        np.testing.assert_array_equal(found.loglike, gaussian(found.draws, objects))
        constant = found.logpost - target.logpost(found.draws, objects)
        np.testing.assert_allclose(constant, constant[:, :1].repeat(constant.shape[1], axis=1), atol=1e-12)
        assert np.all((found.acceptance > 0.2) & (found.acceptance < 0.6))
        np.testing.assert_array_equal(found.at_bound, [[False, False], [False, False], [False, True]])

    def test_not_converged_is_a_result(self):
        found = sample(make(), objects=np.array([2]), gate=Gate(ess=1e6), max_steps=600)
        assert found.steps[0] == 768
        assert not found.diagnosis.converged[0]
        assert "effective draws" in found.diagnosis.reasons(found.names)[0]

    def test_an_object_runs_as_long_as_it_needs(self):
        found = sample(ridges())
        assert np.all(found.diagnosis.converged)
        assert found.steps[4] > found.steps[1] >= 512

    def test_draws_are_64_steps_evenly_spaced_over_the_second_half(self):
        target, own = ridges(), np.array([4])
        steps = 1024  # so the chain has been thinned
        found = sample(target, objects=own, seed=6, gate=Gate(ess=1e6), max_steps=steps)
        start = starting_points(target, own, seed=6, ensembles=4, walkers=32)
        crew = walkers.Walkers.begin(target, own, start, seed=6, purpose="walk")
        crew.step(steps // 2)
        expected = np.empty((4, 64, 32, 2))
        for k in range(64):
            crew.step(steps // 128)
            expected[:, k] = crew.by_ensemble(crew.x)[0]
        np.testing.assert_array_equal(found.draws[0].reshape(expected.shape), expected)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"objects": np.array([], dtype=int)}, "nothing to sample"),
            ({"walkers": 15}, "walkers must be even and at least 6 for 2 parameters, found 15"),
            ({"walkers": 4}, "walkers must be even and at least 6"),
            ({"max_steps": 100}, "max_steps must be at least 512, found 100"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, changes, message):
        with pytest.raises(ParameterError, match=message):
            sample(make(), **changes)

    def test_an_interruption_passes_through(self):
        calls = []

        def loglike(theta, objects):
            calls.append(len(theta))
            if len(calls) == 100:
                raise KeyboardInterrupt
            return gaussian(theta, objects)

        with pytest.raises(KeyboardInterrupt):
            sample(make(loglike=loglike))


class TestSameBits:
    """Of draws, number of steps and acceptance, whatever the company."""

    @staticmethod
    def assert_same(found, other):
        for name in other.objects:
            one, same = found.one(name), other.one(name)
            for field in ("draws", "logpost", "loglike", "steps", "acceptance"):
                np.testing.assert_array_equal(getattr(one, field), getattr(same, field))

    def test_alone_in_any_order_and_in_a_small_room(self, monkeypatch):
        whole = sample(ridges(), seed=5)
        assert len(set(whole.steps.tolist())) > 1
        self.assert_same(whole, sample(ridges(), seed=5, objects=np.array([2])))
        self.assert_same(whole, sample(ridges(), seed=5, objects=np.array([4, 0, 3])))
        monkeypatch.setattr(batch, "MEMORY", 2 * 8 * batch.FULL * 4 * 32 * 4)
        self.assert_same(whole, sample(ridges(), seed=5))

    def test_on_all_threads(self, monkeypatch):
        target, own = make(), np.array([0, 2])
        start = starting_points(target, own, seed=5, ensembles=4, walkers=16)
        one = sample(target, seed=5, objects=own, start=start, **FEW)
        monkeypatch.setattr(walkers, "ROWS_A_THREAD", 1)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        self.assert_same(one, sample(target, seed=5, objects=own, start=start, **FEW))

    def test_another_seed_is_another_run(self):
        assert np.any(sample(make(), seed=1, **FEW).draws != sample(make(), seed=2, **FEW).draws)


# --- the same posterior as emcee -------------------------------------------------------------------------------------


def correlated(theta, objects):
    a, b = np.moveaxis(theta, -1, 0)
    return -0.5 * (a * a - 1.8 * a * b + b * b) / (1 - 0.9**2)


def banana(theta, objects):
    a, b = np.moveaxis(theta, -1, 0)
    return -0.5 * ((b - a * a) / 0.5) ** 2 - 0.5 * a * a


def cut(theta, objects):
    a, b = np.moveaxis(theta, -1, 0)
    return -0.5 * ((a + b) / 0.5) ** 2 - 0.1 * b


def two_modes(theta, objects):
    near, far = (np.sum((theta - centre) ** 2, axis=-1) for centre in (-2.0, 2.0))
    return np.logaddexp(np.log(0.7) - 0.5 * near / 0.5, np.log(0.3) - 0.5 * far / 0.5)


@pytest.mark.parametrize("loglike", [correlated, banana, cut, two_modes])
def test_draws_are_those_of_emcee(loglike):
    """By two-sample tests of independent draws; twelve with a false alarm in 1e-4 each."""
    n = 40
    wide = (Uniform(-0.3, 20.0), Uniform(-20.0, 20.0)) if loglike is cut else (Uniform(-20.0, 20.0),) * 2
    target = make(loglike=loglike, priors=wide, objects=[str(k) for k in range(n)])
    found = sample(target, seed=3)
    assert found.diagnosis.converged.mean() > 0.9
    last = found.draws.reshape(n, 4, 64, 32, 2)[:, :, -1, ::4].reshape(-1, 2)

    own = np.array([0])
    sampler = emcee.EnsembleSampler(
        128, 2, lambda theta: target.logpost(theta[None], own)[0], vectorize=True, moves=emcee.moves.StretchMove()
    )
    sampler.random_state = np.random.RandomState(4).get_state()
    sampler.run_mcmc(found.draws[0, ::64][:128], 1200)
    theirs = sampler.get_chain(discard=200, thin=100, flat=True)
    for ours, other in (*zip(last.T, theirs.T, strict=True), (loglike(last, own), loglike(theirs, own))):
        assert ks_2samp(ours, other).pvalue > 1e-4


# --- calibration -----------------------------------------------------------------------------------------------------

DIM, MOCKS, NOISE = 4, 320, 0.5


@pytest.fixture(scope="module")
def mocks():
    """Data of a Gaussian model, theta ~ N(0, 1), y = theta + noise, and the truths they were made from."""
    names, objects = tuple("abcd"), [f"mock {k}" for k in range(MOCKS)]
    data = np.zeros((MOCKS, DIM))
    target = Target(
        names,
        (Normal(0.0, 1.0),) * DIM,
        objects,
        lambda theta, o: -0.5 * np.sum(((theta - data[o][:, None]) / NOISE) ** 2, axis=-1),
    )
    truth = prior_truth(target, 11)
    data += truth + NOISE * np.random.default_rng(12).normal(size=data.shape)
    return target, truth, data


@pytest.fixture
def without_the_jacobian(monkeypatch):
    """Plant a bug: the stretch move without its factor z^(d-1)."""
    source = inspect.getsource(_moves).replace("cache=True", "cache=False")
    factor = "gain -= (dim - 1) * math.log(z)"
    assert source.count(factor) == 1
    planted = types.ModuleType("planted")
    exec(compile(source.replace(factor, "pass"), "planted", "exec"), planted.__dict__)  # noqa: S102
    monkeypatch.setattr(_moves, "propose", planted.propose)
    monkeypatch.setattr(walkers, "DIFFERENTIAL", 0.1)


class TestCalibration:
    def test_posteriors_of_mocks_mean_what_they_say(self, mocks):
        target, truth, data = mocks
        found = sample(target, seed=13, walkers=16)
        assert np.all(found.diagnosis.converged)
        measured = calibrate(truth, found.draws, target.names, seed=14)
        assert np.all(measured.calibrated), measured.table()
        variance = 1 / (1 + NOISE**-2)
        pull = (found.draws.mean(axis=1) - data * variance / NOISE**2) * np.sqrt(found.diagnosis.ess / variance)
        # 1280 pulls; ess is of the worse of bulk and tails, so they scatter by somewhat less than 1
        assert 0.3 < np.var(pull) < 1.2
        np.testing.assert_allclose(found.draws.var(axis=1).mean(axis=0), variance, rtol=0.02)

    @pytest.mark.usefixtures("without_the_jacobian")
    def test_a_wrong_move_passes_the_comparison_of_chains_but_not_this(self, mocks):
        target, truth, _ = mocks
        found = sample(target, seed=13, walkers=16, objects=np.arange(120))
        assert np.all(found.diagnosis.converged)
        assert not np.any(calibrate(truth[:120], found.draws, target.names, seed=14).calibrated)
