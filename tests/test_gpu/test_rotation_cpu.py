from __future__ import annotations

import numpy as np
import pytest

from gpu.rotation import cpu, formula
from gpu.rotation.cpu import LANES
from gpu.rotation.data import Constants, Curves


@pytest.fixture
def curves():
    rng = np.random.default_rng(7)
    r = np.concatenate([np.linspace(0.5, 12, 9), np.linspace(1, 30, 4)])
    speeds = rng.uniform(10, 100, (3, 13))
    return Curves(
        np.array([0, 9, 13]), r, *speeds**2, rng.uniform(80, 200, 13), 1 / rng.uniform(2, 9, 13),
        np.array([[10.0, 60.0, 2.0, 20.0, 1.0], [50.0, 75.0, 4.0, 60.0, 5.0]]),
    )  # fmt: skip


PHI0, LOG_X = np.arange(0.25, 7.0, 0.25)[:, None], np.arange(-4.2, 4.3, 0.2)
CONSTANTS = Constants(
    4.30091727e-6, 0.073, 0.5727, 0.5, 0.25, -4.0, 0.2, (1.5 - 0.1 * PHI0) * LOG_X - 1.4 * np.log1p(np.exp(LOG_X))
)
EVERY_KIND = {name: getattr(formula, name) for name in (
    "NFW", "PISO", "BURKERT", "EINASTO", "CORENFW", "DC14", "LUCKY13", "DARKEXP", "DARKEXP_GAMMA"
)}  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1, LANES - 1, LANES, LANES + 1, 2 * LANES + 3])
@pytest.mark.parametrize("galaxy", [0, 1])
def test_chi2_is_the_sum_of_squared_residuals(curves, galaxy, rows):
    rng = np.random.default_rng(8)
    theta = np.zeros((rows, 7))
    theta[:, :2] = rng.uniform((0.2, 1.7), (1.0, 2.2), (rows, 2))
    theta[:, 3:5] = rng.normal(-0.3, 0.1, (rows, 2))
    theta[:, 5:] = curves.galaxy[galaxy, :2]
    residuals = cpu.residuals(formula.BURKERT, formula.SCALE, theta, galaxy, curves, CONSTANTS)
    chi2 = cpu.chi2(formula.BURKERT, formula.SCALE, theta[None], np.array([galaxy]), curves, CONSTANTS)
    assert residuals.shape == (rows, curves.first[galaxy + 1] - curves.first[galaxy])
    np.testing.assert_allclose(np.sum(residuals**2, axis=1), chi2[0], rtol=1e-13)


def test_residuals_are_signed_in_units_of_the_error(curves):
    theta = np.array([[0.0, -300.0, 0.0, -300.0, -300.0, 10.0, 60.0]])  # no halo, no stars: the gas alone
    points = slice(0, 9)
    expected = (curves.v_obs[points] - np.sqrt(curves.gas[points])) * curves.weight[points]
    found = cpu.residuals(formula.NFW, formula.SCALE, theta, 0, curves, CONSTANTS)
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


@pytest.mark.parametrize("order", ["outwards", "shuffled"])
@pytest.mark.parametrize("kind", EVERY_KIND.values(), ids=EVERY_KIND)
def test_all_the_lanes_together_are_the_formulas_one_by_one(kind, order):
    """Over halos from far inside to far outside the points, wide gaps, equal radii, and steep Einasto halos too."""
    rng, rows = np.random.default_rng(9), LANES + 9
    r = np.array([0.05, 0.06, 0.06, 0.5, 3.0, 3.1, 4.0, 40.0])
    if order == "shuffled":
        rng.shuffle(r)
    none = np.zeros(r.size)
    galaxy = np.array([[10.0, 60.0, 2.0, 20.0, 1.0]])
    curves = Curves(np.array([0, r.size]), r, none, none, none, none, none + 1, galaxy)
    theta = np.zeros((rows, 7))
    theta[:, :2] = rng.uniform((-1.2, 1.7), (2.4, 2.3), (rows, 2))
    extra = {formula.EINASTO: (-1.7, 0.69), formula.DARKEXP: (0.5, 6.5), formula.DARKEXP_GAMMA: (1.2, 7.0)}
    theta[:, 2] = rng.uniform(*extra.get(kind, (9.0, 13.0)), rows)
    theta[:, 3:5] = -0.3
    theta[:, 5:] = 10.0, 60.0
    found = cpu.residuals(kind, formula.SCALE, theta, 0, curves, CONSTANTS) ** 2
    scales = cpu.halos(kind, formula.SCALE, theta, np.zeros(rows, dtype=np.int64), galaxy, CONSTANTS)
    for w in range(rows):
        r_s, amplitude, *shape = scales[w].tolist()
        x = r / r_s
        expected = [amplitude * formula.mass(kind, value, *shape, CONSTANTS) / value for value in x.tolist()]
        np.testing.assert_allclose(found[w], expected, rtol=1e-11)


def test_rows_are_completed_from_the_template_of_their_galaxy():
    template, theta = np.arange(15.0).reshape(3, 5), 100 + np.arange(24.0).reshape(2, 4, 3)
    rows = cpu.complete(template, np.array([2, 0]), np.array([1, -1, 0, -1, 2]), theta)
    assert rows.shape == (2, 4, 5)
    np.testing.assert_array_equal(rows[..., [2, 0, 4]], theta)
    np.testing.assert_array_equal(rows[1, :, [1, 3]], np.array([[1.0], [3.0]]).repeat(4, axis=1))
    np.testing.assert_array_equal(rows[0, :, [1, 3]], np.array([[11.0], [13.0]]).repeat(4, axis=1))
