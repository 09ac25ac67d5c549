"""The inner loops of `stats.optimize`: a few small matrices at a time, where NumPy's calls cost more than they compute.

Points are (point, dim), residuals (point, term), and their slopes (point, dim, term).
"""

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def beside(theta, step, high):
    """Return each point followed by the points one step beside it.

    Parameters
    ----------
    theta
        (point, dim).
    step, high
        (dim,): steps go up, or down where there is no room below `high`.

    Returns
    -------
    rows
        (point * (1 + dim), dim).
    taken
        (point, dim): the steps with their signs.
    """
    points, dim = theta.shape
    rows, taken = np.empty((points * (1 + dim), dim)), np.empty((points, dim))
    for i in range(points):
        first = i * (1 + dim)
        rows[first : first + 1 + dim] = theta[i]
        for j in range(dim):
            taken[i, j] = step[j] if theta[i, j] + step[j] <= high[j] else -step[j]
            rows[first + 1 + j, j] += taken[i, j]
    return rows, taken


@njit(cache=True, error_model="numpy")
def differences(values, taken, chain):
    """Return residuals and slopes from what was computed at the rows of `beside`, (point * (1 + dim), term).

    `chain` (point, dim) is the derivative of the parameters by what the slopes are wanted for.
    """
    points, dim = taken.shape
    terms = values.shape[1]
    residuals, slopes = np.empty((points, terms)), np.empty((points, dim, terms))
    for i in range(points):
        first = i * (1 + dim)
        residuals[i] = values[first]
        for j in range(dim):
            factor = chain[i, j] / taken[i, j]
            for k in range(terms):
                slopes[i, j, k] = (values[first + 1 + j, k] - values[first, k]) * factor
    return residuals, slopes


@njit(cache=True, error_model="numpy")
def damped_steps(residuals, slopes, damping):
    """Return Marquardt's steps, (point, dim), for dampings (point,); none where a residual is not finite."""
    points, dim, terms = slopes.shape
    steps = np.zeros((points, dim))
    for i in range(points):
        normal, gradient, largest = np.zeros((dim, dim)), np.zeros(dim), 0.0
        for j in range(dim):
            for k in range(terms):
                gradient[j] += slopes[i, j, k] * residuals[i, k]
            for m in range(j + 1):
                for k in range(terms):
                    normal[j, m] += slopes[i, j, k] * slopes[i, m, k]
                normal[m, j] = normal[j, m]
            largest = max(largest, normal[j, j])
        for j in range(dim):
            normal[j, j] += damping[i] * (normal[j, j] + 1e-9 * (1.0 + largest))
        if np.all(np.isfinite(normal)) and np.all(np.isfinite(gradient)):
            steps[i] = -np.linalg.solve(normal, gradient)
    return steps


@njit(cache=True, error_model="numpy")
def accept(state, damping, trial, rough):
    """Take the trials that are better, in place, and adapt the damping by Marquardt's rule.

    Parameters
    ----------
    state, trial
        (u, residuals, slopes) of all points.
    damping
        (point,).
    rough
        A relative gain in the sum of squares that is not worth another step.

    Returns
    -------
    bool
        Whether no point has more than that to gain.
    """
    settled = True
    for i in range(damping.size):
        old, new = np.sum(state[1][i] ** 2), np.sum(trial[1][i] ** 2)
        if new < old:
            settled &= old - new < rough * old
            damping[i] = max(damping[i] / 8, 1e-7)
            state[0][i], state[1][i], state[2][i] = trial[0][i], trial[1][i], trial[2][i]
        else:
            settled &= damping[i] > 1.0
            damping[i] *= 6
    return settled
