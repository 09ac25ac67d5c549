"""CSV, ECSV and Parquet through Arrow: its parsers stop at bad input, and its text is as long as it is."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from catalogs.errors import CatalogFormatError
from catalogs.files import check_size, foreign_errors, guarded
from catalogs.units import read_unit

if TYPE_CHECKING:
    import pyarrow as pa
    from astropy.table import Column, Table

__all__ = ("MARK", "Piece", "Request", "csv_pieces", "ecsv_pieces", "parquet_pieces", "to_arrow")

#: What marks our own record in a file: a comment line of CSV, a key of the others.
MARK = "astrotk"
BUFFER = 2**20


class Piece(NamedTuple):
    """Some rows of a file: the table, the number of each row in the file, the rows that could not be cut."""

    table: Table
    row: npt.NDArray[np.int64]
    ragged: tuple[tuple[int, str], ...] = ()


class Request(NamedTuple):
    """What is to be read.

    Parameters
    ----------
    stream, path
        The open file and its name.
    rows
        At most, in a piece.
    max_bytes
        That one piece may need in memory.
    table
        The FITS extension, HDF5 group or VOTable table; None for the first.
    text
        Case-folded names of columns that must not be taken for numbers.
    """

    stream: BinaryIO
    path: str | PathLike[str]
    rows: int
    max_bytes: int
    table: str | None = None
    text: frozenset[str] = frozenset()


def csv_pieces(request: Request) -> Iterator[Piece]:
    """Read comma-separated text with a line of names; lines that start with ``#`` may stand above it."""
    stream, path = request.stream, request.path
    record, header, types = "", b"", dict[str, np.dtype[Any]]()
    with foreign_errors(path, "a table in comma-separated UTF-8 text"):
        if b"\0" in stream.read(BUFFER):
            raise CatalogFormatError(path, "comma-separated text", "binary data")
        stream.seek(0)
        for line in iter(lambda: stream.readline(BUFFER), b""):
            if line.startswith(f"# {MARK} ".encode()):
                record = line.decode("utf-8").removeprefix(f"# {MARK} ").strip()
            elif line.strip() and not line.startswith(b"#"):
                header = line
                break
        names = next(csv.reader([header.decode("utf-8-sig")]), [])
        if record:
            types = {name: np.dtype(entry["dtype"]) for name, entry in json.loads(record)["columns"].items()}
    yield from _body(request, names, ",", types, record)


def ecsv_pieces(request: Request) -> Iterator[Piece]:
    """Read ECSV: names, types, units and descriptions in a YAML header, and a CSV body.

    Mixin columns (Time, SkyCoord) come as the plain columns they are stored in: the classes that a stranger's
    header names are not built.
    """
    stream, path = request.stream, request.path
    with foreign_errors(path, "an ECSV table"):
        if not stream.readline(BUFFER).startswith(b"# %ECSV"):
            raise CatalogFormatError(path, "a first line '# %ECSV'", "another", "line 1")
        lines, header = [], b""
        for line in iter(lambda: stream.readline(BUFFER), b""):
            if not line.startswith(b"#"):
                header = line
                break
            lines.append(line.decode("utf-8").removeprefix("#").removeprefix(" "))
        head = _plain_yaml("".join(lines))
        delimiter, entries = head.get("delimiter", " "), {entry["name"]: entry for entry in head["datatype"]}
        names = next(csv.reader([header.decode("utf-8")], delimiter=delimiter), [])
        if delimiter not in (" ", ",") or names != list(entries):
            raise CatalogFormatError(path, f"columns {list(entries)}", f"{names}", "line of names")
        record = str(dict(head.get("meta") or {}).get(MARK, ""))
        types = {name: _numpy_type(entry["datatype"]) for name, entry in entries.items()}
    for piece in _body(request, names, delimiter, types, record):
        with foreign_errors(path, "an ECSV table"):
            for name, entry in entries.items():
                _restore(piece.table, name, entry)
        yield piece


def _plain_yaml(text: str) -> Any:
    """Load YAML, taking the tags of other programs for nothing."""
    import yaml

    loader = yaml.SafeLoader(text)
    loader.yaml_multi_constructors = {"!": lambda *_: None}
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _numpy_type(datatype: str) -> np.dtype[Any]:
    """Return the type of an ECSV column; text where it is none of Arrow's numbers."""
    known = {"float16": "float32", "float128": "float64"}.get(datatype, datatype)
    return np.dtype(np.str_ if known in ("string", "object") or known.startswith("complex") else known)


def _restore(table: Table, name: str, entry: dict[str, Any]) -> None:
    """Give a column of an ECSV body the vectors and the words that its header states."""
    array = re.fullmatch(r"(\w+)\[[\d,]+\]", entry.get("subtype") or "")
    if array and len(table):
        table[name] = np.array([json.loads(cell) for cell in table[name]], dtype=array[1])
    _describe(table[name], entry)


def _body(
    request: Request, names: list[str], delimiter: str, types: dict[str, np.dtype[Any]], record: str
) -> Iterator[Piece]:
    """Read the lines under the names; `types` has those of the columns that are known."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    stream, path, rows = request.stream, request.path, request.rows
    names, expected = [name.strip() for name in names], "a table in delimited UTF-8 text"
    if len(set(names)) < len(names) or not names or not all(names):
        raise CatalogFormatError(path, "a line of names, each once", f"{names[:12]}", "the header")
    ragged: list[tuple[int, str]] = []

    def skip(row: arrow_csv.InvalidRow) -> str:
        ragged.append((row.number - 1, f"expected {row.expected_columns} cells, found {row.actual_columns}"))
        return "skip"

    def typed(cells: pa.Table) -> Table:
        columns = [
            _typed(values, np.dtype(np.str_) if name.casefold() in request.text else types.get(name))
            for name, values in zip(names, cells.columns, strict=True)
        ]
        return _to_table(pa.table(columns, names), path, request.max_bytes, record)

    none = pa.table([pa.array([], pa.string())] * len(names), names)
    with foreign_errors(path, expected):
        reader: Iterator[pa.RecordBatch] = iter(())
        # An empty line is a missing cell where there is one column, and nothing elsewhere.
        position, alone = stream.tell(), len(names) == 1
        body = stream.read(BUFFER)
        if body.strip() or (alone and body):
            stream.seek(position)
            reader = arrow_csv.open_csv(
                _Utf8(stream),
                # One thread, so that rows which are skipped are numbered.
                arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=BUFFER),
                arrow_csv.ParseOptions(
                    delimiter=delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=not alone,
                    invalid_row_handler=skip,
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
                ),
            )
    number = 0
    for cells in _regroup(guarded(reader, path, expected), none, rows):
        # The parser is ahead: of the rows that it skipped, some belong to later pieces.
        cut = [at for at, _ in ragged]
        row = np.setdiff1d(np.arange(number, number + len(cells) + len(cut)), cut)[: len(cells)]
        number = int(row[-1]) + 1 if len(row) else number
        passed = len(ragged) if len(cells) < rows else int(np.searchsorted(cut, number))
        done = tuple(ragged[:passed])
        del ragged[:passed]
        if len(cells) or done or number == 0:
            with foreign_errors(path, expected):
                table = typed(cells)
            yield Piece(table, row, done)


class _Utf8(io.RawIOBase):
    """A stream that stops where it is not UTF-8; Arrow would stumble over such a row if it has to skip it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.decoder = stream, codecs.getincrementaldecoder("utf-8")()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self.stream.read(size)
        self.decoder.decode(content, final=not content)
        return content


def _regroup(batches: Iterator[pa.RecordBatch], held: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Add batches of any size to the table that is held, cut it into `rows`, and give the rest, even none."""
    import pyarrow as pa

    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while len(held) >= rows:
            yield held.slice(0, rows)
            held = held.slice(rows)
    yield held


def _typed(values: pa.ChunkedArray, dtype: np.dtype[Any] | None) -> pa.ChunkedArray:
    """Give a column of text its type; if unknown, that of integers, numbers or booleans where all are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if dtype is not None and dtype.kind not in "biuf":
        return values
    trimmed = pc.utf8_trim_whitespace(values)
    if dtype is not None:
        return pc.cast(trimmed, pa.from_numpy_dtype(dtype))
    for kind in (pa.int64(), pa.float64(), pa.bool_()):
        try:
            return pc.cast(trimmed, kind)
        except pa.ArrowInvalid:
            continue
    return values


def parquet_pieces(request: Request) -> Iterator[Piece]:
    """Read Parquet; memory is bounded by `rows`, not by the size of the row groups."""
    import pyarrow as pa
    from pyarrow import parquet

    stream, path, rows, max_bytes, *_ = request
    with foreign_errors(path, "a Parquet table"):
        metadata = parquet.read_metadata(stream)
        schema, count = metadata.schema.to_arrow_schema(), metadata.num_rows
        check_size(path, 8 * min(rows, count) * len(schema), max_bytes, "the table")
        if len(set(schema.names)) < len(schema):
            raise CatalogFormatError(path, "columns of different names", f"{schema.names[:12]}")
        record = (schema.metadata or {}).get(MARK.encode(), b"").decode("utf-8")
        described = _described(schema)
        # As dictionaries, a short file that repeats a long text stays short until its size is known.
        strings = [field.name for field in schema if pa.types.is_string(field.type)]
        file = parquet.ParquetFile(
            stream, metadata=metadata, read_dictionary=strings, pre_buffer=False, buffer_size=BUFFER
        )
        batches = file.iter_batches(batch_size=max(1, min(rows, count)), use_threads=False)
        if count == 0:
            batches = iter([pa.RecordBatch.from_pylist([], schema)])
    number = 0
    for batch in guarded(batches, path, "a Parquet table"):
        with foreign_errors(path, "a Parquet table"):
            table = _to_table(pa.Table.from_batches([batch]), path, max_bytes, record)
            for name in table.colnames:
                _describe(table[name], described.get(name, {}))
        yield Piece(table, np.arange(number, number + len(table)))
        number += len(table)


def _described(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Find units and descriptions: ours are in the fields, astropy's beside the schema."""
    own = [(field.name, field.metadata or {}) for field in schema]
    words = {name: {key.decode(): word.decode() for key, word in held.items()} for name, held in own}
    head = _plain_yaml((schema.metadata or {}).get(b"table_meta_yaml", b"{}").decode("utf-8"))
    return words | {entry["name"]: entry for entry in head.get("datatype", ())}


def _describe(column: Column, entry: dict[str, Any]) -> None:
    column.description = entry.get("description")
    if entry.get("unit"):
        column.unit = read_unit(str(entry["unit"]))


def _to_table(cells: pa.Table, path: str | PathLike[str], max_bytes: int, record: str) -> Table:
    from astropy.table import Table

    columns = {name: _to_column(cells[name], name, path, max_bytes) for name in cells.column_names}
    return Table(columns, meta={MARK: record} if record else {}, copy=False)


def _to_column(values: pa.ChunkedArray, name: str, path: str | PathLike[str], max_bytes: int) -> Any:
    """Turn an Arrow column into a masked array where cells are missing, a plain one elsewhere."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = pa.types
    if kinds.is_dictionary(values.type) and kinds.is_string(values.type.value_type):
        longest = max((pc.max(pc.utf8_length(c.dictionary)).as_py() or 0 for c in values.chunks), default=0)
        check_size(path, 4 * longest * len(values), max_bytes, f"column '{name}'")
        values = pc.cast(values, pa.string())
    if kinds.is_decimal(values.type):
        values = pc.cast(values, pa.float64())
    mask = pc.is_null(values).to_numpy()
    if kinds.is_string(values.type) or kinds.is_large_string(values.type):
        longest = pc.max(pc.utf8_length(values)).as_py() or 1
        check_size(path, 4 * longest * len(values), max_bytes, f"column '{name}'")
        array = np.array(pc.fill_null(values, "").to_pylist(), dtype=f"U{longest}")
    elif kinds.is_fixed_size_list(values.type) and not mask.any():
        array = pc.list_flatten(values).to_numpy().reshape(len(values), values.type.list_size)
    elif kinds.is_floating(values.type):
        array = pc.fill_null(values, float("nan")).to_numpy()
    elif kinds.is_boolean(values.type):
        array = pc.fill_null(values, False).to_numpy()
    elif kinds.is_integer(values.type):
        array = pc.fill_null(values, 0).to_numpy()
    elif kinds.is_temporal(values.type):
        array = values.to_numpy()
    else:
        array = np.empty(len(values), dtype=object)
        array[:] = values.to_pylist()
    return np.ma.array(array, mask=mask) if mask.any() else array


def to_arrow(table: Table) -> pa.Table:
    """Turn plain columns into Arrow's; masked cells become nulls, vectors become lists of fixed size."""
    import pyarrow as pa

    arrays, fields = [], []
    for name in table.colnames:
        column = table[name]
        values, mask = np.asarray(np.ma.getdata(column)), np.ma.getmaskarray(column)
        array = pa.array(values.reshape(-1), mask=mask.reshape(-1))
        if values.ndim > 1:
            array = pa.FixedSizeListArray.from_arrays(array, int(np.prod(values.shape[1:])))
        words = {"unit": column.unit and column.unit.to_string(), "description": column.description}
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata={key: word for key, word in words.items() if word}))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
