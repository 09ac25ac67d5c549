"""Every runner of the rotation curve's chi-square against a slow reference and itself in other batches.

A new runner gets all of this by registering. Without a GPU the CUDA runner goes through the simulator: see
``tests/test_gpu/test_cuda_simulator.py``, which runs this file again with fewer cases.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numba
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import NdBSpline
from scipy.special import hyp2f1

from gpu import _cuda
from gpu.arrays import device_of, to_numpy
from gpu.registry import BackendUnavailable, get, runners
from gpu.rotation.data import Constants, Curves
from gpu.rotation.formula import (
    BURKERT,
    CORENFW,
    DARKEXP,
    DARKEXP_GAMMA,
    DC14,
    DENSITY,
    DISTANCE,
    EINASTO,
    EXTRA,
    FIRST,
    INCLINATION,
    LOG_ML_BULGE,
    LOG_ML_DISK,
    LUCKY13,
    NFW,
    PISO,
    SCALE,
    SECOND,
    VIRIAL,
)

KINDS = {
    "nfw": NFW,
    "piso": PISO,
    "burkert": BURKERT,
    "einasto": EINASTO,
    "corenfw": CORENFW,
    "dc14": DC14,
    "lucky13": LUCKY13,
    "darkexp": DARKEXP,
    "darkexp_gamma": DARKEXP_GAMMA,
}
COORDINATES = {"scale": SCALE, "virial": VIRIAL, "density": DENSITY}
SIMULATED = _cuda.simulated()
#: Whether a kernel is compiled; Python stops at the logarithm of infinity, machine code does not.
COMPILED = not (SIMULATED or numba.config.DISABLE_JIT)
#: A halo's V^2 on two runners: closed forms lose that much just above the radius where their series end.
EPSILON = 1e-11
#: A table of the form of DARKexp's: phi0 from 0.5 to 6.5, ln x from -2.5 to 2.5, and a curve for each.
PHI0, LOG_X = (0.5, 0.25, 25), (-2.5, 0.1, 51)
NODES = np.meshgrid(*(first + step * np.arange(-1, n + 1) for first, step, n in (PHI0, LOG_X)), indexing="ij")
COEFFICIENTS = (1.1 - 0.1 * NODES[0]) * NODES[1] - 1.3 * np.log1p(np.exp(NODES[1])) + 0.05 * np.sin(3 * sum(NODES))
SPLINE = NdBSpline(tuple(first + step * np.arange(-3, n + 3) for first, step, n in (PHI0, LOG_X)), COEFFICIENTS, 3)
#: G [kpc km^2 s^-2 Msun^-1], H0 [km/s/kpc], 0.04 * 14 Gyr [kpc/(km/s)], and the table.
CONSTANTS = Constants(4.30091727e-6, 0.073, 0.5727, *PHI0[:2], *LOG_X[:2], COEFFICIENTS)

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
every_coordinates = pytest.mark.parametrize("coordinates", COORDINATES.values(), ids=COORDINATES)


@pytest.fixture(params=sorted(runners("rotation.chi2")))
def chi2(request):
    """Each runner that can run here."""
    try:
        return get("rotation.chi2", request.param)
    except BackendUnavailable as error:
        pytest.skip(str(error))


def galaxies(*points, seed=1):
    """Galaxies of so many points each, with gas that pulls outwards in the middle."""
    rng = np.random.default_rng(seed)
    total, n = sum(points), len(points)
    r = np.concatenate([np.linspace(0.3, 20, count) * rng.uniform(0.8, 1.2) for count in points])
    v_gas, v_disk, v_bulge = (
        rng.uniform(-15, 40, total),
        rng.uniform(20, 120, total),
        rng.uniform(0, 90, total),
    )
    v_obs = 200 * np.sqrt(r / (r + 3)) + rng.normal(0, 8, total)
    galaxy = np.column_stack(
        [
            rng.uniform(3, 60, n),
            rng.uniform(40, 85, n),
            rng.uniform(1, 5, n),
            rng.uniform(1, 80, n),
            rng.uniform(0, 9, n),
        ]
    )
    first = np.concatenate([[0], np.cumsum(points)]).astype(np.int64)
    return Curves(first, r, v_gas * abs(v_gas), v_disk**2, v_bulge**2, v_obs, 1 / rng.uniform(2, 9, total), galaxy)


def parameters(kind, coordinates, curves, objects, rows, seed=2):
    """Plausible rows for the given galaxies, (objects, rows, 7)."""
    rng = np.random.default_rng(seed)
    theta = np.empty((len(objects), rows, 7))
    shape = theta.shape[:2]
    halo = {
        SCALE: ((0.2, 1.2), (1.7, 2.3)),
        VIRIAL: ((1.8, 2.4), (0.5, 1.3)),
        DENSITY: ((0.2, 1.2), (-3, -1.5)),
    }
    theta[..., FIRST], theta[..., SECOND] = (rng.uniform(*limits, shape) for limits in halo[coordinates])
    extra = {DC14: (10.5, 12.5), DARKEXP: (0.5, 6.5), DARKEXP_GAMMA: (1.2, 7.0)}
    theta[..., EXTRA] = rng.uniform(*extra.get(kind, (-1.2, 0.4)), shape)
    theta[..., LOG_ML_DISK], theta[..., LOG_ML_BULGE] = (
        rng.normal(-0.3, 0.1, shape),
        rng.normal(-0.15, 0.1, shape),
    )
    theta[..., DISTANCE] = curves.galaxy[objects, 0][:, None] * rng.uniform(0.8, 1.2, shape)
    theta[..., INCLINATION] = curves.galaxy[objects, 1][:, None] + rng.normal(0, 3, shape)
    return theta


def case(kind, coordinates, points=(7,), rows=3):
    """All arguments of a runner, one object a galaxy."""
    curves = galaxies(*points)
    objects = np.arange(len(points), dtype=np.int64)
    return kind, coordinates, parameters(kind, coordinates, curves, objects, rows), objects, curves, CONSTANTS


def nfw_mass(x):
    return 0.5 * x * x * hyp2f1(2, 2, 3, -x) if x < 0.1 else math.log1p(x) - x / (1 + x)


def density(kind, x, shape):
    """The published densities in units of rho_s."""
    if kind == CORENFW:
        core, n = shape
        f = math.tanh(x / core)
        return f**n / (x * (1 + x) ** 2) + n * f ** (n - 1) * (1 - f**2) / core * nfw_mass(x) / x**2
    if kind == EINASTO:
        return math.exp(-2 / shape[0] * (x ** shape[0] - 1))
    if kind == DC14:
        alpha, beta, gamma = shape
        return x**-gamma * (1 + x**alpha) ** ((gamma - beta) / alpha)
    if kind == DARKEXP_GAMMA:
        gamma = max(3 * math.log10(shape[0]) - 0.65, 0)
        y = x * (2 - gamma) / 2
        return y**-gamma * (1 + y) ** (gamma - 4)
    return {
        NFW: lambda: 1 / (x * (1 + x) ** 2),
        PISO: lambda: 1 / (1 + x**2),
        BURKERT: lambda: 1 / ((1 + x) * (1 + x**2)),
        LUCKY13: lambda: 1 / (1 + x) ** 3,
    }[kind]()


def darkexp_mass(x, phi0):
    """x V^2 of the table, and of the straight lines that continue it."""
    ends = LOG_X[0], LOG_X[0] + (LOG_X[2] - 1) * LOG_X[1]
    inside = min(max(math.log(x), ends[0]), ends[1])
    slope = SPLINE([phi0, inside], nu=(0, 1))
    return x * math.exp(SPLINE([phi0, inside]) + slope * (math.log(x) - inside))


def enclosed(kind, x, shape):
    """4 pi times the integral of x^2 density, of DARKexp over that at 1."""
    if kind == DARKEXP:
        return 4 * math.pi * darkexp_mass(x, *shape)
    if kind == DARKEXP_GAMMA:
        return 4 * math.pi * integrated(kind, x, shape) / integrated(kind, 1.0, shape)
    return integrated(kind, x, shape)


def integrated(kind, x, shape):
    """4 pi times the integral of x^2 density over ln x, from where nothing is left inside."""

    def shell(u):
        return 4 * math.pi * math.exp(3 * u) * density(kind, math.exp(u), shape)

    edges = math.log(x) - np.arange(0, 41, 2)
    return math.fsum(quad(shell, low, high, epsabs=1e-14, epsrel=1e-12)[0] for high, low in pairwise(edges))


def reference(kind, coordinates, theta, objects, curves, constants):
    """The chi-square in plain Python, from masses in Msun."""
    out = np.empty(theta.shape[:2])
    for i, o in enumerate(objects):
        d_0, i_0, r_eff, l_disk, l_bulge = curves.galaxy[o].tolist()
        for w, row in enumerate(theta[i].tolist()):
            ratio = row[DISTANCE] / d_0
            ml_disk, ml_bulge = 10 ** row[LOG_ML_DISK], 10 ** row[LOG_ML_BULGE]
            first, second = 10 ** row[FIRST], 10 ** row[SECOND]
            if coordinates == VIRIAL:
                r_200 = first / (10 * constants.h0)
                m_200 = first**2 * r_200 / constants.g
                r_s, anchor, m_anchor = r_200 / second, second, m_200
            elif coordinates == SCALE:
                m_200 = 10 ** row[EXTRA]
                r_s, anchor, m_anchor = first, 1.0, second**2 * first / constants.g
            else:
                m_200 = 10 ** row[EXTRA]
                r_s, anchor, m_anchor = first, None, second * 1e9 * first**3

            shape = ()
            if kind == EINASTO:
                shape = (10 ** row[EXTRA],)
            elif kind in (DARKEXP, DARKEXP_GAMMA):
                shape = (row[EXTRA],)
            elif kind == DC14:
                stars = (ml_disk * l_disk + ml_bulge * l_bulge) * 1e9 * ratio**2
                x = min(max(math.log10(stars / m_200), -4.1), -1.3)
                shape = (
                    2.94 - math.log10((10 ** (x + 2.33)) ** -1.08 + (10 ** (x + 2.33)) ** 2.29),
                    4.23 + 1.34 * x + 0.26 * x**2,
                    -0.06 + math.log10((10 ** (x + 2.56)) ** -0.68 + 10 ** (x + 2.56)),
                )
            named = NFW if kind == CORENFW else kind
            unit = m_anchor / (enclosed(named, anchor, shape) if anchor else 1.0)
            if kind == CORENFW:
                period = 2 * math.pi * math.sqrt(r_s**3 / (constants.g * unit * enclosed(NFW, 1.0, ())))
                shape = (1.75 * r_eff * ratio / r_s, math.tanh(constants.core_age / period))

            out[i, w] = 0.0
            for j in range(curves.first[o], curves.first[o + 1]):
                r = curves.r[j] * ratio
                stars_and_gas = curves.gas[j] + ml_disk * curves.disk[j] + ml_bulge * curves.bulge[j]
                v2 = stars_and_gas * ratio + constants.g * unit * enclosed(kind, r / r_s, shape) / r
                slant = math.sin(math.radians(row[INCLINATION])) / math.sin(math.radians(i_0))
                out[i, w] += ((curves.v_obs[j] - math.sqrt(max(v2, 0)) * slant) * curves.weight[j]) ** 2
    return out


def assert_close(found, expected, curves, objects):
    """Hold chi-squares to what velocities that agree to `EPSILON` allow."""
    signal = [np.sum((curves.v_obs * curves.weight)[curves.first[o] : curves.first[o + 1]] ** 2) for o in objects]
    norm, scatter = np.sqrt(signal)[:, None], np.sqrt(expected)
    allowed = 2 * EPSILON * (norm + scatter) * scatter + (EPSILON * (norm + scatter)) ** 2
    assert np.all(np.abs(found - expected) <= allowed)


@every_coordinates
@every_kind
def test_agrees_with_the_reference(chi2, kind, coordinates):
    arguments = case(kind, coordinates, points=(6, 4), rows=2)
    assert_close(chi2(*arguments), reference(*arguments), arguments[4], arguments[3])


@every_kind
@pytest.mark.parametrize("backend", sorted(set(runners("rotation.chi2")) - {"cpu"}))
def test_agrees_with_the_cpu(backend, kind):
    try:
        runner = get("rotation.chi2", backend)
    except BackendUnavailable as error:
        pytest.skip(str(error))
    rows = 5 if SIMULATED else 500
    arguments = case(kind, SCALE, points=(11, 30, 4), rows=rows)
    assert_close(runner(*arguments), get("rotation.chi2", "cpu")(*arguments), arguments[4], arguments[3])


@every_kind
def test_three_descriptions_of_one_halo_agree(chi2, kind):
    kind, _, theta, objects, curves, constants = case(kind, VIRIAL, points=(8,), rows=1)
    v_200, c_200 = 10 ** theta[0, 0, FIRST], 10 ** theta[0, 0, SECOND]
    r_200 = v_200 / (10 * constants.h0)
    r_s, m_200 = r_200 / c_200, v_200**2 * r_200 / constants.g
    shape = ()
    if kind == EINASTO:
        shape = (10 ** theta[0, 0, EXTRA],)
    elif kind in (DARKEXP, DARKEXP_GAMMA):
        shape = (theta[0, 0, EXTRA],)
    elif kind == DC14:
        # alpha, beta and gamma at log10(M*/M200) = -2.33; the luminosity of the galaxy is chosen to match.
        shape = (2.94 - math.log10(2), 2.519314, -0.06 + math.log10(10**-0.1564 + 10**0.23))
        theta[0, 0, [LOG_ML_DISK, LOG_ML_BULGE]] = 0.0
        theta[0, 0, DISTANCE] = curves.galaxy[0, 0]
        curves.galaxy[0, 3:] = 10**-2.33 * m_200 / 1e9, 0.0
    named = NFW if kind == CORENFW else kind
    unit = m_200 / enclosed(named, c_200, shape)
    v_s = math.sqrt(constants.g * unit * enclosed(named, 1.0, shape) / r_s)

    scale, density_ = theta.copy(), theta.copy()
    scale[0, 0, FIRST], scale[0, 0, SECOND] = math.log10(r_s), math.log10(v_s)
    density_[0, 0, FIRST], density_[0, 0, SECOND] = math.log10(r_s), math.log10(unit / r_s**3 / 1e9)
    if kind == DC14:
        scale[0, 0, EXTRA] = density_[0, 0, EXTRA] = math.log10(m_200)
    expected = chi2(kind, VIRIAL, theta, objects, curves, constants)
    assert_close(chi2(kind, SCALE, scale, objects, curves, constants), expected, curves, objects)
    assert_close(chi2(kind, DENSITY, density_, objects, curves, constants), expected, curves, objects)


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 130])
def test_a_row_alone_has_the_bits_of_the_row_in_its_batch(chi2, rows):
    kind, coordinates, theta, *rest = case(NFW, SCALE, points=(5, 4), rows=rows)
    together = chi2(kind, coordinates, theta, *rest)
    assert together.shape == (2, rows)
    for w in {0, rows // 2, rows - 1}:
        alone = chi2(kind, coordinates, np.ascontiguousarray(theta[:, w : w + 1]), *rest)
        np.testing.assert_array_equal(alone, together[:, w : w + 1])


@every_kind
def test_neither_order_nor_company_of_objects_changes_a_bit(chi2, kind):
    kind, coordinates, theta, objects, curves, constants = case(kind, DENSITY, points=(5, 4, 13, 1, 8), rows=2)
    together = chi2(kind, coordinates, theta, objects, curves, constants)
    order = np.array([3, 0, 4, 4, 1])
    shuffled = chi2(kind, coordinates, theta[order], objects[order], curves, constants)
    np.testing.assert_array_equal(shuffled, together[order])


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="numba has one thread here")
@every_kind
def test_the_number_of_threads_changes_no_bit(kind):
    runner = get("rotation.chi2", "cpu")
    arguments = case(kind, VIRIAL, points=(9, 4, 6), rows=70)
    threads, results = numba.get_num_threads(), []
    try:
        for number in (1, 2):
            numba.set_num_threads(number)
            results.append(runner(*arguments))
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(*results)


def test_negative_v_squared_is_a_velocity_of_zero(chi2):
    kind, coordinates, theta, objects, curves, constants = case(NFW, SCALE, points=(4,), rows=2)
    curves.gas[:] = -1e9
    expected = np.sum((curves.v_obs * curves.weight) ** 2)
    found = chi2(kind, coordinates, theta, objects, curves, constants)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("column", [FIRST, SECOND, EXTRA, LOG_ML_DISK, LOG_ML_BULGE, DISTANCE, INCLINATION])
@every_kind
def test_nan_stays_in_its_row(chi2, kind, column):
    kind, coordinates, theta, *rest = case(kind, SCALE, points=(4,), rows=3)
    clean = chi2(kind, coordinates, theta, *rest)
    theta[0, 1, column] = np.nan
    found = chi2(kind, coordinates, theta, *rest)
    np.testing.assert_array_equal(found[0, [0, 2]], clean[0, [0, 2]])
    ignored = column == EXTRA and kind not in (EINASTO, DC14, DARKEXP, DARKEXP_GAMMA)
    assert found[0, 1] == clean[0, 1] if ignored else np.isnan(found[0, 1])


@pytest.mark.skipif(not COMPILED, reason="Python raises where compiled arithmetic goes on")
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("column", [FIRST, SECOND, EXTRA, LOG_ML_DISK, LOG_ML_BULGE, DISTANCE, INCLINATION])
@every_kind
def test_infinity_stays_in_its_row(chi2, kind, column, value):
    kind, coordinates, theta, *rest = case(kind, SCALE, points=(4,), rows=3)
    clean = chi2(kind, coordinates, theta, *rest)
    theta[0, 1, column] = value
    found = chi2(kind, coordinates, theta, *rest)
    np.testing.assert_array_equal(found[0, [0, 2]], clean[0, [0, 2]])
    assert not found[0, 1] < 0


@pytest.mark.parametrize(("objects", "rows"), [(0, 5), (2, 0), (0, 0)])
def test_empty_batches_have_empty_answers(chi2, objects, rows):
    kind, coordinates, theta, chosen, *rest = case(NFW, SCALE, points=(4, 5), rows=rows)
    assert chi2(kind, coordinates, theta[:objects], chosen[:objects], *rest).shape == (objects, rows)


def test_arguments_are_left_as_they_were(chi2):
    arguments = case(DC14, SCALE, points=(6, 4), rows=3)
    before = [array.copy() for array in (arguments[2], arguments[3], *arguments[4])]
    chi2(*arguments)
    for array, copy in zip((arguments[2], arguments[3], *arguments[4]), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_cuda_arrays_stay_on_their_device():
    try:
        runner = get("rotation.chi2", "cuda")
    except BackendUnavailable as error:
        pytest.skip(str(error))
    kind, coordinates, theta, objects, curves, constants = case(BURKERT, SCALE, points=(6, 4), rows=3)
    moved = [_cuda.to_device(theta), _cuda.to_device(objects), Curves(*map(_cuda.to_device, curves))]
    assert get("rotation.chi2", "auto", like=moved[0]) is runner
    found = runner(kind, coordinates, *moved, constants)
    assert device_of(found) == "cuda"
    np.testing.assert_array_equal(to_numpy(found), runner(kind, coordinates, theta, objects, curves, constants))
