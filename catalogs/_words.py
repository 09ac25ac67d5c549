"""Text tables of words between blanks, whose columns are known by their order, as those of SPARC."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from catalogs.files import foreign_errors, open_hashed
from catalogs.provenance import Rejected, Source
from catalogs.tables import Column

__all__ = ("Words", "number", "read_words")

#: No text file of galaxies comes near this size [bytes].
MAX_BYTES = 50_000_000


class Words(NamedTuple):
    """The columns that were wanted, the file with its rejected rows, and the lines that start with ``#``."""

    columns: dict[str, npt.NDArray[Any]]
    source: Source
    comments: list[str]


def read_words(path: Path, labels: Sequence[str], columns: Iterable[Column]) -> Words:
    """Take columns out of the rows under the last dashed line, or out of all where there is none.

    Parameters
    ----------
    path
        The file.
    labels
        A name for each of its columns: ours for those that are wanted.
    columns
        What is wanted; those that `labels` lacks are left out. Their units are not looked at.

    Raises
    ------
    CatalogFileError, CatalogFormatError
        If the file cannot be read, is too large or is no text.
    """
    with open_hashed(path, MAX_BYTES) as (stream, sha256), foreign_errors(path, "UTF-8 text"):
        lines = stream.read().decode("utf-8-sig").splitlines()
    start = max((at for at, line in enumerate(lines, 1) if line.startswith("-----")), default=0)
    wanted = [(labels.index(spec.name), spec) for spec in columns if spec.name in labels]
    rows, rejected, comments = [], [], []
    for at, line in enumerate(lines[start:], start + 1):
        if line.lstrip().startswith("#"):
            comments.append(line)
        elif words := line.split():
            try:
                rows.append(_cells(words, labels, wanted))
            except ValueError as exc:
                name = words[0] if labels[0] == "galaxy" else path.name
                rejected.append(Rejected(name, f"{path}, line {at}", str(exc)))
    taken = {
        spec.name: np.array([row[k] for row in rows], dtype=np.str_ if spec.text else np.float64)
        for k, (_, spec) in enumerate(wanted)
    }
    return Words(taken, Source(str(path), sha256, tuple(rejected)), comments)


def _cells(words: Sequence[str], labels: Sequence[str], wanted: Iterable[tuple[int, Column]]) -> list[str | float]:
    """Return the wanted cells of a row; a ValueError says what is wrong with it."""
    if len(words) != len(labels):
        message = f"expected {len(labels)} columns ({' '.join(labels)}), found {len(words)}"
        raise ValueError(message)
    return [words[at] if spec.text else number(words[at], spec) for at, spec in wanted]


def number(word: str, spec: Column) -> float:
    """Read a number for a column; a ValueError says what was expected."""
    try:
        value = float(word.replace("_", "?"))  # 1_000 is for programs, not for tables
    except ValueError:
        value = None
    if value is None or (spec.finite and not math.isfinite(value)) or (spec.positive and value <= 0):
        kind = "a positive number" if spec.positive else "a finite number" if spec.finite else "a number"
        message = f"expected {kind} in column {spec.name}, found {word[:40]!r}"
        raise ValueError(message)
    return value
