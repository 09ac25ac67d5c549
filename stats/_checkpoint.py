"""The chain of one object on disk, written in blocks; a process that is killed at any moment leaves a valid file.

All datasets are laid out when the file is made, so that a block is only ever bytes put into reserved places. It counts
from the moment the counter `blocks` is raised, one number written last; a file that must grow is replaced as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from catalogs.errors import CatalogFileError, CatalogFormatError
from catalogs.files import atomic_write
from catalogs.hdf5 import open_hdf5, read_dataset, read_text

if TYPE_CHECKING:
    import h5py

__all__ = ("Block", "append", "create", "read_blocks", "read_identity")

LAYOUT = "astrotk chain 1"
#: Blocks for which a new file has room; a full one is replaced by one of twice the room.
ROOM = 16
#: The datasets: type and axes, the first of which counts blocks.
PARTS: dict[str, tuple[Literal["f", "i"], int]] = {"chain": ("f", 5), "logpost": ("f", 4), "accepted": ("i", 3)}


@dataclass(frozen=True)
class Block:
    """So many steps of every ensemble of an object.

    Parameters
    ----------
    chain
        (step, ensemble, walker, dim).
    logpost
        (step, ensemble, walker).
    accepted
        (ensemble, walker): how many of the proposals.
    """

    chain: npt.NDArray[np.float64]
    logpost: npt.NDArray[np.float64]
    accepted: npt.NDArray[np.int64]


def create(path: str | PathLike[str], identity: Mapping[str, Any], blocks: Sequence[Block], room: int = ROOM) -> None:
    """Write a file with at least one block, and room for some; whatever was there is replaced in one stroke.

    Parameters
    ----------
    path
        The file.
    identity
        What the run is one of; plain numbers and texts.
    blocks
        From the first on.
    room
        Blocks that it can hold.
    """
    import h5py

    with atomic_write(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["layout"] = LAYOUT
        file.attrs["identity"] = json.dumps(identity)
        reserved = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        reserved.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        reserved.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        for name in PARTS:
            first = getattr(blocks[0], name)
            space = h5py.h5s.create_simple((room, *first.shape))
            h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(first.dtype), space, reserved)
        file["blocks"] = [0]
        for k, block in enumerate(blocks):
            _put(file, k, block)


def append(path: str | PathLike[str], k: int, block: Block) -> None:
    """Add block number k. Who reads the file meanwhile sees the blocks before it.

    Raises
    ------
    CatalogFileError
        If the file cannot be written, or does not end with the block before.
    """
    import h5py

    try:
        with h5py.File(path, "r+", locking=False) as file:
            found, room = int(file["blocks"][0]), file["chain"].shape[0]
            if found == k < room:
                _put(file, k, block)
    except OSError as exc:
        raise CatalogFileError(path, f"cannot be written: {exc}") from exc
    if found != k:
        raise CatalogFileError(path, f"has {found} blocks where this run has written {k}: another run writes to it")
    if k == room:
        create(path, read_identity(path), [*read_blocks(path), block], 2 * room)


def _put(file: h5py.File, k: int, block: Block) -> None:
    for name in PARTS:
        file[name][k] = getattr(block, name)
    file.flush()
    file["blocks"][0] = k + 1


@contextmanager
def _open(path: str | PathLike[str]) -> Iterator[h5py.File]:
    with open_hdf5(path) as file:
        layout = read_text(file, "layout", "")
        if layout != LAYOUT:
            raise CatalogFormatError(path, f"a checkpoint ('{LAYOUT}')", f"layout '{layout}'")
        yield file


def read_identity(path: str | PathLike[str]) -> dict[str, Any]:
    """Return what the run of a file is one of.

    Raises
    ------
    CatalogFileError, CatalogFormatError
        If it is not a sound checkpoint.
    """
    with _open(path) as file:
        text = read_text(file, "identity")
    try:
        identity = json.loads(text)
    except ValueError as exc:
        raise CatalogFormatError(path, "an identity in JSON", f"{text[:40]!r}", "/ @identity") from exc
    if not isinstance(identity, dict):
        raise CatalogFormatError(path, "an identity with names", f"{text[:40]!r}", "/ @identity")
    return identity


def read_blocks(path: str | PathLike[str]) -> list[Block]:
    """Return all blocks of a file that are complete.

    Raises
    ------
    CatalogFileError, CatalogFormatError
        If it is not a sound checkpoint.
    """
    with _open(path) as file:
        counter = read_dataset(file, "blocks", kind="i", ndim=1)
        count = int(counter[0]) if counter.size == 1 else 0
        parts = {
            name: read_dataset(file, name, kind=kind, ndim=ndim, rows=slice(0, count))
            for name, (kind, ndim) in PARTS.items()
        }
    shape = parts["chain"].shape
    fitting = {"chain": shape, "logpost": shape[:-1], "accepted": (shape[0], *shape[2:4])}
    found = {name: part.shape for name, part in parts.items()}
    if found != fitting or not 1 <= count == shape[0] or 0 in shape:
        raise CatalogFormatError(path, f"{count} blocks of one shape, at least 1", f"{found}")
    return [Block(*(parts[name][k] for name in PARTS)) for k in range(count)]
