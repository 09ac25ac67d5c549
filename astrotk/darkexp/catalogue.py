"""The catalogue of a fit: its columns, its summary, and what figures need beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import MaskedColumn, Table, vstack

from astrotk.darkexp.model import RotationModel, concentration_of
from astrotk.darkexp.profiles import H0, G, profile_named
from astrotk.darkexp.selection import Plan
from catalogs.provenance import Provenance, Rejected
from catalogs.result import Result, rejected_table
from catalogs.sparc import RotationCurves

__all__ = ("assemble", "bic", "curve_rows", "document", "fit_rows", "reduced_chi2", "stack", "summarize")

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
    "delta_bic": ("", "bic above the lowest one of the galaxy"),
    "rank_bic": ("", "1 for the lowest bic of the galaxy; 0 where not all profiles were fitted"),
    "converged": ("", "whether the fit passed its check: of the maximum, or the gate of the posterior"),
    "lacks": ("", "what the posterior lacks of its gate; empty where it has converged"),
    "at_bound": ("", "parameters at, or cut by, an end of their prior, joined by +"),
    "ess": ("", "effective number of draws, of the parameter with the fewest"),
    "rhat": ("", "rank-normalised split R-hat over independent ensembles, of the worst parameter"),
    "steps": ("", "steps of every walker, of which the second half was kept"),
    "p_beyond": ("", "posterior probability that r_-2 lies beyond the outermost point"),
    "ln_z": ("", "ln of the evidence"),
    "ln_z_err": ("", "1 sigma error of ln_z"),
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
    "phi0": ("", "shape parameter of DARKexp: the depth of the potential"),
    "r_minus2_kpc": ("kpc", "radius where d ln rho / d ln r = -2"),
    "v_minus2_kms": ("km / s", "circular velocity of the halo at that radius"),
    "inner_slope": ("", "d ln rho / d ln r at 0.15 kpc; an extrapolation where no points lie so far inside"),
    "n_fits": ("", "galaxies fitted"),
    "n_converged": ("", "fits that passed their check"),
    "n_at_bound": ("", "fits with a parameter at an end of its prior"),
    "median_chi2_red": ("", "median of the finite chi2_red"),
    "n_best_bic": ("", "galaxies where this profile has the lowest BIC"),
    "median_delta_bic": ("", "median of delta_bic over the galaxies to which all profiles were fitted"),
    "mean_rank_bic": ("", "mean of rank_bic over the same galaxies"),
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


#: Endings of a column, and what they say of the quantity before them.
ENDINGS = {
    "_err": "1 sigma error of {}, from the curvature at the maximum",
    "_p16": "16 % quantile of the posterior of {}",
    "_p50": "median of the posterior of {}",
    "_p84": "84 % quantile of the posterior of {}",
}


def document(table: Table) -> Table:
    """Give the columns their units and descriptions."""
    for name in table.colnames:
        ending = name[-4:] if name[-4:] in ENDINGS and name not in COLUMNS else ""
        stem = name.removesuffix(ending)
        unit, text = COLUMNS.get(stem, ("", ""))
        table[name].unit = unit or None
        table[name].description = ENDINGS[ending].format(stem) if ending else text
    return table


def fit_rows(model: RotationModel, loglike: Array, converged: npt.ArrayLike, at_bound: npt.NDArray[np.bool_]) -> Table:
    """Return the columns that every fit has, a row a galaxy.

    Parameters
    ----------
    model
        What was fitted.
    loglike
        (galaxy,) the largest.
    converged, at_bound
        (galaxy,) and (galaxy, dim).
    """
    curves, n, dim = model.curves, len(model.curves), len(model.free)
    chi2, n_free = -2 * loglike, np.full(n, dim)
    return Table(
        {
            "galaxy": curves.name,
            "profile": np.full(n, model.profile.name),
            "prior": np.full(n, model.prior),
            "n_points": curves.n_points,
            "n_free": n_free,
            "chi2": chi2,
            "chi2_red": reduced_chi2(chi2, curves.n_points, n_free),
            "bic": bic(chi2, curves.n_points, n_free),
            "converged": np.asarray(converged),
            "at_bound": np.array(["+".join(np.array(model.free)[row]) for row in at_bound], dtype=np.str_),
        }
    )


def curve_rows(model: RotationModel, theta: Array) -> Table:
    """Return the data and the components of one model of each galaxy, a row a point; theta is (galaxy, dim)."""
    curves = model.curves
    parts = [model.components(own, o) for o, own in enumerate(theta)]
    velocities = {
        f"v_{name}": np.concatenate([part[name] for part in parts])
        for name in ("total", "halo", "gas", "disk", "bulge")
    }
    return Table(
        {
            "galaxy": np.repeat(curves.name, curves.n_points),
            "profile": np.full(curves.r.size, model.profile.name),
            "r_kpc": curves.r,
            "v_obs": curves.v_obs,
            "e_v_obs": curves.e_v_obs,
            **velocities,
        }
    )


def assemble(
    plan: Plan,
    catalogue: Sequence[Table],
    curves: Sequence[Table],
    rejected: Sequence[Rejected],
    provenance: Provenance,
    arrays: Mapping[str, npt.NDArray[Any]],
) -> Result:
    """Put the fits of all models into one result, in the order of galaxies and profiles.

    Parameters
    ----------
    plan
        What was to be fitted.
    catalogue, curves
        Of each model; the rows of a galaxy's curve in order.
    rejected
        What failed beyond what the plan left out.
    provenance, arrays
        Of the result; what the figure of the diversity needs is added.
    """
    order = plan.curves.name.tolist(), plan.profiles
    fits, points = (_in_order(stack(part), *order) for part in (catalogue, curves))
    rank(fits)
    return Result(
        kind="darkexp",
        tables={
            "catalogue": document(fits),
            "summary": document(summarize(fits)),
            "galaxies": document(_galaxies(plan.curves, fits)),
            "curves": document(points),
            "rejected": rejected_table([*plan.rejected, *rejected]),
        },
        arrays={**expected_diversity(), **arrays},
        provenance=provenance,
    )


def stack(parts: Iterable[Table]) -> Table:
    """Put tables under one another; a number that a profile does not have is NaN."""
    table = vstack(list(parts), metadata_conflicts="silent")
    for name in table.colnames:
        if isinstance(table[name], MaskedColumn):
            table[name] = table[name].filled(np.nan)
    return table


def _in_order(table: Table, names: Sequence[str], profiles: Sequence[str]) -> Table:
    """Sort rows by galaxy, then profile, in the orders given; the points of a curve stay as they are."""
    place = {name: i for i, name in enumerate(names)}
    rank = {name: i for i, name in enumerate(profiles)}
    galaxy = np.array([place[name] for name in table["galaxy"]])
    profile = np.array([rank[name] for name in table["profile"]])
    return table[np.lexsort((profile, galaxy))]


def rank(catalogue: Table) -> None:
    """Add how the profiles of each galaxy compare: ``delta_bic`` and ``rank_bic``, behind ``bic``."""
    _, index, counts = np.unique(catalogue["galaxy"], return_inverse=True, return_counts=True)
    criterion = np.asarray(catalogue["bic"])
    lowest = np.full(counts.size, np.inf)
    np.minimum.at(lowest, index, criterion)
    order = np.lexsort((criterion, index))
    place = np.empty(len(catalogue), dtype=np.int64)
    place[order] = np.arange(len(catalogue)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    complete = counts[index] == len(set(catalogue["profile"]))
    behind = catalogue.colnames.index("bic") + 1
    columns = [criterion - lowest[index], np.where(complete, place, 0)]
    catalogue.add_columns(columns, indexes=[behind, behind], names=["delta_bic", "rank_bic"])


def summarize(catalogue: Table) -> Table:
    """Return one row a profile: fits, converged fits, median reduced chi-square, how it ranks by BIC."""
    rows = []
    for profile in dict.fromkeys(catalogue["profile"]):
        mine = catalogue[catalogue["profile"] == profile]
        ranked = mine[mine["rank_bic"] > 0]
        rows.append(
            {
                "profile": profile,
                "n_fits": len(mine),
                "n_converged": int(np.sum(mine["converged"])),
                "n_at_bound": int(np.sum(mine["at_bound"] != "")),
                "median_chi2_red": _median(mine["chi2_red"]),
                "n_best_bic": int(np.sum(ranked["rank_bic"] == 1)),
                "median_delta_bic": _median(ranked["delta_bic"]),
                "mean_rank_bic": float(np.mean(ranked["rank_bic"])) if len(ranked) else np.nan,
            }
        )
    return Table(rows=rows)


def _median(values: Any) -> float:
    """Return the median of what is finite."""
    finite = np.asarray(values)[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else np.nan


#: Where the diversity of rotation curves is read off [kpc]: Oman et al. 2015, MNRAS 452, 3650.
DIVERSITY_RADIUS = 2.0


def _galaxies(curves: RotationCurves, catalogue: Table) -> Table:
    """Return one row a galaxy: outermost velocity, that at 2 kpc (NaN where no points bracket it), best halo."""
    first = catalogue[catalogue["rank_bic"] == 1]
    best = dict(zip(first["galaxy"].tolist(), first["profile"].tolist(), strict=True))
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
