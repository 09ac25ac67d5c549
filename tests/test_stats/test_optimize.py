"""The maximum is found where it is known, its errors are those of the curvature, and doubt is admitted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import special_ortho_group

from catalogs.errors import ParameterError
from stats.optimize import GAIN, maximize
from stats.priors import Normal, Uniform
from stats.target import Target


def target(loglike, priors, residuals=None, joint=None, objects=("one",)):
    names = tuple(f"p{k}" for k in range(len(priors)))
    return Target(names, tuple(priors), list(objects), loglike, residuals, joint)


def of_squares(residuals, priors, *, known, joint=None, objects=("one",)):
    """A target of least squares, which tells the optimiser so or not."""

    def loglike(theta, indices):
        return np.stack(
            [-0.5 * np.sum(residuals(rows, o) ** 2, axis=1) for rows, o in zip(theta, indices, strict=True)]
        )

    return target(loglike, priors, residuals if known else None, joint, objects)


both_paths = pytest.mark.parametrize("known", [True, False], ids=["least squares", "general"])


def line_fits(n, dim, seed):
    """Linear models A theta = y of n objects, with errors, and some prior knowledge."""
    rng = np.random.default_rng(seed)
    design, error = rng.normal(size=(n, 9, dim)), rng.uniform(0.1, 0.5, size=(n, 9))
    y = design @ rng.normal(size=dim) + error * rng.normal(size=(n, 9))
    mean, sd = rng.normal(size=n), rng.uniform(0.2, 2.0, size=n)
    priors = [Normal(mean, sd, mean - 20 * sd, mean + 20 * sd), *[Uniform(-30.0, 30.0)] * (dim - 1)]
    return design / error[..., None], y / error, mean, sd, priors


def solution(design, y, mean, sd):
    """The maximum and the covariance of one linear model, by the normal equations."""
    first = np.eye(design.shape[1])[0]
    covariance = np.linalg.inv(design.T @ design + np.outer(first, first) / sd**2)
    return covariance @ (design.T @ y + first * mean / sd**2), covariance


@both_paths
def test_linear_models_have_closed_forms(known):
    design, y, mean, sd, priors = line_fits(4, 3, seed=5)
    found = maximize(of_squares(lambda t, o: t @ design[o].T - y[o], priors, known=known, objects="abcd"), seed=1)
    for o in range(4):
        theta, covariance = solution(design[o], y[o], mean[o], sd[o])
        np.testing.assert_allclose(found.theta[o], theta, atol=1e-6 if known else 1e-5)
        np.testing.assert_allclose(found.covariance[o], covariance, rtol=1e-6, atol=1e-6)
        assert found.loglike[o] == pytest.approx(-0.5 * np.sum((design[o] @ theta - y[o]) ** 2), abs=1e-6)
    assert np.all(found.converged)
    assert not np.any(found.at_bound)
    assert np.all(found.agreed >= 1)


@both_paths
def test_joint_priors_pull_and_narrow(known):
    tie = target(
        lambda t, _: -0.5 * (t[..., 0] ** 2 + (t[..., 1] - 4) ** 2),
        [Uniform(-20.0, 20.0)] * 2,
        (lambda t, _: t - [0, 4]) if known else None,
        lambda t, _: 3 * (t[..., 1:] - t[..., :1]),
    )
    found = maximize(tie)
    curvature = np.array([[10.0, -9.0], [-9.0, 10.0]])
    np.testing.assert_allclose(found.theta[0], np.linalg.solve(curvature, [0.0, 4.0]), atol=1e-5)
    np.testing.assert_allclose(found.covariance[0], np.linalg.inv(curvature), rtol=1e-6)


@both_paths
@pytest.mark.parametrize("stretch", [1e2, 1e4])
def test_a_curved_valley_is_followed_to_its_end(known, stretch):
    root = np.sqrt(2 * stretch)
    found = maximize(
        of_squares(
            lambda t, _: np.stack([np.sqrt(2) * (1 - t[:, 0]), root * (t[:, 1] - t[:, 0] ** 2)], axis=1),
            [Uniform(-3.0, 3.0)] * 2,
            known=known,
        )
    )
    assert found.converged[0]
    np.testing.assert_allclose(found.theta[0], [1, 1], atol=1e-3)
    covariance = np.linalg.inv([[2 + 8 * stretch, -4 * stretch], [-4 * stretch, 2 * stretch]])
    np.testing.assert_allclose(found.covariance[0], covariance, rtol=0.02)


@settings(max_examples=12)
@given(st.integers(0, 1000), st.floats(1, 6), st.booleans())
def test_what_is_called_a_maximum_is_one(seed, log_stretch, bent):
    """Rotated valleys, down to a thousandth of the range: a claim is never wrong by more than `GAIN`."""
    turn, stretch = special_ortho_group(2, seed=seed).rvs(), 10.0**log_stretch

    def loglike(theta, _):
        x, y = np.moveaxis(theta @ turn, -1, 0)
        return -(x**2) - stretch * (y - bent * x**2) ** 2

    found = maximize(target(loglike, [Uniform(-3.0, 3.0)] * 2), draws=64, starts=2)
    assert not found.converged[0] or found.loglike[0] > -GAIN


@both_paths
def test_the_deeper_of_two_basins_is_found_though_it_is_narrow(known):
    """The broad basin ends at -1/2 9; the other, a hundredth of the range wide, at 0."""

    def residuals(theta, _):
        inside = np.exp(-0.5 * ((theta - 7.0) / 0.1) ** 2)
        return np.sqrt((3.0**2 + ((theta + 3.0) / 2.0) ** 2) * (1 - inside))

    found = maximize(of_squares(residuals, [Uniform(-10.0, 10.0)], known=known))
    assert found.theta[0, 0] == pytest.approx(7.0, abs=1e-2)


@both_paths
@pytest.mark.parametrize("side", [-1, 1])
def test_a_maximum_at_a_bound_is_flagged_and_the_others_errors_are_as_if_it_were_fixed(known, side):
    def residuals(theta, _):
        a, b, c = theta.T
        return np.stack([(a - 3 * side) / 0.5, (b - a) / 0.4, (c + b) / 0.3], axis=1)

    found = maximize(of_squares(residuals, [Uniform(-2.0, 2.0), *[Uniform(-9.0, 9.0)] * 2], known=known))
    np.testing.assert_array_equal(found.at_bound[0], [True, False, False])
    assert found.converged[0]
    assert np.isfinite(found.logpost[0])
    np.testing.assert_allclose(found.theta[0], side * np.array([2, 2, -2]), atol=2e-2)
    assert np.all(np.isnan(found.covariance[0, 0]))
    assert np.all(np.isnan(found.covariance[0, :, 0]))
    jacobian = np.array([[1 / 0.4, 0.0], [1 / 0.3, 1 / 0.3]])
    np.testing.assert_allclose(found.covariance[0, 1:, 1:], np.linalg.inv(jacobian.T @ jacobian), rtol=1e-5)


@settings(max_examples=30)
@given(st.floats(-10, 10), st.floats(0.1, 10), st.booleans())
def test_the_maximum_never_leaves_the_support_by_rounding(low, width, known):
    prior = Uniform(low, low + width)
    found = maximize(of_squares(lambda t, _: (t - low - 3 * width) / width, [prior], known=known), draws=16)
    assert found.at_bound[0, 0]
    assert np.isfinite(found.logpost[0])


@both_paths
def test_a_maximum_just_inside_the_bound_is_no_bound(known):
    found = maximize(of_squares(lambda t, _: (t - 1.99) / 0.02, [Uniform(-2.0, 2.0)], known=known))
    assert not found.at_bound[0, 0]
    assert found.theta[0, 0] == pytest.approx(1.99, abs=1e-4)
    assert found.covariance[0, 0, 0] == pytest.approx(0.02**2, rel=1e-6)


@both_paths
def test_a_flat_direction_is_not_identified(known):
    def residuals(theta, _):
        return np.stack([theta[:, 0] - 1, theta[:, 2] + theta[:, 0], theta[:, 2] - 1], axis=1)

    found = maximize(of_squares(residuals, [Uniform(-5.0, 5.0)] * 3, known=known))
    assert found.converged[0]
    assert np.all(np.isnan(found.covariance[0, 1]))
    assert np.all(np.isnan(found.covariance[0, :, 1]))
    np.testing.assert_allclose(found.covariance[0][::2, ::2], np.linalg.inv([[2, 1], [1, 2]]), rtol=1e-5)


@both_paths
def test_a_sum_alone_is_not_two_numbers(known):
    def residuals(theta, _):
        return np.stack([theta[:, 0] + theta[:, 1] - 1, theta[:, 2]], axis=1)

    found = maximize(of_squares(residuals, [Uniform(-5.0, 5.0)] * 3, known=known))
    assert found.converged[0]
    assert np.all(np.isnan(found.covariance[0, :2]))
    assert found.covariance[0, 2, 2] == pytest.approx(1.0, rel=1e-5)


@both_paths
def test_fewer_data_than_parameters(known):
    """One datum, three parameters, of which the prior knows one."""
    priors = [Uniform(-5.0, 5.0), Normal(2.0, 0.5, 0.0, 4.0), Uniform(-5.0, 5.0)]
    found = maximize(of_squares(lambda t, _: t[:, :1] - 1, priors, known=known))
    assert found.converged[0]
    np.testing.assert_allclose(found.theta[0, :2], [1, 2], atol=1e-4)
    np.testing.assert_allclose(np.diag(found.covariance[0]), [1, 0.25, np.nan], rtol=1e-6)


@both_paths
def test_priors_without_ends(known):
    priors = [Normal(1.0, 2.0), Normal(0.0, 1.0, low=0.0), Normal(0.0, 1.0, high=0.5)]
    found = maximize(of_squares(lambda t, _: t - [3, -1, 4], priors, known=known))
    np.testing.assert_allclose(found.theta[0], [(1 / 4 + 3) / (1 / 4 + 1), 0, 0.5], atol=5e-3)
    np.testing.assert_array_equal(found.at_bound[0], [False, True, True])
    assert found.covariance[0, 0, 0] == pytest.approx(1 / (1 / 4 + 1), rel=1e-6)
    assert np.isfinite(found.logpost[0])


@pytest.mark.parametrize("impossible", [-np.inf, np.nan])
def test_a_region_that_is_impossible_is_kept_out_of(impossible):
    def loglike(theta, _):
        x = theta[..., 0]
        return np.where(x > 0.3, -0.5 * ((x - 0.6) / 0.1) ** 2, impossible)

    found = maximize(target(loglike, [Uniform(-1.0, 2.0)]))
    assert found.converged[0]
    assert found.theta[0, 0] == pytest.approx(0.6, abs=1e-5)


def test_a_cliff_is_not_confirmed_as_a_maximum_but_not_passed_either():
    """The posterior rises to the edge of what is possible: there is no slope of zero to confirm."""

    def loglike(theta, _):
        x = theta[..., 0]
        return np.where(x > 0.3, -0.5 * ((x + 1.0) / 0.1) ** 2, -np.inf)

    found = maximize(target(loglike, [Uniform(-1.0, 2.0)]))
    assert found.theta[0, 0] > 0.3
    assert np.isfinite(found.logpost[0])
    assert not found.converged[0] or found.theta[0, 0] < 0.3 + 1e-4


def test_a_kink_is_a_maximum_too():
    """Slopes that do not vanish, in one direction not even on average."""

    def loglike(theta, _):
        x, y = np.moveaxis(theta, -1, 0)
        return np.where(x < 0.3, 9, -1) * (x - 0.3) - 3 * np.abs(y - x)

    found = maximize(target(loglike, [Uniform(-1.0, 2.0)] * 2))
    assert found.converged[0]
    np.testing.assert_allclose(found.theta[0], [0.3, 0.3], atol=GAIN)


@pytest.mark.parametrize("teeth", [1, 1000])
def test_a_slope_that_ends_in_a_jump_has_no_maximum_to_confirm(teeth):
    """The height 1e5 is never reached: where the search gives up below it, that is no maximum."""

    def loglike(theta, _):
        return 1e5 * ((teeth * theta[..., 0]) % 1.0)

    found = maximize(target(loglike, [Uniform(-1.0, 2.0)]))
    assert not found.converged[0] or found.loglike[0] > 1e5 - GAIN


@both_paths
def test_no_possible_point_at_all_is_not_converged(known):
    found = maximize(of_squares(lambda t, _: np.full_like(t, np.nan), [Uniform(0.0, 1.0)], known=known))
    assert not found.converged[0]
    assert np.isneginf(found.logpost[0])
    assert np.all(np.isnan(found.covariance))


def wobbling(seed, n):
    """A nonlinear target of n objects, and the same of a choice of them."""
    rng = np.random.default_rng(seed)
    centre, phase = rng.uniform(-2, 2, size=n), rng.uniform(0, 6, size=n)

    def of(chosen, *, known):
        own = np.asarray(chosen)

        def residuals(theta, o):
            a, b = theta.T
            return np.stack([a - centre[own[o]], 3 * np.sin(b + phase[own[o]]), b / 5], axis=1)

        return of_squares(residuals, [Uniform(-9.0, 9.0)] * 2, known=known, objects=[f"o{i}" for i in chosen])

    return of


@both_paths
def test_neither_the_company_nor_the_order_changes_a_bit(known):
    of = wobbling(3, 4)
    together = maximize(of([0, 1, 2, 3], known=known), seed=7)
    turned = maximize(of([2, 0], known=known), seed=7)
    for name in ("theta", "logpost", "loglike", "covariance", "at_bound", "converged", "agreed"):
        np.testing.assert_array_equal(getattr(together, name)[[2, 0]], getattr(turned, name), err_msg=name)


def test_the_seed_moves_the_starts():
    """More basins than starts: other seeds end elsewhere, which shows that they are used at all."""

    def loglike(theta, _):
        return -0.5 * np.sum(theta**2, axis=-1) + 3 * np.sum(np.cos(9 * theta), axis=-1)

    ends = {
        maximize(target(loglike, [Uniform(-9.0, 9.0)] * 4), seed=s, draws=8, starts=1).theta.tobytes() for s in range(4)
    }
    assert len(ends) > 1


def test_progress_names_each_object_once_in_order():
    told = []
    maximize(of_squares(lambda t, _: t, [Uniform(-1.0, 2.0)], known=True, objects=["b", "a"]), progress=told.append)
    assert told == ["b", "a"]


def test_no_object_is_an_error_of_one_line():
    with pytest.raises(ParameterError, match="no objects"):
        maximize(of_squares(lambda t, _: t, [Uniform(0.0, 1.0)], known=True, objects=[]))


def test_a_half_open_prior_far_from_its_mean():
    """The mean lies a hundred standard deviations outside the end."""
    found = maximize(of_squares(lambda t, _: t - 5.0, [Normal(-1.0, 0.01, low=0.0)], known=True))
    assert found.theta[0, 0] == pytest.approx(0.0, abs=1e-3)
    assert found.at_bound[0, 0]
