"""Rotation curves: SPARC's files, and tables of a user's own galaxies.

Formats: ``NAME_rotmod.dat`` (one galaxy a file) and ``MassModels_Lelli2016c.mrt`` of SPARC (Lelli, McGaugh &
Schombert 2016, AJ 152, 157), with its galaxy table ``SPARC_Lelli2016c.mrt`` and ``Bulges.mrt``; every format
of `catalogs.tables` with the columns of `POINT_COLUMNS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalogs._words import number, read_words
from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError
from catalogs.provenance import Rejected, Source
from catalogs.tables import Column, read_table

__all__ = ("GalaxyTable", "RotationCurves", "find_galaxy_table", "read_galaxy_table", "read_rotation_curves")

Array = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]

GALAXY_TABLE, BULGES, MASS_MODELS = "SPARC_Lelli2016c.mrt", "Bulges.mrt", "MassModels_Lelli2016c.mrt"

_optional = partial(Column, required=False, finite=False)
DISTANCE = _optional("distance", "Mpc", aliases=("D", "distance_Mpc", "dist"), positive=True)
#: What is known at a point of a rotation curve.
POINT = ("r", "v_obs", "e_v_obs", "v_gas", "v_disk", "v_bulge")
#: What a table of points holds, one row a point.
POINT_COLUMNS = (
    Column("galaxy", text=True, required=False, aliases=("ID", "name", "object")),
    DISTANCE,
    Column("r", "kpc", aliases=("R", "Rad", "radius", "r_kpc"), positive=True),
    Column("v_obs", "km/s", aliases=("Vobs", "v", "vrot", "v_rot")),
    Column("e_v_obs", "km/s", aliases=("errV", "e_Vobs", "v_err", "e_v"), positive=True),
    Column("v_gas", "km/s", aliases=("Vgas",)),
    Column("v_disk", "km/s", aliases=("Vdisk", "v_disc", "Vdisc")),
    Column("v_bulge", "km/s", aliases=("Vbul", "v_bul", "Vbulge"), required=False),
)

#: What is known of a galaxy as a whole, one row a galaxy.
GALAXY_COLUMNS = (
    Column("galaxy", text=True, aliases=("name", "ID", "object")),
    DISTANCE,
    _optional("e_distance", "Mpc", aliases=("e_D", "e_distance_Mpc")),
    _optional("inclination", "deg", aliases=("Inc", "inclination_deg")),
    _optional("e_inclination", "deg", aliases=("e_Inc", "e_inclination_deg")),
    _optional("luminosity", "1e9 solLum", aliases=("L[3.6]", "L36", "L")),
    _optional("bulge_luminosity", "1e9 solLum", aliases=("Lbul", "L_bulge")),
    _optional("r_eff", "kpc", aliases=("Reff",)),
    _optional("quality", aliases=("Q",)),
)
PROPERTIES = tuple(spec.name for spec in GALAXY_COLUMNS if not spec.text)

#: The lowest and the highest value of a property that anything can be done with.
POSSIBLE = {
    "distance": (1e-3, 1e5),
    "e_distance": (0.0, 1e5),
    "inclination": (1.0, 90.0),
    "e_inclination": (0.0, 90.0),
}

#: The columns of SPARC's text files, in their order: ours by our names, the others by theirs.
ROTMOD_ROW = (*POINT, "SBdisk", "SBbul")
GALAXY_ROW = (
    *("galaxy", "T", "distance", "e_distance", "f_D", "inclination", "e_inclination", "luminosity"),
    *("e_L[3.6]", "r_eff", "SBeff", "Rdisk", "SBdisk", "MHI", "RHI", "Vflat", "e_Vflat", "quality", "Ref"),
)
BULGE_ROW = ("galaxy", "bulge_luminosity")


@dataclass(frozen=True)
class GalaxyTable:
    """What is known of galaxies as a whole; float arrays of one length, NaN where unknown.

    Parameters
    ----------
    name
        Of each galaxy.
    distance, e_distance
        [Mpc].
    inclination, e_inclination
        [deg]; 90 is edge-on.
    luminosity, bulge_luminosity
        At 3.6 micron [1e9 Lsun], of the whole galaxy and of its bulge.
    r_eff
        Effective radius at 3.6 micron [kpc].
    quality
        1 high, 2 medium, 3 low.
    source
        The files.
    """

    name: Names
    distance: Array
    e_distance: Array
    inclination: Array
    e_inclination: Array
    luminosity: Array
    bulge_luminosity: Array
    r_eff: Array
    quality: Array
    source: tuple[Source, ...]

    def of(self, names: Sequence[str]) -> GalaxyTable:
        """Return the rows of these galaxies, in this order; NaN for those that the table does not know."""
        place = {name: i for i, name in enumerate(self.name.tolist())}
        index = np.array([place.get(name, -1) for name in names], dtype=np.int64)
        columns = {key: np.append(getattr(self, key), np.nan)[index] for key in PROPERTIES}
        return GalaxyTable(np.array(names, dtype=np.str_), **columns, source=self.source)


@dataclass(frozen=True)
class RotationCurves:
    """The rotation curves and mass models of many galaxies, end to end.

    Parameters
    ----------
    galaxies
        What is known of each galaxy as a whole, in the order of the curves.
    distance
        (galaxies,) at which radii and baryonic velocities were computed [Mpc].
    first
        (galaxies + 1,): galaxy i owns the points ``first[i]:first[i + 1]``.
    r
        (points,) radius [kpc], > 0.
    v_obs, e_v_obs
        (points,) observed velocity and its random error [km/s].
    v_gas, v_disk, v_bulge
        (points,) circular velocity of gas, disk and bulge, the stars at M/L = 1 [km/s]; negative where the
        pull is outward.
    source
        The files of curves, with what was left out of each.
    """

    galaxies: GalaxyTable
    distance: Array
    first: npt.NDArray[np.int64]
    r: Array
    v_obs: Array
    e_v_obs: Array
    v_gas: Array
    v_disk: Array
    v_bulge: Array
    source: tuple[Source, ...]

    def __len__(self) -> int:
        return self.first.size - 1

    @property
    def name(self) -> Names:
        """The names of the galaxies."""
        return self.galaxies.name

    @property
    def n_points(self) -> npt.NDArray[np.int64]:
        """The number of points of each galaxy."""
        return np.diff(self.first)

    @cached_property
    def has_bulge(self) -> npt.NDArray[np.bool_]:
        """Whether any point of the galaxy feels a bulge."""
        return np.array([np.any(self.v_bulge[self.points(i)] != 0) for i in range(len(self))], dtype=bool)

    @property
    def v_last(self) -> Array:
        """The outermost observed velocity of each galaxy [km/s]."""
        spans = [self.points(i) for i in range(len(self))]
        return np.array([self.v_obs[span][np.argmax(self.r[span])] for span in spans], dtype=np.float64)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """Everything that the readers left out."""
        return tuple(item for source in (*self.source, *self.galaxies.source) for item in source.rejected)

    def points(self, i: int) -> slice:
        """Return where the points of galaxy i stand."""
        return slice(int(self.first[i]), int(self.first[i + 1]))

    def select(self, keep: npt.ArrayLike) -> RotationCurves:
        """Return the galaxies of a mask or of indices, in the order given."""
        index = np.arange(len(self))[np.asarray(keep)]
        spans = [np.arange(self.first[i], self.first[i + 1]) for i in index]
        points = np.concatenate([np.empty(0, dtype=np.int64), *spans])
        return replace(
            self,
            galaxies=self.galaxies.of(self.name[index].tolist()),
            distance=self.distance[index],
            first=_ends(self.n_points[index]),
            **{key: getattr(self, key)[points] for key in POINT},
        )


def _ends(counts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return where galaxies of so many points begin and end."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


# --- curves -----------------------------------------------------------------------------------------------


class _Curve(NamedTuple):
    """One galaxy: its points (n, 6) in the order of `POINT`, and its distance if the file knows it."""

    name: str
    distance: float
    points: Array
    path: Path


_HEADER = re.compile(r"\s*#\s*Distance\s*=\s*(\S+?)\s*Mpc\b", re.IGNORECASE)


def _read_rotmod(path: Path) -> tuple[list[_Curve], Source]:
    """Read one ``NAME_rotmod.dat``."""
    name = path.stem.removesuffix("_rotmod")
    columns, source, comments = read_words(path, ROTMOD_ROW, POINT_COLUMNS)
    stated = [found[1] for line in comments if (found := _HEADER.match(line))]
    try:
        (distance,) = (number(word, replace(DISTANCE, finite=True)) for word in stated)
    except ValueError:
        expected, told = "one line '# Distance = X Mpc' with X above 0", ", ".join(stated)[:60] or "none"
        raise CatalogFormatError(path, expected, told, "the header") from None
    rejected = tuple(replace(item, name=name) for item in source.rejected)
    points = np.stack([columns[key] for key in POINT], axis=1)
    return [_Curve(name, distance, points, path)], replace(source, rejected=rejected)


def _read_points(path: Path, column_map: Mapping[str, str] | None) -> tuple[list[_Curve], Source]:
    """Read a table with one row a point, of one galaxy or of many."""
    data = read_table(path, POINT_COLUMNS, column_map=column_map)
    n = len(data)
    names = data.columns.get("galaxy", np.full(n, path.stem))
    distance = data.columns.get("distance", np.full(n, np.nan))
    points = np.stack([data.columns.get(key, np.zeros(n)) for key in POINT], axis=1)
    rejected = [replace(item, where=f"{path}, {item.where}") for item in data.source.rejected]
    curves = []
    order = np.argsort(names, kind="stable")
    _, start = np.unique(names[order], return_index=True)
    for mine in sorted(np.split(order, start[1:]), key=lambda rows: int(rows[0])):
        name, stated = str(names[mine[0]]), np.unique(distance[mine])
        known = stated[~np.isnan(stated)]
        if known.size > 1:
            reason = f"expected one distance for the galaxy, found {known.size}"
            rejected.append(Rejected(name, str(path), reason))
        else:
            curves.append(_Curve(name, float(known[0]) if known.size else math.nan, points[mine], path))
    return curves, replace(data.source, rejected=tuple(rejected))


# --- the galaxies as a whole ------------------------------------------------------------------------------


def _galaxies(path: Path, columns: Mapping[str, npt.NDArray[Any]], source: Source) -> GalaxyTable:
    """Put columns together, leave out what cannot be, and refuse a galaxy named twice."""
    names = columns["galaxy"]
    values = {key: columns.get(key, np.full(names.size, np.nan)) for key in PROPERTIES}
    rejected = list(source.rejected)
    good = np.ones(names.size, dtype=bool)
    for key, (low, high) in POSSIBLE.items():
        for i in np.flatnonzero((values[key] < low) | (values[key] > high)):
            reason = f"expected {low:g} to {high:g}, found {values[key][i]:g}"
            rejected.append(Rejected(str(names[i]), f"{path}, column {key}", reason))
            good[i] = False
    if not np.any(good):
        found = f"none: {rejected[0].where}: {rejected[0].reason}" if rejected else "none"
        raise CatalogFormatError(path, "at least one usable row", found)
    unique, counts = np.unique(names, return_counts=True)
    if unique.size < names.size:
        raise CatalogFormatError(path, "one row a galaxy", f"{unique[counts > 1][0]} more than once")
    # An error without its value says nothing.
    values["e_inclination"] = np.where(np.isnan(values["inclination"]), np.nan, values["e_inclination"])
    table = GalaxyTable(names, **values, source=(replace(source, rejected=tuple(rejected)),))
    return table.of(names[good].tolist())


def read_galaxy_table(path: str | PathLike[str], *, column_map: Mapping[str, str] | None = None) -> GalaxyTable:
    """Read what is known of galaxies as a whole.

    Parameters
    ----------
    path
        ``SPARC_Lelli2016c.mrt`` (any ``.mrt`` is taken to be laid out like it) with ``Bulges.mrt`` beside it,
        where that exists; or a table in another format with the columns of `GALAXY_COLUMNS`.
    column_map
        ``{our name: name in the file}``.

    Returns
    -------
    GalaxyTable
        Rows that cannot be used stand in the ``rejected`` of its sources.

    Raises
    ------
    CatalogFileError, CatalogFormatError, UnitError
        If the file is missing, is not such a table, or names a galaxy twice.
    """
    path = Path(path)
    if path.suffix.lower() != ".mrt":
        data = read_table(path, GALAXY_COLUMNS, column_map=column_map)
        return _galaxies(path, data.columns, data.source)
    # By its words, for the byte-by-byte description in SPARC's file is wrong.
    table = _galaxies(path, *read_words(path, GALAXY_ROW, GALAXY_COLUMNS)[:2])
    bulges = path.with_name(BULGES)
    if not bulges.is_file():
        return table
    known = _galaxies(bulges, *read_words(bulges, BULGE_ROW, GALAXY_COLUMNS)[:2])
    luminosity = known.of(table.name.tolist()).bulge_luminosity
    return replace(table, bulge_luminosity=luminosity, source=(*table.source, *known.source))


def find_galaxy_table(paths: Iterable[str | PathLike[str]]) -> Path | None:
    """Seek SPARC's galaxy table in each path (its folder, for a file), then in the parent of that folder."""
    for path in map(Path, paths):
        folder = path if path.is_dir() else path.parent
        for place in (folder, folder.resolve().parent):
            if (place / GALAXY_TABLE).is_file():
                return place / GALAXY_TABLE
    return None


# --- everything together ----------------------------------------------------------------------------------


def _curve_files(path: Path) -> list[Path]:
    """Return the files of curves that a path stands for; a folder without any stands for itself."""
    models = path / MASS_MODELS
    return sorted(path.glob("*_rotmod.dat")) or [models if models.is_file() else path]


def _read_curves(path: Path, column_map: Mapping[str, str] | None) -> tuple[list[_Curve], Source]:
    if not path.exists():
        raise CatalogFileError(path, "there is no such file or folder")
    if path.is_dir():
        found = "none: name a folder of rotation curves, or a table"
        raise CatalogFormatError(path, f"files NAME_rotmod.dat or {MASS_MODELS}", found)
    return _read_rotmod(path) if path.suffix.lower() == ".dat" else _read_points(path, column_map)


def read_rotation_curves(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    galaxies: str | PathLike[str] | None = None,
    *,
    column_map: Mapping[str, str] | None = None,
) -> RotationCurves:
    """Read rotation curves, and what is known of their galaxies.

    Parameters
    ----------
    paths
        Folders of ``NAME_rotmod.dat`` files, such files, ``MassModels_Lelli2016c.mrt``, or tables with the
        columns of `POINT_COLUMNS`, one row a point.
    galaxies
        The galaxy table; by default SPARC's, where `find_galaxy_table` finds it.
    column_map
        ``{our name: name in the file}`` for tables of your own.

    Returns
    -------
    RotationCurves
        In the order of the paths, a folder's files by name. What could not be used stands in ``rejected``:
        bad points, files that are no rotation curve, galaxies without points or distance, or named twice.

    Raises
    ------
    CatalogFileError, CatalogFormatError, UnitError
        If nothing at all can be used; the error is that of the first file.
    """
    listed = [Path(path) for path in ([paths] if isinstance(paths, str | PathLike) else paths)]
    table_path = galaxies if galaxies is not None else find_galaxy_table(listed)
    nothing = GalaxyTable(np.array([], dtype=np.str_), **dict.fromkeys(PROPERTIES, np.empty(0)), source=())
    table = read_galaxy_table(table_path) if table_path is not None else nothing
    tabulated = dict(zip(table.name.tolist(), table.distance.tolist(), strict=True))

    curves: dict[str, _Curve] = {}
    sources: list[Source] = []
    errors: list[AstrotkError] = []
    for file in [file for path in listed for file in _curve_files(path)]:
        try:
            found, source = _read_curves(file, column_map)
        except AstrotkError as exc:
            errors.append(exc)
            reason = str(exc).removeprefix(str(file)).lstrip(":, ")
            sources.append(Source(str(file), "", (Rejected(file.name, str(file), reason),)))
            continue
        rejected = list(source.rejected)
        for name, own_distance, points, path in found:
            distance = tabulated.get(name, math.nan) if math.isnan(own_distance) else own_distance
            reason = ""
            if not points.size:
                reason = "expected at least one usable point, found none"
            elif not 0 < distance < math.inf:
                reason = f"expected a distance in Mpc in the file or the galaxy table, found {distance}"
            elif name in curves:
                reason = f"expected each galaxy once, found it before in {curves[name].path}"
            if reason:
                rejected.append(Rejected(name, str(file), reason))
            else:
                curves[name] = _Curve(name, distance, points, path)
        sources.append(replace(source, rejected=tuple(rejected)))
    if not curves:
        if errors:
            raise errors[0]
        first = next((item for source in sources for item in source.rejected), None)
        place, told = (first.where, f"none: {first.reason}") if first else ("rotation curves", "no path")
        raise CatalogFormatError(place, "at least one usable galaxy", told)

    own = table.of(list(curves))
    distance_of = np.array([curve.distance for curve in curves.values()])
    columns = np.concatenate([curve.points for curve in curves.values()]).T
    return RotationCurves(
        galaxies=replace(own, distance=np.where(np.isnan(own.distance), distance_of, own.distance)),
        distance=distance_of,
        first=_ends([len(curve.points) for curve in curves.values()]),
        **{key: column.copy() for key, column in zip(POINT, columns, strict=True)},
        source=tuple(sources),
    )
