"""The inner loops of `stats.optimize`, for a few small matrices at a time, where NumPy costs more than it computes."""

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def differences(values, distance):
    """Split what was computed at points and a step beside them.

    Parameters
    ----------
    values
        (point * (1 + dim), term): at each point, then with each parameter moved by its step.
    distance
        (point, dim): the steps.

    Returns
    -------
    centre
        (point, term) at the points.
    slope
        (point, dim, term) forward differences.
    """
    points, dim = distance.shape
    terms = values.shape[1]
    centre, slope = np.empty((points, terms)), np.empty((points, dim, terms))
    for i in range(points):
        first = i * (1 + dim)
        centre[i] = values[first]
        for j in range(dim):
            for k in range(terms):
                slope[i, j, k] = (values[first + 1 + j, k] - values[first, k]) / distance[i, j]
    return centre, slope


@njit(cache=True, error_model="numpy")
def damped_steps(centre, slope, damping):
    """Return Marquardt's steps (point, dim) for residuals (point, term), their slopes (point, dim, term), and damping.

    A point whose residuals are not finite stays where it is.
    """
    points, dim, terms = slope.shape
    steps = np.zeros((points, dim))
    for i in range(points):
        normal, gradient, largest = np.zeros((dim, dim)), np.zeros(dim), 0.0
        for j in range(dim):
            for k in range(terms):
                gradient[j] += slope[i, j, k] * centre[i, k]
            for m in range(j + 1):
                for k in range(terms):
                    normal[j, m] += slope[i, j, k] * slope[i, m, k]
                normal[m, j] = normal[j, m]
            largest = max(largest, normal[j, j])
        for j in range(dim):
            normal[j, j] += damping[i] * (normal[j, j] + 1e-9 * (1.0 + largest))
        if np.all(np.isfinite(normal)) and np.all(np.isfinite(gradient)):
            steps[i] = -np.linalg.solve(normal, gradient)
    return steps
