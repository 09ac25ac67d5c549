"""Rotation curves: SPARC's files, and tables of a user's own galaxies.

Formats: ``NAME_rotmod.dat`` (one galaxy a file) and ``MassModels_Lelli2016c.mrt`` of SPARC (Lelli, McGaugh & Schombert
2016, AJ 152, 157), with its galaxy table ``SPARC_Lelli2016c.mrt`` and ``Bulges.mrt``; CSV, ECSV, FITS, HDF5, Parquet,
VOTable of any origin with the columns of `POINT_COLUMNS`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError
from catalogs.provenance import Rejected, Source
from catalogs.tables import Column, read_table

__all__ = ("GalaxyTable", "RotationCurves", "find_galaxy_table", "read_galaxy_table", "read_rotation_curves")

Array = npt.NDArray[np.float64]

#: No text file of rotation curves comes near this size [bytes].
MAX_TEXT = 50_000_000
GALAXY_TABLE, BULGES, MASS_MODELS = "SPARC_Lelli2016c.mrt", "Bulges.mrt", "MassModels_Lelli2016c.mrt"
TABLE_SUFFIXES = (".csv", ".ecsv", ".fits", ".h5", ".hdf5", ".parquet", ".vot", ".xml", ".mrt")

#: What a table of points holds, one row a point.
POINT_COLUMNS = (
    Column("galaxy", text=True, required=False, aliases=("ID", "name", "object")),
    Column(
        "distance", "Mpc", aliases=("D", "distance_Mpc", "dist"), required=False, positive=True, finite=False
    ),
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
    Column("distance", "Mpc", aliases=("D", "distance_Mpc"), finite=False, required=False),
    Column("e_distance", "Mpc", aliases=("e_D", "e_distance_Mpc"), finite=False, required=False),
    Column("inclination", "deg", aliases=("Inc", "inclination_deg"), finite=False, required=False),
    Column("e_inclination", "deg", aliases=("e_Inc", "e_inclination_deg"), finite=False, required=False),
    Column("luminosity", "1e9 solLum", aliases=("L[3.6]", "L36", "L"), finite=False, required=False),
    Column("bulge_luminosity", "1e9 solLum", aliases=("Lbul", "L_bulge"), finite=False, required=False),
    Column("r_eff", "kpc", aliases=("Reff",), finite=False, required=False),
    Column("quality", aliases=("Q",), finite=False, required=False),
)


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

    name: npt.NDArray[np.str_]
    distance: Array
    e_distance: Array
    inclination: Array
    e_inclination: Array
    luminosity: Array
    bulge_luminosity: Array
    r_eff: Array
    quality: Array
    source: tuple[Source, ...]


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
        (points,) circular velocity of gas, disk and bulge, the stars at M/L = 1 [km/s]; negative where the pull is
        outward.
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
    def name(self) -> npt.NDArray[np.str_]:
        """The names of the galaxies."""
        return self.galaxies.name

    @property
    def n_points(self) -> npt.NDArray[np.int64]:
        """The number of points of each galaxy."""
        return np.diff(self.first)

    @cached_property
    def has_bulge(self) -> npt.NDArray[np.bool_]:
        """Whether any point of the galaxy feels a bulge."""
        return np.array([np.any(self.v_bulge[a:b] != 0) for a, b in self._spans()], dtype=bool)

    @property
    def v_last(self) -> Array:
        """The outermost observed velocity of each galaxy [km/s]."""
        return np.array([self.v_obs[a:b][np.argmax(self.r[a:b])] for a, b in self._spans()])

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """Everything that the readers left out."""
        return tuple(item for source in (*self.source, *self.galaxies.source) for item in source.rejected)

    def _spans(self) -> Iterable[tuple[int, int]]:
        return zip(self.first[:-1], self.first[1:], strict=True)

    def points(self, i: int) -> slice:
        """Return where the points of galaxy i stand."""
        return slice(int(self.first[i]), int(self.first[i + 1]))

    def select(self, keep: npt.ArrayLike) -> RotationCurves:
        """Return the galaxies of a mask or of indices, in the order given."""
        index = np.arange(len(self))[np.asarray(keep)]
        points = np.concatenate(
            [np.arange(self.first[i], self.first[i + 1]) for i in index] or [np.empty(0, int)]
        )
        columns = {
            f.name: getattr(self.galaxies, f.name)[index] for f in fields(GalaxyTable) if f.name != "source"
        }
        return RotationCurves(
            galaxies=GalaxyTable(**columns, source=self.galaxies.source),
            distance=self.distance[index],
            first=np.concatenate([[0], np.cumsum(self.n_points[index])]).astype(np.int64),
            **{
                key: getattr(self, key)[points]
                for key in ("r", "v_obs", "e_v_obs", "v_gas", "v_disk", "v_bulge")
            },
            source=self.source,
        )


# --- one file of text ------------------------------------------------------------------------------------------------


def _read_text(path: Path) -> tuple[list[str], str]:
    """Return the lines and the SHA-256 of a text file."""
    try:
        if path.stat().st_size > MAX_TEXT:
            raise CatalogFileError(path, f"larger than {MAX_TEXT} bytes, too large for a table of galaxies")
        data = path.read_bytes()
    except OSError as exc:
        raise CatalogFileError(path, exc.strerror or "cannot be read") from exc
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise CatalogFormatError(path, "a text file", f"a byte that is not UTF-8 at {exc.start}") from exc
    if "\0" in text:
        raise CatalogFormatError(path, "a text file", "binary data")
    return text.splitlines(), hashlib.sha256(data).hexdigest()


_ROTMOD_WIDTH = 8
_DISTANCE = re.compile(r"#\s*Distance\s*=\s*(\S+)\s*Mpc", re.IGNORECASE)


@dataclass
class _Curve:
    """One galaxy while it is being read: columns r, v_obs, e_v_obs, v_gas, v_disk, v_bulge."""

    name: str
    distance: float
    points: Array
    origin: str


def _bad_point(values: Sequence[float]) -> str:
    """Return what is wrong with r, v_obs, e_v_obs, v_gas, v_disk, v_bulge; nothing if all is well."""
    names = ("radius", "v_obs", "e_v_obs", "v_gas", "v_disk", "v_bulge")
    for name, value in zip(names, values, strict=True):
        if not math.isfinite(value):
            return f"expected a finite {name}, found {value}"
    if values[0] <= 0:
        return f"expected a radius above 0 kpc, found {values[0]}"
    if values[2] <= 0:
        return f"expected an error e_v_obs above 0 km/s, found {values[2]}"
    return ""


def _read_rotmod(path: Path) -> tuple[list[_Curve], Source]:
    """Read one ``NAME_rotmod.dat``."""
    name = path.name.removesuffix("_rotmod.dat").removesuffix(".dat")
    lines, sha256 = _read_text(path)
    distance = math.nan
    points: list[list[float]] = []
    rejected: list[Rejected] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            if found := _DISTANCE.match(line):
                try:
                    distance = float(found[1])
                except ValueError:
                    raise CatalogFormatError(
                        path, "a distance in Mpc", repr(found[1]), f"line {number}"
                    ) from None
            continue
        words = line.split()
        if not words:
            continue
        place = f"{path}, line {number}"
        if len(words) != _ROTMOD_WIDTH:
            raise CatalogFormatError(
                path,
                f"{_ROTMOD_WIDTH} columns (Rad Vobs errV Vgas Vdisk Vbul SBdisk SBbul)",
                f"{len(words)}",
                f"line {number}",
            )
        try:
            values = [float(word) for word in words[:6]]
        except ValueError:
            raise CatalogFormatError(path, "numbers", repr(line.strip()[:60]), f"line {number}") from None
        if reason := _bad_point(values):
            rejected.append(Rejected(name, place, reason))
        else:
            points.append(values)
    if not distance > 0:
        raise CatalogFormatError(path, "a header line '# Distance = X Mpc' with X > 0", "none")
    curve = _Curve(name, distance, np.array(points).reshape(-1, 6), str(path))
    return [curve], Source(str(path), sha256, tuple(rejected))


def _read_points(path: Path, column_map: Mapping[str, str] | None) -> tuple[list[_Curve], Source]:
    """Read a table with one row a point, of one galaxy or many."""
    data = read_table(path, POINT_COLUMNS, column_map=column_map)
    n = data.columns["r"].size
    nothing = np.zeros(n)
    names = data.columns.get("galaxy", np.full(n, path.stem))
    distance = data.columns.get("distance", np.full(n, np.nan))
    bulge = data.columns.get("v_bulge", nothing)
    table = np.stack(
        [data.columns[key] for key in ("r", "v_obs", "e_v_obs", "v_gas", "v_disk")] + [bulge], axis=1
    )
    rejected = list(data.source.rejected)
    curves = []
    unique, start = np.unique(names, return_index=True)
    for name in unique[np.argsort(start)]:
        mine = names == name
        if np.unique(distance[mine]).size > 1 and not np.all(np.isnan(distance[mine])):
            reason = f"expected one distance for the galaxy, found {np.unique(distance[mine]).size}"
            rejected.append(Rejected(str(name), str(path), reason))
            continue
        curves.append(_Curve(str(name), float(distance[mine][0]), table[mine], str(path)))
    return curves, replace(data.source, rejected=tuple(rejected))


# --- the galaxies as a whole -----------------------------------------------------------------------------------------


def _mrt_rows(path: Path, width: int) -> tuple[list[list[str]], str]:
    """Split what follows the last dashed line: the byte-by-byte description of SPARC's galaxy table is wrong."""
    lines, sha256 = _read_text(path)
    dashes = [i for i, line in enumerate(lines) if line.startswith("-----")]
    if not dashes:
        raise CatalogFormatError(path, "a dashed line before the rows", "none")
    rows = []
    for number, line in enumerate(lines[dashes[-1] + 1 :], dashes[-1] + 2):
        words = line.split(maxsplit=width - 1)
        if not words:
            continue
        if len(words) != width:
            raise CatalogFormatError(path, f"{width} columns", f"{len(words)}", f"line {number}")
        rows.append([*words, str(number)])
    return rows, sha256


def _numbers(path: Path, rows: Sequence[Sequence[str]], column: int, label: str) -> Array:
    values = np.empty(len(rows))
    for k, row in enumerate(rows):
        try:
            values[k] = float(row[column])
        except ValueError:
            place = f"line {row[-1]}, column {label}"
            raise CatalogFormatError(path, "a number", repr(row[column]), place) from None
    return values


def _read_bulges(path: Path) -> tuple[dict[str, float], Source]:
    lines, sha256 = _read_text(path)
    found = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        words = line.split()
        try:
            found[words[0]] = float(words[1])
        except (IndexError, ValueError):
            expected = "a name and a luminosity in 1e9 Lsun"
            raise CatalogFormatError(path, expected, repr(line.strip()[:60]), f"line {number}") from None
    return found, Source(str(path), sha256)


def _read_sparc_galaxies(path: Path) -> GalaxyTable:
    rows, sha256 = _mrt_rows(path, 19)
    labels = {2: "D", 3: "e_D", 5: "Inc", 6: "e_Inc", 7: "L[3.6]", 9: "Reff", 17: "Q"}
    number = {label: _numbers(path, rows, column, label) for column, label in labels.items()}
    names = [row[0] for row in rows]
    source = [Source(str(path), sha256)]
    bulge = np.full(len(rows), np.nan)
    bulges = path.with_name(BULGES)
    if bulges.is_file():
        known, bulge_source = _read_bulges(bulges)
        bulge = np.array([known.get(name, np.nan) for name in names])
        source.append(bulge_source)
    return GalaxyTable(
        name=np.array(names, dtype=np.str_),
        distance=number["D"],
        e_distance=number["e_D"],
        inclination=number["Inc"],
        e_inclination=number["e_Inc"],
        luminosity=number["L[3.6]"],
        bulge_luminosity=bulge,
        r_eff=number["Reff"],
        quality=number["Q"],
        source=tuple(source),
    )


def read_galaxy_table(
    path: str | PathLike[str], *, column_map: Mapping[str, str] | None = None
) -> GalaxyTable:
    """Read what is known of galaxies as a whole.

    Parameters
    ----------
    path
        ``SPARC_Lelli2016c.mrt`` (with ``Bulges.mrt`` beside it, where that exists), or any table with the columns of
        `GALAXY_COLUMNS`.
    column_map
        ``{our name: name in the file}``.

    Raises
    ------
    CatalogFileError, CatalogFormatError, UnitError
        If the file is missing or is not such a table.
    """
    path = Path(path)
    if path.suffix == ".mrt":
        table = _read_sparc_galaxies(path)
    else:
        data = read_table(path, GALAXY_COLUMNS, column_map=column_map)
        names = data.columns["galaxy"]
        unknown = np.full(names.size, np.nan)
        columns = {c.name: data.columns.get(c.name, unknown) for c in GALAXY_COLUMNS if not c.text}
        table = GalaxyTable(name=names, **columns, source=(data.source,))
    if np.unique(table.name).size < table.name.size:
        names, counts = np.unique(table.name, return_counts=True)
        raise CatalogFormatError(path, "one row a galaxy", f"{names[counts > 1][0]} more than once")
    return table


def find_galaxy_table(paths: Iterable[str | PathLike[str]]) -> Path | None:
    """Seek SPARC's galaxy table in each path (its folder, for a file), then in the parent of that folder."""
    for path in map(Path, paths):
        folder = path if path.is_dir() else path.parent
        for place in (folder, folder.resolve().parent):
            if (place / GALAXY_TABLE).is_file():
                return place / GALAXY_TABLE
    return None


# --- everything together ---------------------------------------------------------------------------------------------


def _curve_files(path: Path) -> list[Path]:
    """Return the files of curves that a path stands for."""
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*_rotmod.dat"))
    if not found and (path / MASS_MODELS).is_file():
        found = [path / MASS_MODELS]
    if not found:
        expected = f"files NAME_rotmod.dat or {MASS_MODELS}"
        raise CatalogFormatError(path, expected, "none: name a folder of rotation curves, or a table")
    return found


def _properties(names: Sequence[str], table: GalaxyTable | None) -> GalaxyTable:
    """Bring the galaxy table into the order of the curves; NaN for galaxies that it does not know."""
    place = {name: i for i, name in enumerate(table.name.tolist())} if table is not None else {}
    index = np.array([place.get(name, -1) for name in names], dtype=np.int64)

    def pick(column: Array) -> Array:
        return np.append(column, np.nan)[index]

    numeric = [f.name for f in fields(GalaxyTable) if f.name not in ("name", "source")]
    columns = {key: pick(getattr(table, key)) if table is not None else pick(np.empty(0)) for key in numeric}
    return GalaxyTable(name=np.array(names, dtype=np.str_), **columns, source=table.source if table else ())


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
        Folders of ``NAME_rotmod.dat`` files, such files, ``MassModels_Lelli2016c.mrt``, or tables with the columns of
        `POINT_COLUMNS`, one row a point.
    galaxies
        The galaxy table; by default SPARC's, where `find_galaxy_table` finds it.
    column_map
        ``{our name: name in the file}`` for tables of your own.

    Returns
    -------
    RotationCurves
        In the order of the paths, a folder's files by name. What could not be used stands in ``rejected``: bad points,
        files that are no rotation curve (if others are), galaxies without points, named twice, or without distance.

    Raises
    ------
    CatalogFileError, CatalogFormatError, UnitError
        If nothing at all can be used; the error is that of the first file.
    """
    listed = [paths] if isinstance(paths, str | PathLike) else list(paths)
    files = [file for path in listed for file in _curve_files(Path(path))]
    table_path = galaxies if galaxies is not None else find_galaxy_table(listed)
    table = read_galaxy_table(table_path) if table_path is not None else None
    known_distance = dict(zip(table.name.tolist(), table.distance, strict=True)) if table is not None else {}

    curves: dict[str, _Curve] = {}
    sources: list[Source] = []
    first_error: AstrotkError | None = None
    for file in files:
        try:
            found, source = _read_rotmod(file) if file.suffix == ".dat" else _read_points(file, column_map)
        except AstrotkError as exc:
            first_error = first_error or exc
            reason = str(exc).removeprefix(f"{file}: ").removeprefix(f"{file}, ")
            sources.append(Source(str(file), "", (Rejected(file.name, str(file), reason),)))
            continue
        rejected = list(source.rejected)
        for curve in found:
            if not curve.distance > 0:
                curve.distance = known_distance.get(curve.name, math.nan)
            reason = ""
            if curve.name in curves:
                reason = f"expected each galaxy once, found it before in {curves[curve.name].origin}"
            elif not curve.points.size:
                reason = "expected at least one usable point, found none"
            elif not curve.distance > 0:
                reason = "expected a distance in Mpc in the file or the galaxy table, found none"
            if reason:
                rejected.append(Rejected(curve.name, str(file), reason))
            else:
                curves[curve.name] = curve
        sources.append(replace(source, rejected=tuple(rejected)))
    if not curves:
        if first_error is not None:
            raise first_error
        reasons = [item for source in sources for item in source.rejected]
        raise CatalogFormatError(
            files[0], "at least one usable galaxy", reasons[-1].reason if reasons else "none"
        )

    points = np.concatenate([curve.points for curve in curves.values()])
    counts = [curve.points.shape[0] for curve in curves.values()]
    return RotationCurves(
        galaxies=_properties(list(curves), table),
        distance=np.array([curve.distance for curve in curves.values()]),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        r=points[:, 0].copy(),
        v_obs=points[:, 1].copy(),
        e_v_obs=points[:, 2].copy(),
        v_gas=points[:, 3].copy(),
        v_disk=points[:, 4].copy(),
        v_bulge=points[:, 5].copy(),
        source=tuple(sources),
    )
