"""The shipped table: its card, its spline, what its density means, and how far it is from the solver."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.interpolate import RectBivariateSpline

from astrotk.darkexp.solver import JOIN, PHI0_RANGE, solve
from astrotk.darkexp.table import Table, gamma_of, load, read_density_table
from catalogs.errors import CatalogFormatError, ParameterError
from catalogs.provenance import sha256_of

RANGE = st.floats(*PHI0_RANGE)
LN_X = st.floats(math.log(1e-3), math.log(1e3))


@pytest.fixture(scope="module")
def table():
    return load()


def test_the_card_knows_the_file():
    folder = files("astrotk.darkexp") / "data"
    card = json.loads((folder / "darkexp.json").read_text(encoding="utf-8"))
    assert sha256_of(folder / card["file"]) == card["sha256"]
    assert (folder / card["file"]).stat().st_size < 300_000


def test_what_it_says_of_its_solutions(table):
    assert (table.phi0[0], table.phi0[-1]) == PHI0_RANGE
    cusps = table.phi0 > JOIN
    assert np.all(table.residual_rms[cusps] < 2e-3)
    assert np.all(np.abs(table.virial_ratio[cusps] - 1) < 2e-5)
    assert np.all(table.residual_rms < 0.05)
    assert np.all(np.abs(table.virial_ratio - 1) < 0.01)
    assert np.all(np.abs(table.drift) < 1e-6)
    assert np.all(table.boundary[cusps] < 0.03)


def _own(nodes):
    n_phi, n_x = nodes.shape
    shipped = load()
    return replace(shipped, phi0=np.linspace(0.5, 3.5, n_phi), ln_x=np.linspace(-2.0, 3.0, n_x), nodes=nodes)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (6, 7), elements=st.floats(-3, 3)), st.floats(0.5, 3.5), st.floats(-2, 3))
def test_the_spline_is_the_bicubic_one(nodes, phi0, ln_x):
    """SciPy's interpolating bicubic spline has the same end condition (not a knot)."""
    own = _own(nodes)
    theirs = RectBivariateSpline(own.phi0, own.ln_x, nodes, s=0)
    assert own.ln_v2(phi0, ln_x) == pytest.approx(theirs(phi0, ln_x)[0, 0], abs=1e-10)


def test_the_coefficients_are_what_a_kernel_reads(table):
    """The contract: four by four coefficients from the corner of a cell, with the weights of a uniform B-spline."""
    assert table.coefficients.shape == (table.phi0.size + 2, table.ln_x.size + 2)
    assert table.coefficients.flags.c_contiguous
    t, s = (3.217 - table.phi0_first) / table.phi0_step, (0.4321 - table.x_first) / table.x_step
    i, j = int(t), int(s)

    def weights(u):
        return np.array([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, 3 * (1 - u) ** 3 - 6 * (1 - u) ** 2 + 4, u**3]) / 6

    value = weights(t - i) @ table.coefficients[i : i + 4, j : j + 4] @ weights(s - j)
    assert table.ln_v2(3.217, 0.4321) == pytest.approx(value, abs=1e-13)


@settings(max_examples=50, deadline=None)
@given(RANGE)
def test_the_velocity_is_one_at_the_reference_radius(phi0):
    table = load()
    assert abs(table.ln_v2(phi0, 0.0)) < 1e-12
    assert table.slope(1.0, phi0) == pytest.approx(-2, abs=2e-3)


@pytest.mark.parametrize("phi0", [0.4, 1.33, 2.05995, 2.9, 4.5, 7.7])
def test_the_density_has_the_mass(table, phi0):
    """x^2 rho integrates to h = x V^2 between any two radii."""
    low, high = 0.02, 30.0
    mass, _ = quad(
        lambda t: table.rho_hat(math.exp(t), phi0) * math.exp(3 * t), math.log(low), math.log(high), limit=500
    )
    h = [x * math.exp(table.ln_v2(phi0, math.log(x))) for x in (low, high)]
    assert mass == pytest.approx(h[1] - h[0], rel=1e-6)
    x, step = np.array([0.05, 0.7, 8.0]), 1e-4
    steep = np.log(table.rho_hat(x * math.exp(step), phi0) / table.rho_hat(x * math.exp(-step), phi0)) / (2 * step)
    np.testing.assert_allclose(table.slope(x, phi0), steep, atol=1e-4)


def test_beyond_its_ends_a_power_law(table):
    for end, way in ((table.ln_x[0], -1), (table.ln_x[-1], 1)):
        edge, near, far = table.ln_v2(3.0, end + np.array([0.0, way * 1.0, way * 2.0]))
        assert far - near == pytest.approx(near - edge, rel=1e-12)
    assert table.slope(1e-6, 3.0) == pytest.approx(-1, abs=0.05)
    assert table.slope(1e-6, 1.0) == pytest.approx(0, abs=0.01)


def test_broadcasting_and_range(table):
    assert table.ln_v2(np.array([[1.0], [2.0]]), np.zeros(3)).shape == (2, 3)
    for phi0 in (0.2, 8.5, math.nan):
        with pytest.raises(ParameterError, match=r"phi0: expected 0\.3 to 8"):
            table.ln_v2(phi0, 0.0)


@pytest.mark.parametrize(
    ("phi0", "inner", "outer"), [(0.55, 1e-4, 2e-6), (1.95, 3e-3, 1e-4), (2.04, 1e-2, 2e-4), (4.05, 2e-6, 2e-6)]
)
def test_the_interpolation_error(table, phi0, inner, outer):
    """|d ln V| from r/r_-2 = 0.03 on, and from 0.1 on, halfway between the nodes."""
    solution = solve(phi0)
    places = math.log(solution.r_minus2) + np.append(table.ln_x, 0.0)
    ln_v2 = np.log(solution.sphere.mass_at(places)) - places
    error = 0.5 * np.abs(ln_v2[:-1] - ln_v2[-1] - table.ln_v2(phi0, table.ln_x))
    assert np.max(error[table.ln_x > math.log(0.03)]) < inner
    assert np.max(error[table.ln_x > math.log(0.1)]) < outer


def test_gamma_is_close_where_it_is_valid(table):
    """Slope at 0.1 r_-2 of the Dehnen stand-in, x = r/a, r_-2 = (2 - gamma) a / 2."""
    phi0 = np.array([2.0, 3.0, 3.5, 4.0, 5.0, 6.0])
    gamma = gamma_of(phi0)
    x = 0.1 * (2 - gamma) / 2
    stand_in = -(gamma + 4 * x) / (1 + x)
    np.testing.assert_allclose(stand_in, [-0.55, -0.97, -1.13, -1.27, -1.52, -1.72], atol=0.01)
    np.testing.assert_allclose(table.slope(0.1, phi0), stand_in, atol=0.12)
    assert gamma_of(1.0) == 0.0
    assert gamma_of(1.647) == pytest.approx(0.0, abs=1e-3)


def test_a_density_table_of_ones_own(tmp_path):
    path = tmp_path / "density.csv"
    r = np.geomspace(0.01, 100, 200)
    rows = "\n".join(f"{a},{1 / (a * (1 + a) ** 3)}" for a in 3.0 * r[::-1])
    path.write_text("r,rho\n" + rows, encoding="utf-8")
    found = read_density_table(path)
    assert np.all(np.diff(found.x) > 0)
    # Hernquist: the slope is -2 at a/2
    np.testing.assert_allclose(found.x, 3.0 * r / 0.5, rtol=1e-4)
    np.testing.assert_allclose(found.rho_hat, 1 / (found.x * (2 + found.x) ** 3) * 27, rtol=1e-3)
    assert found.source.path == str(path)


@pytest.mark.parametrize(
    "rows", ["1,1\n2,0.5\n", "1,1\n2,0.9\n3,0.8\n4,0.7\n5,0.65\n", "1,1\n1,2\n2,0.1\n3,0.01\n4,0.001\n"]
)
def test_a_density_table_that_is_none(tmp_path, rows):
    path = tmp_path / "density.csv"
    path.write_text("r,rho\n" + rows, encoding="utf-8")
    with pytest.raises(CatalogFormatError, match=r"density\.csv"):
        read_density_table(path)


def test_a_table_is_frozen(table):
    assert isinstance(table, Table)
    with pytest.raises(AttributeError):
        table.phi0 = table.phi0
