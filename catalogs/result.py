"""What every analysis returns, and the files it can be written to.

HDF5 holds all of a result. FITS, ECSV, Parquet and CSV hold one of its tables, with a record (kind, units,
descriptions, provenance) beside it, so that the table comes back as it was. MRT is for journals.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from astropy.table import Column, MaskedColumn, Table

from catalogs._arrow import MARK, Request, to_arrow
from catalogs._fits import write_fits
from catalogs._formats import MASKS, format_of, hdf5_table, pieces
from catalogs.errors import AstrotkError, CatalogFormatError, ParameterError
from catalogs.files import atomic_write, foreign_errors, open_hashed
from catalogs.hdf5 import MAX_BYTES, names, open_dataset, open_group, open_hdf5, read_dataset, read_text, walk
from catalogs.provenance import Provenance, Rejected
from catalogs.units import read_unit

if TYPE_CHECKING:
    import h5py

__all__ = ("Result", "read_result_table", "rejected_table")

LAYOUT = "1"
#: Half and long precision, which the formats do not share, become these.
SIZES = {"e": "f4", "g": "f8"}


@dataclass(frozen=True)
class Result:
    """Tables, arrays and the record of how they were made.

    Parameters
    ----------
    kind
        The system that made it: "darkexp".
    tables
        By name; `rejected` (name, where, reason) is added, empty, where it is absent.
    arrays
        Draws, bands and the excerpt of the data that a figure shows, by name.
    provenance
        Seed, versions, inputs, settings.
    """

    kind: str
    tables: Mapping[str, Table]
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        tables = {"rejected": rejected_table(()), **self.tables}
        tables["rejected"] = tables.pop("rejected")
        object.__setattr__(self, "tables", tables)
        object.__setattr__(self, "arrays", {name: np.asarray(array) for name, array in self.arrays.items()})

    def write(self, path: str | PathLike[str], *, table: str | None = None, format: str | None = None) -> Path:
        """Write to a file, whole or not at all.

        Parameters
        ----------
        path
            ``.h5`` takes everything; ``.ecsv``, ``.fits``, ``.csv``, ``.parquet``, ``.mrt`` take one table.
        table
            Which one; by default the first that is not `rejected`.
        format
            Where the extension does not say it.

        Returns
        -------
        Path
            That was written.

        Raises
        ------
        CatalogFileError
            If the file cannot be written.
        ParameterError
            If the format is unknown, there is no such table, or the format cannot hold it.
        """
        kind = format_of(path, format)
        if kind == "hdf5":
            with atomic_write(path) as partial:
                _write_hdf5(self, partial)
            return Path(path)
        if kind not in WRITERS:
            message = f"{path}: expected a format among hdf5, {', '.join(WRITERS)}, found {kind!r}"
            raise ParameterError(message)
        name = next(iter(self.tables)) if table is None else table
        if name not in self.tables:
            message = f"{path}: expected a table among {list(self.tables)}, found {name!r}"
            raise ParameterError(message)
        plain = _plain(self.tables[name], name)
        record = _record(self, name, plain)
        with atomic_write(path) as partial:
            try:
                WRITERS[kind](plain, partial, record)
            except (AstrotkError, OSError):
                raise
            except Exception as exc:
                message = f"{path}: table '{name}' cannot be written as {kind}: {' '.join(str(exc).split())}"
                raise ParameterError(message) from exc
        return Path(path)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Read an ``.h5`` file that `write` made.

        Raises
        ------
        CatalogFileError
            If the file is missing or refers to other files.
        CatalogFormatError
            If it is not of our layout, or damaged.
        """
        with open_hdf5(path) as file:
            layout = read_text(file, "layout", "none")
            if layout != LAYOUT:
                raise CatalogFormatError(path, f"an astrotk result of layout {LAYOUT}", f"layout {layout}")
            tables = {}
            for stored in names(open_group(file, "tables")):
                group = open_group(file, f"tables/{stored}")
                table, _ = hdf5_table(group)
                table.meta.update(_object(read_text(group, "meta", "{}"), path))
                tables[read_text(group, "name", stored)] = table
            group = open_group(file, "arrays")
            arrays = {}
            for stored in walk(group):
                name = read_text(open_dataset(group, stored), "name", stored)
                arrays[name] = read_dataset(group, stored, kind=None)
            kind, provenance = read_text(file, "kind"), _provenance(read_text(file, "provenance"), path)
        return cls(kind, tables, arrays, provenance)


def rejected_table(rejected: Iterable[Rejected]) -> Table:
    """Put what was left out, and why, into a table of three texts."""
    rows = [(each.name, each.where, each.reason) for each in rejected]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    names = ("name", "where", "reason")
    return Table({name: np.array(cells, dtype=np.str_) for name, cells in zip(names, columns, strict=True)})


def read_result_table(path: str | PathLike[str], *, format: str | None = None) -> tuple[Table, Provenance]:
    """Read a table that `Result.write` put into ECSV, FITS, CSV or Parquet.

    Returns
    -------
    table
        With its units, descriptions and masks. In FITS, ECSV and CSV a text cell that is empty comes back
        masked where its column has masked cells, and so does a NaN in FITS.
    provenance

    Raises
    ------
    CatalogFileError, CatalogFormatError
        If the file is missing, damaged or has no such record.
    """
    kind = format_of(path, format)
    with open_hashed(path, MAX_BYTES) as (stream, _):
        parts = [piece.table for piece in pieces(Request(stream, path, sys.maxsize, MAX_BYTES), kind)]
    if len(parts) != 1 or MARK not in parts[0].meta:
        raise CatalogFormatError(path, "a table that astrotk wrote", "no record of it")
    record = _object(parts[0].meta[MARK], path)
    with foreign_errors(path, "a table as its record says"):
        table = Table([_restore(parts[0][name], entry, kind) for name, entry in record["columns"].items()])
        table.meta.update(record["meta"])
        return table, _provenance(json.dumps(record["provenance"]), path)


def _restore(column: Any, entry: dict[str, Any], kind: str) -> Column:
    """Give a column of a file the type, mask, unit and description that the record holds."""
    values, mask, dtype = np.ma.getdata(column), np.ma.getmaskarray(column), np.dtype(entry["dtype"])
    if dtype.kind == "U":
        mask = mask | (values == "") if kind != "parquet" else mask
    elif dtype.kind in "fc" and kind == "fits":
        mask = mask | np.isnan(values)
    if dtype != values.dtype and dtype.kind != "U":
        with np.errstate(invalid="ignore"):
            values = values.astype(dtype)
    options = {"name": column.name, "description": entry["description"]}
    restored = MaskedColumn(values, mask=mask, **options) if entry["masked"] else Column(values, **options)
    if entry["unit"]:
        restored.unit = read_unit(entry["unit"])
    return restored


def _object(text: str, path: str | PathLike[str]) -> dict[str, Any]:
    with foreign_errors(path, "a JSON record"):
        return dict(json.loads(text))


def _provenance(text: str, path: str | PathLike[str]) -> Provenance:
    with foreign_errors(path, "a provenance record"):
        return Provenance.from_json(text)


def _plain(table: Table, name: str) -> Table:
    """Copy a table to plain columns in the machine's byte order, and refuse what no format holds."""
    plain = Table(table, copy=False)
    for label in plain.colnames:
        column = plain[label]
        if not isinstance(column, Column) or column.dtype.kind not in "biufUS":
            held = getattr(column, "dtype", type(column).__name__)
            message = f"table '{name}', column '{label}': expected numbers, booleans or text, found {held}"
            raise ParameterError(message)
        if column.dtype.kind == "S":
            plain[label] = np.char.decode(column, "utf-8")
        elif column.dtype.char in SIZES or not column.dtype.isnative:
            plain[label] = column.astype(SIZES.get(column.dtype.char, column.dtype.newbyteorder("=")))
    return plain


def _json(value: Any, what: str) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as exc:
        message = f"{what}: expected JSON values, found {exc}"
        raise ParameterError(message) from exc


def _record(result: Result, name: str, table: Table) -> str:
    """Write down, in one line of ASCII, what a file format may lose."""
    columns = {
        label: {
            "dtype": table[label].dtype.str,
            "unit": None if table[label].unit is None else table[label].unit.to_string(),
            "description": table[label].description,
            "masked": np.ma.is_masked(table[label]),
        }
        for label in table.colnames
    }
    record = {
        "kind": result.kind,
        "table": name,
        "columns": columns,
        "meta": dict(table.meta),
        "provenance": json.loads(result.provenance.to_json()),
    }
    return _json(record, f"table '{name}', meta")


def _write_ecsv(table: Table, path: Path, record: str) -> None:
    bare = table.copy(copy_data=False)
    bare.meta = {MARK: record}
    bare.write(path, format="ascii.ecsv")


def _write_csv(table: Table, path: Path, record: str) -> None:
    from pyarrow import csv

    if vectors := [name for name in table.colnames if table[name].ndim > 1]:
        message = f"CSV holds one value a cell, but {vectors} hold several; write .h5, .fits, .ecsv or .parquet"
        raise ParameterError(message)
    with path.open("wb") as stream:
        stream.write(f"# {MARK} {record}\n".encode("ascii"))
        csv.write_csv(to_arrow(table), stream)


def _write_parquet(table: Table, path: Path, record: str) -> None:
    from pyarrow import parquet

    arrow = to_arrow(table).replace_schema_metadata({MARK: record})
    parquet.write_table(arrow, path, compression="zstd")


def _write_mrt(table: Table, path: Path, record: str) -> None:
    """Write what journals take; the record stands among the notes."""
    shown = Table({name: _for_mrt(table[name]) for name in table.colnames})
    shown.write(path, format="ascii.mrt")
    notes = "\n".join(textwrap.wrap(f"{MARK} {record}", 79, break_on_hyphens=False))
    path.write_text(path.read_text("utf-8").replace("\nNotes:\n", f"\nNotes:\n{notes}\n", 1), "utf-8")


def _for_mrt(column: Column) -> Column:
    """Turn a column into one of the three types that astropy's writer knows, with a unit that CDS knows."""
    values, mask, unit = np.ma.getdata(column), np.ma.getmaskarray(column), column.unit
    if values.dtype.kind == "b":
        values = np.where(values, "T", "F")
    elif values.dtype.kind == "f":
        mask = mask | np.isnan(values)
        values = np.array([float(f"{value:.8g}") for value in values])  # what a journal prints, and more
    if mask.all():  # for which astropy writes a width of two and leaves three blanks
        values, mask = np.full(values.shape, "---"), np.zeros(values.shape, dtype=bool)
    description = " ".join((column.description or column.name).split())
    try:
        spelled = unit and unit.to_string("cds")
    except ValueError:
        description, spelled = f"{description}, in {unit}", None
    options = {"name": column.name, "unit": spelled, "description": description}
    return MaskedColumn(values, mask=mask, **options) if mask.any() else Column(values, **options)


WRITERS = {
    "ecsv": _write_ecsv,
    "fits": write_fits,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "mrt": _write_mrt,
}


def _write_hdf5(result: Result, path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layout"], file.attrs["kind"] = LAYOUT, result.kind
        file.attrs["provenance"] = result.provenance.to_json()
        tables = file.create_group("tables", track_order=True)
        for name, table in result.tables.items():
            plain = _plain(table, name)
            group = tables.create_group(_stored(name), track_order=True)
            group.attrs["name"], group.attrs["meta"] = name, _json(dict(plain.meta), f"table '{name}', meta")
            for label in plain.colnames:
                column = plain[label]
                dataset = _write_array(group, label, np.ma.getdata(column))
                dataset.attrs["description"] = column.description or ""
                dataset.attrs["unit"] = "" if column.unit is None else column.unit.to_string()
                if np.ma.is_masked(column):
                    _write_array(group.require_group(MASKS), label, np.ma.getmaskarray(column))
        arrays = file.create_group("arrays")
        for name, array in result.arrays.items():
            _write_array(arrays, name, array)


def _write_array(group: h5py.Group, name: str, values: npt.NDArray[Any]) -> h5py.Dataset:
    """Write an array in chunks, text as UTF-8 of fixed length."""
    import h5py

    dtype = values.dtype
    if dtype.kind not in "biufcU":
        message = f"array '{name}': expected numbers, booleans or text, found {dtype}"
        raise ParameterError(message)
    if dtype.kind == "U":
        encoded = np.char.encode(values, "utf-8")
        values = encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))
    growing = (None, *values.shape[1:]) if values.ndim and all(values.shape[1:]) else None
    dataset = group.create_dataset(_stored(name), data=values, maxshape=growing)
    dataset.attrs["name"] = name
    return dataset


def _stored(name: str) -> str:
    """Spell a name for HDF5, where a slash ("[Fe/H]") would start a new level."""
    return name.replace("/", "\N{DIVISION SLASH}")
