"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from catalogs.errors import CatalogFileError, CatalogFormatError, ParameterError
from catalogs.files import atomic_write, foreign_errors, open_hashed


def test_success_replaces_the_file(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as partial:
        partial.write_text("one")
        assert not path.exists()
        assert partial.suffix == ".txt"
    with atomic_write(path) as partial:
        partial.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def stop_midway():
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        stop_midway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_of_ours(tmp_path):
    with pytest.raises(CatalogFileError, match="No space left"), atomic_write(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    with pytest.raises(CatalogFileError, match="cannot be written"), atomic_write(tmp_path / "a"):
        pass  # the block forgot to write


def test_links_are_followed_and_modes_follow_the_umask(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_write(tmp_path / "link") as partial:
        partial.write_text("x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "x"
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("real", "plain")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("path", ["/dev/null", "."])
def test_devices_and_folders_are_not_replaced(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CatalogFileError, match="not a regular file"), atomic_write(path):
        pytest.fail("the block must not run")
    assert not Path("/dev/null").is_file()


def test_open_hashed(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    with open_hashed(tmp_path / "a") as (stream, digest):
        assert stream.read() == b"abc"
        assert digest == hashlib.sha256(b"abc").hexdigest()
    for path, words in ((tmp_path / "no", "no such file"), (tmp_path, "not a regular file")):
        with pytest.raises(CatalogFileError, match=words), open_hashed(path):
            pytest.fail("must not open")
    with pytest.raises(CatalogFileError, match="limit of 2"), open_hashed(tmp_path / "a", 2):
        pytest.fail("must not open")


def test_foreign_errors_are_one_line_and_ours_pass():
    line = r"^f, row 3: expected a, found ZeroDivisionError: b c$"
    with pytest.raises(CatalogFormatError, match=line) as seen, foreign_errors("f", "a", "row 3"):
        raise ZeroDivisionError("b\n   c")
    assert isinstance(seen.value.__cause__, ZeroDivisionError)
    with pytest.raises(ParameterError), foreign_errors("f", "a"):
        raise ParameterError
    with pytest.raises(KeyboardInterrupt), foreign_errors("f", "a"):
        raise KeyboardInterrupt
