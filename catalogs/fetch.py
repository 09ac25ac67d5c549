"""Published data sets by name: where they are, whose they are, and a verified copy in the cache.

Each source is one TOML file in ``registry/``. A download keeps ``NAME.part`` beside its target, so that it
goes on where it broke off; no file takes its final name before its SHA-256 is the registered one.
"""

from __future__ import annotations

import os
import re
import time
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from catalogs.errors import CatalogFileError, CatalogFormatError, ParameterError
from catalogs.provenance import sha256_of

if TYPE_CHECKING:
    import requests
    import tqdm

__all__ = ("FileInfo", "SourceInfo", "cache_dir", "fetch", "sources")

REGISTRY = Path(__file__).parent / "registry"

#: Servers of registered data that offer no https; the hash guards what they send.
HTTP_HOSTS = ("astroweb.cwru.edu", "127.0.0.1")

ATTEMPTS = 5
PAUSE = 0.5  # seconds before the second attempt, doubled before each further one
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces
PIECE = 1 << 16  # bytes

REQUEST_TIMEOUT, RANGE_NOT_SATISFIABLE, TOO_MANY_REQUESTS = 408, 416, 429


@dataclass(frozen=True)
class FileInfo:
    """One registered file.

    Parameters
    ----------
    name
        In the cache; a plain file name.
    url
        Where it comes from: https, or http for the few servers that offer nothing else.
    sha256
        64 hexadecimal digits.
    size
        In bytes.

    Raises
    ------
    ParameterError
        If one of them makes no sense.
    """

    name: str
    url: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if not re.fullmatch(r"\w[\w.+-]*", self.name) or self.name.endswith(".part"):
            _reject("name", "a plain file name", self.name)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HTTP_HOSTS)
        ):
            _reject("url", "an https address", self.url)
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            _reject("sha256", "64 hexadecimal digits", self.sha256)
        if self.size <= 0:
            _reject("size", "a positive number of bytes", str(self.size))


@dataclass(frozen=True)
class SourceInfo:
    """One registered data set: its files and the credit that it asks for.

    Parameters
    ----------
    name
        The word that `fetch` takes.
    title, licence, citation, homepage
        For people.
    doi
        Without "https://doi.org/"; empty where there is none.
    files
        At least one.

    Raises
    ------
    ParameterError
        If there are no files, or two of one name.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    files: tuple[FileInfo, ...]
    doi: str = ""

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if not names or len(set(names)) < len(names):
            _reject("files", "one or more files with different names", ", ".join(names) or "none")

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def folder(self) -> Path:
        """Where the files are, or will be, in the cache."""
        return cache_dir() / self.name

    @property
    def state(self) -> str:
        """Whether the cache has it, judged by the sizes: "present", "partial" or "absent"."""
        there = sum(_size(self.folder / file.name) == file.size for file in self.files)
        return "absent" if not there else "partial" if there < len(self.files) else "present"


def _reject(key: str, expected: str, found: str) -> None:
    message = f"'{key}': expected {expected}, found {found!r}"
    raise ParameterError(message)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def cache_dir() -> Path:
    """Return the folder of the downloads: ASTROTK_CACHE, or the one that the system keeps for caches."""
    import pooch

    return Path(os.environ.get("ASTROTK_CACHE") or pooch.os_cache("astrotk"))


def sources() -> dict[str, SourceInfo]:
    """Read the registry.

    Returns
    -------
    dict
        By name, in alphabetical order.

    Raises
    ------
    CatalogFormatError
        If a registry file is not as it should be.
    """
    return {path.stem: _read(path) for path in sorted(REGISTRY.glob("*.toml"))}


def _read(path: Path) -> SourceInfo:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise CatalogFormatError(path, "TOML", str(exc)) from exc
    entries = table.pop("files", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CatalogFormatError(path, "[[files]] tables", "something else under 'files'")
    try:
        files = tuple(FileInfo(**_checked(FileInfo, entry)) for entry in entries)
        source = SourceInfo(files=files, **_checked(SourceInfo, table))
        if source.name != path.stem:
            _reject("name", f"'{path.stem}', as the file is called", source.name)
    except ParameterError as exc:
        raise CatalogFormatError(path, "a registry entry", str(exc)) from exc
    return source


def _checked(kind: type[FileInfo | SourceInfo], table: dict[str, Any]) -> dict[str, Any]:
    """Pass a TOML table on if it has exactly the keys of `kind`, as strings and integers."""
    types = {f.name: int if f.type == "int" else str for f in fields(kind) if f.name != "files"}
    needed = types.keys() - {"doi"}
    if unknown := table.keys() - types.keys():
        _reject(min(unknown), f"only {', '.join(types)}", "an unknown key")
    if absent := needed - table.keys():
        _reject(min(absent), "a value", "none")
    for key, value in table.items():
        if type(value) is not types[key]:
            _reject(key, types[key].__name__, type(value).__name__)
    return table


def fetch(name: str, *, offline: bool = False, progress: bool = True) -> list[Path]:
    """Return verified local copies of a registered data set, downloading what is not in the cache.

    Parameters
    ----------
    name
        A key of `sources`.
    offline
        Never ask the network; a missing file is an error.
    progress
        Show a bar on a terminal while downloading.

    Returns
    -------
    list of Path
        One for each file, in the order of the registry.

    Raises
    ------
    ParameterError
        If no source has that name.
    CatalogFileError
        If a file cannot be had, or is not the registered one.
    """
    known = sources()
    if name not in known:
        message = f"no data set is called '{name}': expected one of {', '.join(known)}"
        raise ParameterError(message)
    source = known[name]
    if offline:
        return [_cached(source, file) for file in source.files]
    return [_downloaded(source, file, progress) for file in source.files]


def _cached(source: SourceInfo, file: FileInfo) -> Path:
    path = source.folder / file.name
    if not path.is_file():
        raise CatalogFileError(path, f"is missing; download {file.url} and put it there, or go online")
    if sha256_of(path) != file.sha256:
        raise CatalogFileError(path, f"is not the registered file; replace it by {file.url}, or go online")
    return path


def _downloaded(source: SourceInfo, file: FileInfo, progress: bool) -> Path:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the progress bar says it already
    store = pooch.create(
        path=source.folder,
        base_url="",
        registry={file.name: f"sha256:{file.sha256}"},
        urls={file.name: file.url},
        retry_if_failed=1,  # an outdated part shows only in the hash; the second try starts from nothing
    )
    path = source.folder / file.name
    try:
        return Path(store.fetch(file.name, downloader=_Download(file, path, progress)))
    except CatalogFileError:
        raise
    except ValueError as exc:
        reason = f"{file.url} is no longer the registered file: its SHA-256 is not {file.sha256}"
        raise CatalogFileError(path, reason) from exc
    except OSError as exc:
        raise CatalogFileError(path, f"cannot be written: {exc.strerror or exc}") from exc


class _Download:
    """The downloader that pooch calls: resumes, tries again, and takes no more than was registered."""

    def __init__(self, file: FileInfo, path: Path, progress: bool) -> None:
        self.file, self.path, self.progress = file, path, progress
        self.part = path.with_name(f"{path.name}.part")

    def __call__(self, url: str, output: str, _pooch: object) -> None:
        import requests
        from tqdm import tqdm

        quiet = None if self.progress else True  # None: quiet unless on a terminal
        with tqdm(desc=self.file.name, total=self.file.size, unit="B", unit_scale=True, disable=quiet) as bar:
            for attempt in range(ATTEMPTS):
                if attempt:
                    time.sleep(PAUSE * 2 ** (attempt - 1))
                try:
                    self._go_on(url, bar)
                except requests.RequestException as exc:
                    failure = exc
                    if not _may_pass(exc):
                        break
                else:
                    self.part.replace(output)
                    return
        reason = f"cannot be downloaded from {url} ({_in_words(failure)}); try again, or put it there by hand"
        raise CatalogFileError(self.path, reason) from failure

    def _go_on(self, url: str, bar: tqdm.tqdm[Any]) -> None:
        """Ask for what the part still lacks, and append it."""
        import requests

        have = _size(self.part)
        if have == self.file.size:
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == RANGE_NOT_SATISFIABLE:
                self.part.unlink(missing_ok=True)
            answer.raise_for_status()
            span = answer.headers.get("Content-Range", "")
            total = span.rpartition("/")[2] if span else answer.headers.get("Content-Length", "")
            if total.isdecimal() and int(total) != self.file.size:
                self._refuse(f"has {total} bytes")
            if not span.startswith(f"bytes {have}-"):
                have = 0  # the server sends the whole file, whatever was asked for
            bar.reset()
            bar.update(have)
            with self.part.open("ab" if have else "wb") as stream:
                for piece in answer.iter_content(PIECE):
                    have += len(piece)
                    if have > self.file.size:
                        self._refuse("has more bytes")
                    stream.write(piece)
                    bar.update(len(piece))
        if have < self.file.size:
            raise requests.exceptions.ChunkedEncodingError

    def _refuse(self, found: str) -> NoReturn:
        self.part.unlink(missing_ok=True)
        raise CatalogFileError(self.path, f"{self.file.url} {found}, {self.file.size} are registered")


def _may_pass(failure: requests.RequestException) -> bool:
    """Tell a failure that may not come again from one that will."""
    if failure.response is None:
        return True
    status = failure.response.status_code
    return status >= 500 or status in (REQUEST_TIMEOUT, RANGE_NOT_SATISFIABLE, TOO_MANY_REQUESTS)


def _in_words(failure: requests.RequestException) -> str:
    import requests

    if failure.response is not None:
        return f"{failure.response.status_code} {failure.response.reason}"
    if isinstance(failure, requests.Timeout):
        return "no answer in time"
    if isinstance(failure, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "no connection"
