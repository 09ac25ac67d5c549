"""emcee behind one call: the right distribution, the same bits after any interruption, no other run's chain."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import ClassVar

import emcee
import h5py
import numpy as np
import pytest
from scipy import stats as scipy_stats

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError, ParameterError
from stats._checkpoint import ROOM
from stats._emcee import SnookerMove, choose, describe
from stats.diagnostics import Gate
from stats.priors import Normal, Uniform
from stats.sampling import checkpoint_file, read_checkpoint, sample
from stats.target import Target

CENTRES = np.array([0.0, 3.0, -2.0])
COVARIANCE = np.array([[1.0, 0.8], [0.8, 2.0]])
PRECISION = np.linalg.inv(COVARIANCE)


def loglike(theta, objects):
    away = theta - CENTRES[objects][:, None, None]
    return -0.5 * np.einsum("...i,ij,...j", away, PRECISION, away)


def target(**changes):
    parts = {
        "names": ("a", "b"),
        "priors": (Normal(0.0, 3.0), Uniform(-30.0, 30.0)),
        "objects": ["NGC 1", "NGC 2", "UGC/3"],
        "loglike": loglike,
    }
    return Target(**(parts | changes))


def truth(k):
    """Mean and covariance of object k with the Gaussian prior of a."""
    covariance = np.linalg.inv(PRECISION + np.diag([1 / 9, 0]))
    return covariance @ PRECISION @ np.full(2, CENTRES[k]), covariance


class Recording(emcee.moves.StretchMove):
    """Remembers a random number of every half step."""

    seen: ClassVar[list[float]] = []

    def get_proposal(self, s, c, random):
        self.seen.append(random.rand())
        return super().get_proposal(s, c, random)


class TestPosterior:
    def test_numbers_are_those_of_the_closed_form(self):
        objects = np.array([0, 2])
        found = sample(target(), seed=1, objects=objects, walkers=16)
        assert found.draws.shape == (2, 4 * 256 * 16, 2)
        assert np.all(found.diagnosis.converged)
        assert np.all((found.acceptance > 0.2) & (found.acceptance < 0.7))
        assert not found.at_bound.any()
        for k, o in enumerate(objects):
            mean, covariance = truth(o)
            sigma = np.sqrt(np.diag(covariance))
            pull = (found.draws[k].mean(axis=0) - mean) / sigma * np.sqrt(found.diagnosis.ess[k])
            assert np.all(np.abs(pull) < 4)
            np.testing.assert_allclose(np.cov(found.draws[k].T), covariance, rtol=0.15)
        np.testing.assert_allclose(found.loglike, loglike(found.draws, objects))
        np.testing.assert_allclose(found.logpost, target().logpost(found.draws, objects))

    def test_objects_do_not_depend_on_each_other(self):
        quick = {"walkers": 8, "max_steps": 512}
        some = sample(target(), seed=3, objects=np.array([2, 0]), **quick)
        assert some.objects == ("UGC/3", "NGC 1")
        alone = sample(target(), seed=3, objects=np.array([0]), **quick)
        np.testing.assert_array_equal(some.one("NGC 1").draws, alone.draws)
        assert np.any(alone.draws != sample(target(), seed=4, objects=np.array([0]), **quick).draws)

    def test_no_random_number_serves_twice(self):
        Recording.seen.clear()
        sample(target(), moves=Recording(), objects=np.array([0, 1]), walkers=8, max_steps=512, gate=Gate(ess=np.inf))
        assert len(set(Recording.seen)) == len(Recording.seen) == 2 * 2 * 4 * 512

    def test_not_converged_is_a_result(self):
        found = sample(target(), objects=np.array([0]), walkers=8, gate=Gate(ess=1e6), max_steps=600, block=100)
        assert not found.diagnosis.converged[0]
        assert found.steps[0] == 600
        assert "effective draws" in found.diagnosis.reasons(found.names)[0]

    def test_one_ensemble_alone_tells_how_long_it_is(self):
        found = sample(target(), objects=np.array([0]), walkers=8, ensembles=1, max_steps=2048)
        assert not found.diagnosis.converged[0]
        assert "1 of 4 ensembles" in found.diagnosis.reasons(found.names)[0]
        assert found.diagnosis.steps[0] == pytest.approx(1024)
        assert np.all(found.diagnosis.steps[0] / found.diagnosis.tau[0] > 20)

    def test_progress_and_start(self):
        done = []
        start = np.random.default_rng(5).normal(size=(2, 4, 10, 2))
        found = sample(target(), objects=np.array([1, 2]), walkers=10, start=start, max_steps=512, progress=done.append)
        assert done == ["NGC 2", "UGC/3"]
        assert found.draws.shape == (2, 4 * 256 * 10, 2)


class UnweightedStretch(emcee.moves.StretchMove):
    """The planted bug: a stretch without its z^(d-1)."""

    def get_proposal(self, s, c, random):
        q, factors = super().get_proposal(s, c, random)
        return q, np.zeros_like(factors)


def variance_p(moves, scale):
    """The probability of the variance in 4 dimensions after 40 steps from exact draws of a Gaussian."""
    random, squares = np.random.RandomState(11), []
    for _ in range(8):
        sampler = emcee.EnsembleSampler(
            200, 4, lambda x: -0.5 * np.sum((x / scale) ** 2, axis=1), moves=moves, vectorize=True
        )
        sampler.random_state = random.get_state()
        end = sampler.run_mcmc(scale * random.normal(size=(200, 4)), 40, skip_initial_state_check=True)
        squares.append(np.sum((end.coords / scale) ** 2))
    share = scipy_stats.chi2.cdf(np.sum(squares), 8 * 200 * 4)
    return 2 * min(share, 1 - share)


class TestMoves:
    @pytest.mark.parametrize("moves", ["stretch", "de", "snooker", [("de", 0.5), ("snooker", 0.5)]])
    @pytest.mark.parametrize("scale", [0.1, 10.0])
    def test_leave_the_posterior_as_it_is(self, moves, scale):
        assert variance_p(choose(moves), scale) > 1e-3  # eight of these: a false alarm in 1 % of seeds

    def test_a_stretch_without_its_factor_does_not(self):
        assert variance_p(UnweightedStretch(), 1.0) < 1e-6

    def test_the_snooker_of_emcee_does_not_and_is_refused(self):
        if variance_p(emcee.moves.DESnookerMove(), 0.1) > 1e-3:
            pytest.fail("emcee has mended its DESnookerMove: stats._emcee need not refuse it any longer")
        with pytest.raises(ParameterError, match=r"use 'snooker'"):
            choose([("de", 0.8), (emcee.moves.DESnookerMove(), 0.2)])

    def test_names_and_moves_and_weights(self):
        own = emcee.moves.StretchMove(a=3.0)
        pairs = choose([("de", 3), (own, 1)])
        assert [weight for _, weight in pairs] == [3.0, 1.0]
        assert pairs[1][0] is not own
        assert "a=3.0" in describe(pairs)
        assert isinstance(choose("snooker")[0][0], SnookerMove)
        assert len(choose(["stretch", "walk"])) == 2

    @pytest.mark.parametrize("moves", ["leap", [], [("de", 0.0)], [("de", 0.5, 1)], 3])
    def test_what_is_no_move_is_refused(self, moves):
        with pytest.raises(ParameterError, match="move"):
            choose(moves)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"objects": np.array([], dtype=int)}, "nothing to sample"),
        ({"walkers": 4}, "even and at least 8 for 2 parameters, found 4"),
        ({"ensembles": 0}, "at least 1, found 0 and 128"),
        ({"max_steps": 100}, "at least 512, found 100"),
        ({"resume": True}, "name its folder"),
        ({"start": np.full((3, 4, 32, 2), 99.0)}, "'NGC 1' cannot start where the posterior is zero"),
        ({"start": np.zeros((3, 4, 30, 2))}, r"shape \(4, 32, 2\), found \(4, 30, 2\)"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, complaint):
    with pytest.raises(ParameterError, match=complaint):
        sample(target(), **arguments)


#: So many steps that the file must grow once; never converged.
LONG = {
    "seed": 5,
    "objects": np.array([2]),
    "walkers": 8,
    "block": 22,
    "gate": Gate(ess=np.inf),
    "max_steps": 22 * (ROOM + 8),
}


class Interrupt:
    """A likelihood that is interrupted from the keyboard at its n-th call."""

    def __init__(self, calls):
        self.calls = calls

    def __call__(self, theta, objects):
        self.calls -= 1
        if self.calls == 0:
            raise KeyboardInterrupt
        return loglike(theta, objects)


def same(one, other):
    for name in ("draws", "logpost", "loglike", "steps", "acceptance"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.diagnosis.ess, other.diagnosis.ess)


CHILD = """
import sys, time
import numpy as np
sys.path.insert(0, {folder!r})
import test_sampling as t
def slow(theta, objects):
    time.sleep(1e-4)
    return t.loglike(theta, objects)
t.sample(t.target(loglike=slow), checkpoint={out!r}, **t.LONG)
"""


BRIEF = LONG | {"max_steps": 512}


@pytest.fixture(scope="module")
def whole():
    return sample(target(), **LONG)


@pytest.fixture(scope="module")
def brief_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brief")
    sample(target(), checkpoint=folder, **BRIEF)
    return folder


class TestCheckpoint:
    def test_a_checkpoint_changes_nothing_and_holds_the_whole_chain(self, tmp_path, whole):
        same(sample(target(), checkpoint=tmp_path, **LONG), whole)
        chains = read_checkpoint(checkpoint_file(tmp_path, "UGC/3"))
        assert (chains.name, chains.parameters) == ("UGC/3", ("a", "b"))
        assert chains.chain.shape == (4, 22 * (ROOM + 8), 8, 2)
        kept = whole.draws.reshape(4, 256, 8, 2)
        np.testing.assert_array_equal(chains.chain[:, -1], kept[:, -1])
        np.testing.assert_array_equal(chains.logpost[:, -1], whole.logpost.reshape(4, 256, 8)[:, -1])
        assert chains.acceptance.mean() == pytest.approx(whole.acceptance[0])
        moved = np.mean(np.any(np.diff(chains.chain, axis=1) != 0, axis=-1))
        assert chains.acceptance.mean() == pytest.approx(moved, abs=0.01)
        # What is finished is not sampled again.
        same(sample(target(loglike=Interrupt(9)), checkpoint=tmp_path, resume=True, **LONG), whole)

    @pytest.mark.parametrize("calls", [500, 4001])
    def test_after_an_interrupt_the_same_bits(self, tmp_path, whole, calls):
        with pytest.raises(KeyboardInterrupt):
            sample(target(loglike=Interrupt(calls)), checkpoint=tmp_path, **LONG)
        same(sample(target(), checkpoint=tmp_path, resume=True, **LONG), whole)

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process at once")
    def test_after_a_kill_the_same_bits(self, tmp_path, whole):
        code = CHILD.format(folder=os.path.dirname(__file__), out=str(tmp_path))  # noqa: PTH120
        path = checkpoint_file(tmp_path, "UGC/3")
        with subprocess.Popen([sys.executable, "-c", code]) as child:
            seen, end = 0, time.monotonic() + 60
            while seen < ROOM and time.monotonic() < end and child.poll() is None:
                time.sleep(0.003)
                if path.exists():
                    seen = read_checkpoint(path).chain.shape[1] // 22
            child.kill()
        assert child.returncode == -signal.SIGKILL
        assert seen >= ROOM
        same(sample(target(), checkpoint=tmp_path, resume=True, **LONG), whole)

    def test_half_a_block_does_not_count(self, tmp_path, whole):
        with pytest.raises(KeyboardInterrupt):
            sample(target(loglike=Interrupt(1000)), checkpoint=tmp_path, **LONG)
        path = checkpoint_file(tmp_path, "UGC/3")
        before = read_checkpoint(path)
        with h5py.File(path, "r+") as file:
            file["chain"][int(file["blocks"][0])] = 1e300
        np.testing.assert_array_equal(read_checkpoint(path).chain, before.chain)
        same(sample(target(), checkpoint=tmp_path, resume=True, **LONG), whole)

    def test_a_resumed_run_may_be_longer(self, tmp_path):
        brief = BRIEF | {"ensembles": 2}
        sample(target(), checkpoint=tmp_path, **brief)
        longer = sample(target(), checkpoint=tmp_path, resume=True, **(brief | {"max_steps": 640}))
        same(longer, sample(target(), **(brief | {"max_steps": 640})))

    @pytest.mark.parametrize(
        ("changes", "arguments", "complaint"),
        [
            ({}, {"resume": False}, "holds a run already"),
            ({}, {"seed": 6}, "seed 6, found 5"),
            ({}, {"moves": "stretch"}, "moves '1 StretchMove"),
            ({}, {"walkers": 16}, "walkers 16, found 8"),
            ({}, {"ensembles": 5}, "ensembles 5, found 4"),
            ({}, {"block": 64}, "block 64, found 22"),
            ({}, {"start": np.zeros((1, 4, 8, 2))}, "start '[0-9a-f]+', found 'prior'"),
            ({"names": ("a", "c")}, {}, r"parameters \['a', 'c'\], found \['a', 'b'\]"),
            ({"priors": (Normal(0.0, 3.1), Uniform(-30.0, 30.0))}, {}, "priors '[0-9a-f]+', found '[0-9a-f]+'"),
            ({"loglike": lambda t, o: 2 * loglike(t, o)}, {}, "ln posterior .* the data or the model are others"),
        ],
    )
    def test_of_another_run_it_is_refused(self, brief_run, changes, arguments, complaint):
        with pytest.raises((CatalogFileError, CatalogFormatError), match=complaint) as caught:
            sample(target(**changes), checkpoint=brief_run, **(BRIEF | {"resume": True} | arguments))
        assert "\n" not in str(caught.value)

    def test_two_runs_in_one_file_are_noticed(self, tmp_path):
        path = checkpoint_file(tmp_path, "UGC/3")

        def meddling(theta, objects):
            if path.exists():
                with h5py.File(path, "r+") as file:
                    file["blocks"][0] = 7
            return loglike(theta, objects)

        with pytest.raises(CatalogFileError, match="another run writes to it"):
            sample(target(loglike=meddling), checkpoint=tmp_path, **LONG)

    def test_names_of_objects_become_names_of_files(self, tmp_path):
        names = ["UGC/3", "UGC_3", "../x", "", "ngc 1" * 90]
        files = [checkpoint_file(tmp_path, name) for name in names]
        assert len(set(files)) == len(names)
        assert all(file.parent == tmp_path and not file.name.startswith(".") for file in files)


def drop(name):
    def damage(file):
        del file[name]

    return damage


def replace(name, value):
    def damage(file):
        del file[name]
        file[name] = value

    return damage


def attribute(name, value):
    def damage(file):
        file.attrs[name] = value

    return damage


class TestHostileFiles:
    @pytest.fixture
    def path(self, brief_run, tmp_path):
        return shutil.copy(checkpoint_file(brief_run, "UGC/3"), tmp_path / "chain.h5")

    @pytest.mark.parametrize(
        ("damage", "complaint"),
        [
            (attribute("layout", "other"), "a checkpoint"),
            (attribute("identity", "{"), "an identity in JSON"),
            (attribute("identity", "[3]"), "an identity with names"),
            (attribute("identity", json.dumps({"parameters": ["a"]})), "names of 2 parameters"),
            (drop("logpost"), "expected 'logpost'"),
            (replace("blocks", [99]), "99 blocks of one shape"),
            (replace("blocks", [0]), "0 blocks of one shape, at least 1"),
            (replace("blocks", [-2]), "at least 1"),
            (replace("blocks", [1.5]), "integers"),
            (replace("logpost", np.zeros((16, 22, 4, 7))), "blocks of one shape"),
            (replace("chain", np.zeros((16, 22))), "5 axes"),
            (replace("chain", h5py.ExternalLink("other.h5", "/chain")), "not followed"),
        ],
    )
    def test_damage_is_named(self, path, damage, complaint):
        with h5py.File(path, "r+") as file:
            damage(file)
        with pytest.raises(AstrotkError, match=complaint):
            read_checkpoint(path)

    def test_a_truncated_file(self, path):
        path.write_bytes(path.read_bytes()[:20_000])
        with pytest.raises(CatalogFormatError):
            read_checkpoint(path)
