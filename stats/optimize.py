"""The maximum of a posterior, from several starts, by MINPACK or L-BFGS-B, with a check that it is one.

The search runs in coordinates u in which the support has no edge (MINUIT's theta = low + (high - low)(1 + sin u)/2).
What counts as converged is judged afterwards, in the parameters themselves: see `Maxima`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

from catalogs.errors import ParameterError
from stats._loops import accept, beside, damped_steps, differences
from stats.resampling import stream
from stats.target import Target

__all__ = ("Maxima", "maximize")

Array = npt.NDArray[np.float64]

#: A gain in ln posterior that is left on the table and still called a maximum.
GAIN = 1e-3
#: Two starts that end closer than this in ln posterior have found the same maximum.
SAME = 1e-2
#: Curvature in units of the widths below which a direction is not identified: an error of ten widths.
FLAT = 1e-2
#: What cannot be has this -ln posterior, so that differences stay finite.
WORST = 1e30
#: A prior without ends is searched within so many of its standard deviations, or these quantiles.
REACH, BEYOND = 40.0, 1e-12
#: Share of the support within which a parameter counts as being at its end.
EDGE = 1e-3
#: Relative tolerance of the optimisers.
TOLERANCE = 1e-7
#: Relative gain below which these steps end early.
ROUGH = 1e-2
#: Steps from every start before the most promising are followed to their ends.
STEPS = 20
#: A start that then lies further than this above the best in -ln posterior is given up.
PROMISING = 5.0
#: Starts that then differ by less than this share of the width are in one basin.
SAME_END = 0.3
#: Starts differ by this share of the support in at least one parameter.
APART = 0.15
#: Step of the differences, as a share of the parameter's width; ten times that where the loss itself is differenced.
STEP = 1e-6


@dataclass(frozen=True)
class Maxima:
    """The maximum a posteriori of each object.

    Parameters
    ----------
    theta
        (object, dim).
    logpost, loglike
        (object,) at the maximum.
    covariance
        (object, dim, dim): inverse curvature of the ln posterior (Laplace's approximation); rows of parameters at
        the end of their support, or that the posterior does not depend on, are NaN.
    at_bound
        (object, dim): the parameter sits at an end of its support and the posterior still rises towards it.
    converged
        (object,): the gain in ln posterior that a Newton step promises in the parameters that are not at a bound is
        below `GAIN`, or, where the posterior has a kink, neither that step nor one along an axis gains as much.
    agreed
        (object,): how many of the starts that were followed to their ends ended within `SAME` of the best.
    """

    theta: Array
    logpost: Array
    loglike: Array
    covariance: Array
    at_bound: npt.NDArray[np.bool_]
    converged: npt.NDArray[np.bool_]
    agreed: npt.NDArray[np.int64]


class _Objective:
    """-ln posterior of one object, up to a constant, and its slope and curvature in theta."""

    def __init__(self, target: Target, o: int) -> None:
        self.target, self.o, self.objects = target, o, np.array([o])
        self.mean, self.weight = (value[0] for value in target.gauss(self.objects))
        self.informed = np.flatnonzero(self.weight > 0)
        self.known, self.trust = self.mean[self.informed], self.weight[self.informed]
        self.low, self.high = self._ends()
        with np.errstate(divide="ignore"):
            self.width = np.minimum(self.high - self.low, 1.0 / self.weight)
        self.middle, self.half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)

    def _ends(self) -> tuple[Array, Array]:
        """Return the support (dim,); of a prior without ends, what is not beyond belief."""
        low, high = (end[0] for end in self.target.support(self.objects))
        if np.all(np.isfinite(high - low)):
            return low, high
        cube = np.repeat([[BEYOND], [1 - BEYOND]], low.size, axis=1)[None]
        first, last = self.target.transform(cube, self.objects)[0]
        with np.errstate(divide="ignore"):
            reach = REACH / self.weight
        middle = np.clip(self.mean, low, high)
        first = np.where(self.weight > 0, middle - reach, first)
        last = np.where(self.weight > 0, middle + reach, last)
        return np.where(np.isfinite(low), low, first), np.where(np.isfinite(high), high, last)

    def to_theta(self, u: Array) -> Array:
        return np.minimum(np.maximum(self.middle + self.half * np.sin(u), self.low), self.high)

    def to_u(self, theta: Array) -> Array:
        return np.asarray(np.arcsin(np.clip((theta - self.middle) / self.half, -0.999, 0.999)))

    def ignorance(self) -> Array:
        """Return the widths (dim,) by which starts are told apart: infinite where the prior is informative."""
        support = self.high - self.low
        return (
            np.where(self.weight > 0, np.inf, support) if np.any(self.weight == 0) else np.minimum(support, self.width)
        )

    def residuals(self, theta: Array) -> Array:
        """Return what the sum of squares is made of: data, Gaussian priors, joint priors; (row, term)."""
        assert self.target.residuals is not None  # noqa: S101  # for the type checker: `maximize` chose this path
        parts = [self.target.residuals(theta, self.o), (theta[:, self.informed] - self.known) * self.trust]
        if self.target.joint is not None:
            parts.append(self.target.joint(theta[None], self.objects)[0])
        return np.concatenate(parts, axis=1)

    def linearize(self, theta: Array, chain: Array) -> tuple[Array, Array]:
        """Return the residuals (point, term) and their forward differences (point, dim, term) by what `chain` says."""
        rows, taken = beside(theta, STEP * self.width, self.high)
        residuals, slopes = differences(self.residuals(rows), taken, chain)
        return residuals, slopes

    def linearize_in_u(self, u: Array) -> tuple[Array, Array]:
        """Return the residuals (point, term) and their derivatives by u (point, dim, term)."""
        return self.linearize(self.to_theta(u), self.half * np.cos(u))

    def loss(self, theta: Array) -> Array:
        """Return -ln posterior of rows inside the support, (row,), up to a constant; `WORST` for what cannot be."""
        if self.target.residuals is None:
            loss = -self.target.logpost(theta[None], self.objects)[0]
        else:
            loss = 0.5 * np.sum(self.residuals(theta) ** 2, axis=1)
        return np.where(loss < WORST, loss, WORST)

    def slope(self, theta: Array) -> Array:
        """Return d loss / d theta at one point by central differences, (dim,)."""
        step = 10 * STEP * self.width
        down, up = np.maximum(theta - step, self.low), np.minimum(theta + step, self.high)
        rows = np.concatenate([theta + np.diag(down - theta), theta + np.diag(up - theta)])
        low, high = self.loss(rows).reshape(2, -1)
        return np.asarray((high - low) / (up - down))


class _InU:
    """The residuals as MINPACK sees them: functions of u, the derivatives kept from the call for the values."""

    def __init__(self, objective: _Objective) -> None:
        self.objective = objective
        self.at = self.slopes = np.empty(0)

    def values(self, u: Array) -> Array:
        residuals, slopes = self.objective.linearize_in_u(u[None])
        if residuals.shape[1] < u.size:  # MINPACK wants as many terms as parameters
            residuals, slopes = (
                np.concatenate([x, np.zeros((*x.shape[:-1], u.size))], axis=-1) for x in (residuals, slopes)
            )
        self.at, self.slopes = u.copy(), slopes[0]
        return np.asarray(residuals[0])

    def derivatives(self, u: Array) -> Array:
        if not np.array_equal(u, self.at):
            self.values(u)
        return self.slopes


def _descend(objective: _Objective, starts: Array) -> Array:
    """Take a few damped Gauss-Newton steps from all starts at once, (start, dim): near enough to tell the basins apart.

    Marquardt's rule for the damping. What comes of it is followed to its end, and judged, by others.
    """
    u = objective.to_u(starts)
    state = (u, *objective.linearize_in_u(u))
    damping = np.full(len(u), 1e-2)
    for _ in range(STEPS):
        trial = u + damped_steps(*state[1:], damping)
        if accept(state, damping, (trial, *objective.linearize_in_u(trial)), ROUGH):
            break
    return objective.to_theta(u)


def _least_squares(objective: _Objective, start: Array) -> Array:
    seen = _InU(objective)
    found = optimize.leastsq(
        seen.values,
        objective.to_u(start),
        Dfun=seen.derivatives,
        col_deriv=True,
        full_output=True,
        xtol=TOLERANCE,
        ftol=TOLERANCE,
        maxfev=300,
    )
    return objective.to_theta(found[0])


def _general(objective: _Objective, start: Array) -> Array:
    found = optimize.minimize(
        lambda theta: objective.loss(theta[None])[0],
        start,
        jac=objective.slope,
        method="L-BFGS-B",
        bounds=list(zip(objective.low, objective.high, strict=True)),
        options={"ftol": 1e-4 * TOLERANCE, "gtol": TOLERANCE, "maxiter": 1000},
    )
    return np.asarray(found.x)


def _simplex(objective: _Objective, start: Array) -> Array:
    """Search on by Nelder-Mead, which a kink does not stop."""
    found = optimize.minimize(
        lambda u: objective.loss(objective.to_theta(u)[None])[0],
        objective.to_u(start),
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-6, "maxfev": 4000, "adaptive": True},
    )
    end = objective.to_theta(found.x)
    return end if objective.loss(end[None])[0] < objective.loss(start[None])[0] else start


def _curvature(objective: _Objective, theta: Array) -> tuple[Array, Array]:
    """Return slope and curvature of the loss in theta: Gauss-Newton where there are residuals, else differences."""
    if objective.target.residuals is not None:
        residuals, slopes = (value[0] for value in objective.linearize(theta[None], np.ones((1, theta.size))))
        return slopes @ residuals, slopes @ slopes.T
    step = 1e-3 * objective.width
    for _ in range(2):  # then steps of a tenth of the error bar that the first pass finds
        rows = np.clip(theta + np.concatenate([-np.diag(step), np.diag(step)]), objective.low, objective.high)
        slopes = np.array([objective.slope(row) for row in rows])
        distance = np.diag(rows[theta.size :] - rows[: theta.size])
        curvature = (slopes[theta.size :] - slopes[: theta.size]) / distance[:, None]
        bar = 1.0 / np.sqrt(np.maximum(np.diag(curvature), 1e-12 / objective.width**2))
        step = np.clip(0.1 * bar, 100 * STEP * objective.width, 1e-2 * objective.width)
    return objective.slope(theta), 0.5 * (curvature + curvature.T)


def _judge(objective: _Objective, theta: Array) -> tuple[bool, npt.NDArray[np.bool_], Array]:
    """Tell whether theta is a maximum, which parameters are at a bound, and the covariance of the others."""
    slope, curvature = _curvature(objective, theta)
    covariance = np.full(curvature.shape, np.nan)
    if objective.loss(theta[None])[0] >= WORST or not np.all(np.isfinite(curvature)):
        return False, np.zeros(theta.size, dtype=bool), covariance
    edge = EDGE * objective.width
    at_bound = ((theta - objective.low < edge) & (slope > 0)) | ((objective.high - theta < edge) & (slope < 0))
    free = np.flatnonzero(~at_bound)
    width = objective.width[free]
    value, vector = linalg.eigh(curvature[np.ix_(free, free)] * np.outer(width, width))
    along = vector.T @ (slope[free] * width)
    steep = value > FLAT
    # a Newton step along what is curved, and a whole width along what is flat
    gain = 0.5 * np.sum(along[steep] ** 2 / value[steep]) + np.sum(np.abs(along[~steep]))
    converged = bool(gain < GAIN)
    if not converged:
        step = np.zeros_like(theta)
        step[free] = -width * (vector[:, steep] @ (along[steep] / value[steep]))
        converged = _gain_in_fact(objective, theta, step) < GAIN

    known = np.all(np.abs(vector[:, ~steep]) < 1e-3, axis=1)
    inverse = (vector[:, steep] / value[steep]) @ vector[:, steep].T * np.outer(width, width)
    covariance[np.ix_(free[known], free[known])] = inverse[np.ix_(known, known)]
    return converged, at_bound, covariance


def _gain_in_fact(objective: _Objective, theta: Array, step: Array) -> float:
    """Return what is gained along a step and along the axes: at a kink the slope promises what no step keeps."""
    shares = 2.0 ** -np.arange(12)[:, None]
    axes = np.concatenate([share * objective.width * np.eye(theta.size) for share in 10.0 ** -np.arange(1, 10)])
    moves = np.concatenate([shares * step, axes, -axes])
    rows = np.clip(theta + moves, objective.low, objective.high)
    return float(objective.loss(theta[None])[0] - np.min(objective.loss(rows)))


def _apart(candidates: Array, width: Array, distance: float, wanted: int) -> Array:
    """Take from candidates, best first, those that lie apart from the ones taken before."""
    chosen, far = [0], np.ones(len(candidates), dtype=bool)
    while len(chosen) < wanted:
        far &= np.max(np.abs(candidates - candidates[chosen[-1]]) / width, axis=1) > distance
        following = int(np.argmax(far))
        if not far[following]:
            break
        chosen.append(following)
    return candidates[chosen]


def _promising(objective: _Objective, points: Array) -> Array:
    """Return the points that could still end at the maximum, one a basin, best first."""
    losses = objective.loss(points)
    order = np.argsort(losses)
    return _apart(points[order][losses[order] <= losses.min() + PROMISING], objective.width, SAME_END, len(points))


def maximize(
    target: Target,
    *,
    seed: int = 0,
    draws: int = 512,
    starts: int = 6,
    progress: Callable[[str], Any] | None = None,
) -> Maxima:
    """Find the maximum a posteriori of every object of a target.

    `draws` points of the prior are tried at once, and the best `starts` that lie apart are followed by a vetted
    optimiser: MINPACK's Levenberg-Marquardt where the target has residuals (of which a few steps from all starts
    at once first leave the promising ones), else L-BFGS-B. Points lie apart where they differ in the parameters of
    which the prior knows little, for there the basins are.

    Parameters
    ----------
    target
        The posteriors.
    seed
        Of the run; every object draws from its own stream, so that subsets and order change nothing.
    draws, starts
        See above.
    progress
        Called with the name of each object when it is done.

    Returns
    -------
    Maxima
        In the order of ``target.objects``.

    Raises
    ------
    ParameterError
        If the target has no objects.
    """
    n, dim = len(target.objects), target.dim
    if n == 0:
        message = "there is nothing to maximize: the target has no objects"
        raise ParameterError(message)
    objects = target.everything()
    cube = np.stack([stream(seed, name).uniform(size=(draws, dim)) for name in target.objects])
    theta = target.transform(cube, objects)
    order = np.argsort(-target.logpost(theta, objects), axis=1, kind="stable")[:, : draws // 4]
    follow = _general if target.residuals is None else _least_squares

    best = np.empty((n, dim))
    covariance = np.empty((n, dim, dim))
    at_bound = np.zeros((n, dim), dtype=bool)
    converged = np.zeros(n, dtype=bool)
    agreed = np.zeros(n, dtype=np.int64)
    for o in objects:
        objective = _Objective(target, int(o))
        candidates = _apart(theta[o, order[o]], objective.ignorance(), APART, starts)
        if target.residuals is not None:
            candidates = _promising(objective, _descend(objective, candidates))
        ends = np.array([follow(objective, start) for start in candidates])
        losses = objective.loss(ends)
        best[o] = ends[np.argmin(losses)]
        converged[o], at_bound[o], covariance[o] = _judge(objective, best[o])
        if not converged[o]:
            best[o] = _simplex(objective, best[o])
            converged[o], at_bound[o], covariance[o] = _judge(objective, best[o])
        agreed[o] = np.sum(losses < objective.loss(best[o][None])[0] + SAME)
        if progress is not None:
            progress(target.objects[o])
    logpost, loglike = (function(best[:, None], objects)[:, 0] for function in (target.logpost, target.loglike))
    return Maxima(best, logpost, loglike, covariance, at_bound, converged, agreed)
