"""Starting points lie where the posterior is, however sharp it is and however rough the way."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from catalogs.errors import ParameterError
from stats.priors import Normal, Uniform
from stats.starts import starting_points
from stats.target import Target


@pytest.fixture(autouse=True)
def one_thread():
    """On a busy machine many small loops wait for each other longer than they run."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


def make(loglike, dim, n, **changes):
    parts = {
        "names": tuple("abcdef"[:dim]),
        "priors": (Uniform(-10.0, 10.0),) * dim,
        "objects": [f"NGC {k}" for k in range(n)],
        "loglike": loglike,
    }
    return Target(**(parts | changes))


def rough(theta, objects):
    """25000 nats deep; beyond 2 there is a local maximum every half unit, which no walker leaves."""
    ripple = np.clip(np.abs(theta) - 2, 0, 1) * (1 - np.cos(4 * np.pi * theta))
    return np.sum(-(theta**2) / 0.016 - 150.0 * ripple, axis=-1)


def find(target, *, objects=None, seed=1, ensembles=4, walkers=32):
    objects = target.everything() if objects is None else objects
    return starting_points(target, objects, seed=seed, ensembles=ensembles, walkers=walkers)


def test_no_walker_is_left_behind_at_a_local_maximum():
    target = make(rough, 4, 12)
    start = find(target)
    assert start.shape == (12, 4, 32, 4)
    loglike = rough(start.reshape(12, -1, 4), target.everything())
    # in the peak -2 loglike is a chi-square of 4 degrees: above 40 for 5e-8 of the walkers
    assert loglike.min() > -20
    assert np.ptp(loglike, axis=1).min() > 3


def two_modes(theta, objects):
    near, far = (np.sum(((theta - centre) / 0.2) ** 2, axis=-1) for centre in (-4.0, 5.0))
    return np.logaddexp(np.log(0.7) - 0.5 * near, np.log(0.3) - 0.5 * far)


def test_both_modes_are_kept_in_their_proportion_on_the_average():
    start = find(make(two_modes, 2, 150))
    share = np.mean(start[..., 0] < 0, axis=-1).ravel()
    # 600 ensembles that scatter by the few draws that find a mode: the mean is known to a sixtieth at worst
    error = share.std() / np.sqrt(share.size)
    assert error < 0.017
    assert abs(share.mean() - 0.7) < 4 * error


def test_joint_terms_count():
    tie = {"joint": lambda theta, _: (theta[..., :1] - theta[..., 1:]) / 0.1}
    start = find(make(lambda theta, _: np.zeros(theta.shape[:2]), 2, 20, **tie))
    # of the prior's 8; what is left over goes with the first steps of the run
    assert np.std(start[..., 0] - start[..., 1]) < 0.4


def test_points_lie_inside_the_support():
    target = make(
        lambda theta, _: 50 * theta[..., 0], 2, 3, priors=(Uniform(0.0, 1.0), Normal(0.0, 1.0, low=0.5, high=0.6))
    )
    start = find(target)
    assert np.all((start >= [0.0, 0.5]) & (start <= [1.0, 0.6]))
    assert start[..., 0].min() > 0.5


def test_an_object_starts_from_the_same_points_whoever_else_is_there(monkeypatch):
    target = make(two_modes, 2, 5)
    whole = find(target)
    some = find(target, objects=np.array([3, 1]))
    np.testing.assert_array_equal(some, whole[[3, 1]])
    monkeypatch.setattr("stats.starts.AT_A_TIME", 1)
    np.testing.assert_array_equal(find(target), whole)
    assert np.any(find(target, seed=2) != whole)


def test_a_prior_without_a_finite_likelihood_is_refused_by_name():
    def loglike(theta, objects):
        return np.where((objects[:, None] == 1) & (theta[..., 0] > -9.99), np.nan, two_modes(theta, objects))

    with pytest.raises(ParameterError, match=r"'NGC 1': of \d+ draws of the prior \d have a finite"):
        find(make(loglike, 2, 3))


def test_a_hole_in_the_likelihood_is_no_obstacle():
    start = find(make(lambda theta, o: np.where(theta[..., 1] > 0, np.nan, two_modes(theta, o)), 2, 3))
    assert start[..., 1].max() <= 0
