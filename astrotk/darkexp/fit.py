"""Fits of halo profiles to rotation curves, and the comparison of given parameters with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import MaskedColumn, Table, vstack

from astrotk.darkexp.model import (
    H0,
    PRIORS,
    RotationModel,
    check_fixed,
    concentration_of,
    needs,
    prior_of,
    unmet,
)
from astrotk.darkexp.profiles import G, Profile, profile_named
from catalogs.errors import CatalogFormatError, ParameterError
from catalogs.provenance import Provenance, Rejected
from catalogs.result import Result, rejected_table
from catalogs.sparc import RotationCurves
from stats.optimize import maximize
from stats.target import Target

__all__ = ("Cuts", "bic", "document", "fit_map", "reduced_chi2")

Array = npt.NDArray[np.float64]

#: Units and meanings of the catalogue's columns.
COLUMNS = {
    "galaxy": ("", "name of the galaxy"),
    "profile": ("", "halo profile"),
    "prior": ("", "prior on the halo: flat, or the relations of LCDM"),
    "n_points": ("", "points of the rotation curve"),
    "n_free": ("", "free parameters"),
    "chi2": ("", "chi-square of the data alone"),
    "chi2_red": ("", "chi2 / (n_points - n_free); NaN where n_points <= n_free"),
    "bic": ("", "Bayesian information criterion: chi2 + n_free ln n_points"),
    "converged": ("", "whether the maximum passed its check"),
    "at_bound": ("", "parameters that sit at an end of their prior, joined by +"),
    "distance_Mpc": ("Mpc", "distance"),
    "inclination_deg": ("deg", "inclination, 90 is edge-on"),
    "ml_disk": ("solMass / solLum", "mass-to-light ratio of the disk at 3.6 micron"),
    "ml_bulge": ("solMass / solLum", "mass-to-light ratio of the bulge at 3.6 micron"),
    "r_s_kpc": ("kpc", "scale radius"),
    "log10_rho_s": ("dex(solMass / pc3)", "log10 of the scale density"),
    "v200": ("km / s", "circular velocity at r200, H0 = 73 km/s/Mpc"),
    "c200": ("", "concentration r200 / r_s"),
    "log10_m200": ("dex(solMass)", "log10 of the mass within r200"),
    "alpha": ("", "shape parameter of Einasto"),
    "n_fits": ("", "galaxies fitted"),
    "n_converged": ("", "fits that passed their check"),
    "n_at_bound": ("", "fits with a parameter at an end of its prior"),
    "median_chi2_red": ("", "median of the finite chi2_red"),
    "n_best_bic": ("", "galaxies where this profile has the lowest BIC"),
    "v_last": ("km / s", "observed velocity of the outermost point"),
    "v_2kpc": ("km / s", "observed velocity at 2 kpc, interpolated; NaN where no points bracket it"),
    "best_profile": ("", "profile of the lowest BIC"),
    "r_kpc": ("kpc", "radius at the tabulated distance"),
    "v_obs": ("km / s", "observed velocity at the tabulated inclination"),
    "e_v_obs": ("km / s", "its random error"),
    "v_total": ("km / s", "model at the maximum a posteriori, in the frame of v_obs"),
    "v_halo": ("km / s", "of the halo alone"),
    "v_gas": ("km / s", "of the gas alone; negative where it pulls outward"),
    "v_disk": ("km / s", "of the disk alone"),
    "v_bulge": ("km / s", "of the bulge alone"),
}


def reduced_chi2(chi2: npt.ArrayLike, n_points: npt.ArrayLike, n_free: npt.ArrayLike) -> Array:
    """Return chi2 / (n_points - n_free) of the data alone, NaN where there are not more points than parameters."""
    degrees = np.asarray(n_points) - np.asarray(n_free)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(degrees > 0, np.asarray(chi2) / degrees, np.nan)


def bic(chi2: npt.ArrayLike, n_points: npt.ArrayLike, n_free: npt.ArrayLike) -> Array:
    """Return chi2 + n_free ln n_points: the criterion up to a constant of the galaxy, which no comparison sees."""
    return np.asarray(np.asarray(chi2) + np.asarray(n_free) * np.log(np.asarray(n_points)))


@dataclass(frozen=True)
class Cuts:
    """Which galaxies are fitted; those left out stand among the rejected, with the reason.

    Parameters
    ----------
    max_quality
        Keep quality flags up to this one (1 high, 2 medium, 3 low).
    min_inclination, max_inclination
        [deg].
    min_points
        Of the rotation curve.
    """

    max_quality: int | None = None
    min_inclination: float | None = None
    max_inclination: float | None = None
    min_points: int = 1

    def apply(self, curves: RotationCurves) -> tuple[RotationCurves, list[Rejected]]:
        """Return the galaxies that pass, and a line for each that does not; an unknown property does not pass."""
        table = curves.galaxies
        tests: list[tuple[str, Any, npt.NDArray[np.bool_], Any]] = [
            ("quality flag at most", self.max_quality, table.quality <= (self.max_quality or 0), table.quality),
            (
                "inclination at least",
                self.min_inclination,
                table.inclination >= (self.min_inclination or 0),
                table.inclination,
            ),
            (
                "inclination at most",
                self.max_inclination,
                table.inclination <= (self.max_inclination or 0),
                table.inclination,
            ),
            ("number of points at least", self.min_points, curves.n_points >= self.min_points, curves.n_points),
        ]
        keep = np.ones(len(curves), dtype=bool)
        rejected = []
        for label, limit, passed, value in tests:
            if limit is None:
                continue
            for i in np.flatnonzero(keep & ~passed):
                rejected.append(Rejected(str(curves.name[i]), "cut", f"expected {label} {limit}, found {value[i]:g}"))
            keep &= passed
        return curves.select(keep), rejected


def groups(
    curves: RotationCurves, profile: Profile, prior: str, fixed: Mapping[str, float], backend: str
) -> tuple[list[tuple[RotationModel, npt.NDArray[np.int64]]], list[Rejected]]:
    """Split galaxies into models with the same free parameters.

    Returns
    -------
    models
        Each with the indices of its galaxies in `curves`.
    rejected
        The galaxies of which the profile needs to know more than is known.
    """
    table = curves.galaxies
    lacking = unmet(curves, needs(profile, prior))
    able = np.array([not name for name in lacking], dtype=bool)
    rejected = [
        Rejected(str(curves.name[i]), "galaxy table", f"{profile.name} expected {name}, found none")
        for i, name in enumerate(lacking)
        if name
    ]
    key = curves.has_bulge + 2 * (table.e_distance > 0) + 4 * (table.e_inclination > 0)
    models = []
    for value in np.unique(key[able]):
        mine = np.flatnonzero(able & (key == value))
        models.append((RotationModel(curves.select(mine), profile, prior, fixed, backend), mine))
    return models, rejected


def _errors(model: RotationModel, theta: Array, covariance: Array) -> dict[str, Array]:
    """Carry the covariance of the free parameters to the columns of the catalogue, to first order.

    A column that depends on a parameter without an error bar has none either.
    """
    n, dim = theta.shape
    objects = np.arange(n)
    unknown = np.isnan(np.diagonal(covariance, axis1=1, axis2=2))
    known = np.where(np.isnan(covariance), 0.0, covariance)
    step = np.clip(1e-2 * np.sqrt(np.diagonal(known, axis1=1, axis2=2)), 1e-4, 1e-2)
    down, up = (
        model.describe(
            (theta[:, None] + sign * step[:, :, None] * np.eye(dim)).reshape(n * dim, dim), np.repeat(objects, dim)
        )
        for sign in (-1.0, 1.0)
    )
    errors = {}
    for name in up:
        jacobian = (up[name] - down[name]).reshape(n, dim) / (2 * step)
        variance = np.einsum("ni,nij,nj->n", jacobian, known, jacobian)
        lost = np.any(unknown & (jacobian != 0), axis=1)
        errors[name] = np.where(lost | (variance <= 0), np.nan, np.sqrt(np.maximum(variance, 0.0)))
    return errors


def document(table: Table) -> Table:
    """Give the columns their units and descriptions."""
    for name in table.colnames:
        unit, text = COLUMNS.get(name.removesuffix("_err"), ("", ""))
        if name.endswith("_err"):
            text = f"1 sigma error of {name.removesuffix('_err')}, from the curvature at the maximum"
        table[name].unit = unit or None
        table[name].description = text
    return table


def _model_tables(model: RotationModel, target: Target, found: Any) -> tuple[Table, Table]:
    """Return the catalogue and the curves of one model."""
    curves, n = model.curves, len(model.curves)
    n_free = np.full(n, target.dim)
    chi2 = -2 * found.loglike
    catalogue = Table(
        {
            "galaxy": curves.name,
            "profile": np.full(n, model.profile.name),
            "prior": np.full(n, model.prior),
            "n_points": curves.n_points,
            "n_free": n_free,
            "chi2": chi2,
            "chi2_red": reduced_chi2(chi2, curves.n_points, n_free),
            "bic": bic(chi2, curves.n_points, n_free),
            "converged": found.converged,
            "at_bound": ["+".join(np.array(model.free)[row]) for row in found.at_bound],
        }
    )
    values = model.describe(found.theta, np.arange(n))
    errors = _errors(model, found.theta, found.covariance)
    for name, value in values.items():
        catalogue[name] = value
        catalogue[f"{name}_err"] = errors[name]
    lines = []
    for o in range(n):
        points = curves.points(o)
        size = points.stop - points.start
        parts = model.components(found.theta[o], o)
        lines.append(
            {
                "galaxy": np.full(size, curves.name[o]),
                "profile": np.full(size, model.profile.name),
                "r_kpc": curves.r[points],
                "v_obs": curves.v_obs[points],
                "e_v_obs": curves.e_v_obs[points],
                **{f"v_{key}": parts[key] for key in ("total", "halo", "gas", "disk", "bulge")},
            }
        )
    return catalogue, Table({key: np.concatenate([line[key] for line in lines]) for key in lines[0]})


def _in_order(table: Table, names: Sequence[str], profiles: Sequence[str]) -> Table:
    """Sort rows by galaxy, then profile, in the orders given; the points of a curve stay as they are."""
    place = {name: i for i, name in enumerate(names)}
    rank = {name: i for i, name in enumerate(profiles)}
    galaxy = np.array([place[name] for name in table["galaxy"]])
    profile = np.array([rank[name] for name in table["profile"]])
    return table[np.lexsort((profile, galaxy))]


def summarize(catalogue: Table) -> Table:
    """Return one row a profile: fits, converged fits, median reduced chi-square, galaxies where its BIC is lowest."""
    profiles = list(dict.fromkeys(catalogue["profile"]))
    best = _best_profiles(catalogue)
    rows = []
    for profile in profiles:
        mine = catalogue[catalogue["profile"] == profile]
        finite = mine["chi2_red"][np.isfinite(mine["chi2_red"])]
        rows.append(
            {
                "profile": profile,
                "n_fits": len(mine),
                "n_converged": int(np.sum(mine["converged"])),
                "n_at_bound": int(np.sum(mine["at_bound"] != "")),
                "median_chi2_red": float(np.median(finite)) if finite.size else np.nan,
                "n_best_bic": sum(name == profile for name in best.values()),
            }
        )
    return Table(rows=rows)


def _best_profiles(catalogue: Table) -> dict[str, str]:
    """Return the profile of the lowest BIC for each galaxy to which all were fitted."""
    names, index, counts = np.unique(catalogue["galaxy"], return_inverse=True, return_counts=True)
    order = np.lexsort((catalogue["bic"], index))
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    best = np.asarray(catalogue["profile"])[order[first]]
    complete = counts == len(set(catalogue["profile"]))
    return dict(zip(names[complete].tolist(), best[complete].tolist(), strict=True))


#: Where the diversity of rotation curves is read off [kpc]: Oman et al. 2015, MNRAS 452, 3650.
DIVERSITY_RADIUS = 2.0


def _galaxies(curves: RotationCurves, catalogue: Table) -> Table:
    """Return one row a galaxy: outermost velocity, that at 2 kpc (NaN where no points bracket it), best halo."""
    best = _best_profiles(catalogue)
    inner = np.full(len(curves), np.nan)
    for i in range(len(curves)):
        r, v = curves.r[curves.points(i)], curves.v_obs[curves.points(i)]
        order = np.argsort(r)
        inner[i] = np.interp(DIVERSITY_RADIUS, r[order], v[order], left=np.nan, right=np.nan)
    return Table(
        {
            "galaxy": curves.name,
            "n_points": curves.n_points,
            "v_last": curves.v_last,
            "v_2kpc": inner,
            "best_profile": [best.get(name, "") for name in curves.name.tolist()],
        }
    )


def expected_diversity() -> dict[str, Array]:
    """Return V_max and V(2 kpc) [km/s] of NFW halos at the mean concentration of LCDM and 0.11 dex either side."""
    nfw = profile_named("NFW")
    v200 = np.geomspace(10.0, 350.0, 60)
    log_m200 = 3 * np.log10(v200) - np.log10(10 * G * H0)
    c200 = 10.0 ** (concentration_of(log_m200, einasto=False) + np.array([[0.0], [-0.11], [0.11]]))
    r_s = v200 / (10 * H0) / c200
    amplitude = v200**2 * c200 / nfw.h(c200)
    x_max = 2.16258
    v_max = np.sqrt(amplitude * nfw.h(x_max) / x_max)
    x = DIVERSITY_RADIUS / r_s
    return {"lcdm_v_max": v_max, "lcdm_v_2kpc": np.sqrt(amplitude * nfw.h(x) / x)}


def fit_map(
    curves: RotationCurves,
    profiles: Sequence[Profile],
    *,
    prior: str = "flat",
    fixed: Mapping[str, float] | None = None,
    cuts: Cuts | None = None,
    seed: int = 0,
    backend: str = "auto",
    progress: Callable[[str], Any] | None = None,
) -> Result:
    """Fit halo profiles to rotation curves by the maximum of the posterior.

    Free are two parameters of the halo (and its shape), the mass-to-light ratios, and distance and inclination where
    the galaxy table knows their errors.

    Parameters
    ----------
    curves
        The galaxies.
    profiles
        The halos.
    prior
        "flat" in the logarithm of the halo's scales, or "lcdm": the concentration-mass and stellar-to-halo-mass
        relations, for the profiles that have them; pISO and Burkert keep the flat prior.
    fixed
        ``{parameter: value}``, for example ``{"ml_disk": 0.5}``.
    cuts
        Which galaxies to leave out.
    seed
        Of the run.
    backend
        Of the kernels.
    progress
        Called with the name of each fit when it is done.

    Returns
    -------
    Result
        Kind "darkexp"; tables ``catalogue`` (a row a galaxy and profile), ``curves`` (a row a point, galaxy and
        profile: data and components) and ``rejected``.

    Raises
    ------
    ParameterError
        For an unknown prior or parameter.
    CatalogFormatError
        If no galaxy is left to fit.
    """
    if prior not in PRIORS:
        message = f"no prior is called '{prior}': choose from {', '.join(PRIORS)}"
        raise ParameterError(message)
    fixed = dict(fixed or {})
    check_fixed(fixed, list(profiles), prior, curves)
    chosen, rejected = (cuts or Cuts()).apply(curves)
    rejected = [*curves.rejected, *rejected]
    catalogue: list[Table] = []
    lines: list[Table] = []
    for profile in profiles:
        own_prior = prior_of(profile, prior)
        models, unable = groups(chosen, profile, own_prior, fixed, backend)
        rejected += unable
        for model, _ in models:
            found = maximize(model.target, seed=seed, progress=progress)
            rows, points = _model_tables(model, model.target, found)
            catalogue.append(rows)
            lines.append(points)
    if not catalogue:
        raise CatalogFormatError(
            curves.source[0].path if curves.source else "rotation curves",
            "at least one galaxy to fit",
            rejected[-1].reason if rejected else "none",
        )
    order = (chosen.name.tolist(), [profile.name for profile in profiles])
    fits, points = (_in_order(_stack(part), *order) for part in (catalogue, lines))
    return Result(
        kind="darkexp",
        tables={
            "catalogue": document(fits),
            "summary": document(summarize(fits)),
            "galaxies": document(_galaxies(chosen, fits)),
            "curves": document(points),
            "rejected": rejected_table(rejected),
        },
        arrays=expected_diversity(),
        provenance=Provenance.record(
            seed=seed,
            sources=(*curves.source, *curves.galaxies.source),
            settings={"method": "map", "prior": prior, "fixed": fixed, "profiles": order[1]},
        ),
    )


def _stack(parts: Iterable[Table]) -> Table:
    """Put tables under one another; a number that a profile does not have is NaN."""
    table = vstack(list(parts), metadata_conflicts="silent")
    for name in table.colnames:
        if isinstance(table[name], MaskedColumn):
            table[name] = table[name].filled(np.nan)
    return table
