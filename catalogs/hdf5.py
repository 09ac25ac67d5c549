"""HDF5 files of strangers: nothing outside the file is read, nothing is allocated before its size is known.

An HDF5 file can name other files (external links, external storage, virtual datasets), and a kilobyte of it
can claim a terabyte. These functions refuse both, and every error of the library comes out as one line.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from catalogs.errors import CatalogFileError, CatalogFormatError
from catalogs.files import check_size, foreign_errors, open_regular

if TYPE_CHECKING:
    import h5py

__all__ = (
    "MAX_BYTES",
    "names",
    "open_dataset",
    "open_group",
    "open_hdf5",
    "read_attribute",
    "read_dataset",
    "read_text",
    "walk",
)

MAX_BYTES = 2**30
MAX_TEXT = 2**24
MAX_LINKS = 32
#: Each takes the library some microseconds, whether it is in the file or only claimed.
MAX_CHUNKS = 2**18
#: Signature, version and padding of a heap.
GLOBAL_HEAP, LOCAL_HEAP = b"GCOL\1\0\0\0", b"HEAP\0\0\0\0"
#: Files up to this size are searched for the damage that the library does not return from.
MAX_SCAN = 2**28

Kind = Literal["f", "i", "b", "S"]
#: What a reader asks for: the numpy kinds that serve, in words.
KINDS: dict[Kind | None, tuple[str, str]] = {
    "f": ("fiu", "real numbers"),
    "i": ("iu", "integers"),
    "b": ("b", "booleans"),
    "S": ("SO", "text"),
    None: ("fiubcSO", "numbers, booleans or text"),
}


@contextmanager
def open_hdf5(path: str | PathLike[str]) -> Iterator[h5py.File]:
    """Open a file read-only.

    Yields
    ------
    h5py.File
        To be read with the functions of this module.

    Raises
    ------
    CatalogFileError
        If the file is missing or unreadable.
    CatalogFormatError
        If it is not HDF5, or truncated.
    """
    import h5py

    with open_regular(path):
        pass
    with foreign_errors(path, "an HDF5 file"):
        if not h5py.is_hdf5(path):
            raise CatalogFormatError(path, "an HDF5 file", "no HDF5 signature")
        if Path(path).stat().st_size <= MAX_SCAN:
            _check_heaps(path)
        file = h5py.File(path, "r")
    try:
        yield file
    finally:
        with foreign_errors(path, "an HDF5 file"):
            file.close()


def names(group: h5py.Group) -> list[str]:
    """List a group's members, in their order of creation where the file keeps it."""
    with foreign_errors(group.file.filename, "a readable group", group.name):
        return [_spelled(group, name) for name in group]


def _spelled(group: h5py.Group, name: str | bytes) -> str:
    if isinstance(name, bytes):  # what h5py gives for a name that is not text
        raise CatalogFormatError(group.file.filename, "names in UTF-8", repr(name), str(group.name))
    return name


def walk(group: h5py.Group) -> list[str]:
    """List the paths, below `group`, of every dataset of the file; soft and external links are left."""
    import h5py

    found: list[str] = []

    def visit(name: str | bytes, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found.append(_spelled(group, name))

    with foreign_errors(group.file.filename, "a readable group", group.name):
        group.visititems(visit)
    return found


def open_group(group: h5py.Group, name: str) -> h5py.Group:
    """Follow a path inside the file to a group.

    Raises
    ------
    CatalogFileError
        If a link on the way leaves the file.
    CatalogFormatError
        If there is no such group.
    """
    import h5py

    node = _follow(group, name)
    if not isinstance(node, h5py.Group):
        raise CatalogFormatError(group.file.filename, "a group", type(node).__name__.lower(), name)
    return node


def open_dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Follow a path inside the file to a dataset whose bytes are in the file, without reading them.

    Raises
    ------
    CatalogFileError
        If a link on the way, or the dataset's storage, leaves the file.
    CatalogFormatError
        If there is no such dataset.
    """
    import h5py

    node, path = _follow(group, name), group.file.filename
    with foreign_errors(path, "a readable dataset", name):
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            raise CatalogFormatError(path, "a dataset", type(node).__name__.lower(), name)
        if node.external is not None:
            raise CatalogFileError(path, f"dataset '{name}' keeps its data in another file; not followed")
        if node.is_virtual:
            raise CatalogFileError(path, f"dataset '{name}' is a view of other files; not followed")
    return node


def read_dataset(
    group: h5py.Group,
    name: str,
    *,
    kind: Kind | None = "f",
    ndim: int | None = None,
    rows: slice = slice(None),
    max_bytes: int = MAX_BYTES,
) -> npt.NDArray[Any]:
    """Read a dataset, or rows of it.

    Parameters
    ----------
    group, name
        A group and the path from it.
    kind
        "f": real numbers, returned as float64; "i", "b": integers, booleans as stored; "S": text, returned as
        str; None: any of these, and complex numbers, as stored.
    ndim
        The number of axes wanted, if only one will do.
    rows
        A slice of the first axis, without a step.
    max_bytes
        The largest array (and the largest chunk of the file) that may be allocated.

    Raises
    ------
    CatalogFileError
        If the data are outside the file, or larger than `max_bytes`.
    CatalogFormatError
        If there is no such dataset, or it is of another type or shape, or damaged.
    """
    dataset, path = open_dataset(group, name), group.file.filename
    with foreign_errors(path, "a readable dataset", name):
        dtype, shape = dataset.dtype, dataset.shape
        if ndim is not None and len(shape) != ndim:
            raise CatalogFormatError(path, f"{ndim} axes", f"shape {shape}", name)
        if shape and rows != slice(None):
            shape = (len(range(*rows.indices(shape[0]))), *shape[1:])
        _check_type(path, dtype, kind, name)
        # Text is decoded to four bytes a character and float64 may be wider than what is stored.
        width = 5 * dtype.itemsize if dtype.kind == "S" else max(dtype.itemsize, 8)
        check_size(path, math.prod(shape) * width, max_bytes, f"dataset '{name}'")
        if dataset.chunks is not None:
            check_size(path, math.prod(dataset.chunks) * dtype.itemsize, max_bytes, f"a chunk of '{name}'")
            count = math.prod(-(-size // chunk) for size, chunk in zip(shape, dataset.chunks, strict=True))
            if count > MAX_CHUNKS:
                reason = f"dataset '{name}' is in {count} chunks, above the limit of {MAX_CHUNKS}; repack the file"
                raise CatalogFileError(path, reason)
        if dtype.kind == "O":
            values = _read_strings(dataset, rows, shape, max_bytes)
        else:
            values = dataset[rows] if dataset.shape else dataset[()]
        return _plain(values, kind)


def read_attribute(node: h5py.Group | h5py.Dataset, name: str, *, kind: Kind | None = "f") -> npt.NDArray[Any]:
    """Read an attribute as an array; see `read_dataset` for `kind` and the errors."""
    path, where = node.file.filename, f"{node.name} @{name}"
    with foreign_errors(path, "a readable attribute", where):
        if name not in node.attrs:
            raise CatalogFormatError(path, "an attribute", "none of this name", where)
        handle = node.attrs.get_id(name)
        dtype, shape = handle.dtype, handle.shape
        _check_type(path, dtype, kind, where)
        if dtype.kind == "O" and math.prod(shape) != 1:
            raise CatalogFormatError(path, "one text", f"{math.prod(shape)} of them", where)
        check_size(path, math.prod(shape) * max(dtype.itemsize, 8), MAX_TEXT, f"attribute '{where}'")
        return _plain(np.asarray(node.attrs[name]), kind)


def read_text(node: h5py.Group | h5py.Dataset, name: str, default: str | None = None) -> str:
    """Read an attribute that is one text; `default`, if given, stands for an absent one."""
    if default is not None:
        with foreign_errors(node.file.filename, "readable attributes", node.name):
            if name not in node.attrs:
                return default
    values = read_attribute(node, name, kind="S")
    if values.size != 1:
        where = f"{node.name} @{name}"
        raise CatalogFormatError(node.file.filename, "one text", f"{values.size} of them", where)
    return str(values.reshape(-1)[0])


def _check_heaps(path: str | PathLike[str]) -> None:
    """Walk the heaps of a file as the library will, which stays for ever where a size or a link is wrong."""
    with Path(path).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for at in _places(content, GLOBAL_HEAP):
            _check_global_heap(path, content, at)
        for at in _places(content, LOCAL_HEAP):
            _check_local_heap(path, content, at)


def _places(content: mmap.mmap, signature: bytes) -> Iterator[int]:
    at = content.find(signature)
    while at >= 0:
        yield at
        at = content.find(signature, at + len(signature))


def _number(content: mmap.mmap, at: int, size: int = 8) -> int:
    return int.from_bytes(content[at : at + size], "little")


def _check_global_heap(path: str | PathLike[str], content: mmap.mmap, heap: int) -> None:
    """Step from text to text by the size that each states: a free one (index 0) of size 0 leads nowhere."""
    at, end = heap + 16, heap + _number(content, heap + 8)
    while at + 16 <= min(end, len(content)):
        index, size = _number(content, at, 2), _number(content, at + 8)
        step = 16 + (size + 7) // 8 * 8 if index else size
        if not 16 <= step <= end - at:
            raise CatalogFormatError(path, "a sound HDF5 file", "a broken heap", f"byte {at}")
        at += step


def _check_local_heap(path: str | PathLike[str], content: mmap.mmap, heap: int) -> None:
    """Follow the list of free blocks among the names of a group, which may lead back to itself."""
    size, block, data = (_number(content, heap + at) for at in (8, 16, 24))
    seen: set[int] = set()
    while block + 16 <= size and data + block + 16 <= len(content):
        if block in seen:
            raise CatalogFormatError(path, "a sound HDF5 file", "a heap whose free blocks form a ring", f"byte {heap}")
        seen.add(block)
        block = _number(content, data + block)


def _follow(group: h5py.Group, name: str) -> Any:
    """Walk a path link by link, so that each can be seen before it is followed."""
    import h5py

    path, links = group.file.filename, 0
    node = group.file["/"] if name.startswith("/") else group
    parts = name.split("/")
    while parts:
        part = parts.pop(0)
        if not part:
            continue
        with foreign_errors(path, "a readable link", name):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            if link is None:
                raise CatalogFormatError(path, f"'{part}'", _members(node), str(node.name))
            if type(link) is h5py.HardLink:
                node = node[part]
            elif type(link) is h5py.SoftLink and links < MAX_LINKS:
                links += 1
                node = group.file["/"] if link.path.startswith("/") else node
                parts = [*link.path.split("/"), *parts]
            elif type(link) is h5py.SoftLink:
                raise CatalogFormatError(path, f"at most {MAX_LINKS} soft links", "a chain or ring of more", name)
            else:
                raise CatalogFileError(path, f"'{name}' is a link to another file; not followed")
    return node


def _members(node: Any) -> str:
    listed = list(node)[:12] if hasattr(node, "keys") else []
    return "only " + ", ".join(repr(str(name)) for name in listed) if listed else "nothing of this name"


def _check_type(path: str, dtype: np.dtype[Any], kind: Kind | None, where: str) -> None:
    """Refuse references, variable-length arrays, compounds and whatever else was not asked for."""
    import h5py

    kinds, words = KINDS[kind]
    if dtype.kind not in kinds or (dtype.kind == "O" and h5py.check_string_dtype(dtype) is None):
        raise CatalogFormatError(path, words, f"type {dtype}", where)


def _read_strings(
    dataset: h5py.Dataset, rows: slice, shape: tuple[int, ...], max_bytes: int
) -> npt.NDArray[np.object_]:
    """Read variable-length strings a few rows at a time.

    One string may be as long as the file, and any number of elements may point at it.
    """
    path, where = dataset.file.filename, f"dataset '{dataset.name}'"
    if not shape:
        return np.asarray(dataset[()], dtype=object)
    start, stop, _ = rows.indices(dataset.shape[0])
    row = dataset.file.id.get_filesize() * max(1, math.prod(shape[1:]))
    step = max(1, max_bytes // row)
    out, longest = np.empty(shape, dtype=object), 0
    for low in range(start, stop, step):
        block = dataset[low : min(low + step, stop)]
        longest = max(longest, *map(len, block.flat)) if block.size else longest
        check_size(path, 4 * longest * out.size, max_bytes, where)
        out[low - start : low - start + len(block)] = block
    return out


def _plain(values: npt.NDArray[Any], kind: Kind | None) -> npt.NDArray[Any]:
    if kind == "f":
        return np.asarray(values, dtype=np.float64)
    if values.dtype.kind == "O":
        decoded = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values.reshape(-1)]
        return np.array(decoded, dtype=np.str_).reshape(values.shape)
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else np.asarray(values)
