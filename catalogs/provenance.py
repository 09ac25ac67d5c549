"""Where a number came from: the files that were read, the machine and the command that made it."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any

from catalogs.errors import CatalogFileError

__all__ = ("Provenance", "Rejected", "Source", "sha256_of")

#: The packages whose version can change a number.
TRACED = ("astrotk", "numpy", "scipy", "astropy", "numba", "h5py", "emcee", "dynesty")


def sha256_of(path: str | PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits, reading it piecewise.

    Raises
    ------
    CatalogFileError
        If the file cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise CatalogFileError(path, exc.strerror or "cannot be read") from exc


@dataclass(frozen=True)
class Rejected:
    """One thing that was left out, and why.

    Parameters
    ----------
    name
        The object (a galaxy, a star), or the file where it has no name yet.
    where
        File, row, column: the place to look at.
    reason
        Expected against found, in words.
    """

    name: str
    where: str
    reason: str


@dataclass(frozen=True)
class Source:
    """The file that an input type was read from.

    Parameters
    ----------
    path
        As the user gave it.
    sha256
        Of the bytes that were read.
    rejected
        What the reader left out.
    """

    path: str
    sha256: str
    rejected: tuple[Rejected, ...] = ()

    @classmethod
    def of(cls, path: str | PathLike[str], rejected: Iterable[Rejected] = ()) -> Source:
        """Hash a file and remember what was left out of it."""
        return cls(str(path), sha256_of(path), tuple(rejected))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in TRACED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Provenance:
    """How a `Result` was made.

    Parameters
    ----------
    seed
        Of the whole run; None where nothing was drawn.
    threads
        That the kernels were allowed to use.
    device
        "cpu", or the name of the GPU.
    inputs
        ``{path: sha256}`` of every file that was read.
    settings
        The choices that change the numbers: priors, cuts, conventions. JSON values only.
    command, created, versions, machine
        Filled in by `record`.
    """

    seed: int | None = None
    threads: int = 1
    device: str = "cpu"
    inputs: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    created: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""

    @classmethod
    def record(
        cls,
        *,
        seed: int | None = None,
        threads: int = 1,
        device: str = "cpu",
        sources: Iterable[Source] = (),
        settings: Mapping[str, Any] | None = None,
        command: str | None = None,
    ) -> Provenance:
        """Take down the circumstances of this run.

        Parameters
        ----------
        seed, threads, device, settings
            See the class.
        sources
            The files that were read.
        command
            The command line; by default that of this process.
        """
        argv = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else []
        return cls(
            seed=seed,
            threads=threads,
            device=device,
            inputs={source.path: source.sha256 for source in sources},
            settings=dict(settings or {}),
            command=" ".join(argv) if command is None else command,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=_versions(),
            machine=f"{platform.system()} {platform.machine()}",
        )

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Read a record back; unknown keys are left out, so that newer files stay readable.

        Raises
        ------
        ValueError
            If the text is not the JSON of such a record.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            message = f"a provenance record is a JSON object, found {type(data).__name__}"
            raise ValueError(message)
        known = {key: data[key] for key in cls.__dataclass_fields__ if key in data}
        return cls(**known)
