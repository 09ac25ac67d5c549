"""The model against the formulas of its papers, written out in loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma, gammainc

from astrotk.darkexp import table
from astrotk.darkexp.model import (
    RotationModel,
    check_fixed,
    concentration_of,
    einasto_alpha_of,
    needs,
    prior_of,
    stellar_mass_of,
    unmet,
)
from astrotk.darkexp.profiles import GYR, PROFILES, Profile, kernel_constants
from catalogs.errors import ParameterError

G, H0 = 4.30091e-6, 0.073
every_profile = pytest.mark.parametrize("name", PROFILES)
own_nfw = Profile("my NFW", lambda x: 1 / (x * (1 + x) ** 2), lambda x: np.log1p(x) - x / (1 + x))
generalized = Profile("gNFW", lambda x, g: x**-g * (1 + x) ** (g - 3), shape={"gamma": (0.0, 1.6)})


def test_constants():
    """CODATA 2022 and the IAU's definitions."""
    parsec, year, sun = 3.0856775814913673e16, 365.25 * 86400, 1.988409870698051e30
    constants = kernel_constants()
    assert pytest.approx(6.6743e-11 * sun / (1e3 * parsec) / 1e6, rel=1e-4) == constants.g == G
    assert constants.h0 == H0
    assert pytest.approx(parsec / year / 1e9, rel=1e-6) == GYR
    assert constants.core_age == 0.04 * 14.0 / GYR


# --- the reference: scalars and loops, from the formulas as they are published ------------------------------------


def shape_of(name, p):
    if name == "Einasto":
        return (p["alpha"],)
    if "phi0" in p:
        return (p["phi0"],)
    if name != "DC14":
        return ()
    m200 = p["v200"] ** 3 / (10 * G * H0)
    stars = (p["ml_disk"] * p["l_disk"] + p["ml_bulge"] * p["l_bulge"]) * 1e9 * (p["distance_Mpc"] / p["d0"]) ** 2
    x = min(max(math.log10(stars / m200), -4.1), -1.3)
    return (
        2.94 - math.log10((10 ** (x + 2.33)) ** -1.08 + (10 ** (x + 2.33)) ** 2.29),
        4.23 + 1.34 * x + 0.26 * x**2,
        -0.06 + math.log10((10 ** (x + 2.56)) ** -0.68 + 10 ** (x + 2.56)),
    )


def mass_within(name, x, shape=()):
    """The integral of x^2 rho / rho_s; for coreNFW that of its parent."""
    if name == "DARKexp":
        return x * math.exp(table.load().ln_v2(shape[0], math.log(x)))
    if name == "DARKexp-gamma":
        cusp = max(3 * math.log10(shape[0]) - 0.65, 0.0)
        return (x * (4 - cusp) / (2 + (2 - cusp) * x)) ** (3 - cusp)
    if name in ("NFW", "coreNFW"):
        return math.log(1 + x) - x / (1 + x)
    if name == "pISO":
        return x - math.atan(x)
    if name == "Burkert":
        return 0.5 * (0.5 * math.log(1 + x**2) + math.log(1 + x) - math.atan(x))
    if name == "Lucky13":
        return math.log(1 + x) + 2 / (1 + x) - 1 / (2 * (1 + x) ** 2) - 1.5
    if name == "Einasto":
        (a,) = shape
        lower = gammainc(3 / a, 2 * x**a / a) * gamma(3 / a)
        return math.exp(2 / a) / a * (2 / a) ** (-3 / a) * lower
    alpha, beta, c = shape
    return quad(lambda t: t ** (2 - c) * (1 + t**alpha) ** ((c - beta) / alpha), 0, x, epsabs=0, epsrel=1e-12)[0]


def halo_of(name, p):
    """r_s [kpc] and rho_s [Msun/kpc^3]."""
    if "v200" in p:
        r200 = p["v200"] / (10 * H0)
        r_s = r200 / p["c200"]
        mass = p["v200"] ** 2 * r200 / G
        return r_s, mass / (4 * math.pi * r_s**3 * mass_within(name, p["c200"], shape_of(name, p)))
    r_s, v_s = (p["r_minus2_kpc"], p["v_minus2_kms"]) if "phi0" in p else (p["r_s_kpc"], p["v_s_kms"])
    return r_s, v_s**2 / (4 * math.pi * G * r_s**2 * mass_within(name, 1.0, shape_of(name, p)))


def halo_mass(name, r, p):
    r_s, rho_s = halo_of(name, p)
    mass = 4 * math.pi * rho_s * r_s**3 * mass_within(name, r / r_s, shape_of(name, p))
    if name != "coreNFW":
        return mass
    m_s = 4 * math.pi * rho_s * r_s**3 * mass_within("NFW", 1.0)
    t_dyn = 2 * math.pi * math.sqrt(r_s**3 / (G * m_s)) * GYR
    r_c = 1.75 * p["r_eff"] * p["distance_Mpc"] / p["d0"]
    return mass * math.tanh(r / r_c) ** math.tanh(0.04 * 14 / t_dyn)


def parameters_of(model, theta, o):
    """What a vector means, for galaxy o."""
    table, curves = model.curves.galaxies, model.curves
    p = {
        "d0": curves.distance[o],
        "distance_Mpc": curves.distance[o],
        "i0": table.inclination[o],
        "inclination_deg": table.inclination[o],
        "r_eff": table.r_eff[o],
        "l_disk": table.luminosity[o] - table.bulge_luminosity[o],
        "l_bulge": table.bulge_luminosity[o],
        "ml_disk": 0.5,
        "ml_bulge": 0.7,
    }
    for name, value in zip(model.target.names, theta, strict=True):
        if name.startswith("log10_"):
            p[name.removeprefix("log10_")] = 10.0**value
        else:
            p[name] = value
    return p | (model.fixed or {})


def slope_of(name, r, p):
    """The slope of the density, from second differences of the mass."""
    step = 0.02
    mass = [halo_mass(name, r * math.exp(k * step), p) for k in (-3, -1, 1, 3)]
    inner, outer = (math.log(m - n) for n, m in ((mass[0], mass[1]), (mass[2], mass[3])))
    return (outer - inner) / (4 * step) - 3


def reference_residuals(model, name, theta, o):
    p, curves = parameters_of(model, theta, o), model.curves
    ratio = p["distance_Mpc"] / p["d0"]
    out = []
    for j in range(curves.first[o], curves.first[o + 1]):
        r = curves.r[j] * ratio
        v2 = curves.v_gas[j] * abs(curves.v_gas[j])
        v2 += p["ml_disk"] * curves.v_disk[j] * abs(curves.v_disk[j])
        v2 += p["ml_bulge"] * curves.v_bulge[j] * abs(curves.v_bulge[j])
        v2 = v2 * ratio + G * halo_mass(name, r, p) / r
        slant = 1.0
        if not math.isnan(p["i0"]):
            slant = math.sin(math.radians(p["inclination_deg"])) / math.sin(math.radians(p["i0"]))
        out.append((curves.v_obs[j] / slant - math.sqrt(max(v2, 0.0))) / (curves.e_v_obs[j] / slant))
    return np.array(out)


def some_theta(model, walkers, seed=0):
    """Plausible parameters, (galaxies, walkers, dim)."""
    rng, target = np.random.default_rng(seed), model.target
    theta = target.transform(rng.uniform(0.2, 0.8, (len(model.curves), walkers, target.dim)), target.everything())
    ranges = {"log10_r_s_kpc": (0, 1.3), "log10_v_s_kms": (1.6, 2.2), "log10_alpha": (-1.2, 0.2)}
    ranges |= {"log10_r_minus2_kpc": (0, 1.3), "log10_v_minus2_kms": (1.6, 2.2), "phi0": (2.0, 6.0)}
    ranges |= {"log10_v200": (1.8, 2.4), "log10_c200": (0.6, 1.4)}
    for k, name in enumerate(target.names):
        if name in ranges:
            theta[..., k] = rng.uniform(*ranges[name], theta.shape[:2])
    return theta


def compare(model, name):
    theta, objects = some_theta(model, 3), np.arange(len(model.curves))
    loglike = model.loglike(theta, objects)
    for o in objects:
        residuals = model.residuals(theta[o], int(o))
        for w in range(theta.shape[1]):
            expected = reference_residuals(model, name, theta[o, w], o)
            np.testing.assert_allclose(residuals[w], expected, rtol=1e-10, atol=1e-10)
            assert loglike[o, w] == pytest.approx(-0.5 * np.sum(expected**2), rel=1e-10)
            parts = model.components(theta[o, w], int(o))
            points = model.curves.points(int(o))
            drawn = model.curves.v_obs[points] - parts["total"]
            np.testing.assert_allclose(drawn / model.curves.e_v_obs[points], expected, atol=1e-9)


@every_profile
@pytest.mark.parametrize("prior", ["flat", "lcdm"])
@pytest.mark.parametrize("bulge", [True, False])
def test_the_model_is_its_formulas(make_curves, name, prior, bulge):
    compare(RotationModel(make_curves(2, bulge=bulge), PROFILES[name], prior_of(PROFILES[name], prior)), name)


@every_profile
def test_the_model_is_its_formulas_with_fixed_and_unknown_properties(make_curves, name):
    known = {"e_distance": True, "e_inclination": True, "inclination": True}
    compare(RotationModel(make_curves(2, **known), PROFILES[name]), name)
    fixed = {"ml_disk": 0.4, "ml_bulge": 0.9}
    compare(RotationModel(make_curves(2), PROFILES[name], fixed=fixed | {"distance_Mpc": 11.0}), name)


def test_one_s_own_nfw_is_the_built_in(make_curves):
    compare(RotationModel(make_curves(2), own_nfw), "NFW")
    compare(RotationModel(make_curves(2), replace(own_nfw, mass_hat=None)), "NFW")


def test_gas_in_a_hole_pulls_outward(make_curves):
    """The square keeps its sign: without the halo, negative squares clamp the model at zero."""
    curves = make_curves(1, bulge=False)
    model = RotationModel(curves, PROFILES["NFW"], fixed={"v_s_kms": 1e-3, "r_s_kpc": 10.0, "ml_disk": 1e-9})
    theta = np.array([curves.galaxies.distance[0], curves.galaxies.inclination[0]])
    parts = model.components(theta, 0)
    inside = curves.v_gas < 0
    assert 0 < inside.sum() < inside.size
    np.testing.assert_allclose(parts["gas"], curves.v_gas)
    np.testing.assert_allclose(parts["total"][inside], 0.0, atol=1e-2)
    np.testing.assert_allclose(parts["total"][~inside], curves.v_gas[~inside], rtol=1e-5)


# --- the free parameters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "prior", "halo"),
    [
        (PROFILES["NFW"], "flat", ("r_s_kpc", "v_s_kms")),
        (PROFILES["NFW"], "lcdm", ("v200", "c200")),
        (PROFILES["DC14"], "flat", ("v200", "c200")),
        (PROFILES["Einasto"], "flat", ("r_s_kpc", "v_s_kms", "alpha")),
        (PROFILES["DARKexp"], "lcdm", ("r_minus2_kpc", "v_minus2_kms", "phi0")),
        (PROFILES["DARKexp-gamma"], "flat", ("r_minus2_kpc", "v_minus2_kms", "phi0")),
        (PROFILES["Burkert"], "lcdm", ("r_s_kpc", "v_s_kms")),
        (generalized, "flat", ("r_s_kpc", "v_s_kms", "gamma")),
        (replace(own_nfw, name="NFW"), "lcdm", ("r_s_kpc", "v_s_kms")),
    ],
)
def test_halo_parameters(make_curves, profile, prior, halo):
    model = RotationModel(make_curves(), profile, prior_of(profile, prior))
    assert model.free == (*halo, "ml_disk", "ml_bulge", "distance_Mpc", "inclination_deg")
    assert model.target.dim == len(halo) + 4


@pytest.mark.parametrize(
    ("unknown", "bulge", "fixed", "rest"),
    [
        ({}, False, {}, ("ml_disk", "distance_Mpc", "inclination_deg")),
        ({"e_distance": True}, True, {}, ("ml_disk", "ml_bulge", "inclination_deg")),
        ({"e_inclination": True}, True, {}, ("ml_disk", "ml_bulge", "distance_Mpc")),
        ({"e_distance": True, "e_inclination": True}, False, {}, ("ml_disk",)),
        ({}, True, {"ml_disk": 0.5, "inclination_deg": 60}, ("ml_bulge", "distance_Mpc")),
        ({}, False, {"ml_bulge": 0.5, "alpha": 0.2}, ("ml_disk", "distance_Mpc", "inclination_deg")),
    ],
)
def test_dead_and_fixed_parameters_are_not_in_the_vector(make_curves, unknown, bulge, fixed, rest):
    model = RotationModel(make_curves(bulge=bulge, **unknown), PROFILES["NFW"], fixed=fixed)
    assert model.free == ("r_s_kpc", "v_s_kms", *rest)
    theta = some_theta(model, 2)
    assert np.all(np.isfinite(model.target.logpost(theta, np.arange(3))))


def test_every_free_parameter_matters(make_curves):
    for profile in (*PROFILES.values(), generalized):
        model = RotationModel(make_curves(1), profile)
        theta = some_theta(model, 1)
        for k in range(model.target.dim):
            moved = theta.copy()
            moved[..., k] *= 1.01
            assert model.loglike(moved, np.array([0])) != model.loglike(theta, np.array([0])), model.free[k]


def test_priors_are_those_of_the_galaxy_table(make_curves):
    curves = make_curves()
    curves.galaxies.inclination[1], curves.galaxies.e_inclination[1] = 86.0, 4.0
    curves.galaxies.e_distance[2] = curves.galaxies.distance[2]
    model = RotationModel(curves, PROFILES["NFW"])
    mean, weight = model.target.gauss(np.arange(3))
    low, high = model.target.support(np.arange(3))
    table, at = curves.galaxies, {name: k for k, name in enumerate(model.free)}
    np.testing.assert_array_equal(mean[:, at["distance_Mpc"]], table.distance)
    np.testing.assert_allclose(1 / weight[:, at["inclination_deg"]], table.e_inclination)
    np.testing.assert_allclose(mean[:, [at["ml_disk"], at["ml_bulge"]]], np.log10([[0.5, 0.7]] * 3))
    np.testing.assert_allclose(1 / weight[:, at["ml_disk"]], 0.1)
    np.testing.assert_array_equal(weight[:, :2], 0)
    assert high[1, at["inclination_deg"]] == 90
    assert low[2, at["distance_Mpc"]] == pytest.approx(0.1 * table.distance[2])
    np.testing.assert_allclose(10.0 ** low[0, :2], [0.05, 1.0])
    np.testing.assert_allclose(10.0 ** high[0, :2], [300, 600])


@pytest.mark.parametrize("name", ["DARKexp", "DARKexp-gamma"])
def test_the_prior_of_phi0_is_flat_in_phi0_itself(make_curves, name):
    target = RotationModel(make_curves(), PROFILES[name]).target
    low, high = target.support(np.array([0]))
    assert target.names[:3] == ("log10_r_minus2_kpc", "log10_v_minus2_kms", "phi0")
    np.testing.assert_allclose(10.0 ** low[0, :2], [0.05, 1.0])
    np.testing.assert_allclose(10.0 ** high[0, :2], [300, 600])
    assert (low[0, 2], high[0, 2]) == PROFILES[name].shape["phi0"]
    middle = target.transform(np.full((1, 1, target.dim), 0.5), np.array([0]))
    assert middle[0, 0, 2] == pytest.approx(np.mean(PROFILES[name].shape["phi0"]))


@pytest.mark.parametrize("name", ["DARKexp", "DARKexp-gamma"])
def test_the_likelihood_is_finite_all_over_the_prior(make_curves, name):
    model = RotationModel(make_curves(), PROFILES[name])
    corners = np.random.default_rng(0).integers(0, 2, (3, 40, model.target.dim)).astype(float)
    theta = model.target.transform(corners, np.arange(3))
    assert np.all(np.isfinite(model.loglike(theta, np.arange(3))))


def test_an_error_of_a_distance_that_the_table_lacks_belongs_to_that_of_the_curve(make_curves):
    curves = make_curves(distance=True)
    model = RotationModel(curves, PROFILES["NFW"])
    mean, _ = model.target.gauss(np.arange(3))
    np.testing.assert_array_equal(mean[:, model.free.index("distance_Mpc")], curves.distance)


@pytest.mark.parametrize(
    ("fixed", "profiles", "prior", "complaint"),
    [
        ({"colour": 1.0}, ["NFW"], "flat", "cannot fix 'colour': the parameters are distance_Mpc"),
        ({"alpha": 0.2}, ["NFW", "Burkert"], "flat", "cannot fix 'alpha'"),
        ({"v200": 100.0}, ["NFW"], "flat", "cannot fix 'v200'"),
        ({"v200": 100.0}, ["Burkert"], "lcdm", "cannot fix 'v200'"),
        ({"phi0": 4.0}, ["NFW"], "flat", "cannot fix 'phi0'"),
        ({"phi0": 0.0}, ["NFW", "DARKexp-gamma"], "flat", "phi0 of DARKexp-gamma at 0.0: expected 1.65 to 6.5"),
        ({"ml_disk": 0.0}, ["NFW"], "flat", "ml_disk at 0.0: expected a number above 0"),
        ({"ml_disk": math.nan}, ["NFW"], "flat", "ml_disk at nan"),
        (
            {"r_s_kpc": 3, "v_s_kms": 9, "ml_disk": 1, "ml_bulge": 1, "distance_Mpc": 9, "inclination_deg": 50},
            ["NFW"],
            "flat",
            "cannot fix every parameter of NFW",
        ),
    ],
)
def test_what_cannot_be_fixed(make_curves, fixed, profiles, prior, complaint):
    with pytest.raises(ParameterError, match=complaint) as caught:
        check_fixed(fixed, [PROFILES[name] for name in profiles], prior, make_curves())
    assert "\n" not in str(caught.value)


def test_what_can_be_fixed(make_curves):
    check_fixed({"alpha": 0.2, "ml_bulge": 0.3}, [PROFILES["NFW"], PROFILES["Einasto"]], "flat", make_curves())
    check_fixed({"r_s_kpc": 3.0}, [PROFILES["Burkert"]], "lcdm", make_curves())
    check_fixed({"v200": 90.0}, [PROFILES["NFW"]], "lcdm", make_curves())
    check_fixed({"phi0": 2.06}, [PROFILES["DARKexp"]], "flat", make_curves())
    check_fixed({"gamma": 0.0}, [generalized], "flat", make_curves())


# --- what a galaxy must have --------------------------------------------------------------------------------------


def test_needs():
    assert [needs(PROFILES[name], "flat") for name in ("NFW", "coreNFW", "DC14")] == [(), ("r_eff",), ("luminosity",)]
    assert needs(PROFILES["NFW"], "lcdm") == ("luminosity",)
    assert set(needs(PROFILES["coreNFW"], "lcdm")) == {"r_eff", "luminosity"}


def test_the_first_unmet_need_is_named(make_curves):
    curves = make_curves(4, r_eff=[True, False, False, False], bulge_luminosity=[False, True, False, False])
    curves.galaxies.luminosity[2] = np.nan
    assert unmet(curves, ("r_eff", "luminosity")) == ["r_eff", "luminosity", "luminosity", ""]
    assert unmet(make_curves(1, bulge=False, bulge_luminosity=True), ("luminosity",)) == [""]


# --- derived quantities -------------------------------------------------------------------------------------------


@every_profile
def test_the_derived_columns_describe_the_same_halo(make_curves, name):
    model = RotationModel(make_curves(), PROFILES[name])
    theta = some_theta(model, 1)[:, 0]
    described = model.describe(theta, np.arange(3))
    for o in range(3):
        p = parameters_of(model, theta[o], o)
        r_s, rho_s = halo_of(name, p)
        row = {key: value[o] for key, value in described.items()}
        assert row["r_s_kpc"] == pytest.approx(r_s, rel=1e-10)
        assert row["log10_rho_s"] == pytest.approx(math.log10(rho_s) - 9, abs=1e-9)
        for key in ("ml_disk", "ml_bulge", "distance_Mpc", "inclination_deg"):
            assert row[key] == pytest.approx(p[key], rel=1e-12)
        r200 = row["v200"] / (10 * H0)
        assert row["c200"] == pytest.approx(r200 / r_s, rel=1e-10)
        assert halo_mass(name, r200, p) == pytest.approx(row["v200"] ** 2 * r200 / G, rel=1e-8)
        assert row["log10_m200"] == pytest.approx(math.log10(halo_mass(name, r200, p)), abs=1e-8)
        critical = 3 * H0**2 / (8 * math.pi * G)
        assert 10 ** row["log10_m200"] == pytest.approx(200 * critical * 4 / 3 * math.pi * r200**3, rel=1e-6)
        for key in ("alpha", "phi0"):
            assert row.get(key, 0) == pytest.approx(p.get(key, 0))
        if name == "pISO":
            assert math.isnan(row["r_minus2_kpc"])
            assert math.isnan(row["v_minus2_kms"])
        else:
            v2 = G * halo_mass(name, row["r_minus2_kpc"], p) / row["r_minus2_kpc"]
            assert row["v_minus2_kms"] == pytest.approx(math.sqrt(v2), rel=1e-9)
            assert slope_of(name, row["r_minus2_kpc"], p) == pytest.approx(-2, abs=2e-3)
        assert row["inner_slope"] == pytest.approx(slope_of(name, 0.15, p), abs=2e-3)


def test_an_unknown_inclination_stays_unknown(make_curves):
    model = RotationModel(make_curves(inclination=True, e_inclination=True), PROFILES["NFW"])
    described = model.describe(some_theta(model, 1)[:, 0], np.arange(3))
    assert np.all(np.isnan(described["inclination_deg"]))
    tilted = RotationModel(model.curves, PROFILES["NFW"], fixed={"inclination_deg": 30.0})
    theta = some_theta(model, 1)
    np.testing.assert_array_equal(tilted.loglike(theta, np.arange(3)), model.loglike(theta, np.arange(3)))


def test_a_galaxy_without_a_bulge_has_no_ratio_for_it(make_curves):
    model = RotationModel(make_curves(bulge=False), PROFILES["NFW"])
    assert np.all(np.isnan(model.describe(some_theta(model, 1)[:, 0], np.arange(3))["ml_bulge"]))


# --- the relations of LCDM ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_m", [10.0, 11.3, 12.7])
def test_relations_are_those_of_the_papers(log_m):
    x = math.log10(10**log_m / (1e12 / 0.671))
    assert float(concentration_of(np.array(log_m), einasto=False)) == pytest.approx(0.905 - 0.101 * x)
    assert float(concentration_of(np.array(log_m), einasto=True)) == pytest.approx(0.977 - 0.130 * x)
    ratio = 2 * 0.0351 / ((10**log_m / 10**11.590) ** -1.376 + (10**log_m / 10**11.590) ** 0.608)
    assert float(stellar_mass_of(np.array(log_m))) == pytest.approx(math.log10(ratio * 10**log_m))
    peak = 10 ** (-0.11 + 0.146 * x + 0.0138 * x**2 + 0.00123 * x**3)
    assert 10 ** float(einasto_alpha_of(np.array(log_m))) == pytest.approx(0.0095 * peak**2 + 0.155)


def test_a_milky_way_has_the_stars_and_the_concentration_of_one():
    """Orders of magnitude that no slip of h or of a logarithm survives."""
    assert 10.3 < float(stellar_mass_of(np.array(12.0))) < 10.8
    assert 7 < 10 ** float(concentration_of(np.array(12.0), einasto=False)) < 10
    assert 0.15 < 10 ** float(einasto_alpha_of(np.array(12.0))) < 0.18


@pytest.mark.parametrize("name", ["NFW", "Einasto"])
def test_the_joint_prior_is_the_distance_from_the_relations(make_curves, name):
    model = RotationModel(make_curves(2), PROFILES[name], "lcdm")
    theta, target = some_theta(model, 2), model.target
    terms = target.joint(theta, np.arange(2))
    for o in range(2):
        for w in range(2):
            p = parameters_of(model, theta[o, w], o)
            log_m = math.log10(p["v200"] ** 3 / (10 * G * H0))
            stars = (p["ml_disk"] * p["l_disk"] + p["ml_bulge"] * p["l_bulge"]) * 1e9
            stars *= (p["distance_Mpc"] / p["d0"]) ** 2
            m, c = np.array(log_m), math.log10(p["c200"])
            expected = [
                (c - concentration_of(m, einasto=name == "Einasto")) / 0.11,
                (math.log10(stars) - stellar_mass_of(m)) / 0.15,
            ]
            if name == "Einasto":
                expected.append((math.log10(p["alpha"]) - einasto_alpha_of(m)) / 0.16)
            np.testing.assert_allclose(terms[o, w], expected, rtol=1e-9)
