"""Files as bytes: opened once and hashed, written whole or not at all; errors of other people's readers."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from os import PathLike
from pathlib import Path
from typing import BinaryIO, TypeVar

from catalogs.errors import AstrotkError, CatalogFileError, CatalogFormatError

__all__ = ("atomic_write", "check_size", "foreign_errors", "guarded", "open_hashed", "open_regular")

T = TypeVar("T")


def check_size(path: str | PathLike[str], size: int, limit: int, what: str = "the file") -> None:
    """Refuse what would need more memory than the caller allows, before it is allocated.

    Raises
    ------
    CatalogFileError
        If `size` (bytes) is above `limit`.
    """
    if size > limit:
        reason = f"{what} needs {size} bytes, above the limit of {limit}; raise max_bytes or read it in chunks"
        raise CatalogFileError(path, reason)


def open_regular(path: str | PathLike[str]) -> BufferedReader:
    """Open a file that is on a disk; a folder, device or pipe is refused, because its end may never come.

    Raises
    ------
    CatalogFileError
        If it is none, or cannot be read.
    """
    if not Path(path).is_file():
        raise CatalogFileError(path, "is not a regular file" if Path(path).exists() else "there is no such file")
    try:
        return Path(path).open("rb")
    except OSError as exc:
        raise CatalogFileError(path, exc.strerror or "cannot be read") from exc


@contextmanager
def open_hashed(path: str | PathLike[str], max_bytes: int | None = None) -> Iterator[tuple[BinaryIO, str]]:
    """Open a regular file and hash it through the same handle, so that the hash is of what is read.

    Parameters
    ----------
    path
        The file.
    max_bytes
        Larger files are refused before a byte is read; None for no limit.

    Yields
    ------
    stream, sha256
        The open file at its start, and 64 hexadecimal digits.

    Raises
    ------
    CatalogFileError
        If the file is missing, not a regular file, unreadable or too large.
    """
    with open_regular(path) as stream:
        if max_bytes is not None:
            check_size(path, os.fstat(stream.fileno()).st_size, max_bytes)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        yield stream, digest


@contextmanager
def foreign_errors(path: str | PathLike[str], expected: str, where: str = "") -> Iterator[None]:
    """Turn whatever a library raises on a malformed file into one line of our family.

    Readers of real formats raise anything, from `KeyError` to `ZeroDivisionError`, so this is the one place
    that catches every `Exception`; wrap only the call into the library.

    Raises
    ------
    CatalogFormatError
        From the library's exception. Our own errors pass unchanged.
    """
    try:
        yield
    except AstrotkError:
        raise
    except Exception as exc:
        found = " ".join(f"{type(exc).__name__}: {exc}".split())[:300]
        raise CatalogFormatError(path, expected, found, where) from exc


def guarded(items: Iterator[T], path: str | PathLike[str], expected: str) -> Iterator[T]:
    """Pass on what a library's iterator yields, with its errors turned as by `foreign_errors`."""
    while True:
        with foreign_errors(path, expected):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


@contextmanager
def atomic_write(path: str | PathLike[str]) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of `path` only when the block succeeds.

    The sibling keeps the suffix, because many writers choose the format by it. The folder is made if needed,
    a symbolic link is followed, and whatever goes wrong leaves the old file as it was.

    Yields
    ------
    Path
        The temporary file's path; the block must create it.

    Raises
    ------
    CatalogFileError
        If the file cannot be written, or `path` is a folder or a device.
    """
    target = Path(path).resolve()
    partial = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    if target.exists() and not target.is_file():
        raise CatalogFileError(path, "is not a regular file, so it cannot be written; name another")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)
    except OSError as exc:
        if isinstance(exc, AstrotkError):
            raise
        raise CatalogFileError(path, f"cannot be written: {exc.strerror or exc}") from exc
    finally:
        with suppress(OSError):  # its folder may be a file; the error above says so
            partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until the file, or the folder's entry for it, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
