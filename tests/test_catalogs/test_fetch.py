"""The registry, and downloads from a server that misbehaves in every way we know of."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from catalogs import fetch
from catalogs.errors import CatalogFileError, CatalogFormatError, ParameterError
from catalogs.provenance import sha256_of

CONTENT = np.random.default_rng(1).bytes(400_000)
NAME = "data.bin"


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.content``, with the manners that a test asks for."""

    def do_GET(self) -> None:
        server, manners = self.server, self.server.manners
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        content, start = server.content, 0
        if manners == "busy" and len(server.asked) < 3:
            return self.send_error(503)
        if manners == "absent":
            return self.send_error(404)
        if wanted and manners != "no ranges":
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content) or manners == "not satisfiable":
                server.manners = "good"
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if manners != "no length":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        most = {"breaks off": 150_000, "sends nothing": 0}.get(manners, len(content))
        self.wfile.write(content[start : start + most])
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.manners, server.asked = CONTENT, "good", []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def entry(url: str, content: bytes = CONTENT, **changes: object) -> str:
    table = {
        "name": "made",
        "title": "Made up",
        "licence": "CC0-1.0",
        "citation": "Nobody 2026",
        "homepage": "https://example.org",
    } | changes
    digest = hashlib.sha256(content).hexdigest()
    lines = [f"{key} = {value!r}" for key, value in table.items()]
    return "\n".join(
        [
            *lines,
            "[[files]]",
            f"name = '{NAME}'",
            f"url = '{url}'",
            f"sha256 = '{digest}'",
            f"size = {len(content)}",
        ]
    )


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setattr(fetch, "REGISTRY", folder)
    monkeypatch.setattr(fetch, "PAUSE", 0)
    monkeypatch.setenv("ASTROTK_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def target(registry: Path, server: ThreadingHTTPServer) -> Path:
    """Register the server's file as data set "made", and name its place in the cache."""
    (registry / "made.toml").write_text(entry(f"http://127.0.0.1:{server.server_port}/{NAME}"), "utf-8")
    return fetch.cache_dir() / "made" / NAME


def failing(target: Path, **options: bool) -> str:
    with pytest.raises(CatalogFileError) as error:
        fetch.fetch("made", **options)
    text = str(error.value)
    assert text.startswith(f"{target}: ")
    assert "\n" not in text
    return text


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir()) if target.parent.exists() else []


def test_the_shipped_registry_is_valid() -> None:
    known = fetch.sources()
    assert known["sparc"].citation.endswith("AJ 152, 157")
    assert {file.name for file in known["sparc"].files} >= {"MassModels_Lelli2016c.mrt"}


def test_the_registered_sparc_files_are_those_of_the_real_data(data_dir: Path) -> None:
    for file in fetch.sources()["sparc"].files:
        path = data_dir / "darkexp" / "sparc" / file.name
        assert (sha256_of(path), path.stat().st_size) == (file.sha256, file.size)


def test_a_download_is_verified_kept_and_not_repeated(target: Path, server: ThreadingHTTPServer) -> None:
    assert fetch.sources()["made"].state == "absent"
    assert fetch.fetch("made") == [target]
    assert target.read_bytes() == CONTENT
    assert fetch.fetch("made") == fetch.fetch("made", offline=True) == [target]
    assert server.asked == [None]
    assert leftovers(target) == [NAME]
    assert fetch.sources()["made"].state == "present"


def test_a_broken_download_goes_on_where_it_stopped(target: Path, server: ThreadingHTTPServer) -> None:
    server.manners = "breaks off"
    fetch.fetch("made")
    assert target.read_bytes() == CONTENT
    starts = [int(span.removeprefix("bytes=").rstrip("-")) for span in server.asked[1:]]
    assert len(starts) >= 2
    assert 0 < starts[0] < starts[1]


def test_the_part_of_an_earlier_run_is_used(target: Path, server: ThreadingHTTPServer) -> None:
    target.parent.mkdir(parents=True)
    target.with_name(f"{NAME}.part").write_bytes(CONTENT[:1234])
    fetch.fetch("made")
    assert server.asked == ["bytes=1234-"]
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == [NAME]


@pytest.mark.parametrize("manners", ["no ranges", "not satisfiable", "good"])
@pytest.mark.parametrize("part", [b"x" * 1234, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)])
def test_a_part_that_does_not_fit_is_dropped(
    target: Path, server: ThreadingHTTPServer, manners: str, part: bytes
) -> None:
    target.parent.mkdir(parents=True)
    target.with_name(f"{NAME}.part").write_bytes(part)
    server.manners = manners
    fetch.fetch("made")
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == [NAME]


def test_a_server_without_ranges_sends_the_whole_file_once(target: Path, server: ThreadingHTTPServer) -> None:
    target.parent.mkdir(parents=True)
    target.with_name(f"{NAME}.part").write_bytes(CONTENT[:1234])
    server.manners = "no ranges"
    fetch.fetch("made")
    assert server.asked == ["bytes=1234-"]
    assert target.read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(target: Path, server: ThreadingHTTPServer) -> None:
    server.manners = "busy"
    assert fetch.fetch("made") == [target]
    assert len(server.asked) == 3


def test_a_server_that_does_not_say_how_long_the_file_is(target: Path, server: ThreadingHTTPServer) -> None:
    server.manners = "no length"
    assert fetch.fetch("made") == [target]


def test_a_file_that_is_not_there_is_asked_for_once(target: Path, server: ThreadingHTTPServer) -> None:
    server.manners = "absent"
    text = failing(target)
    assert "(404 Not Found); try again, or put it there by hand" in text
    assert f"http://127.0.0.1:{server.server_port}/{NAME}" in text
    assert len(server.asked) == 1


def test_a_wrong_hash_is_an_error_and_leaves_nothing(target: Path, server: ThreadingHTTPServer) -> None:
    server.content = CONTENT[::-1]
    assert "is no longer the registered file: its SHA-256 is not" in failing(target)
    assert leftovers(target) == []


@pytest.mark.parametrize(
    ("manners", "found"), [("good", f"has {len(CONTENT) + 1} bytes"), ("no length", "has more bytes")]
)
def test_a_server_that_sends_more_than_registered_is_cut_off(
    target: Path, server: ThreadingHTTPServer, manners: str, found: str
) -> None:
    server.content, server.manners = CONTENT + b"x", manners
    assert f"{found}, {len(CONTENT)} are registered" in failing(target)
    assert leftovers(target) == []


def test_a_server_that_always_ends_early(target: Path, server: ThreadingHTTPServer) -> None:
    server.manners = "sends nothing"
    assert "(the connection broke off); try again, or put it there by hand" in failing(target)
    assert len(server.asked) == fetch.ATTEMPTS


@pytest.mark.parametrize("manners", ["good", "no length"])
def test_a_file_that_is_shorter_than_registered(target: Path, server: ThreadingHTTPServer, manners: str) -> None:
    server.content, server.manners = CONTENT[:-1], manners
    assert f"has {len(CONTENT) - 1} bytes, {len(CONTENT)} are registered" in failing(target)
    assert leftovers(target) == []


def test_no_server(target: Path, server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()
    assert "(no connection); try again, or put it there by hand" in failing(target)


def test_offline_says_which_file_from_where_and_whereto(target: Path, server: ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}/{NAME}"
    assert f"is missing; download {url} and put it there" in failing(target, offline=True)
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[::-1])
    assert f"is not the registered file; replace it by {url}" in failing(target, offline=True)
    assert server.asked == []
    fetch.fetch("made")  # online, a damaged file is replaced
    assert target.read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written(target: Path) -> None:
    target.parent.parent.parent.joinpath("cache").write_bytes(b"a file where the folder should be")
    assert "cannot be written" in failing(target)


def test_an_unknown_name_lists_the_known_ones(target: Path) -> None:
    with pytest.raises(ParameterError, match="no data set is called 'mad': expected one of made"):
        fetch.fetch("mad")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name = ", "expected TOML"),
        ("name = 'made'", "'citation': expected a value, found 'none'"),
        (entry("https://example.org", licence=1), "'licence': expected str, found 'int'"),
        (entry("https://example.org", license="x"), "'license': expected only name, title"),
        (entry("https://example.org") + "\nmd5 = ''", "'md5': expected only name, url"),
        (entry("https://example.org", name="other"), "'name': expected 'made', as the file is called"),
        (entry("https://example.org", b""), "'size': expected a positive number of bytes"),
        (entry("http://example.org"), "'url': expected an https address"),
        (entry("ftp://example.org"), "'url': expected an https address"),
        (
            entry("https://example.org").replace(NAME, "../x"),
            "'name': expected a plain file name, found '../x'",
        ),
        (entry("https://example.org") + "\n" + entry("").partition("\n[[")[2].join(["[[", ""]), "'url'"),
        (entry("https://example.org").partition("[[")[0], "'files': expected one or more files"),
        ("files = 3", "[[files]] tables"),
    ],
)
def test_a_registry_entry_with_a_fault_is_named(registry: Path, text: str, word: str) -> None:
    path = registry / "made.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(CatalogFormatError) as error:
        fetch.sources()
    assert str(error.value).startswith(str(path))
    assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASTROTK_CACHE", str(tmp_path))
    assert fetch.cache_dir() == tmp_path
    monkeypatch.delenv("ASTROTK_CACHE")
    assert fetch.cache_dir().name == "astrotk"
