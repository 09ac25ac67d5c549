"""Fits of halo profiles to rotation curves by the maximum of the posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from astrotk.darkexp.catalogue import assemble, curve_rows, fit_rows
from astrotk.darkexp.model import RotationModel
from astrotk.darkexp.profiles import Profile
from astrotk.darkexp.selection import Cuts, plan
from catalogs.result import Result
from catalogs.sparc import RotationCurves
from stats.optimize import maximize

__all__ = ("fit_map",)

Array = npt.NDArray[np.float64]


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
    planned = plan(curves, profiles, prior=prior, fixed=fixed, cuts=cuts, backend=backend)
    catalogue, lines = [], []
    for model in planned.models:
        found = maximize(model.target, seed=seed, progress=progress)
        rows = fit_rows(model, found.loglike, found.converged, found.at_bound)
        errors = _errors(model, found.theta, found.covariance)
        for name, value in model.describe(found.theta, np.arange(len(model.curves))).items():
            rows[name], rows[f"{name}_err"] = value, errors[name]
        catalogue.append(rows)
        lines.append(curve_rows(model, found.theta))
    return assemble(planned, catalogue, lines, (), planned.provenance(seed, method="map"), {})


def _errors(model: RotationModel, theta: Array, covariance: Array) -> dict[str, Array]:
    """Carry the covariance of the free parameters to the columns of the catalogue, to first order.

    A column that depends on a parameter without an error bar has none either.
    """
    n, dim = theta.shape
    objects = np.arange(n)
    unknown = np.isnan(np.diagonal(covariance, axis1=1, axis2=2))
    known = np.where(np.isnan(covariance), 0.0, covariance)
    step = np.clip(1e-2 * np.sqrt(np.diagonal(known, axis1=1, axis2=2)), 1e-4, 1e-2)
    low, high = model.target.support(objects)
    below, above = np.maximum(theta - step, low), np.minimum(theta + step, high)
    down, up = (
        model.describe(_each(theta, moved).reshape(n * dim, dim), np.repeat(objects, dim)) for moved in (below, above)
    )
    errors = {}
    for name in up:
        jacobian = (up[name] - down[name]).reshape(n, dim) / (above - below)
        variance = np.einsum("ni,nij,nj->n", jacobian, known, jacobian)
        lost = np.any(unknown & (jacobian != 0), axis=1)
        errors[name] = np.where(lost | (variance <= 0), np.nan, np.sqrt(np.maximum(variance, 0.0)))
    return errors


def _each(theta: Array, moved: Array) -> Array:
    """Return theta (object, dim) with one parameter after the other moved, (object, dim, dim)."""
    return np.where(np.eye(theta.shape[1], dtype=bool), moved[:, None], theta[:, None])
