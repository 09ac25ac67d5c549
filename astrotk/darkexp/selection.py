"""Which galaxies are fitted with which profiles, and as which models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from astrotk.darkexp.model import PRIORS, RotationModel, check_fixed, needs, prior_of, unmet
from astrotk.darkexp.profiles import Profile
from catalogs.errors import CatalogFormatError, ParameterError
from catalogs.provenance import Provenance, Rejected
from catalogs.sparc import RotationCurves

__all__ = ("PRESETS", "Cuts", "Plan", "groups", "plan")


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
    max_v_last
        [km/s]; keep galaxies whose outermost point is slower than this.
    """

    max_quality: int | None = None
    min_inclination: float | None = None
    max_inclination: float | None = None
    min_points: int = 1
    max_v_last: float | None = None

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
            ("outermost velocity below", self.max_v_last, curves.v_last < (self.max_v_last or 0), curves.v_last),
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


#: Named samples. Williams, Hjorth & Skillman (2025, arXiv:2502.15879) fit "96 SPARC catalog galaxies" with last
#: velocities of about 20 to 200 km/s and print no list; these two cuts leave 96, which is our guess and no more.
PRESETS = {"guess-of-96": Cuts(min_points=10, max_v_last=200.0)}


@dataclass(frozen=True)
class Plan:
    """What is to be fitted.

    Parameters
    ----------
    curves
        The galaxies that passed the cuts.
    profiles
        The names of the halos.
    models
        One for each profile and set of free parameters.
    rejected
        The galaxies, or the fits, that were left out.
    settings
        For the provenance, and to tell this plan from another.
    """

    curves: RotationCurves
    profiles: tuple[str, ...]
    models: tuple[RotationModel, ...]
    rejected: tuple[Rejected, ...]
    settings: Mapping[str, Any]

    def provenance(self, seed: int, **settings: Any) -> Provenance:
        """Return the record of a run."""
        sources = (*self.curves.source, *self.curves.galaxies.source)
        return Provenance.record(seed=seed, sources=sources, settings={**settings, **self.settings})


def plan(
    curves: RotationCurves,
    profiles: Sequence[Profile],
    *,
    prior: str,
    fixed: Mapping[str, float] | None,
    cuts: Cuts | None,
    backend: str,
) -> Plan:
    """Make the models; arguments as for `astrotk.darkexp.fit_map`.

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
    models: list[RotationModel] = []
    for profile in profiles:
        able, unable = groups(chosen, profile, prior_of(profile, prior), fixed, backend)
        models += able
        rejected += unable
    if not models:
        raise CatalogFormatError(
            curves.source[0].path if curves.source else "rotation curves",
            "at least one galaxy to fit",
            rejected[-1].reason if rejected else "none",
        )
    names = tuple(profile.name for profile in profiles)
    settings = {"prior": prior, "fixed": fixed, "profiles": list(names)}
    return Plan(chosen, names, tuple(models), tuple(rejected), settings)


def groups(
    curves: RotationCurves, profile: Profile, prior: str, fixed: Mapping[str, float], backend: str
) -> tuple[list[RotationModel], list[Rejected]]:
    """Split galaxies into models with the same free parameters.

    Returns
    -------
    models
        Each with its galaxies.
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
    split = [np.flatnonzero(able & (key == value)) for value in np.unique(key[able])]
    return [RotationModel(curves.select(mine), profile, prior, fixed, backend) for mine in split], rejected
