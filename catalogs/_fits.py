"""Tables in FITS: read by rows, with sizes checked against the file, and written with what a table knows."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from catalogs._arrow import MARK, Piece, Request
from catalogs.errors import CatalogFormatError, ParameterError
from catalogs.files import check_size, foreign_errors
from catalogs.units import read_unit

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.table import Table

__all__ = ("fits_pieces", "write_fits")

#: TFORM and TZERO of a numpy type; bytes with a sign are widened.
FORMATS = {
    "b1": ("L", 0),
    "u1": ("B", 0),
    "i2": ("I", 0),
    "u2": ("I", 2**15),
    "i4": ("J", 0),
    "u4": ("J", 2**31),
    "i8": ("K", 0),
    "u8": ("K", 2**63),
    "f4": ("E", 0),
    "f8": ("D", 0),
}


def fits_pieces(request: Request) -> Iterator[Piece]:
    """Read the first table of a file, or the one whose extension has the name asked for.

    Columns of variable length are left out: their cells are elsewhere in the file.
    """
    stream, path, rows, max_bytes, table, _ = request
    expected = "a FITS table"
    with foreign_errors(path, expected):
        header, start, kind = _find(stream, path, table)
        width, count = int(header["NAXIS1"]), int(header["NAXIS2"])
        held = os.fstat(stream.fileno()).st_size - start
        if width < 1 or count < 0 or width * count > held:
            raise CatalogFormatError(path, f"{count} rows of {width} bytes", f"{held} bytes of data", "table HDU")
        check_size(path, 4 * width * min(rows, count), max_bytes, "the table")
        header["PCOUNT"] = 0
        header.remove("THEAP", ignore_missing=True)
    for low in range(0, max(count, 1), rows):
        many = min(rows, count - low)
        with foreign_errors(path, expected), warnings.catch_warnings():
            # astropy warns of odd units and empty booleans, which are dealt with here.
            warnings.simplefilter("ignore")
            header["NAXIS2"] = many
            stream.seek(start + low * width)
            hdu = kind.fromstring(header.tostring().encode("ascii") + stream.read(many * width), uint=True)
            piece = Piece(_to_table(hdu), np.arange(low, low + many))
        yield piece


def _find(stream: BinaryIO, path: str | PathLike[str], table: str | None) -> tuple[fits.Header, int, type[Any]]:
    """Return the header of a table, where its data start, and the class of its HDU."""
    from astropy.io import fits

    if not stream.read(9) == b"SIMPLE  =":
        raise CatalogFormatError(path, "a FITS file, which starts with 'SIMPLE'", "something else")
    stream.seek(0)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = fits.open(stream, memmap=False, lazy_load_hdus=True)
        for at, hdu in enumerate(file):
            seen.append(hdu.name)
            if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and table in (None, hdu.name):
                return hdu.header.copy(), int(file.fileinfo(at)["datLoc"]), type(hdu)
    wanted = f"a table extension '{table}'" if table else "a table extension"
    raise CatalogFormatError(path, wanted, f"only {seen[:12]}")


def _to_table(hdu: Any) -> Table:
    from astropy.table import Column, MaskedColumn, Table

    raw, columns = np.asarray(hdu.data.view(np.ndarray)), []
    for number, column in enumerate(hdu.columns, 1):
        if "P" in column.format or "Q" in column.format:
            continue
        values = np.asarray(hdu.data[column.name])
        stored, mask = raw[column.name], None
        if column.null is not None and stored.dtype.kind in "iu":
            mask = stored == column.null
        elif values.dtype.kind == "b":
            mask = stored == 0
        made = MaskedColumn if mask is not None and mask.any() else Column
        filled = made(values, name=column.name, description=hdu.header.get(f"TCOMM{number}"))
        if made is MaskedColumn:
            filled.mask = mask
        if column.unit:
            filled.unit = read_unit(column.unit)
        columns.append(filled)
    record = hdu.header.get(MARK)
    return Table(columns, meta={MARK: str(record)} if record else {}, copy=False)


def write_fits(table: Table, path: str | PathLike[str], record: str) -> None:
    """Write one table; units and descriptions go to TUNIT and TCOMM, the record to one long card.

    FITS has no mask for numbers with a point and for text: there a masked cell is NaN or empty.
    """
    with warnings.catch_warnings():
        # A name such as [Fe/H] is not recommended, and is what the user calls it.
        warnings.simplefilter("ignore")
        columns = [_to_fits(table[name], name) for name in table.colnames]
        _write_columns(table, columns, path, record)


def _write_columns(table: Table, columns: list[fits.Column], path: str | PathLike[str], record: str) -> None:
    from astropy.io import fits

    hdu = fits.BinTableHDU.from_columns(columns, nrows=len(table))
    for number, name in enumerate(table.colnames, 1):
        column = table[name]
        if column.description:
            hdu.header[f"TCOMM{number}"] = column.description.encode("ascii", "replace").decode("ascii")
        if column.dtype.kind == "b" and np.ma.is_masked(column):
            hdu.data.view(np.ndarray)[name][np.ma.getmaskarray(column)] = 0
    hdu.header[MARK] = record
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)


def _to_fits(column: Any, name: str) -> fits.Column:
    from astropy.io import fits

    values, mask = np.asarray(np.ma.getdata(column)), np.ma.getmaskarray(column)
    options: dict[str, Any] = {"unit": _unit_text(column.unit)} if column.unit else {}
    if values.dtype.kind in "US":
        text = np.where(mask, "", values)
        try:
            values = np.char.encode(text, "ascii")
        except UnicodeEncodeError as exc:
            message = f"column '{name}': FITS holds ASCII text only, found {exc.object!r}; write .h5 or .ecsv"
            raise ParameterError(message) from exc
        code = f"{max(1, values.dtype.itemsize)}A"
    else:
        values = values.astype("i2") if values.dtype == np.int8 else values
        letter, zero = FORMATS[values.dtype.str[1:]]
        code = f"{math.prod(values.shape[1:])}{letter}"
        if zero:
            options["bzero"] = zero
        if mask.any() and values.dtype.kind in "iu":
            null = _unused(values[~mask])
            values = np.where(mask, null, values)
            options["null"] = int(null) - zero
        elif mask.any():
            # False, because astropy then leaves the byte alone that says "missing".
            values = np.where(mask, np.nan if values.dtype.kind == "f" else False, values)
    if values.ndim > 2:
        options["dim"] = str(values.shape[:0:-1]).replace(" ", "")
    return fits.Column(name, code, array=values, **options)


def _unused(values: npt.NDArray[Any]) -> Any:
    """Find a whole number that stands for "missing" because no value equals it."""
    limits = np.iinfo(values.dtype)
    for candidate in (limits.min, limits.max):
        if candidate not in values:
            return values.dtype.type(candidate)
    gaps = np.setdiff1d(np.arange(limits.min, min(limits.max, limits.min + len(values)) + 1), values)
    return values.dtype.type(gaps[0])


def _unit_text(unit: Any) -> str:
    try:
        return str(unit.to_string("fits"))
    except ValueError:
        return str(unit.to_string())
