"""The compiled steps against published vectors, a slow reference, and exact draws that they must leave as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_ndtr, ndtr
from scipy.stats import kstest, spearmanr

from stats import _moves, walkers
from stats.priors import Normal, Uniform
from stats.target import Target
from stats.walkers import Walkers

#: Below it six or so fixed seeds would ring a false alarm less than once in a thousand choices of the seed.
IMPLAUSIBLE = 1e-4


def words(counter, key):
    return [int(word) for word in _moves.philox(*(np.uint64(c) for c in counter), np.uint64(key))]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_random_words_are_those_that_random123_publishes(counter, key, expected):
    assert words(counter, key) == list(expected)


def test_uniform_numbers_never_reach_their_ends():
    assert _moves.uniform(np.uint64(0)) == 2.0**-33
    assert _moves.uniform(np.uint64(2**32 - 1)) == 1 - 2.0**-33


@given(n=st.integers(1, 5000), word=st.integers(0, 2**32 - 1))
def test_a_word_is_a_choice_and_the_rest_of_it(n, word):
    assert _moves.one_of(n, np.uint64(word)) == divmod(word * n, 2**32)


def propose(x, half, keys, steps, low, high, differential):
    """Do as `_moves.propose`, one walker after the other, in plain Python."""
    n, _, ensembles, size, dim = x.shape
    theta, threshold = np.empty((n, ensembles * size, dim)), np.empty((n, ensembles * size))
    for o, e, w in np.ndindex(n, ensembles, size):
        row = e * size + w
        choice, pair, size_of, luck = words((steps[o], half * ensembles * size + row, 0, 0), keys[o])
        c, u = (choice + 0.5) / 2**32, (size_of + 0.5) / 2**32
        first, rest = divmod(pair * size, 2**32)
        others = x[o, 1 - half, e]
        gain = math.log((luck + 0.5) / 2**32)
        if c < differential:
            without = np.delete(np.arange(size), first)
            step = others[first] - others[without[rest * (size - 1) >> 32]]
            whole = c < 0.1 * differential
            new = x[o, half, e, w] + (1.0 if whole else 2.38 / math.sqrt(2 * dim) * (0.5 + u)) * step
        else:
            z = (1 + u) ** 2 / 2
            new = others[first] + z * (x[o, half, e, w] - others[first])
            gain -= (dim - 1) * math.log(z)
        inside = np.all((low[o] <= new) & (new <= high[o]))
        theta[o, row], threshold[o, row] = (new, gain) if inside else (x[o, half, e, w], math.inf)
    return theta, threshold


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 3),
    ensembles=st.integers(1, 3),
    size=st.integers(2, 9),
    dim=st.integers(1, 4),
    half=st.integers(0, 1),
    differential=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_proposals_are_those_of_the_reference(seed, n, ensembles, size, dim, half, differential):
    rng = np.random.default_rng(seed)
    low, high = np.full((n, dim), -1.5), np.full((n, dim), 2.0)
    x = rng.uniform(-1.5, 2.0, (n, 2, ensembles, size, dim))
    keys, steps = rng.integers(0, 2**64, n, np.uint64), rng.integers(0, 2**20, n).astype(np.uint64)
    theta, threshold = np.empty((n, ensembles * size, dim)), np.empty((n, ensembles * size))
    before = x.copy()
    _moves.propose(x, half, keys, steps, low, high, differential, theta, threshold)
    expected = propose(x, half, keys, steps, low, high, differential)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(theta, expected[0], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(threshold, expected[1], rtol=1e-13, atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), half=st.integers(0, 1))
def test_moves_are_taken_as_by_the_reference(seed, half):
    rng = np.random.default_rng(seed)
    n, ensembles, size, dim = 3, 2, 4, 2
    x = rng.normal(size=(n, 2, ensembles, size, dim))
    logprior, loglike = rng.normal(size=(2, *x.shape[:-1]))
    theta = rng.normal(size=(n, ensembles * size, dim))
    threshold, new_loglike, joint = rng.normal(size=(3, n, ensembles * size))
    threshold[0, 0], new_loglike[1, :2], new_loglike[2, 0] = np.inf, (np.nan, -np.inf), np.inf
    power = rng.uniform(size=(n, ensembles))
    mean, weight = rng.normal(size=(2, n, dim))
    accepted = np.array([5, 0, 7])

    new_prior = joint - 0.5 * np.sum(((theta - mean[:, None]) * weight[:, None]) ** 2, axis=-1)
    shape = (n, ensembles, size)
    gain = new_prior.reshape(shape) - logprior[:, half]
    gain += power[..., None] * (new_loglike.reshape(shape) - loglike[:, half])
    taken = gain > threshold.reshape(shape)
    expected = x.copy(), logprior.copy(), loglike.copy()
    for values, new in zip(expected, (theta, new_prior, new_loglike), strict=True):
        values[:, half][taken] = new.reshape(*shape, *new.shape[2:])[taken]

    _moves.accept(
        x, logprior, loglike, accepted, half, theta, threshold, power, mean, weight, new_loglike, joint
    )  # fmt: skip
    for found, value in zip((x, logprior, loglike), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(accepted, np.array([5, 0, 7]) + taken.sum(axis=(1, 2)))
    assert not np.isnan(loglike).any()


LOW = 0.3


def banana(theta, objects):
    x, y, z = np.moveaxis(theta, -1, 0)
    return -0.5 * (((y - x * x) / 0.5) ** 2 + (z - y) ** 2)


def uniforms(x):
    """Return three independent uniform numbers of each draw of the banana."""
    a, b, c = np.moveaxis(x.reshape(-1, 3), -1, 0)
    return 1 - np.exp(log_ndtr(-a) - log_ndtr(-LOW)), ndtr((b - a * a) / 0.5), ndtr(c - b)


@pytest.mark.parametrize("differential", [0.0, 0.5, 0.9, 1.0])
def test_exact_draws_of_a_curved_and_cut_posterior_stay_exact_draws(monkeypatch, differential):
    """Walkers that begin as independent draws remain so at any later step, all of them: 12800 to test."""
    monkeypatch.setattr(walkers, "DIFFERENTIAL", differential)
    n, rng = 200, np.random.default_rng(7)
    target = Target(
        ("x", "y", "z"),
        (Normal(0.0, 1.0, low=LOW), Uniform(-100.0, 100.0), Uniform(-100.0, 100.0)),
        [str(k) for k in range(n)],
        banana,
    )
    start = target.transform(rng.uniform(size=(n, 64, 3)), target.everything())
    start[..., 1] = start[..., 0] ** 2 + 0.5 * rng.normal(size=start.shape[:-1])
    start[..., 2] = start[..., 1] + rng.normal(size=start.shape[:-1])
    crew = Walkers.begin(target, target.everything(), start.reshape(n, 4, 16, 3), seed=1, purpose="walk")
    crew.step(60)
    moved = crew.accepted / (60 * 64)
    assert np.all((moved > 0.1) & (moved < 0.9))
    u = uniforms(crew.x)
    assert min(kstest(one, "uniform").pvalue for one in u) > IMPLAUSIBLE / 3
    assert min(spearmanr(u[i], u[j]).pvalue for i, j in ((0, 1), (0, 2), (1, 2))) > IMPLAUSIBLE / 3
