"""Made-up galaxies with known truth: analytic disks in halos of your choice, seen with realistic errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from scipy import special

from astrotk.darkexp.model import H0, RotationModel, concentration_of, stellar_mass_of
from astrotk.darkexp.profiles import G, Profile
from catalogs.sparc import PROPERTIES, GalaxyTable, RotationCurves
from gpu.rotation import formula
from stats.resampling import stream

__all__ = ("disks", "observe", "observe_from_prior", "typical_halo")

Array = npt.NDArray[np.float64]

GAS_TO_DISK_SCALE = 2.2


def disk_velocity(r: Array, mass: float, scale: float) -> Array:
    """Return the circular velocity [km/s] of a thin exponential disk (Freeman 1970) of `mass` [Msun], `scale` [kpc]."""
    y = r / (2 * scale)
    bessel = special.i0(y) * special.k0(y) - special.i1(y) * special.k1(y)
    return np.asarray(np.sqrt(2 * G * mass / scale * y**2 * bessel))


def typical_halo(log_m200: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return V200 [km/s] and C200 of a halo of log10 M200 [Msun], with the scatter of simulations in C200."""
    v200 = (10 * G * H0 * 10.0**log_m200) ** (1 / 3)
    c200 = 10.0 ** (float(concentration_of(np.array(log_m200), einasto=False)) + rng.normal(0.0, 0.11))
    return v200, c200


def disks(n: int, *, seed: int = 0) -> tuple[RotationCurves, Array]:
    """Make galaxies without a halo: radii, errors, exponential disks of stars and gas; nothing observed yet.

    Parameters
    ----------
    n
        How many.
    seed
        Of the run; each galaxy has a stream of its own.

    Returns
    -------
    curves
        With ``v_obs`` zero.
    log_m200
        (n,) log10 of the halo mass [Msun] that the stars of each galaxy call for.
    """
    names = [f"mock-{i + 1:02d}" for i in range(n)]
    parts, table, masses = [], [], []
    for name in names:
        rng = stream(seed, f"disk/{name}")
        log_m200 = rng.uniform(10.6, 12.2)
        stars = 10.0 ** (float(stellar_mass_of(np.array(log_m200))) + rng.normal(0.0, 0.15))
        luminosity = stars / 0.5
        scale = 2.6 * (stars / 1e10) ** 0.28 * 10.0 ** rng.normal(0.0, 0.1)
        gas = min(0.6 * stars**0.55 * 1e4, 2 * stars)
        distance = rng.uniform(4.0, 40.0)
        r = np.linspace(0.35, rng.uniform(8.0, 12.0), int(rng.integers(24, 44))) * scale
        flat = (10 * G * H0 * 10.0**log_m200) ** (1 / 3)
        parts.append(
            np.stack(
                [
                    r,
                    np.zeros_like(r),
                    0.015 * flat * rng.uniform(0.7, 1.6, r.size) + 1.0,
                    disk_velocity(r, gas, GAS_TO_DISK_SCALE * scale),
                    disk_velocity(r, luminosity, scale),
                ]
            )
        )
        inclination = rng.uniform(40.0, 80.0)
        table.append([distance, 0.1 * distance, inclination, 4.0, luminosity / 1e9, 0.0, 1.68 * scale, 1.0])
        masses.append(log_m200)
    r, v_obs, e_v_obs, v_gas, v_disk = np.concatenate(parts, axis=1)
    columns = np.array(table).T
    return RotationCurves(
        galaxies=GalaxyTable(np.array(names), **dict(zip(PROPERTIES, columns, strict=True)), source=()),
        distance=columns[0],
        first=np.concatenate([[0], np.cumsum([part.shape[1] for part in parts])]).astype(np.int64),
        r=r,
        v_obs=v_obs,
        e_v_obs=e_v_obs,
        v_gas=v_gas,
        v_disk=v_disk,
        v_bulge=np.zeros_like(r),
        source=(),
    ), np.array(masses)


def observe(
    template: RotationCurves, profile: Profile, log_m200: Array, *, seed: int = 0
) -> tuple[RotationCurves, Table]:
    """Put halos into galaxies and observe them.

    Mass-to-light ratios, distances and inclinations of the truth are drawn from their priors around the tabulated
    values, C200 from its relation; the velocities get the Gaussian errors of the template.

    Parameters
    ----------
    template
        Made by `disks`, or real galaxies, whose radii, errors and baryons are then kept; all with the same free
        parameters.
    profile
        The halo; coreNFW by its parent. A free shape is drawn from its prior.
    log_m200
        (galaxies,) log10 of the halo masses [Msun].
    seed
        Of the run.

    Returns
    -------
    curves
        As a reader would return them.
    truth
        A row a galaxy, with the columns of the catalogue and the parameters of the target by their names.
    """

    def place(model: RotationModel, theta: Array, o: int, rng: np.random.Generator) -> None:
        v200, c200 = typical_halo(log_m200[o], rng)
        if model.coordinates == formula.VIRIAL:
            theta[:2] = np.log10([v200, c200])
            return
        theta[:2] = np.log10(v200 / (10 * H0) / c200), 0.0
        own = np.array([o])
        scales, shape = model.halos(model.rows(theta[None, None], own)[0], own)
        per_v_s = np.sqrt(scales[0, 1] * profile.h(c200, *shape[0]) / c200)
        theta[1] = np.log10(v200 / per_v_s)

    return _observe(template, profile, seed, "truth", place)


def observe_from_prior(template: RotationCurves, profile: Profile, *, seed: int = 0) -> tuple[RotationCurves, Table]:
    """Draw every parameter from its prior, the halo's too, and observe: what calibration asks for.

    Most of such halos are like none that is known; the prior is flat in the logarithms of their scales.

    Parameters
    ----------
    template, profile, seed
        See `observe`.

    Returns
    -------
    curves
        As a reader would return them.
    truth
        A row a galaxy, with the columns of the catalogue and the parameters of the target by their names.
    """
    return _observe(template, profile, seed, "prior")


def _observe(
    template: RotationCurves,
    profile: Profile,
    seed: int,
    purpose: str,
    place: Callable[[RotationModel, Array, int, np.random.Generator], None] | None = None,
) -> tuple[RotationCurves, Table]:
    """Draw parameters from their priors, let `place` change those of the halo, and observe."""
    model = RotationModel(template, profile)
    target, objects = model.target, np.arange(len(template))
    theta, v_obs = np.empty((len(template), target.dim)), np.empty_like(template.v_obs)
    for o in range(len(template)):
        rng, points = stream(seed, f"{purpose}/{template.name[o]}"), template.points(o)
        theta[o] = target.transform(rng.uniform(size=(1, 1, target.dim)), objects[[o]])[0, 0]
        if place is not None:
            place(model, theta[o], o, rng)
        noise = rng.normal(size=template.n_points[o])
        v_obs[points] = model.components(theta[o], o)["total"] + template.e_v_obs[points] * noise
    truth = Table({"galaxy": template.name, **model.describe(theta, objects)})
    for k, name in enumerate(target.names):
        truth[name] = theta[:, k]
    return replace(template, v_obs=v_obs), truth
