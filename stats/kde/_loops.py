"""The loops of `stats.kde`. In the longest, each query goes once through all samples, a tile of them at a time.

The lanes of the vector unit are samples. Differences are taken before they are squared, which costs little beside the
exponential and loses none of the digits that |q|^2 + |y|^2 - 2 q.y loses between points far from the origin. Each query
meets the tiles in their order and each lane sums its own samples, so neither the other queries nor the number of
threads changes a bit. The two short loops at the end are here for that reason too: no BLAS promises the order of its
sums.
"""

import math

import numpy as np
from numba import njit, prange

#: Samples in a tile, a power of two, and queries that meet a tile while it is in the cache.
TILE, QUERIES = 128, 16
#: The exponent of nothing, and the last one whose exponential is a normal number.
NOTHING, FAINT = -1e300, -708.0

#: 1 / ln 2, ln 2 in two parts, and the number that rounds what is added to it: exp(a) = exp(a - k ln 2) 2^k.
PER_LN2, LN2_HIGH, LN2_LOW = 1.44269504088896338700, 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUND = 6755399441055744.0
#: The minimax polynomial of r (exp(r) + 1) / (exp(r) - 1) - 2 in r^2, of Sun's fdlibm.
P1, P2, P3 = 1.66666666666666019037e-01, -2.77777777770155933842e-03, 6.61375632143793436117e-05
P4, P5 = -1.65339022054652515390e-06, 4.13813679705723846039e-08


@njit(error_model="numpy", inline="always")
def exp_lanes(a, bits, out):
    """Write exp(a) for `FAINT` <= a <= 0, to 1 unit in the last place; arithmetic alone, for the vector unit."""
    power = bits.view(np.float64)
    for j in range(TILE):
        power[j] = a[j] * PER_LN2 + ROUND
    for j in range(TILE):
        k = power[j] - ROUND
        r = (a[j] - k * LN2_HIGH) - k * LN2_LOW
        z = r * r
        c = r - z * (P1 + z * (P2 + z * (P3 + z * (P4 + z * P5))))
        out[j] = 1.0 + (r * c / (2.0 - c) + r)
    for j in range(TILE):  # k stands in the last bits of k + ROUND: from there into the exponent of 2^k
        bits[j] = (bits[j] + np.int64(1023)) << np.int64(52)
    for j in range(TILE):
        out[j] *= power[j]


@njit(error_model="numpy", inline="always")
def largest(a, folded):
    """Return the largest of a, by halves: LLVM puts no plain search for a maximum on the vector unit."""
    half = TILE // 2
    for j in range(half):
        folded[j] = max(a[j], a[j + half])
    half //= 2
    while half > 0:
        for j in range(half):
            folded[j] = max(folded[j], folded[j + half])
        half //= 2
    return folded[0]


@njit(error_model="numpy", inline="always")
def squared_distances(x, y, i, tile, out):
    """Write |x_i - y|^2 of a tile of samples; a second part of x and y holds digits that the first has no room for."""
    out[:] = 0.0
    for k in range(y.shape[1]):
        x_high, y_high = x[0, i, k], y[0, k, tile]
        if y.shape[0] == 1:
            for j in range(TILE):
                t = x_high - y_high[j]
                out[j] += t * t
        else:
            x_low, y_low = x[1, i, k], y[1, k, tile]
            for j in range(TILE):
                t = (x_high - y_high[j]) + (x_low - y_low[j])
                out[j] += t * t


@njit(error_model="numpy")
def block(x, own, y, group, log_weight, precision, out):
    """Do what `log_sums` does for up to `QUERIES` queries."""
    queries = x.shape[1]
    a, e, bits = np.empty(TILE), np.empty(TILE), np.empty(TILE, np.int64)
    sums = np.zeros((queries, 3, TILE))
    top = np.full(queries, NOTHING)
    for begin in range(0, y.shape[2], TILE):
        tile = slice(begin, begin + TILE)
        log_w, groups = log_weight[tile], group[tile]
        for i in range(queries):
            squared_distances(x, y, i, tile, a)
            for j in range(TILE):
                a[j] = log_w[j] - 0.5 * precision * a[j]
            if own[i] >= 0:
                for j in range(TILE):
                    a[j] = NOTHING if groups[j] == own[i] else a[j]
            highest = largest(a, e)
            s_e, s_ae, s_ee = sums[i]
            if highest > top[i]:
                shift = max(top[i] - highest, FAINT)
                factor = math.exp(shift)
                for j in range(TILE):
                    s_ae[j] = factor * (s_ae[j] + shift * s_e[j])
                    s_e[j] *= factor
                    s_ee[j] *= factor * factor
                top[i] = highest
            for j in range(TILE):
                a[j] = max(a[j] - top[i], FAINT)
            exp_lanes(a, bits, e)
            for j in range(TILE):
                s_e[j] += e[j]
                s_ae[j] += a[j] * e[j]
                s_ee[j] += e[j] * e[j]
    for i in range(queries):
        e_sum, ae_sum, ee_sum = np.sum(sums[i, 0]), np.sum(sums[i, 1]), np.sum(sums[i, 2])
        out[i, 0] = top[i] + math.log(e_sum)
        out[i, 1] = e_sum * e_sum / ee_sum
        out[i, 2] = math.log(e_sum) - ae_sum / e_sum


@njit(cache=True, parallel=True, error_model="numpy")
def log_sums(x, own, y, group, log_weight, precision):
    """Sum the kernels exp(log_weight - precision |x - y|^2 / 2) of all samples at each query, on all threads.

    Parameters
    ----------
    x
        (parts, queries, dim) float64: the queries, one part or two that add up.
    own
        (queries,) int64: the group of samples that a query leaves out, -1 for none.
    y
        (parts, dim, samples) float64: the samples, filled up to whole tiles.
    group, log_weight
        (samples,) int64 and float64; `NOTHING` is the logarithm of a weight of zero.
    precision
        1 / h^2.

    Returns
    -------
    ndarray
        (queries, 3): the logarithm of the sum; 1 / sum w^2 and -sum w ln w of the normalised terms w.
    """
    queries = x.shape[1]
    out = np.empty((queries, 3))
    for task in prange((queries + QUERIES - 1) // QUERIES):
        rows = slice(task * QUERIES, min(queries, task * QUERIES + QUERIES))
        block(x[:, rows], own[rows], y, group, log_weight, precision, out[rows])
    return out


@njit(cache=True, error_model="numpy")
def triangle(rows):
    """Return the (d, d) upper triangle R with R^T R = A^T A of A (n, d), by Givens rotations of one row at a time."""
    d = rows.shape[1]
    r = np.zeros((d, d))
    for i in range(rows.shape[0]):
        row = rows[i].copy()
        for k in range(d):
            length = math.hypot(r[k, k], row[k])
            if length > 0.0:
                c, s = r[k, k] / length, row[k] / length
                for j in range(k, d):
                    t = r[k, j]
                    r[k, j] = c * t + s * row[j]
                    row[j] = c * row[j] - s * t
    return r


@njit(cache=True, error_model="numpy")
def affine(points, origin, matrix):
    """Return (points - origin) @ matrix."""
    out = np.zeros((points.shape[0], matrix.shape[1]))
    for i in range(points.shape[0]):
        for k in range(points.shape[1]):
            x = points[i, k] - origin[k]
            for j in range(matrix.shape[1]):
                out[i, j] += x * matrix[k, j]
    return out
