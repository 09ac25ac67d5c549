"""Evidences with a closed form are found, and a run that is unsound says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import kstest, norm

from catalogs.errors import ParameterError
from stats import evidence as module
from stats.evidence import evidence
from stats.priors import Normal, Uniform
from stats.target import Target

LIVE = 60
WIDTH = 0.3


def gaussian(theta, objects):
    """A normalised Gaussian around the middle: its integral over a flat prior is the density of that prior."""
    return -0.5 * np.sum((theta / WIDTH) ** 2 + np.log(2 * np.pi * WIDTH**2), axis=-1)


def box(dim, objects=1, loglike=gaussian, **changes):
    parts = {
        "names": tuple(f"x{k}" for k in range(dim)),
        "priors": (Uniform(-5.0, 5.0),) * dim,
        "objects": [f"box {o}" for o in range(objects)],
        "loglike": loglike,
    }
    return Target(**(parts | changes))


def mean_pull(found, log_z):
    """The mean difference from the truth in its standard errors: beyond 4 once in 16000 sound tests."""
    return np.mean((found.log_z - log_z) / found.log_z_err) * np.sqrt(found.log_z.size)


@pytest.mark.parametrize(("dim", "objects", "sample"), [(2, 4, "unif"), (3, 2, "rwalk"), (5, 2, "unif")])
def test_a_gaussian_in_a_box(dim, objects, sample):
    found = evidence(box(dim, objects), live=LIVE, draws=500, sample=sample)
    log_z = -dim * np.log(10.0)
    assert np.all(np.abs(found.log_z - log_z) < 3 * found.log_z_err)
    assert abs(mean_pull(found, log_z)) < 4
    information = -log_z - dim * (np.log(WIDTH * np.sqrt(2 * np.pi)) + 0.5)
    np.testing.assert_allclose(found.log_z_err, np.sqrt(information / LIVE), rtol=0.35)  # Skilling 2006
    np.testing.assert_allclose(found.information, information, atol=5 * np.sqrt(dim / LIVE))
    assert np.all(found.converged)
    assert np.all(found.insertion_p > 1e-3)
    assert np.all(found.n_calls > 500)
    assert found.draws.shape == (objects, 500, dim)
    assert abs(found.draws.mean()) < 0.05
    assert found.draws.std() == pytest.approx(WIDTH, rel=0.1)


@dataclass(frozen=True)
class HalfPrior(Uniform):
    """A flat prior of which only the upper half is ever drawn: the volume is wrong by a factor of two."""

    def transform(self, u, objects):
        return Uniform.transform(self, 0.5 + 0.5 * u, objects)


def test_a_prior_volume_wrong_by_two_is_seen():
    halved = box(1, 6, lambda theta, objects: gaussian(theta - 2.0, objects), priors=(HalfPrior(-5.0, 5.0),))
    assert mean_pull(evidence(halved, live=LIVE, sample="unif"), -np.log(10.0)) > 4


def test_two_peaks():
    """A third of the mass in one corner, two thirds in the other."""

    def peaks(theta, objects):
        return np.logaddexp(
            np.log(1 / 3) + gaussian(theta + 3.0, objects), np.log(2 / 3) + gaussian(theta - 3.0, objects)
        )

    found = evidence(box(2, 2, peaks), live=LIVE, draws=2000, sample="unif")
    assert abs(mean_pull(found, -2 * np.log(10.0))) < 4
    assert np.all(found.converged)
    share = np.mean(found.draws[..., 0] < 0)
    # a peak is 0.8 % of its half of the box: what decides its share is how many of the live points fell to it
    assert abs(share - 1 / 3) < 4 * np.sqrt(2 / 9 / LIVE / 2)


def test_joint_terms_renormalise_the_prior():
    """Two standard normals tied together, of which one is measured: all is Gaussian."""
    tie, error, measured = 0.5, 0.2, 0.8
    target = Target(
        names=("a", "b"),
        priors=(Normal(0.0, 1.0), Normal(0.0, 1.0)),
        objects=["tied 0", "tied 1"],
        loglike=lambda theta, objects: -0.5 * ((theta[..., 0] - measured) / error) ** 2 - np.log(error),
        joint=lambda theta, objects: (theta[..., :1] - theta[..., 1:]) / tie,
    )
    covariance = np.linalg.inv(np.eye(2) + np.array([[1.0, -1.0], [-1.0, 1.0]]) / tie**2)
    log_z = norm.logpdf(measured, 0.0, np.sqrt(covariance[0, 0] + error**2)) + 0.5 * np.log(2 * np.pi)
    found = evidence(target, live=LIVE, draws=2000, sample="unif")
    assert abs(mean_pull(found, log_z)) < 4
    assert np.all(found.converged)
    gain = covariance[:, 0] / (covariance[0, 0] + error**2)
    np.testing.assert_allclose(found.draws.mean(axis=(0, 1)), gain * measured, atol=0.06)
    # without the second run ln Z would be off by that of J alone
    assert abs(mean_pull(found, log_z + 0.5 * np.log(np.linalg.det(covariance)))) > 6


def test_objects_have_streams_of_their_own():
    three = box(1, 3, lambda theta, objects: gaussian(theta - objects[:, None, None], objects))
    reversed_names = [f"box {o}" for o in (2, 0)]
    two = box(1, 2, lambda theta, objects: gaussian(theta - np.array([2, 0])[objects][:, None, None], objects))
    two = Target(two.names, two.priors, reversed_names, two.loglike)
    told = []
    first = evidence(three, live=30, draws=20, seed=4, progress=told.append)
    second = evidence(two, live=30, draws=20, seed=4)
    assert told == ["box 0", "box 1", "box 2"]
    for key in ("log_z", "log_z_err", "n_calls", "draws", "insertion_p"):
        np.testing.assert_array_equal(getattr(first, key)[[2, 0]], getattr(second, key), err_msg=key)
    assert not np.any(evidence(two, live=30, draws=20, seed=5).log_z == second.log_z)


def test_a_run_stopped_short_is_not_converged():
    found = evidence(box(2), live=LIVE, max_calls=800)
    assert not found.converged[0]
    assert found.n_calls[0] < 1100
    assert np.isfinite(found.log_z[0])


def test_a_likelihood_that_is_nowhere_finite_sinks_no_other_object():
    def hole(theta, objects):
        return np.where(objects[:, None] == 0, np.nan, gaussian(theta, objects))

    found = evidence(box(1, 2, hole), live=10, draws=5)
    assert np.isnan(found.log_z[0])
    assert np.all(np.isnan(found.draws[0]))
    assert found.converged.tolist() == [False, True]


def test_a_part_of_the_prior_that_is_impossible_counts_as_volume():
    def quarter(theta, objects):
        return np.where(np.all(theta > 0, axis=-1), 0.001 * theta[..., 0], np.nan)

    found = evidence(box(2, 3, quarter), live=LIVE, sample="unif")
    assert abs(mean_pull(found, np.log(0.25) + 0.0025)) < 4
    assert np.all(found.converged)


# --- the test of the runs ---------------------------------------------------------------------------------


def nested_sampling(rng, live, steps, drawn):
    """Nested sampling of ln L = -x on [0, 1], new points drawn from `drawn` of the allowed part."""
    standing = rng.uniform(size=live)
    logl, slot = [], []
    for _ in range(steps):
        worst = np.argmax(standing)
        logl.append(-standing[worst])
        slot.append(worst)
        standing[worst] *= drawn * rng.uniform()
    order = np.argsort(-standing)
    return np.append(logl, -standing[order]), np.append(slot, order)


def test_insertion_ranks_by_hand():
    """Slots a, b, c = 0, 1, 2 hold -3, -2, -1; their successors come in at -1.5, -0.5 and -1.2."""
    logl = np.array([-3.0, -2.0, -1.5, -1.2, -1.0, -0.5])
    slot = np.array([0, 1, 0, 0, 2, 1])
    np.testing.assert_array_equal(module._insertion_ranks(logl, slot, 3), [1, 2, 0])


def test_ranks_say_nothing_on_a_plateau():
    logl = np.array([-9.0, -9.0, -9.0, -3.0, -2.0, -1.0])
    slot = np.array([0, 1, 2, 1, 0, 2])
    np.testing.assert_array_equal(module._insertion_ranks(logl, slot, 3), [2])


def test_sound_runs_pass_and_a_shrunken_region_does_not():
    rng = np.random.default_rng(20)
    runs = [module._insertion_ranks(*nested_sampling(rng, 50, 600, 1.0), 50) for _ in range(60)]
    sound = [module._uniformity(ranks, 50, rng) for ranks in runs]
    assert kstest(sound, "uniform").pvalue > 1e-3
    wrong = module._insertion_ranks(*nested_sampling(rng, 50, 600, 0.8), 50)
    assert wrong.size == 600
    assert module._uniformity(wrong, 50, rng) < 1e-4


@pytest.mark.parametrize(
    ("target", "options", "complaint"),
    [(box(2, 0), {}, "has no objects"), (box(3), {"live": 6}, "more than twice the 3 parameters, found 6")],
)
def test_what_makes_no_sense_is_refused(target, options, complaint):
    with pytest.raises(ParameterError, match=complaint):
        evidence(target, **options)
