"""The journal of a folder of shards: what run they belong to, and which of them are finished."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from catalogs.errors import CatalogFileError, CatalogFormatError, ParameterError
from catalogs.files import check_size, foreign_errors

__all__ = ("JOURNAL", "Entry", "Journal", "open_journal", "remove_partial")

#: The file in the folder: a line of JSON that describes the run, then one for each finished shard.
JOURNAL = "shards.jsonl"
LAYOUT = 1
#: A million shards have a journal of 150 MB.
MAX_BYTES = 2**30
#: What `catalogs.files.atomic_write` calls its files, and files within files, before they are whole.
PARTIAL = re.compile(r"\.+(?P<stem>.+?)(\.[0-9a-f]{8})+(?P<suffix>\.[^.]+)?")


@dataclass(frozen=True)
class Entry:
    """A finished shard.

    Parameters
    ----------
    sha256
        Of the file.
    objects
        How many are in it, as the task counted.
    """

    sha256: str
    objects: int


@dataclass(frozen=True)
class Journal:
    """What is finished, on the disk and here.

    Parameters
    ----------
    path
        The file.
    finished
        By the name of the shard.
    stream
        The file, open at its end and locked.
    """

    path: Path
    finished: dict[str, Entry]
    stream: BinaryIO

    def add(self, name: str, entry: Entry) -> None:
        """Take a shard down as finished."""
        self._append({"name": name, "sha256": entry.sha256, "objects": entry.objects})
        self.finished[name] = entry

    def _append(self, record: Mapping[str, Any]) -> None:
        try:
            self.stream.write(json.dumps(record).encode() + b"\n")
            self.stream.flush()
        except OSError as exc:
            raise CatalogFileError(self.path, f"cannot be written: {exc.strerror}") from exc


@contextmanager
def open_journal(folder: Path, fingerprint: Mapping[str, Any], *, resume: bool) -> Iterator[Journal]:
    """Open the journal of a folder, or begin it in an empty one.

    Raises
    ------
    CatalogFileError
        If the folder is not empty and not to be resumed, belongs to a run of another fingerprint or to nobody, is in
        use, or cannot be written to.
    CatalogFormatError
        If the journal is none.
    ParameterError
        If the fingerprint is not of JSON values.
    """
    path = folder / JOURNAL
    settings = _flat(fingerprint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists() and any(folder.iterdir()):
            raise CatalogFileError(folder, f"holds files but no {JOURNAL}, so they are not ours; name an empty folder")
        stream = path.open("a+b")
    except OSError as exc:
        if isinstance(exc, CatalogFileError):
            raise
        raise CatalogFileError(folder, f"cannot be a folder of shards: {exc.strerror}") from exc
    with stream:
        _lock(stream, folder)
        records = list(_records(stream, path))
        journal = Journal(path, {}, stream)
        if not records:
            journal._append({"layout": LAYOUT, "fingerprint": settings})
        elif not resume:
            raise CatalogFileError(folder, "holds the shards of an earlier run; resume that, or name another folder")
        else:
            _compare(records[0], settings, path)
            journal.finished.update(_entry(record, path) for record in records[1:])
        yield journal


def remove_partial(folder: Path, names: Collection[str]) -> None:
    """Remove the unfinished files of shards whose process was killed."""
    for file in folder.iterdir():
        match = PARTIAL.fullmatch(file.name)
        if match and match["stem"] + (match["suffix"] or "") in names:
            file.unlink(missing_ok=True)


def _lock(stream: BinaryIO, folder: Path) -> None:
    """Keep a second run out, where the system and the file system know locks; they end with the process."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise CatalogFileError(folder, "another run is writing its shards here; wait for it to end") from exc
    except OSError:
        return


def _records(stream: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines; the last, if it was being written when the run was killed, is cut off."""
    check_size(path, os.fstat(stream.fileno()).st_size, MAX_BYTES)
    stream.seek(0)
    *lines, torn = stream.read().split(b"\n")
    if torn:
        stream.truncate(sum(len(line) + 1 for line in lines))
    for number, line in enumerate(lines, start=1):
        with foreign_errors(path, "a line of JSON", f"line {number}"):
            record = json.loads(line)
        if not isinstance(record, dict):
            raise CatalogFormatError(path, "a JSON object", repr(record)[:60], f"line {number}")
        yield record


def _entry(record: dict[str, Any], path: Path) -> tuple[str, Entry]:
    match record:
        case {"name": str(name), "sha256": str(sha256), "objects": int(objects)}:
            return name, Entry(sha256, objects)
    raise CatalogFormatError(path, "name, sha256 and objects of a finished shard", repr(record)[:60])


def _compare(header: dict[str, Any], settings: dict[str, Any], path: Path) -> None:
    """Refuse to go on with a run that another fingerprint began."""
    match header:
        case {"layout": int(layout), "fingerprint": dict(theirs)} if layout == LAYOUT:
            pass
        case _:
            raise CatalogFormatError(path, f"a journal of layout {LAYOUT}", repr(header)[:60], "line 1")
    changed = sorted(key for key in theirs.keys() | settings.keys() if theirs.get(key) != settings.get(key))
    if changed:
        before, now = (
            ", ".join(f"{key} = {run.get(key, 'absent')}"[:80] for key in changed) for run in (theirs, settings)
        )
        raise CatalogFileError(
            path.parent, f"holds shards of a run with {before}, this one has {now}; name another folder"
        )


def _flat(fingerprint: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return ``{"settings.prior": '"flat"'}``: JSON text, in which NaN equals itself."""
    flat = {}
    for key, value in fingerprint.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{name}."))
            continue
        try:
            flat[name] = json.dumps(value, sort_keys=True)
        except (TypeError, ValueError) as exc:
            message = f"the fingerprint of a run is made of JSON values, found {name} = {value!r}"
            raise ParameterError(message) from exc
    return flat
