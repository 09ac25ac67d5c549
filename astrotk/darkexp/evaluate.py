"""The chi-square of given parameters, for example of a published catalogue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike

import numpy as np
import numpy.typing as npt
from astropy.table import Table, hstack

from astrotk.darkexp.catalogue import document, reduced_chi2
from astrotk.darkexp.model import WITH_R_MINUS2, RotationModel, needs, unmet
from astrotk.darkexp.profiles import H0, PROFILES, G, kernel_constants
from catalogs.provenance import Provenance, Rejected
from catalogs.result import Result, rejected_table
from catalogs.sparc import RotationCurves
from catalogs.tables import Column, TableData, read_table
from gpu import registry
from gpu.rotation import formula

__all__ = ("PARAMETER_COLUMNS", "evaluate", "read_parameters")

Array = npt.NDArray[np.float64]


def _number(name: str, unit: str | None = None) -> Column:
    return Column(name, unit, required=False, finite=False)


#: The columns of a table of parameters; NaN where a profile has no use for one.
PARAMETER_COLUMNS = (
    Column("galaxy", text=True, aliases=("name", "ID"), finite=False),
    Column("profile", text=True, aliases=("model",), finite=False),
    _number("distance_Mpc", "Mpc"),
    _number("inclination_deg", "deg"),
    _number("ml_disk"),
    _number("ml_bulge"),
    _number("r_s_kpc", "kpc"),
    _number("log10_rho_s"),
    _number("r_minus2_kpc", "kpc"),
    _number("v_minus2_kms", "km/s"),
    _number("alpha"),
    _number("phi0"),
    _number("log10_m200"),
    _number("v200", "km/s"),
    _number("c200"),
    _number("n_free"),
)
#: Instead of the coordinates of a halo that is not given.
UNKNOWN = -1
#: What `evaluate` adds; columns of the input with these names get "_given" behind them.
ADDED = ("n_points", "n_free", "chi2", "chi2_red")


def read_parameters(path: str | PathLike[str], *, column_map: Mapping[str, str] | None = None) -> TableData:
    """Read a table of parameters, one row a galaxy and profile, with the columns of `PARAMETER_COLUMNS`."""
    return read_table(path, PARAMETER_COLUMNS, column_map=column_map)


def evaluate(parameters: TableData, curves: RotationCurves, *, backend: str = "auto") -> Result:
    """Compare given parameters with the data, as `fit_map` does at its maxima.

    A halo is taken from r_s_kpc and log10_rho_s where both are known, DARKexp's from r_minus2_kpc and v_minus2_kms,
    else from v200 and c200; a distance or inclination that is not known is the tabulated one. ``n_free`` is that of the
    table, or what `fit_map` would have had free.

    Parameters
    ----------
    parameters
        As `read_parameters` returns.
    curves
        The galaxies.
    backend
        Of the kernels.

    Returns
    -------
    Result
        Kind "darkexp"; table ``evaluation``, a row for each row of the input in its order: the input, and
        ``n_points, n_free, chi2, chi2_red``. Rows that cannot be computed have a chi2 of NaN and stand in ``rejected``.
    """
    rows = len(parameters)
    unknown = np.full(rows, np.nan)
    given = {spec.name: parameters.columns.get(spec.name, unknown) for spec in PARAMETER_COLUMNS if not spec.text}
    galaxies, profiles = parameters.columns["galaxy"], parameters.columns["profile"]
    place = {name: i for i, name in enumerate(curves.name.tolist())}
    chi2, n_free = np.full(rows, np.nan), np.full(rows, np.nan)
    n_points = np.zeros(rows, dtype=np.int64)
    reasons: dict[int, str] = {}
    by_name = {name.lower(): profile for name, profile in PROFILES.items()}
    for i in range(rows):
        if galaxies[i] not in place:
            reasons[i] = f"expected a galaxy of the data, found '{galaxies[i]}'"
        elif profiles[i].lower() not in by_name:
            reasons[i] = f"expected a profile among {', '.join(PROFILES)}, found '{profiles[i]}'"
    usable = np.array([i for i in range(rows) if i not in reasons], dtype=np.int64)
    for name in sorted({profiles[i].lower() for i in usable}):
        profile = by_name[name]
        mine = np.array([i for i in usable if profiles[i].lower() == name])
        objects = np.array([place[galaxies[i]] for i in mine])
        n_points[mine] = curves.n_points[objects]
        missing = unmet(curves, needs(profile, "flat"))
        model = RotationModel(curves, profile)
        theta, coordinates, wrong = _kernel_rows(model, {key: value[mine] for key, value in given.items()}, objects)
        wrong.update({k: f"{profile.name} expected {missing[o]} in the galaxy table, found none"
                      for k, o in enumerate(objects) if missing[o]})  # fmt: skip
        reasons.update({int(mine[k]): reason for k, reason in wrong.items()})
        good = np.array([k not in wrong for k in range(mine.size)], dtype=bool)
        runner = registry.get("rotation.chi2", backend, like=theta)
        for kind in np.unique(coordinates[good]):
            now = np.flatnonzero(good & (coordinates == kind))
            value = runner(profile.kind, int(kind), theta[now][:, None], objects[now], model.data, kernel_constants())
            chi2[mine[now]] = value[:, 0]
        n_free[mine] = [_count_free(model, int(o)) for o in objects]
    n_free = np.where(np.isnan(given["n_free"]), n_free, given["n_free"])
    for i in usable:
        if i not in reasons and not math.isfinite(chi2[i]):
            chi2[i] = math.nan
            reasons[int(i)] = "expected parameters that give a finite chi-square, found none"

    added = Table(
        {"n_points": n_points, "n_free": n_free, "chi2": chi2, "chi2_red": reduced_chi2(chi2, n_points, n_free)}
    )
    known = Table(
        {spec.name: parameters.columns[spec.name] for spec in PARAMETER_COLUMNS if spec.name in parameters.columns}
    )
    table = (
        hstack([known, parameters.extra], join_type="exact", metadata_conflicts="silent")
        if parameters.extra.colnames
        else known
    )
    for name in ADDED:
        if name in table.colnames:
            table.rename_column(name, f"{name}_given")
    table = hstack([table, document(added)], join_type="exact", metadata_conflicts="silent")
    rejected = [
        Rejected(str(galaxies[i]), f"{parameters.source.path}, row {parameters.row[i] + 1}", reason)
        for i, reason in sorted(reasons.items())
    ]
    return Result(
        kind="darkexp",
        tables={
            "evaluation": table,
            "rejected": rejected_table([*parameters.source.rejected, *rejected, *curves.rejected]),
        },
        provenance=Provenance.record(
            sources=(parameters.source, *curves.source, *curves.galaxies.source), settings={"method": "evaluate"}
        ),
    )


def _count_free(model: RotationModel, o: int) -> int:
    """Return how many parameters `fit_map` would have free for a galaxy."""
    curves = model.curves
    known = int(curves.galaxies.e_distance[o] > 0) + int(curves.galaxies.e_inclination[o] > 0)
    return len(model.halo_names) + 1 + int(curves.has_bulge[o]) + known


def _kernel_rows(
    model: RotationModel, given: Mapping[str, Array], objects: npt.NDArray[np.int64]
) -> tuple[Array, npt.NDArray[np.int64], dict[int, str]]:
    """Bring parameters into the kernel's rows.

    Returns
    -------
    rows, coordinates
        (row, 7) and (row,).
    wrong
        ``{row: reason}`` where something is missing.
    """
    galaxy, kind = model.data.galaxy[objects], model.profile.kind
    ways = {
        formula.DENSITY: ("r_s_kpc", "log10_rho_s"),
        formula.SCALE: ("r_minus2_kpc", "v_minus2_kms"),
        formula.VIRIAL: ("v200", "c200"),
    }
    if kind not in WITH_R_MINUS2:
        del ways[formula.SCALE]
    coordinates = np.full(objects.size, UNKNOWN)
    rows = np.zeros((objects.size, 7))
    with np.errstate(divide="ignore", invalid="ignore"):
        for way, (first, second) in ways.items():
            now = (coordinates == UNKNOWN) & np.isfinite(given[first]) & np.isfinite(given[second])
            coordinates[now] = way
            rows[now, formula.FIRST] = np.log10(given[first][now])
            rows[now, formula.SECOND] = given[second][now] if second == "log10_rho_s" else np.log10(given[second][now])
        rows[:, formula.LOG_ML_DISK] = np.log10(given["ml_disk"])
        rows[:, formula.LOG_ML_BULGE] = np.where(model.curves.has_bulge[objects], np.log10(given["ml_bulge"]), 0.0)
        if kind == formula.EINASTO:
            rows[:, formula.EXTRA] = np.log10(given["alpha"])
        elif kind in WITH_R_MINUS2:
            rows[:, formula.EXTRA] = given["phi0"]
        elif kind == formula.DC14:
            from_v200 = 3 * np.log10(given["v200"]) - math.log10(10 * G * H0)
            rows[:, formula.EXTRA] = np.where(np.isfinite(given["log10_m200"]), given["log10_m200"], from_v200)
    tabulated_i = galaxy[:, formula.INCLINATION_0]
    rows[:, formula.DISTANCE] = np.where(
        np.isnan(given["distance_Mpc"]), galaxy[:, formula.DISTANCE_0], given["distance_Mpc"]
    )
    # against an unknown inclination none can be compared: the ratio of the sines is then 1
    known_i = ~np.isnan(given["inclination_deg"]) & ~np.isnan(model.curves.galaxies.inclination[objects])
    rows[:, formula.INCLINATION] = np.where(known_i, given["inclination_deg"], tabulated_i)

    # stars without mass are no error: their logarithm of -inf gives 0
    lacks = {
        "ml_disk of 0 or more": np.isnan(rows[:, formula.LOG_ML_DISK]),
        "ml_bulge of 0 or more for the bulge": np.isnan(rows[:, formula.LOG_ML_BULGE]),
    }
    if kind == formula.EINASTO:
        lacks["alpha > 0"] = ~np.isfinite(rows[:, formula.EXTRA])
    elif kind == formula.DC14:
        lacks["log10_m200 or v200"] = ~np.isfinite(rows[:, formula.EXTRA])
    elif kind in WITH_R_MINUS2:
        low, high = model.profile.shape["phi0"]
        lacks[f"phi0 between {low:g} and {high:g}"] = ~((low <= given["phi0"]) & (given["phi0"] <= high))
    wrong = {}
    for k in range(objects.size):
        lacking = [text for text, lack in lacks.items() if lack[k]]
        if not rows[k, formula.DISTANCE] > 0:
            lacking.append("distance_Mpc > 0")
        if not 0 < rows[k, formula.INCLINATION] < 180:
            lacking.append("inclination_deg between 0 and 180")
        if coordinates[k] == UNKNOWN:
            lacking.insert(0, ", or ".join(f"{first} and {second}" for first, second in ways.values()))
        if lacking:
            wrong[k] = f"{model.profile.name} expected {', '.join(lacking)}, found none"
    return rows, coordinates, wrong
