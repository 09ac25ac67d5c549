"""Posteriors of halo profiles for many galaxies, by the batch sampler, in this process or in shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from astrotk.darkexp.catalogue import assemble, curve_rows, fit_rows, stack
from astrotk.darkexp.model import RotationModel
from astrotk.darkexp.profiles import Profile
from astrotk.darkexp.selection import Cuts, Plan, plan
from catalogs.errors import CatalogFormatError
from catalogs.provenance import Provenance, Rejected
from catalogs.result import Result, rejected_table
from catalogs.sparc import RotationCurves
from stats.batch import sample
from stats.evidence import evidence as integrate
from stats.optimize import maximize
from stats.parallel import Workers, run_shards, split, surviving
from stats.posterior import Posteriors

__all__ = ("fit_posterior",)

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Galaxies in a shard: enough to keep the kernels busy, few enough to share out.
SHARD = 72
#: Draws from which quantiles are taken; of which every fourth is written; of which every second is drawn as a curve.
DRAWS, WRITTEN, BAND = 2048, 512, 256
QUANTILES = {"p16": 0.16, "p50": 0.50, "p84": 0.84}


@dataclass(frozen=True)
class Part:
    """Some galaxies for one profile, all with the same free parameters.

    Parameters
    ----------
    model
        With its galaxies.
    seed, max_steps
        Of the sampler.
    evidence
        Whether to integrate the evidence as well.
    """

    model: RotationModel
    seed: int
    max_steps: int
    evidence: bool


def fit_posterior(
    curves: RotationCurves,
    profiles: Sequence[Profile],
    *,
    prior: str = "flat",
    fixed: Mapping[str, float] | None = None,
    cuts: Cuts | None = None,
    seed: int = 0,
    backend: str = "auto",
    max_steps: int = 2**15,
    evidence: bool = False,
    executor: Workers | None = None,
    folder: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: Callable[[int], Any] | None = None,
) -> Result:
    """Sample the posteriors of halo profiles for rotation curves.

    Arguments that are not listed are those of `astrotk.darkexp.fit_map`, with the same free parameters.

    Parameters
    ----------
    max_steps
        After which a galaxy is given up and called not converged.
    evidence
        Also integrate the evidence by nested sampling, which takes a hundred times longer.
    executor
        From `stats.parallel.open_executor`: work in shards on these workers; by default in this process.
    folder
        For the shards, with an executor.
    resume
        Keep the shards of an interrupted run.
    progress
        Called with the number of fits that are done, each time some are.

    Returns
    -------
    Result
        As of `fit_map`. In the catalogue the parameters are those of the maximum, with the quantiles of the posterior
        in ``x_p16, x_p50, x_p84``, and with ``ess, rhat, converged, at_bound``. The table ``curves`` has bands. The
        array ``draws`` is (fit, 512, column), float32, for the rows of the catalogue and the names in the array
        ``draws_columns``.
    """
    planned = plan(curves, profiles, prior=prior, fixed=fixed, cuts=cuts, backend=backend)
    shards = {
        f"{model.profile.name}-{'+'.join(model.free)}-{name}.h5": Part(
            _of(model, np.arange(len(model.curves))[which]), seed, max_steps, evidence
        )
        for model in planned.models
        for name, which in split(model.curves, SHARD)
    }
    record = planned.provenance(seed, method="posterior", max_steps=max_steps, evidence=evidence)
    lost: list[Rejected] = []
    if executor is None or folder is None:
        parts = _here(shards.values(), progress)
    else:
        fingerprint = {"seed": seed, **record.settings, "inputs": dict(record.inputs)}
        report = run_shards(
            write_part, shards, folder, executor, fingerprint=fingerprint, resume=resume, progress=progress
        )
        lost = [
            Rejected(name, "sampler", reason)
            for shard, reason in report.failed
            for name in shards[shard].model.curves.name
        ]
        parts = (Result.read(path) for path in report.paths)
    return _join(planned, list(parts), lost, record)


def _of(model: RotationModel, which: Indices) -> RotationModel:
    """Return the model of some of its galaxies."""
    return RotationModel(model.curves.select(which), model.profile, model.prior, model.fixed, model.backend)


def _here(parts: Iterable[Part], progress: Callable[[int], Any] | None) -> Iterator[Result]:
    for part in parts:
        yield sample_part(part, progress)


def write_part(part: Part, path: Path) -> int:
    """Sample a part and write it; return how many galaxies it has."""
    sample_part(part).write(path, format="h5")
    return len(part.model.curves)


def sample_part(part: Part, progress: Callable[[int], Any] | None = None) -> Result:
    """Sample the galaxies of a part; one that fails costs itself alone."""
    galaxies = range(len(part.model.curves))
    done, failed = surviving(lambda which: _sample(part, _of(part.model, np.array(which)), progress), galaxies)
    name, profile = part.model.curves.name, part.model.profile.name
    rejected = [Rejected(str(name[o]), "sampler", f"{profile}: {reason}") for o, reason in failed]
    tables: dict[str, Table] = {"rejected": rejected_table(rejected)}
    arrays: dict[str, npt.NDArray[Any]] = {}
    if done:
        fits, curves, draws = zip(*(found for _, found in done), strict=True)
        tables |= {"catalogue": stack(fits), "curves": stack(curves)}
        arrays = {name: np.concatenate([own[name] for own in draws]) for name in draws[0]}
    return Result("darkexp", tables, arrays)


def _sample(
    part: Part, model: RotationModel, progress: Callable[[int], Any] | None
) -> tuple[Table, Table, dict[str, Any]]:
    """Return the catalogue, the curves, and the draws of one model: ``{column: (galaxy, draw)}``."""
    target, n = model.target, len(model.curves)
    found = sample(
        target, seed=part.seed, max_steps=part.max_steps, progress=None if progress is None else lambda _: progress(1)
    )
    theta, loglike = _summit(model, found, part.seed)
    rows = fit_rows(model, loglike, found.diagnosis.converged, found.at_bound)
    rows["lacks"] = found.diagnosis.reasons(target.names)
    rows["ess"], rows["rhat"] = found.diagnosis.ess.min(axis=1), found.diagnosis.rhat.max(axis=1)
    rows["steps"] = found.steps
    if part.evidence:
        integral = integrate(target, seed=part.seed)
        rows["ln_z"], rows["ln_z_err"] = integral.log_z, integral.log_z_err

    draws = found.draws[:, _evenly(found.draws.shape[1], DRAWS)]
    described = {
        name: value.reshape(n, -1)
        for name, value in model.describe(
            draws.reshape(-1, target.dim), np.repeat(np.arange(n), draws.shape[1])
        ).items()
    }
    for name, value in model.describe(theta, np.arange(n)).items():
        rows[name] = value
        for ending, q in QUANTILES.items():
            rows[f"{name}_{ending}"] = _quantile(described[name], q)
    outermost = np.array([model.curves.r[model.curves.points(o)].max() for o in range(n)])
    outermost = outermost[:, None] * described["distance_Mpc"] / model.curves.distance[:, None]
    nowhere = np.isnan(described["r_minus2_kpc"]).all(axis=1)
    rows["p_beyond"] = np.where(nowhere, np.nan, np.mean(described["r_minus2_kpc"] > outermost, axis=1))

    points = curve_rows(model, theta)
    bands = [_band(model, draws[o, :: DRAWS // BAND], o) for o in range(n)]
    for k, name in enumerate(("v_total", "v_halo")):
        for ending, value in zip(("p16", "p84"), np.concatenate([band[k] for band in bands], axis=1), strict=True):
            points[f"{name}_{ending}"] = value
    written = {name: value[:, :: DRAWS // WRITTEN].astype(np.float32) for name, value in described.items()}
    return rows, points, written


def _summit(model: RotationModel, found: Posteriors, seed: int) -> tuple[Array, Array]:
    """Return where the posterior is highest, (galaxy, dim), and the ln likelihood there: a draw may beat the search."""
    objects = np.arange(len(model.curves))
    maxima = maximize(model.target, seed=seed)
    both = np.stack([maxima.theta, found.best()], axis=1)
    highest = np.argmax(model.target.logpost(both, objects), axis=1)
    theta = both[objects, highest]
    return theta, model.loglike(theta[:, None], objects)[:, 0]


def _band(model: RotationModel, theta: Array, o: int) -> tuple[Array, Array]:
    """Return the 16 and 84 % quantiles, (2, point) each, of the velocities of a galaxy as a whole and of its halo."""
    parts = model.components(theta, o)
    return tuple(np.quantile(parts[name], [0.16, 0.84], axis=0) for name in ("total", "halo"))  # type: ignore[return-value]


def _quantile(values: Array, q: float) -> Array:
    """Return a quantile over draws, (galaxy,); NaN where it lies among draws that have no value."""
    known = np.where(np.isnan(values), np.inf, values)
    with np.errstate(invalid="ignore"):  # between two infinities
        quantile = np.quantile(known, q, axis=1)
    return np.where(np.isfinite(quantile), quantile, np.nan)


def _evenly(length: int, wanted: int) -> Indices:
    return np.arange(wanted) * length // wanted


def _join(planned: Plan, parts: Sequence[Result], lost: Sequence[Rejected], record: Provenance) -> Result:
    """Put the parts together; columns of draws that a fit does not have are NaN."""
    good = [part for part in parts if "catalogue" in part.tables]
    rejected = [
        *lost,
        *(Rejected(*row) for part in parts for row in part.tables["rejected"].iterrows("name", "where", "reason")),
    ]
    if not good:
        where, reason = (rejected[0].where, rejected[0].reason) if rejected else ("shards", "none")
        raise CatalogFormatError(where, "at least one fit", reason)
    catalogue = [part.tables["catalogue"] for part in good]
    result = assemble(planned, catalogue, [part.tables["curves"] for part in good], rejected, record, {})
    place = {(row["galaxy"], row["profile"]): k for k, row in enumerate(result.tables["catalogue"])}
    drawn = {name for part in good for name in part.arrays}
    columns = [name for name in result.tables["catalogue"].colnames if name in drawn]
    draws = np.full((len(place), WRITTEN, len(columns)), np.nan, dtype=np.float32)
    for rows, part in zip(catalogue, good, strict=True):
        mine = [place[row["galaxy"], row["profile"]] for row in rows]
        for name, values in part.arrays.items():
            draws[mine, :, columns.index(name)] = values
    return replace(result, arrays={**result.arrays, "draws": draws, "draws_columns": np.array(columns)})
