"""Mock galaxies have the disks, halos and errors that they say they have."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import jv
from scipy.stats import kstest

from astrotk.darkexp.fit import fit_map
from astrotk.darkexp.mock import disk_velocity, disks, observe, typical_halo
from astrotk.darkexp.model import RotationModel, concentration_of, stellar_mass_of
from astrotk.darkexp.profiles import PROFILES

G, H0 = 4.30091e-6, 0.073


def test_a_disk_peaks_where_freeman_found():
    mass, scale = 3e10, 2.7
    peak = minimize_scalar(lambda r: -float(disk_velocity(np.array(r), mass, scale)), bounds=(scale, 4 * scale))
    assert peak.x / scale == pytest.approx(2.15, abs=0.005)
    assert -peak.fun == pytest.approx(0.8798 * math.sqrt(G * mass / (2 * scale)), rel=2e-4)


@pytest.mark.parametrize("y", [0.3, 2.0, 6.0])
def test_a_disk_is_its_hankel_transform(y):
    """V^2(R) = R G M int k J1(kR) / (1 + k^2 Rd^2)^(3/2) dk, Toomre 1963."""
    mass, scale = 1e10, 2.0
    r = y * scale
    nodes = np.arange(400) * math.pi / r

    def integrand(k):
        return k * jv(1, k * r) / (1 + (k * scale) ** 2) ** 1.5

    pieces = [quad(integrand, *ends)[0] for ends in pairwise(nodes)]
    total = np.cumsum(pieces)
    for _ in range(12):  # the sum alternates: means of neighbours converge at once
        total = 0.5 * (total[1:] + total[:-1])
    assert float(disk_velocity(np.array(r), mass, scale)) ** 2 == pytest.approx(r * G * mass * total[-1], rel=1e-5)


def test_a_disk_far_away_is_a_point():
    assert float(disk_velocity(np.array(200.0), 1e10, 2.0)) == pytest.approx(math.sqrt(G * 1e10 / 200.0), rel=1e-3)


def test_typical_halos_scatter_around_the_relation():
    rng = np.random.default_rng(5)
    v200, c200 = np.array([typical_halo(11.5, rng) for _ in range(600)]).T
    np.testing.assert_allclose(v200, (10 * G * H0 * 10**11.5) ** (1 / 3))
    pull = (np.log10(c200) - float(concentration_of(np.array(11.5), einasto=False))) / 0.11
    assert kstest(pull, "norm").pvalue > 1e-3


def test_disks_are_complete_and_belong_to_their_halos():
    curves, log_m200 = disks(40, seed=2)
    table = curves.galaxies
    assert len(curves) == 40
    assert np.unique(curves.name).size == 40
    assert np.all(curves.n_points >= 24)
    assert np.all(curves.r > 0)
    assert np.all(curves.e_v_obs > 0)
    assert not np.any(curves.has_bulge)
    for name in ("distance", "e_distance", "inclination", "e_inclination", "luminosity", "r_eff", "quality"):
        assert np.all(getattr(table, name) > 0), name
    scatter = np.log10(0.5e9 * table.luminosity) - stellar_mass_of(log_m200)
    assert abs(scatter.mean()) < 3 * 0.15 / math.sqrt(40)
    assert scatter.std() == pytest.approx(0.15, rel=0.35)


def test_each_galaxy_has_a_stream_of_its_own():
    few, log_few = disks(2, seed=7)
    many, log_many = disks(3, seed=7)
    _, log_other = disks(2, seed=8)
    np.testing.assert_array_equal(many.r[many.first[0] : many.first[2]], few.r)
    np.testing.assert_array_equal(log_many[:2], log_few)
    assert not np.any(log_few == log_other)

    nfw = PROFILES["NFW"]
    both, truth = observe(few, nfw, log_few, seed=1)
    alone, own = observe(few.select([1]), nfw, log_few[[1]], seed=1)
    np.testing.assert_array_equal(both.v_obs[both.points(1)], alone.v_obs)
    assert tuple(truth[1]) == pytest.approx(tuple(own[0]), nan_ok=True)
    again, _ = observe(few, nfw, log_few, seed=2)
    assert not np.any(again.v_obs == both.v_obs)


@pytest.mark.parametrize("name", PROFILES)
def test_the_truth_is_that_of_the_halo_asked_for(name):
    template, log_m200 = disks(3, seed=3)
    curves, truth = observe(template, PROFILES[name], log_m200, seed=3)
    np.testing.assert_allclose(truth["log10_m200"], log_m200, atol=1e-3)
    relation = concentration_of(log_m200, einasto=False)
    assert np.all(np.abs(np.log10(truth["c200"]) - relation) < 4 * 0.11)
    assert np.all(np.isfinite(curves.v_obs))


def test_velocities_scatter_by_their_errors_around_the_truth():
    """Noise taken away, the truth has a chi-square of nought; with it, one of the number of points."""
    template, log_m200 = disks(30, seed=4)
    quiet = replace(template, e_v_obs=np.full_like(template.e_v_obs, 1e-9))
    nfw = PROFILES["NFW"]
    exact, truth = observe(quiet, nfw, log_m200, seed=4)
    noisy, same = observe(template, nfw, log_m200, seed=4)
    for name in truth.colnames[1:]:
        np.testing.assert_array_equal(truth[name], same[name])
    assert kstest((noisy.v_obs - exact.v_obs) / template.e_v_obs, "norm").pvalue > 1e-3

    model = RotationModel(replace(exact, e_v_obs=template.e_v_obs), nfw)
    v_s = np.sqrt(4 * np.pi * G * 10 ** (truth["log10_rho_s"] + 9) * truth["r_s_kpc"] ** 2 * (math.log(2) - 0.5))
    theta = np.stack(
        [
            np.log10(truth["r_s_kpc"]),
            np.log10(v_s),
            np.log10(truth["ml_disk"]),
            truth["distance_Mpc"],
            truth["inclination_deg"],
        ],
        axis=1,
    )
    assert np.max(-2 * model.loglike(theta[:, None], np.arange(30))) < 1e-10


def test_the_truth_is_drawn_from_the_priors():
    template, log_m200 = disks(300, seed=6)
    _, truth = observe(template, PROFILES["Burkert"], log_m200, seed=6)
    table = template.galaxies
    pulls = {
        "distance": (truth["distance_Mpc"] - table.distance) / table.e_distance,
        "inclination": (truth["inclination_deg"] - table.inclination) / table.e_inclination,
        "ml_disk": (np.log10(truth["ml_disk"]) - math.log10(0.5)) / 0.1,
    }
    for name, pull in pulls.items():
        assert kstest(pull, "norm").pvalue > 1e-3, name


def test_without_noise_the_truth_is_recovered():
    template, log_m200 = disks(6, seed=9)
    tight = replace(
        template,
        e_v_obs=np.full_like(template.e_v_obs, 1e-3),
        galaxies=replace(
            template.galaxies,
            e_distance=1e-4 * template.distance,
            e_inclination=np.full_like(template.distance, 1e-3),
        ),
    )
    for name in ("NFW", "Burkert", "pISO"):
        curves, truth = observe(tight, PROFILES[name], log_m200, seed=9)
        catalogue = fit_map(curves, [PROFILES[name]]).tables["catalogue"]
        assert np.all(catalogue["converged"])
        np.testing.assert_allclose(catalogue["log10_m200"], truth["log10_m200"], atol=5e-3)
        np.testing.assert_allclose(catalogue["r_s_kpc"], truth["r_s_kpc"], rtol=1e-2)


def test_a_real_galaxy_can_be_the_template(sparc):
    template = sparc.select(sparc.name == "NGC3198")
    curves, truth = observe(template, PROFILES["NFW"], np.array([11.6]), seed=1)
    np.testing.assert_array_equal(curves.r, template.r)
    np.testing.assert_array_equal(curves.v_gas, template.v_gas)
    row = fit_map(curves, [PROFILES["NFW"]]).tables["catalogue"][0]
    assert abs(row["log10_m200"] - truth["log10_m200"][0]) < 4 * row["log10_m200_err"]
