r"""The Milky Way: its circular-velocity curve, the mass that is seen in it, and the dark matter around the Sun.

A curve of the Milky Way comes without those of gas and stars. They are computed here from a model of its discs and
bulge. In the plane of a disc of mass M, scale length L and scale height H, both exponential,

.. math:: V^2(R) = G M R \int_0^\infty \frac{k J_1(kR)\,dk}{(1 + k^2 L^2)^{3/2}\,(1 + kH)},

the thin disc of Freeman (1970) for H = 0; a Hernquist (1990) bulge has V^2 = G M r / (r + a)^2.

From there on the Milky Way is a galaxy like others, without errors of distance and inclination. The model's masses
of stars are given at the mass-to-light ratios at which the priors have their centres, so that these priors, 0.1 dex,
are priors of the masses; gas keeps its mass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from scipy import special
from scipy.optimize import brentq

from astrotk.darkexp.fit import fit_map
from astrotk.darkexp.model import ML_BULGE, ML_DISK, RotationModel
from astrotk.darkexp.profiles import PC3_PER_KPC3, G, Profile
from catalogs.errors import ParameterError
from catalogs.milky_way import BaryonModel, Bulge, Disk, VelocityCurve
from catalogs.result import Result
from catalogs.sparc import PROPERTIES, GalaxyTable, RotationCurves
from stats.batch import sample
from stats.optimize import maximize

__all__ = ("GALAXY", "GEV_PER_CM3", "OU2024", "R0", "baryon_velocities", "fit_milky_way", "milky_way_curves")

Array = npt.NDArray[np.float64]

GALAXY = "Milky Way"
#: Distance of the Sun where a curve does not say its own [kpc]: GRAVITY Collaboration 2019, A&A 625, L10.
R0 = 8.178
#: 1 Msun/pc^3 in GeV/cm^3.
GEV_PER_CM3 = 37.9652

#: The baryons of Ou et al. 2024, MNRAS 528, 693, Table 2.
OU2024 = BaryonModel(
    stars=(Disk(3.65e10, 2.35, 0.14),),
    gas=(
        Disk(8.20e9, 18.24, 0.52),  # HI
        Disk(1.30e9, 2.57, 0.08),  # H2
        Disk(7.0e7, 5.00, 0.10),  # cold dust
        Disk(2.2e5, 3.30, 0.09),  # warm dust
    ),
    bulge=Bulge(1.55e10, 0.70),
    reference="Ou, Eilers, Necib & Frebel 2024, MNRAS 528, 693, Table 2",
)

#: Units and meanings of the table `local`.
COLUMNS = {
    "rho_local": ("solMass / pc3", "density of the halo at the Sun"),
    "rho_local_gev": ("GeV / cm3", "the same, times c^2"),
    "log10_m200": ("dex(solMass)", "log10 of the halo's mass within r200, H0 = 73 km/s/Mpc"),
    "m_disk": ("solMass", "mass of the stellar discs"),
    "m_bulge": ("solMass", "mass of the bulge"),
}
QUANTILES = {"p16": 0.16, "p50": 0.5, "p84": 0.84}


# --- what is seen ------------------------------------------------------------------------------------------------


@cache
def _panels() -> tuple[Array, Array]:
    """Return nodes x and weights, (panel, node): to the first zero of J1, finer towards 0; then from zero to zero."""
    zeros = special.jn_zeros(1, 80)
    inner = np.concatenate([[0.0], zeros[0] * np.geomspace(1e-4, 1.0, 17)])
    edges = np.concatenate([inner, zeros[1:]])
    node, weight = np.polynomial.legendre.leggauss(24)
    half = 0.5 * np.diff(edges)[:, None]
    return edges[:-1, None] + half * (1 + node), half * weight


def disk_velocity_squared(r: Array, disk: Disk) -> Array:
    """Return V^2 [km^2/s^2] in the plane of a disc at r [kpc] > 0, (points,).

    The integral is summed from zero to zero of J1, where it alternates, and repeated means of neighbouring sums take it
    to its limit; good to 1e-9 from a hundredth of the scale length on.
    """
    x, weight = _panels()
    k = x / r[:, None, None]
    integrand = x * special.j1(x) / ((1 + (k * disk.scale) ** 2) ** 1.5 * (1 + k * disk.height))
    sums = np.cumsum(np.sum(weight * integrand, axis=-1), axis=-1)[:, 16:]
    while sums.shape[1] > 1:
        sums = 0.5 * (sums[:, 1:] + sums[:, :-1])
    return np.asarray(G * disk.mass / r * sums[:, 0])


def bulge_velocity_squared(r: Array, bulge: Bulge) -> Array:
    """Return V^2 [km^2/s^2] of a Hernquist bulge at r [kpc]."""
    return G * bulge.mass * r / (r + bulge.scale) ** 2


def baryon_velocities(baryons: BaryonModel, r: Array) -> dict[str, Array]:
    """Return the circular velocities [km/s] of ``gas``, ``disk`` (of stars) and ``bulge`` at r [kpc], (points,)."""
    nothing = np.zeros_like(r)
    squares = {
        "gas": sum((disk_velocity_squared(r, disk) for disk in baryons.gas), nothing),
        "disk": sum((disk_velocity_squared(r, disk) for disk in baryons.stars), nothing),
        "bulge": nothing if baryons.bulge is None else bulge_velocity_squared(r, baryons.bulge),
    }
    return {name: np.sign(v2) * np.sqrt(np.abs(v2)) for name, v2 in squares.items()}


def _half_mass_radius(disks: Sequence[Disk]) -> float:
    """Return the radius [kpc] in the plane that holds half of the mass of discs."""
    masses, scales = np.array([[disk.mass, disk.scale] for disk in disks]).T

    def outside(r: float) -> float:
        return float(np.sum(masses * (1 + r / scales) * np.exp(-r / scales)) / masses.sum()) - 0.5

    return float(brentq(outside, 1e-3 * scales.min(), 10 * scales.max()))


# --- a galaxy like others ----------------------------------------------------------------------------------------


def milky_way_curves(
    curve: VelocityCurve,
    baryons: BaryonModel = OU2024,
    *,
    r0: float | None = None,
    systematic: Mapping[float, float] | None = None,
) -> RotationCurves:
    """Put a curve of the Milky Way and a model of its baryons together.

    Parameters
    ----------
    curve
        The velocities.
    baryons
        What is seen.
    r0
        Distance of the Sun [kpc]; by default that of the curve, else `R0`.
    systematic
        ``{radius: percent}``: from this radius [kpc] on, an error of so many percent of the velocity is added in
        square to the random one. It is taken to be independent from point to point, which systematic errors are not.

    Returns
    -------
    RotationCurves
        One galaxy, at R0; its stars have the masses of `baryons` at M/L = 0.5 (discs) and 0.7 (bulge). The effective
        radius is that of half the mass of the stellar discs.

    Raises
    ------
    ParameterError
        If `r0` or an error makes no sense.
    """
    r0 = _sun(curve, r0)
    v = baryon_velocities(baryons, curve.r)
    ml_disk, ml_bulge = 10.0**ML_DISK, 10.0**ML_BULGE
    disk = sum(part.mass for part in baryons.stars) / ml_disk
    bulge = 0.0 if baryons.bulge is None else baryons.bulge.mass / ml_bulge
    known = {
        "distance": r0 / 1e3,
        "luminosity": (disk + bulge) / 1e9,
        "bulge_luminosity": bulge / 1e9,
        "r_eff": _half_mass_radius(baryons.stars),
    }
    return RotationCurves(
        galaxies=GalaxyTable(
            np.array([GALAXY]), **{key: np.array([known.get(key, np.nan)]) for key in PROPERTIES}, source=()
        ),
        distance=np.array([r0 / 1e3]),
        first=np.array([0, len(curve)]),
        r=curve.r,
        v_obs=curve.v,
        e_v_obs=np.hypot(curve.e_v, _percent(curve.r, systematic or {}) / 100 * curve.v),
        v_gas=v["gas"],
        v_disk=v["disk"] / math.sqrt(ml_disk),
        v_bulge=v["bulge"] / math.sqrt(ml_bulge),
        source=(curve.source,) if baryons.source is None else (curve.source, baryons.source),
    )


def _sun(curve: VelocityCurve, r0: float | None) -> float:
    """Return the distance of the Sun [kpc]."""
    if r0 is None:
        return R0 if math.isnan(curve.r0) else curve.r0
    if not 5.0 <= r0 <= 12.0:
        message = f"r0: expected the distance of the Sun, 5 to 12 kpc, found {r0:g}"
        raise ParameterError(message)
    return r0


def _percent(r: Array, systematic: Mapping[float, float]) -> Array:
    """Return the systematic error at each radius in percent, that of the last of the radii within it."""
    if any(not (start >= 0 and 0 <= percent <= 100) for start, percent in systematic.items()):
        message = f"systematic: expected 0 to 100 percent from radii of 0 kpc on, found {dict(systematic)}"
        raise ParameterError(message)
    starts = np.array([-1.0, *sorted(systematic)])
    percents = np.array([0.0, *(systematic[start] for start in sorted(systematic))])
    return np.asarray(percents[np.searchsorted(starts, r, side="right") - 1])


# --- the dark matter around the Sun ------------------------------------------------------------------------------


def halo_density(model: RotationModel, theta: Array, r: float) -> Array:
    """Return the density [Msun/pc^3] of the halo at r [kpc] for parameters (row, dim) of the first galaxy, (row,)."""
    objects = np.zeros(len(theta), dtype=np.int64)
    scales, shape = model.halos(model.rows(theta[:, None], objects)[:, 0], objects)
    r_s, amplitude = scales.T
    rho_s = amplitude / (4 * np.pi * G * r_s**2 * PC3_PER_KPC3)
    return np.asarray(rho_s * model.profile.rho_hat(r / r_s, *shape.T))


def _describe(model: RotationModel, theta: Array, r0: float, baryons: BaryonModel) -> dict[str, Array]:
    """Return the columns of the table `local` for parameters (row, dim)."""
    halo = model.describe(theta, np.zeros(len(theta), dtype=np.int64))
    rho = halo_density(model, theta, r0)
    disk = sum(part.mass for part in baryons.stars)
    bulge = 0.0 if baryons.bulge is None else baryons.bulge.mass
    return {
        "rho_local": rho,
        "rho_local_gev": rho * GEV_PER_CM3,
        "log10_m200": halo["log10_m200"],
        "m_disk": halo["ml_disk"] / 10.0**ML_DISK * disk,
        "m_bulge": halo["ml_bulge"] / 10.0**ML_BULGE * bulge,
    }


def fit_milky_way(
    curve: VelocityCurve,
    profiles: Sequence[Profile],
    baryons: BaryonModel = OU2024,
    *,
    r0: float | None = None,
    systematic: Mapping[float, float] | None = None,
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
    backend: str = "auto",
    progress: Callable[[str], Any] | None = None,
) -> Result:
    """Fit halos to a curve of the Milky Way, and find the density of dark matter at the Sun.

    The maxima are those of `fit_map`; what is said of the Sun is that of the sampled posterior, too.

    Parameters
    ----------
    curve, baryons, r0, systematic
        See `milky_way_curves`.
    profiles
        The halos, with flat priors.
    fixed, seed, backend, progress
        See `astrotk.darkexp.fit.fit_map`.

    Returns
    -------
    Result
        The tables of `fit_map`, and ``local``, a row a profile: density at the Sun, M200 and the masses of the stars,
        at the maximum a posteriori (``x``) and of the posterior (``x_p16, x_p50, x_p84``), with the effective sample
        size and R-hat of its worst parameter and whether it passed the gate; and ``baryons``, the model.

    Raises
    ------
    ParameterError
        If an argument makes no sense.
    """
    sun = _sun(curve, r0)
    curves = milky_way_curves(curve, baryons, r0=sun, systematic=systematic)
    result = fit_map(curves, profiles, fixed=fixed, seed=seed, backend=backend)
    rows = []
    for profile in profiles:
        model = RotationModel(curves, profile, fixed=fixed, backend=backend)
        rows.append(_local(model, sun, baryons, seed))
        if progress is not None:
            progress(profile.name)
    settings = {
        "r0_kpc": sun,
        "systematic_percent_from_kpc": {f"{start:g}": percent for start, percent in (systematic or {}).items()},
        "curve": curve.reference,
        "baryons": baryons.reference,
    }
    return replace(
        result,
        tables={**result.tables, "local": _document(Table(rows=rows)), "baryons": _parts(baryons)},
        provenance=replace(result.provenance, settings={**result.provenance.settings, **settings}),
    )


def _local(model: RotationModel, r0: float, baryons: BaryonModel, seed: int) -> dict[str, Any]:
    """Return a row of the table `local`."""
    found = sample(model.target, seed=seed)
    draws = _describe(model, found.draws[0], r0, baryons)
    best = _describe(model, maximize(model.target, seed=seed).theta, r0, baryons)
    row: dict[str, Any] = {"profile": model.profile.name}
    for name, values in draws.items():
        row[name] = float(best[name][0])
        row |= {f"{name}_{key}": float(np.nanquantile(values, q)) for key, q in QUANTILES.items()}
    return row | {
        "ess": float(found.diagnosis.ess.min()),
        "rhat": float(found.diagnosis.rhat.max()),
        "converged": bool(found.diagnosis.converged[0]),
        "at_bound": "+".join(np.array(model.free)[found.at_bound[0]]),
    }


def _document(table: Table) -> Table:
    """Give the columns of the table `local` their units and descriptions."""
    for name in table.colnames:
        stem, _, quantile = name.rpartition("_p")
        unit, text = COLUMNS.get(stem if quantile else name, COLUMNS.get(name, ("", "")))
        table[name].unit = unit or None
        table[name].description = f"{quantile} % quantile of {stem}" if stem in COLUMNS else text
    return table


def _parts(baryons: BaryonModel) -> Table:
    """Return the model of the baryons as a table."""
    parts = [("gas", disk) for disk in baryons.gas] + [("stars", disk) for disk in baryons.stars]
    rows = [(name, disk.mass, disk.scale, disk.height) for name, disk in parts]
    if baryons.bulge is not None:
        rows.append(("bulge", baryons.bulge.mass, baryons.bulge.scale, np.nan))
    return Table(rows=rows, names=("part", "mass", "scale", "height"), units=(None, "solMass", "kpc", "kpc"))
