"""Which file is which: every table format to astropy Tables, a piece at a time."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from catalogs._arrow import Piece, Request, csv_pieces, ecsv_pieces, parquet_pieces
from catalogs._fits import fits_pieces
from catalogs.errors import CatalogFileError, CatalogFormatError, ParameterError
from catalogs.files import check_size, foreign_errors
from catalogs.hdf5 import MAX_BYTES, names, open_dataset, open_group, open_hdf5, read_dataset, read_text, walk
from catalogs.units import has_unit_bomb, read_unit

if TYPE_CHECKING:
    import h5py
    from astropy.table import Table

__all__ = ("FORMATS", "MASKS", "format_of", "hdf5_table", "pieces")

#: The group, beside the columns of a table in HDF5, that says which cells are missing.
MASKS = "missing cells"
#: Extension (and spelling of the ``format`` option) to format.
FORMATS = {
    "csv": "csv",
    "ecsv": "ecsv",
    "fits": "fits",
    "fit": "fits",
    "h5": "hdf5",
    "hdf5": "hdf5",
    "parquet": "parquet",
    "pq": "parquet",
    "vot": "votable",
    "votable": "votable",
    "xml": "votable",
    "mrt": "mrt",
}


def format_of(path: str | PathLike[str], format: str | None = None) -> str:
    """Name the format that was asked for, or that the extension stands for; the content is never guessed.

    Raises
    ------
    ParameterError
        If neither is known.
    """
    spelled = Path(path).suffix.removeprefix(".").lower() if format is None else format.lower()
    if spelled not in FORMATS:
        known = ", ".join(FORMATS)
        message = f"{path}: expected a format or an extension among {known}, found {spelled!r}; name the format"
        raise ParameterError(message)
    return FORMATS[spelled]


def pieces(request: Request, format: str) -> Iterator[Piece]:
    """Read a table in one of the formats that `FORMATS` leads to; VOTable and MRT come in one piece."""
    readers: dict[str, Callable[[Request], Iterator[Piece]]] = {
        "csv": csv_pieces,
        "ecsv": ecsv_pieces,
        "fits": fits_pieces,
        "hdf5": _hdf5_pieces,
        "parquet": parquet_pieces,
    }
    if format in readers:
        return readers[format](request)
    content = request.stream.read(request.max_bytes + 1)
    check_size(request.path, len(content), request.max_bytes)
    whole = (_read_votable if format == "votable" else _read_mrt)(content, request)
    return iter([Piece(whole, np.arange(len(whole)))])


def _hdf5_pieces(request: Request) -> Iterator[Piece]:
    path, rows, max_bytes, table = request[1:5]
    with open_hdf5(path) as file:
        inside = names(open_group(file, "tables")) if "tables" in names(file) else []
        chosen = next((name for name in inside if name != "rejected"), None) if table is None else table
        group = open_group(file, f"tables/{chosen}" if chosen in inside else chosen or "/")
        low, count = 0, 1
        while low < count:
            piece, count = hdf5_table(group, slice(low, low + rows), max_bytes)
            yield Piece(piece, np.arange(low, low + len(piece)))
            low += rows


def hdf5_table(group: h5py.Group, rows: slice = slice(None), max_bytes: int = MAX_BYTES) -> tuple[Table, int]:
    """Read the datasets of a group, all of one length, as columns; masks, units and descriptions come back.

    Returns
    -------
    table
        Of these rows.
    count
        The number of rows in the file.
    """
    import h5py
    from astropy.table import Column, MaskedColumn, Table

    own, columns, counts, total = set(walk(group)), [], {}, 0
    for name in names(group):
        elsewhere = isinstance(group.get(name, getlink=True), h5py.ExternalLink)  # refused, needed or not
        if (not elsewhere and name not in own) or not (shape := open_dataset(group, name).shape):
            continue
        values = read_dataset(group, name, kind=None, rows=rows, max_bytes=max_bytes)
        counts[name], total = shape[0], total + values.nbytes
        check_size(group.file.filename, total, max_bytes, f"group '{group.name}'")
        dataset = open_dataset(group, name)
        column = Column(
            values,
            read_text(dataset, "name", name),
            description=read_text(dataset, "description", "") or None,
        )
        if f"{MASKS}/{name}" in own:
            mask = read_dataset(group, f"{MASKS}/{name}", kind="b", rows=rows, max_bytes=max_bytes)
            with foreign_errors(group.file.filename, "a mask of the column's shape", f"{group.name}/{name}"):
                column = MaskedColumn(column, mask=mask)
        if unit := read_text(dataset, "unit", ""):
            column.unit = read_unit(unit)
        columns.append(column)
    if len(set(counts.values())) != 1:
        expected = "datasets of one length (else name the group with table=)"
        found = ", ".join(f"{name}: {count}" for name, count in list(counts.items())[:12]) or "no datasets"
        raise CatalogFormatError(group.file.filename, expected, found, str(group.name))
    with foreign_errors(group.file.filename, "a table", str(group.name)):
        return Table(columns, copy=False), next(iter(counts.values()))


def _read_votable(content: bytes, request: Request) -> Table:
    """Read a VOTable that holds its own data; astropy would open what a STREAM's href names."""
    from astropy.io import votable

    path, table = request.path, request.table
    with foreign_errors(path, "a VOTable"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = html.unescape(content.decode("utf-8"))
        if re.search(r"<!(DOCTYPE|ENTITY)|<STREAM[^>]*\bhref", text, re.IGNORECASE):
            raise CatalogFileError(path, "names other files (an entity or a STREAM with href); not followed")
        if any(has_unit_bomb(unit) for unit in re.findall(r"unit\s*=\s*[\"']([^\"']*)", text)):
            raise CatalogFormatError(path, "units", "a power with four digits or more in the exponent")
        cells = [int(size) for size in re.findall(r"(?:nrows|arraysize)\s*=\s*[\"'](\d+)", text)]
        if cells and max(cells) > len(content):
            raise CatalogFormatError(path, "sizes that fit the file", f"nrows or arraysize {max(cells)}")
        need = 4 * sum(cells) * max(1, text.upper().count("<TR"))
        check_size(path, need, request.max_bytes, "the table")
        file = votable.parse(io.BytesIO(content), verify="ignore")
        tables = {each.name or each.ID or str(at): each for at, each in enumerate(file.iter_tables())}
        if not tables or (table is not None and table not in tables):
            raise CatalogFormatError(path, f"a table {table or ''}".strip(), f"only {list(tables)[:12]}")
        chosen = tables[table] if table is not None else next(iter(tables.values()))
        return chosen.to_table(use_names_over_ids=True)


def _read_mrt(content: bytes, request: Request) -> Table:
    """Read the machine-readable tables of CDS and the AAS journals."""
    from astropy.io import ascii as ascii_tables

    with foreign_errors(request.path, "a machine-readable (CDS) table"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = content.decode("utf-8")
        # Lines, because astropy takes a lone string for the name of a file or a URL.
        table = ascii_tables.read(text.splitlines(), format="mrt", guess=False)
        lengths = {name: len(table[name]) for name in table.colnames}
        if len(set(lengths.values())) > 1:
            raise CatalogFormatError(request.path, "columns of one length", f"{lengths}")
        return table
