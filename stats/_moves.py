"""Compiled steps of many ensembles at once: propose, accept, remember.

The walkers of an ensemble stand in two halves; one half moves by what the other knows (Goodman & Weare 2010, Foreman-
Mackey et al. 2013), so that all its walkers may move together. Random numbers come from a counter, keyed by the object,
and counted by step and walker: who else is in the batch, and on which thread, changes nothing.
"""

import math

import numpy as np
from numba import njit, prange

MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
MULTIPLY_0, MULTIPLY_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
UNIT = 2.0**-32

#: Reach of the stretch move.
STRETCH = 2.0
#: Share of the differential moves that take the whole difference, which leads from mode to mode.
WHOLE = 0.1


@njit(cache=True, inline="always")
def philox(c0, c1, c2, c3, key):
    """Return four random 32-bit integers: Philox4x32-10 of Salmon et al. 2011 for a counter and a 64-bit key."""
    k0, k1 = key & MASK, key >> SHIFT
    for _ in range(10):
        p0, p1 = MULTIPLY_0 * c0, MULTIPLY_1 * c2
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ k0, p1 & MASK, (p0 >> SHIFT) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK
    return c0, c1, c2, c3


@njit(cache=True, inline="always")
def uniform(word):
    """Return a number in (0, 1) of a 32-bit integer."""
    return (np.float64(word) + 0.5) * UNIT


@njit(cache=True, inline="always")
def one_of(n, word):
    """Return a number from 0 to n - 1 of a 32-bit integer, and what is left of it: another such integer."""
    product = word * np.uint64(n)
    return int(product >> SHIFT), product & MASK


@njit(cache=True, parallel=True, error_model="numpy")
def propose(x, half, keys, steps, low, high, differential, theta, threshold):
    """Write where the walkers of one half would go, and what ln posterior must gain for it.

    Parameters
    ----------
    x
        (object, 2, ensemble, walker, dim).
    half
        Which of the two moves.
    keys, steps
        (object,) uint64: the key of its random numbers, and the steps it has done.
    low, high
        (object, dim): the support. What would leave it stays, with a threshold of infinity, so that a target is never
        asked about what cannot be.
    differential
        Share of the differential moves (ter Braak 2006); the others stretch.
    theta, threshold
        Written: (object, ensemble x walker, dim) and (object, ensemble x walker).
    """
    n, _, ensembles, size, dim = x.shape
    scale = 2.38 / math.sqrt(2.0 * dim)
    for task in prange(n * ensembles):
        o, e = task // ensembles, task % ensembles
        others = x[o, 1 - half, e]
        for w in range(size):
            row = e * size + w
            now, then = x[o, half, e, w], theta[o, row]
            walker = np.uint64((half * ensembles + e) * size + w)
            choice, pair, size_of, luck = philox(steps[o], walker, np.uint64(0), np.uint64(0), keys[o])
            i, rest = one_of(size, pair)
            c, u = uniform(choice), uniform(size_of)
            gain = math.log(uniform(luck))
            if c < differential:
                j, _ = one_of(size - 1, rest)
                j += j >= i
                g = 1.0 if c < WHOLE * differential else scale * (0.5 + u)
                for k in range(dim):
                    then[k] = now[k] + g * (others[i, k] - others[j, k])
            else:
                z = (1.0 + (STRETCH - 1.0) * u) ** 2 / STRETCH
                for k in range(dim):
                    then[k] = others[i, k] + z * (now[k] - others[i, k])
                gain -= (dim - 1) * math.log(z)
            inside = True
            for k in range(dim):
                inside &= low[o, k] <= then[k] <= high[o, k]
            if not inside:
                gain = math.inf
                for k in range(dim):
                    then[k] = now[k]
            threshold[o, row] = gain


@njit(cache=True, parallel=True, error_model="numpy")
def accept(x, logprior, loglike, accepted, half, theta, threshold, power, mean, weight, new_loglike, joint):
    """Move the walkers of one half whose ln posterior gains enough.

    The ln prior is -((theta - mean) weight)^2 / 2, summed, as `Prior.gauss` has it, plus `joint`.

    Parameters
    ----------
    x, logprior, loglike
        Changed: (object, 2, ensemble, walker, dim), and without the last axis.
    accepted
        Changed: (object,) how many moves were taken.
    half, theta, threshold
        As for `propose`.
    power
        (object, ensemble): of the likelihood, 1 but for walkers that are still being brought in.
    mean, weight
        (object, dim).
    new_loglike, joint
        (object, ensemble x walker).
    """
    n, _, ensembles, size, dim = x.shape
    for o in prange(n):
        taken = 0
        for e in range(ensembles):
            for w in range(size):
                row = e * size + w
                prior = joint[o, row]
                for k in range(dim):
                    z = (theta[o, row, k] - mean[o, k]) * weight[o, k]
                    prior -= 0.5 * z * z
                gain = prior - logprior[o, half, e, w] + power[o, e] * (new_loglike[o, row] - loglike[o, half, e, w])
                if gain > threshold[o, row]:  # never true for NaN
                    logprior[o, half, e, w] = prior
                    loglike[o, half, e, w] = new_loglike[o, row]
                    for k in range(dim):
                        x[o, half, e, w, k] = theta[o, row, k]
                    taken += 1
        accepted[o] += taken


@njit(cache=True)
def remember(x, logprior, loglike, steps, slot, every, filled, chain):
    """Add the present to the chains of those objects whose time it is.

    Parameters
    ----------
    x, logprior, loglike, steps
        As for `accept`; (object,) steps done.
    slot
        (object,): which chain is whose.
    every, filled
        (slot,): steps between two entries, and, changed, how many entries a chain has.
    chain
        Changed: (slot, entry, ensemble, walker, dim + 2); ln posterior and ln likelihood come last.
    """
    n, _, ensembles, size, dim = x.shape
    for o in range(n):
        s = slot[o]
        if steps[o] % every[s] == 0:
            entry = chain[s, filled[s]]
            for e in range(ensembles):
                for w in range(size):
                    for half in range(2):
                        row = entry[e, 2 * w + half]
                        for k in range(dim):
                            row[k] = x[o, half, e, w, k]
                        row[dim] = logprior[o, half, e, w] + loglike[o, half, e, w]
                        row[dim + 1] = loglike[o, half, e, w]
            filled[s] += 1
