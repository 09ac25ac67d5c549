"""Mock surveys: halos of known parameters in made-up or real galaxies, as tables that `fit` reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from astropy.table import Table, vstack

from astrotk.darkexp.catalogue import document
from astrotk.darkexp.mock import disks, observe, observe_from_prior
from astrotk.darkexp.model import needs, stellar_mass_of, unmet
from astrotk.darkexp.profiles import Profile
from catalogs.errors import ParameterError
from catalogs.provenance import Provenance
from catalogs.result import Result
from catalogs.sparc import POINT, PROPERTIES, RotationCurves

__all__ = ("HALOS", "host_mass", "simulate")

Array = npt.NDArray[np.float64]

#: Where the halos come from: the relations of LCDM with their scatter, or the prior of the fit.
HALOS = ("typical", "prior")
UNITS = {
    **dict.fromkeys(("distance", "e_distance"), "Mpc"),
    **dict.fromkeys(("inclination", "e_inclination"), "deg"),
    **dict.fromkeys(("luminosity", "bulge_luminosity"), "1e9 solLum"),
    **dict.fromkeys(("r_eff", "r"), "kpc"),
    **dict.fromkeys(POINT[1:], "km / s"),
}


def host_mass(curves: RotationCurves) -> Array:
    """Return log10 M200 [Msun] of the halos that the stars call for (Moster et al. 2013, M/L = 0.5); NaN if unknown."""
    log_m200 = np.linspace(8.0, 15.0, 701)
    return np.interp(np.log10(0.5e9 * curves.galaxies.luminosity), stellar_mass_of(log_m200), log_m200)


def _named(template: RotationCurves, i: int, n: int) -> RotationCurves:
    """Return the i-th mock's template: the galaxies of the template in turn, each time by another name."""
    one = template.select([i % len(template)])
    name = f"{one.name[0]}-mock-{i + 1:0{len(str(n))}d}"
    return replace(one, galaxies=replace(one.galaxies, name=np.array([name])))


def simulate(
    profile: Profile,
    n: int,
    *,
    template: RotationCurves | None = None,
    halos: str = "typical",
    log_m200: float | None = None,
    seed: int = 0,
) -> Result:
    """Observe n mock galaxies.

    Parameters
    ----------
    profile
        Of their halos.
    n
        How many.
    template
        Real galaxies, whose radii, errors and baryons the mocks take in turn; by default disks are made up.
    halos
        "typical": M200 from the stars and C200 from M200, with its scatter; a free shape from its prior. "prior": every
        parameter from its prior.
    log_m200
        log10 of M200 [Msun] of all typical halos, instead.
    seed
        Of the run; every mock has a stream of its own.

    Returns
    -------
    Result
        Kind "darkexp-mock"; tables ``curves`` and ``galaxies``, which the readers of rotation curves take, and
        ``truth``, a row a galaxy.

    Raises
    ------
    ParameterError
        If the template does not tell what the profile has to know.
    """
    if halos not in HALOS:
        message = f"halos: choose from {', '.join(HALOS)}, found '{halos}'"
        raise ParameterError(message)
    if template is None:
        made, masses = disks(n, seed=seed)
        mocks = [made.select([i]) for i in range(n)]
    else:
        mocks, masses = [_named(template, i, n) for i in range(n)], np.resize(host_mass(template), n)
        _check(template, profile, halos, log_m200)
    if log_m200 is not None:
        masses = np.full(n, log_m200)
    seen = [
        observe(mock, profile, masses[[i]], seed=seed)
        if halos == "typical"
        else observe_from_prior(mock, profile, seed=seed)
        for i, mock in enumerate(mocks)
    ]
    return Result(
        kind="darkexp-mock",
        tables={
            "curves": vstack([_points(curves) for curves, _ in seen]),
            "galaxies": vstack([_properties(curves) for curves, _ in seen]),
            "truth": document(vstack([truth for _, truth in seen]).filled(np.nan)),
        },
        provenance=Provenance.record(
            seed=seed,
            sources=() if template is None else (*template.source, *template.galaxies.source),
            settings={"profile": profile.name, "halos": halos, "log10_m200": log_m200},
        ),
    )


def _check(template: RotationCurves, profile: Profile, halos: str, log_m200: float | None) -> None:
    wanted = list(needs(profile, "flat"))
    if halos == "typical" and log_m200 is None:
        wanted.append("luminosity")
    for name, lacking in zip(template.name, unmet(template, tuple(wanted)), strict=True):
        if lacking:
            message = f"{name}: expected its {lacking} in the galaxy table, found none; name a table with --galaxies"
            raise ParameterError(message)


def _points(curves: RotationCurves) -> Table:
    """Return the points of one galaxy."""
    table = Table(
        {"galaxy": np.repeat(curves.name, curves.n_points), "distance": np.repeat(curves.distance, curves.n_points)}
    )
    for key in POINT:
        table[key] = getattr(curves, key)
    return _with_units(table)


def _properties(curves: RotationCurves) -> Table:
    """Return what is known of one galaxy."""
    return _with_units(Table({"galaxy": curves.name, **{key: getattr(curves.galaxies, key) for key in PROPERTIES}}))


def _with_units(table: Table) -> Table:
    for name in table.colnames:
        table[name].unit = UNITS.get(name)
    return table
