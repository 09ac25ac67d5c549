"""Tables of users: their columns by name, in our units, and a reason for each row that cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from catalogs.errors import CatalogFormatError, ParameterError, UnitError
from catalogs.files import open_hashed
from catalogs.provenance import Rejected, Source
from catalogs.units import convert

if TYPE_CHECKING:
    from astropy.table import Column as TableColumn
    from astropy.table import Table

    from catalogs._arrow import Piece

__all__ = ("Column", "TableData", "chunks", "read_table")

MAX_BYTES = 2**30
EVERY = sys.maxsize
#: Cells of a column of numbers that say "missing" in words.
MISSING = {"", "-", "--", "---", "...", "n/a", "na", "nan", "none", "null"}


@dataclass(frozen=True)
class Column:
    """What an analysis needs to know of one column.

    Parameters
    ----------
    name
        Ours; also the first name looked for in the file, in any case of letters.
    unit
        That the values are wanted in; a column without a unit is taken to be in it. None: any unit will do.
    aliases
        Other names, in order of preference.
    sentinels
        Numbers (or texts) that mean "missing", in the file's own unit.
    required
        Whether a file without this column is refused.
    positive
        Whether a value of zero or less rejects its row.
    finite
        Whether a missing, infinite or not-a-number value (an empty text) rejects its row; otherwise it comes
        as NaN (as an empty text).
    text
        Names and identifiers, kept as they are spelled.
    """

    name: str
    unit: str | None = None
    aliases: tuple[str, ...] = ()
    sentinels: tuple[float | str, ...] = ()
    required: bool = True
    positive: bool = False
    finite: bool = True
    text: bool = False


@dataclass(frozen=True)
class TableData:
    """The usable rows of a table.

    Parameters
    ----------
    columns
        By our names: float64 in the documented unit, or str. Optional columns that the file lacks are absent.
    source
        The file, its hash and the rejected rows.
    extra
        The columns of the file that no `Column` took, as they were, for these rows.
    row
        Where each row stood in the file, counted from 0. Messages count rows from 1.
    """

    columns: Mapping[str, npt.NDArray[Any]]
    source: Source
    extra: Table
    row: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)


def read_table(
    path: str | PathLike[str],
    columns: Sequence[Column],
    *,
    format: str | None = None,
    column_map: Mapping[str, str] | None = None,
    table: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> TableData:
    """Read a user's table: CSV, ECSV, FITS, HDF5, Parquet, VOTable or CDS machine-readable.

    Parameters
    ----------
    path
        The file.
    columns
        What is wanted of it.
    format
        ``csv``, ``ecsv``, ``fits``, ``hdf5``, ``parquet``, ``votable`` or ``mrt``; by default from the
        extension.
    column_map
        ``{our name: the file's name}``, where they differ by more than an alias.
    table
        The FITS extension, HDF5 group or VOTable table to read; by default the first.
    max_bytes
        That the file, and the table in memory, may take; see `chunks` for larger ones.

    Returns
    -------
    TableData
        Every row is either in it or in its ``source.rejected``.

    Raises
    ------
    CatalogFileError
        If the file is missing, too large, or refers to other files.
    CatalogFormatError
        If it is not of its format, lacks a required column, or has no usable row.
    UnitError
        If a column's unit does not convert to ours.
    ParameterError
        If the format is unknown, or `column_map` names a column that is not ours.
    """
    with closing(_read(path, columns, format, column_map, rows=EVERY, table=table, max_bytes=max_bytes)) as reading:
        data = next(reading, None)
    if data is None or not (len(data) or data.source.rejected):
        raise CatalogFormatError(path, "rows", "none")
    if not len(data):
        first = data.source.rejected[0]
        found = f"{len(data.source.rejected)} rejected; the first, {first.where}: {first.reason}"
        raise CatalogFormatError(path, "at least one usable row", found)
    return data


def chunks(
    path: str | PathLike[str],
    columns: Sequence[Column],
    *,
    rows: int = 1_000_000,
    format: str | None = None,
    column_map: Mapping[str, str] | None = None,
    table: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Iterator[TableData]:
    """Read a table that may outgrow the memory, `rows` rows at a time.

    Parquet, HDF5, FITS and delimited text are read as they are needed; VOTable and MRT at once. A piece may
    have no usable row. See `read_table` for the other parameters and the errors; here `max_bytes` is the
    memory that one piece may take.

    Yields
    ------
    TableData
        Its ``source`` has the rejected rows of this piece.
    """
    if rows < 1:
        message = f"rows: expected at least 1, found {rows}"
        raise ParameterError(message)
    yield from _read(path, columns, format, column_map, rows=rows, table=table, max_bytes=max_bytes)


def _read(
    path: str | PathLike[str],
    columns: Sequence[Column],
    format: str | None,
    column_map: Mapping[str, str] | None,
    *,
    rows: int,
    table: str | None,
    max_bytes: int,
) -> Generator[TableData]:
    # Here, because these import Arrow and astropy's readers only where a table is read.
    from catalogs._arrow import Request
    from catalogs._formats import format_of, pieces

    wanted = _wanted(columns, column_map or {})
    text = frozenset(name.casefold() for spec in columns if spec.text for name in wanted[spec.name])
    kind = format_of(path, format)
    with open_hashed(path, max_bytes if rows == EVERY else None) as (stream, digest):
        for piece in pieces(Request(stream, path, rows, max_bytes, table, text), kind):
            yield _select(piece, columns, wanted, path, digest)


def _wanted(columns: Sequence[Column], column_map: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """List, for each of our columns, the names that it may have in the file."""
    ours = [spec.name for spec in columns]
    for name in column_map:
        if name not in ours:
            message = f"column_map: expected names among {ours}, found {name!r}"
            raise ParameterError(message)
    return {
        spec.name: (column_map[spec.name],) if spec.name in column_map else (spec.name, *spec.aliases)
        for spec in columns
    }


def _find(
    spec: Column, wanted: Mapping[str, tuple[str, ...]], found: list[str], path: str | PathLike[str]
) -> str | None:
    """Find the column of the file that holds one of ours: as it is spelled, else in any case of letters."""
    for name in wanted[spec.name]:
        if name in found:
            return name
        alike = [other for other in found if other.casefold() == name.casefold()]
        if len(alike) > 1:
            raise CatalogFormatError(path, f"one column '{name}'", f"{alike}; map one", "the header")
        if alike:
            return alike[0]
    names = wanted[spec.name]
    if not spec.required and names[1:] == spec.aliases and names[0] == spec.name:
        return None
    expected = " or ".join(repr(name) for name in names)
    listed = ", ".join(found[:40]) + (", ..." if len(found) > 40 else "")
    hint = f"only {listed}; say which with column_map={{{spec.name!r}: ...}}"
    raise CatalogFormatError(path, f"a column {expected}", hint, "the header")


def _select(
    piece: Piece,
    columns: Sequence[Column],
    wanted: Mapping[str, tuple[str, ...]],
    path: str | PathLike[str],
    digest: str,
) -> TableData:
    """Take our columns out of a piece of the file, and the rows that cannot be used out of those."""
    table, reasons, chosen, used = piece.table, _Reasons(), {}, set()
    for spec in columns:
        found = _find(spec, wanted, table.colnames, path)
        if found is None:
            continue
        used.add(found)
        column = table[found]
        if column.ndim != 1:
            raise CatalogFormatError(path, "one value a row", f"shape {column.shape}", f"column '{found}'")
        read = _text if spec.text else _numbers
        chosen[spec.name] = read(column, spec, reasons, path)
    good = np.ones(len(table), dtype=bool)
    good[list(reasons.of_row)] = False
    others = [name for name in table.colnames if name not in used]
    names = next((chosen[spec.name] for spec in columns if spec.text and spec.name in chosen), None)
    rejected = [
        Rejected(
            name=str(names[at]) if names is not None and names[at] else str(path),
            where=f"row {piece.row[at] + 1}, column {', '.join(repr(name) for name, _ in told)}",
            reason="; ".join(reason for _, reason in told),
        )
        for at, told in sorted(reasons.of_row.items())
    ]
    rejected += [Rejected(str(path), f"row {at + 1}", reason) for at, reason in piece.ragged]
    return TableData(
        columns={name: values[good] for name, values in chosen.items()},
        source=Source(str(path), digest, tuple(rejected)),
        extra=table[others][good] if others else type(table)(),
        row=piece.row[good],
    )


class _Reasons:
    """Why rows are rejected: for each row, the columns and what is wrong with them."""

    def __init__(self) -> None:
        self.of_row: dict[int, list[tuple[str, str]]] = {}

    def add(self, rows: npt.NDArray[np.bool_], column: TableColumn, expected: str) -> None:
        """Note what was expected, and found, in some rows of a column."""
        for at in np.flatnonzero(rows):
            told = self.of_row.setdefault(int(at), [])
            cell = "nothing" if np.ma.getmaskarray(column)[at] else repr(column[at].item())[:40]
            if all(name != column.name for name, _ in told):
                told.append((column.name, f"expected {expected}, found {cell}"))


def _text(column: TableColumn, spec: Column, reasons: _Reasons, path: str | PathLike[str]) -> npt.NDArray[np.str_]:
    values = np.ma.getdata(column)
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as exc:
            raise CatalogFormatError(path, "UTF-8 text", "other bytes", f"column '{column.name}'") from exc
    values = np.char.strip(np.asarray(values).astype(np.str_))
    missing = np.ma.getmaskarray(column) | np.isin(values, ["", *map(str, spec.sentinels)])
    if spec.finite:
        reasons.add(missing, column, "a text")
    return np.where(missing, "", values)


def _numbers(
    column: TableColumn, spec: Column, reasons: _Reasons, path: str | PathLike[str]
) -> npt.NDArray[np.float64]:
    values, where = np.ma.getdata(column), f"column '{column.name}'"
    if values.dtype.kind in "USO":
        numbers, odd = _parsed(values)
        reasons.add(odd, column, "a number")
    elif values.dtype.kind in "biuf":
        numbers = np.asarray(values, dtype=np.float64).copy()
    else:
        raise CatalogFormatError(path, "numbers", f"type {values.dtype}", where)
    missing = np.ma.getmaskarray(column).copy()
    for sentinel in spec.sentinels:
        if not isinstance(sentinel, str):
            # Not exactly: 1e20 in single precision is another number.
            missing |= np.isclose(numbers, sentinel, rtol=1e-6, atol=0.0)
    numbers[missing] = np.nan
    if spec.unit is not None and column.unit is not None:
        try:
            numbers = convert(numbers, column.unit, spec.unit, where)
        except UnitError as exc:
            message = f"{path}, {exc}"
            raise UnitError(message) from exc
    if spec.finite:
        reasons.add(~np.isfinite(numbers), column, f"a {'positive' if spec.positive else 'finite'} number")
    if spec.positive:
        reasons.add(numbers <= 0, column, "a positive number")
    return numbers


def _parsed(cells: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Read numbers one by one where a column has something else among them; tell which cells are neither."""
    numbers, odd = np.full(len(cells), np.nan), np.zeros(len(cells), dtype=bool)
    for at, cell in enumerate(cells):
        word = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
        if word.strip().lower() in MISSING:
            continue
        try:
            numbers[at] = np.nan if "_" in word else float(word)
            odd[at] = "_" in word
        except ValueError:
            odd[at] = True
    return numbers, odd
