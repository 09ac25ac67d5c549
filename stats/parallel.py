"""Many objects cut into shards, on many processes or machines; what is finished is never lost.

A task reads its own input and writes its own shard, so that only names travel. It must give the same file whenever and
wherever it runs; then a run that was killed and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from catalogs.errors import AstrotkError, CatalogFileError, ParameterError
from catalogs.files import atomic_write
from catalogs.provenance import sha256_of
from stats._executors import Workers, open_executor
from stats._journal import JOURNAL, Entry, open_journal, remove_partial

__all__ = ("ShardReport", "Workers", "open_executor", "run_shards", "split", "surviving")

A = TypeVar("A")
R = TypeVar("R")

#: Held while a shard is made: a Dask worker may have several threads, and kernels of numba may not be in two of them.
_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True)
class ShardReport:
    """What became of the shards.

    Parameters
    ----------
    paths
        Of those that are finished, in the order in which they were given.
    kept
        How many of them an earlier run had made.
    objects
        How many objects are in them, as the tasks counted.
    failed
        ``(name, reason)`` of the others; a resumed run tries them again.
    """

    paths: tuple[Path, ...]
    kept: int
    objects: int
    failed: tuple[tuple[str, str], ...]


def split(objects: Sized, size: int) -> list[tuple[str, slice]]:
    """Cut objects into shards of nearly equal length.

    Parameters
    ----------
    objects
        Anything with a length.
    size
        Of the largest shard.

    Returns
    -------
    list of (name, slice)
        ``("00001-of-00012", slice(0, 834))``: names that sort as the objects do, and, for a given number of objects,
        say which these are.

    Raises
    ------
    ParameterError
        If the size is not positive.
    """
    if size < 1:
        message = f"the size of a shard is a number of objects from 1 on, found {size}"
        raise ParameterError(message)
    shards = -(-len(objects) // size)
    digits = max(5, len(str(shards)))
    return [
        (
            f"{k + 1:0{digits}}-of-{shards:0{digits}}",
            slice(k * len(objects) // shards, (k + 1) * len(objects) // shards),
        )
        for k in range(shards)
    ]


def surviving(
    work: Callable[[Sequence[A]], R], objects: Sequence[A]
) -> tuple[list[tuple[Sequence[A], R]], list[tuple[A, str]]]:
    """Work on all objects together, and where that fails on halves, down to the objects that fail alone.

    Allowed because a result never depends on the batch it was made in. A batch too large for the memory is halved as
    well. What is no object's fault is raised: an error of the operating system, such as a full disk, a single object
    that the memory cannot hold, and Ctrl-C.

    Parameters
    ----------
    work
        Takes some of the objects.
    objects
        A sequence that slices, such as a list of names or an array of indices.

    Returns
    -------
    results
        ``(objects, work(objects))`` of the batches that went well, in order.
    failures
        ``(object, reason)`` of the others, in order.
    """
    if len(objects) == 0:
        return [], []
    try:
        return [(objects, work(objects))], []
    except Exception as exc:
        if _is_of_the_system(exc) or (isinstance(exc, MemoryError) and len(objects) == 1):
            raise
        if len(objects) == 1:
            return [], [(objects[0], _in_one_line(exc))]
    middle = len(objects) // 2
    first, second = surviving(work, objects[:middle]), surviving(work, objects[middle:])
    return first[0] + second[0], first[1] + second[1]


def run_shards(
    task: Callable[[A, Path], int | None],
    shards: Mapping[str, A] | Iterable[tuple[str, A]],
    folder: str | PathLike[str],
    executor: Workers,
    *,
    fingerprint: Mapping[str, Any],
    resume: bool = False,
    retries: int = 2,
    progress: Callable[[int], object] | None = None,
) -> ShardReport:
    """Make each shard once, and take down which are finished.

    A shard gets its name when its file is whole. One that raises has failed, and the others go on; one whose worker was
    killed, or whose memory was exhausted, is tried again. A full disk ends the run, as Ctrl-C does; either way, and
    after a kill, the finished shards stay, and the same call with `resume` makes the rest.

    Parameters
    ----------
    task
        ``task(argument, path)`` writes `path` and may return how many objects are in it (else a shard counts as one).
        A function of a module, which the workers can import.
    shards
        The names of the files, with their extension, and the task's argument for each: names and ranges, not arrays.
    folder
        For the shards and the journal of the run, ``shards.jsonl``, and nothing else; all workers must see it.
    executor
        From `open_executor`.
    fingerprint
        Whatever decides the content of the shards: seed, settings, SHA-256 of the inputs; JSON values.
    resume
        Keep the shards of an earlier run of the same fingerprint; those that have changed since are made anew.
    retries
        How often a shard is tried again.
    progress
        Called with the number of objects of each shard that is finished, as ``tqdm.update``.

    Raises
    ------
    ParameterError
        For names that are not different names of files, or a fingerprint that is not JSON.
    CatalogFileError
        If the folder holds anything else, or another run; if the disk is full or the workers have gone.
    CatalogFormatError
        If the journal is none.
    """
    pairs = list(shards.items() if isinstance(shards, Mapping) else shards)
    arguments = dict(pairs)
    _check_names([name for name, _ in pairs])
    folder = Path(folder).resolve()
    with open_journal(folder, fingerprint, resume=resume) as journal:
        remove_partial(folder, arguments)
        queue, running = deque(arguments), dict[Future[_Outcome], str]()
        attempts, kept, disk_full = Counter[str](), 0, False
        entries: dict[str, Entry] = {}
        failed: dict[str, str] = {}
        try:
            while running or queue:
                while queue and len(running) < executor.width:
                    name = queue.popleft()
                    known = journal.finished.get(name)
                    running[executor.submit(_make, task, arguments[name], folder / name, known)] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    attempts[name] += 1
                    outcome = _outcome(future, executor.lost)
                    disk_full |= outcome.disk_full
                    if outcome.entry is not None:
                        entries[name] = outcome.entry
                        kept += outcome.kept
                        if not outcome.kept:
                            journal.add(name, outcome.entry)
                        if progress is not None:
                            progress(outcome.entry.objects)
                    elif outcome.again and attempts[name] <= retries:
                        queue.append(name)
                    else:
                        failed[name] = outcome.reason
                if disk_full:
                    queue.clear()
        except CancelledError as exc:
            raise CatalogFileError(folder, f"the workers have gone; {_stand(entries, pairs)}") from exc
        finally:
            for future in running:
                future.cancel()
        remove_partial(folder, arguments)
    if disk_full:
        raise CatalogFileError(folder, f"the disk is full; {_stand(entries, pairs)}")
    return ShardReport(
        paths=tuple(folder / name for name in arguments if name in entries),
        kept=kept,
        objects=sum(entry.objects for entry in entries.values()),
        failed=tuple((name, failed[name]) for name in arguments if name in failed),
    )


@dataclass(frozen=True)
class _Outcome:
    """What a worker tells of a shard; never an exception, because not every one survives the journey."""

    entry: Entry | None = None
    kept: bool = False
    reason: str = ""
    again: bool = False
    disk_full: bool = False


def _make(task: Callable[[Any, Path], int | None], argument: Any, path: Path, known: Entry | None) -> _Outcome:
    """Make a shard, in a worker, unless it is there and as it was."""
    try:
        if known is not None and path.is_file() and sha256_of(path) == known.sha256:
            return _Outcome(known, kept=True)
        with _ONE_AT_A_TIME, atomic_write(path) as partial:
            objects = task(argument, partial)
        return _Outcome(Entry(sha256_of(path), 1 if objects is None else int(objects)))
    except Exception as exc:
        return _Outcome(reason=_in_one_line(exc), again=isinstance(exc, MemoryError), disk_full=_is_disk_full(exc))


def _outcome(future: Future[_Outcome], lost: tuple[type[BaseException], ...]) -> _Outcome:
    """Return what the worker tells; of one that was killed, that."""
    try:
        return future.result()
    except lost as exc:
        return _Outcome(reason=f"its worker was killed, perhaps for want of memory ({_in_one_line(exc)})", again=True)


def _check_names(names: list[str]) -> None:
    wrong = [name for name in names if Path(name).name != name or name.startswith(".") or name == JOURNAL]
    if wrong:
        message = f"a shard has the name of a file, without folders and not hidden, other than {JOURNAL}: {wrong[0]!r}"
        raise ParameterError(message)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        message = f"the shards of a run have different names, found {twice[0]!r} twice"
        raise ParameterError(message)


def _stand(entries: Sized, pairs: Sized) -> str:
    return f"{len(entries)} of {len(pairs)} shards are finished and kept: mend that and resume"


def _in_one_line(exc: BaseException) -> str:
    return " ".join(f"{type(exc).__name__}: {exc}".split())[:300]


def _is_disk_full(exc: BaseException | None) -> bool:
    """Return whether a full disk is behind an exception; libraries often keep no more than its message."""
    if exc is None:
        return False
    codes = (errno.ENOSPC, errno.EDQUOT)
    is_full = isinstance(exc, OSError) and (exc.errno in codes or any(os.strerror(code) in str(exc) for code in codes))
    return is_full or _is_disk_full(exc.__cause__ or exc.__context__)


def _is_of_the_system(exc: Exception) -> bool:
    """Return whether the operating system, not a library or one of our readers, has raised an exception."""
    ours = isinstance(exc, AstrotkError)
    return (isinstance(exc, OSError) and not ours and exc.errno is not None) or _is_disk_full(exc)
