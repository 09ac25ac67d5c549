"""Arrays from the containers of other programs (npy, npz, pickle), without trusting them.

Sizes are checked before anything is allocated, and no file is given a way to call anything.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from catalogs._pickles import PLAIN, Machine
from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError

__all__ = ("read_npy", "read_npz", "read_pickle")

MAX_BYTES = 1 << 31

Array = npt.NDArray[Any]


def read_npy(path: str | PathLike[str], *, max_bytes: int = MAX_BYTES) -> Array:
    """Read the array of a ``.npy`` file.

    Parameters
    ----------
    path
        The file.
    max_bytes
        The largest array to accept.

    Returns
    -------
    ndarray

    Raises
    ------
    CatalogFileError
        If the file cannot be read.
    CatalogFormatError
        If it is broken, holds Python objects, or claims more than `max_bytes`.
    """
    with _guarded(path, "a .npy file"), Path(path).open("rb") as stream:
        length = Path(path).stat().st_size
        return _read_array(stream, length, max_bytes, path)


def read_npz(
    path: str | PathLike[str], *, names: Iterable[str] | None = None, max_bytes: int = MAX_BYTES
) -> dict[str, Array]:
    """Read arrays of a ``.npz`` file.

    Parameters
    ----------
    path
        The file.
    names
        The arrays to read; by default all.
    max_bytes
        The most that they may take together.

    Returns
    -------
    dict
        Arrays by name, in the order of `names` or of the file.

    Raises
    ------
    CatalogFileError
        If the file cannot be read, or is itself larger than `max_bytes`.
    CatalogFormatError
        If it is broken, lacks one of `names`, holds Python objects, or claims more than `max_bytes`.
    """
    _check_size(path, max_bytes)
    with _guarded(path, "a .npz file"), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise CatalogFormatError(path, "one array of each name", "two of the same name")
        wanted = list(members if names is None else names)
        if absent := [name for name in wanted if name not in members]:
            held = ", ".join(list(members)[:20])
            raise CatalogFormatError(path, f"an array '{absent[0]}'", f"only {held}")
        chosen = {name: members[name] for name in wanted}
        total = sum(info.file_size for info in chosen.values())
        if total > max_bytes:
            raise CatalogFormatError(path, f"at most {max_bytes} bytes of arrays", f"{total}")
        arrays = {}
        for name, info in chosen.items():
            # Other methods decompress a whole block at a time, however large it turns out to be.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise CatalogFormatError(path, "stored or deflated arrays", "another compression", name)
            with archive.open(info) as stream:
                arrays[name] = _read_array(stream, info.file_size, max_bytes, path, name)
        return arrays


def read_pickle(path: str | PathLike[str], *, max_bytes: int = MAX_BYTES) -> Any:
    """Read the data of a pickle without running it.

    Parameters
    ----------
    path
        The file.
    max_bytes
        The most memory that its content may take; each operation of the pickle counts for 256 bytes, which
        bounds the time as well.

    Returns
    -------
    object
        Of None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset,
        OrderedDict, and numpy arrays, scalars and dtypes without Python objects. The keys of a dict are
        scalars or flat tuples of them. Strings of Python 2 are taken as Latin-1.

    Raises
    ------
    CatalogFileError
        If the file cannot be read, or is itself larger than `max_bytes`.
    CatalogFormatError
        If it is broken, asks for anything else, or needs more than `max_bytes`.
    """
    _check_size(path, max_bytes)
    with _guarded(path, PLAIN):
        return Machine(path, max_bytes).run(Path(path).read_bytes())


def _check_size(path: str | PathLike[str], max_bytes: int) -> None:
    try:
        size = Path(path).stat().st_size
    except OSError as exc:
        raise CatalogFileError(path, exc.strerror or "cannot be read") from exc
    if size > max_bytes:
        raise CatalogFileError(path, f"is {size} bytes long, the limit is {max_bytes}; raise max_bytes")


@contextmanager
def _guarded(path: str | PathLike[str], expected: str) -> Iterator[None]:
    """Turn whatever a broken file provokes in the libraries into one line of our own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except AstrotkError:
        raise
    except OSError as exc:
        raise CatalogFileError(path, exc.strerror or f"cannot be read: {exc}") from exc
    except Exception as exc:
        found = " ".join(f"{type(exc).__name__}: {exc}".split())
        raise CatalogFormatError(path, expected, f"{found:.200}") from exc


def _read_array(stream: IO[bytes], length: int, max_bytes: int, path: str | PathLike[str], where: str = "") -> Array:
    """Read one array of `length` bytes, header included, after its header has been believed."""
    major, _ = np.lib.format.read_magic(stream)
    # A header of version 3 differs from one of version 2 in the letters of its names alone.
    reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(stream)
    nbytes = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or not dtype.itemsize:
        raise CatalogFormatError(path, "numbers or text", f"the dtype {dtype}", where)
    if min(shape, default=0) < 0 or nbytes > max_bytes:
        raise CatalogFormatError(path, f"at most {max_bytes} bytes", f"an array of shape {shape}", where)
    if nbytes != length - stream.tell():
        raise CatalogFormatError(path, f"{nbytes} bytes of data", f"{length - stream.tell()}", where)
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array
