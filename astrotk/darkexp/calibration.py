"""Whether the posteriors of a profile mean what they say, on mock galaxies whose truth was drawn from the prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from astrotk.darkexp.mock import disks, observe_from_prior
from astrotk.darkexp.profiles import Profile
from astrotk.darkexp.selection import groups
from catalogs.errors import ParameterError
from catalogs.provenance import Provenance
from catalogs.result import Result
from catalogs.sparc import RotationCurves
from stats.batch import sample
from stats.calibration import Calibration, calibrate

__all__ = ("calibrate_profile",)


def calibrate_profile(
    profile: Profile,
    n: int = 300,
    *,
    template: RotationCurves | None = None,
    seed: int = 0,
    max_steps: int = 2**15,
    progress: Callable[[str], Any] | None = None,
) -> tuple[Result, Calibration]:
    """Draw truths from the prior, observe and fit them, and rank each truth among the draws of its posterior.

    Parameters
    ----------
    profile
        Of the halos, in truth and fit.
    n
        Mock galaxies.
    template
        Real galaxies, whose radii, errors and baryons the mocks take in turn; by default disks are made up.
    seed
        Of the run.
    max_steps
        Of the sampler; mocks that have not converged by then are counted with the others, and told.
    progress
        Called with the name of each mock that is done.

    Returns
    -------
    Result
        Kind "darkexp-calibration"; tables ``calibration`` (a row a parameter) and ``mocks`` (a row a mock).
    Calibration
        With the ranks, for `stats.posterior_plots.ranks`.

    Raises
    ------
    ParameterError
        If the galaxies of the template do not have the same free parameters.
    """
    made = disks(n, seed=seed)[0] if template is None else _copies(template, n)
    models, unable = groups(made, profile, "flat", {}, "auto")
    if len(models) != 1 or unable:
        why = unable[0].reason if unable else "some with and some without a bulge, or errors of D and i"
        message = f"calibration needs galaxies with the same free parameters, found {why}"
        raise ParameterError(message)
    curves, truth = observe_from_prior(models[0].curves, profile, seed=seed)
    model = replace(models[0], curves=curves)
    found = sample(model.target, seed=seed, max_steps=max_steps, progress=progress)
    names = model.target.names
    verdict = calibrate(np.stack([truth[name] for name in names], axis=-1), found.draws, names)
    truth["converged"], truth["steps"] = found.diagnosis.converged, found.steps
    result = Result(
        kind="darkexp-calibration",
        tables={"calibration": verdict.table(), "mocks": truth},
        provenance=Provenance.record(
            seed=seed,
            sources=() if template is None else (*template.source, *template.galaxies.source),
            settings={"profile": profile.name, "mocks": n, "max_steps": max_steps},
        ),
    )
    return result, verdict


def _copies(template: RotationCurves, n: int) -> RotationCurves:
    """Return the galaxies in turn, each time by another name."""
    many = template.select(np.resize(np.arange(len(template)), n))
    names = np.array([f"{name}-mock-{i + 1}" for i, name in enumerate(many.name)])
    return replace(many, galaxies=replace(many.galaxies, name=names))
