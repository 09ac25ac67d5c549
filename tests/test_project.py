"""The papers and the packaging agree with each other and with the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

import astrotk

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("astrotk", "seismic", "stats", "gpu", "catalogs")
LARGEST_FILE = 1_500_000
BINARY = {".fits", ".h5", ".npz", ".png", ".parquet"}
# In pieces, so that this file does not accuse itself.
FOREIGN = {
    "a path of one machine": re.compile(r"(?<![\w.>/-])/(?:work|root|home|tmp|opt)" + r"/\w"),
    "the host of a registry": re.compile(r"pypi\." + r"org|python" + r"hosted|conda\." + r"anaconda"),
}


def _files(*folders: str) -> list[str]:
    """Files that are tracked, or would be with `git add`."""
    if not (PROJECT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    listing = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in listing.split("\0") if (PROJECT / name).is_file())


def _text(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def foreign_places(name: str, lines: Iterable[str]) -> list[str]:
    return [
        f"{name}:{number}: {what}: {line.strip()}"
        for number, line in enumerate(lines, start=1)
        for what, pattern in FOREIGN.items()
        if pattern.search(line)
    ]


def test_one_version() -> None:
    declared = tomllib.loads(_text("pyproject.toml"))["project"]["version"]
    cited = re.search(r"^version: (.+)$", _text("CITATION.cff"), re.MULTILINE)
    assert cited is not None
    assert astrotk.__version__ == declared == cited[1]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed(package: str) -> None:
    assert (PROJECT / package / "py.typed").is_file()


def test_floors_are_kept() -> None:
    linter = shutil.which("lint-imports", path=Path(sys.executable).parent)
    if linter is None:
        pytest.skip("import-linter is not installed")
    outcome = subprocess.run([linter, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(("marker", "expected"), [("demo", "astrotk demo --out astrotk-demo"), ("test", '".[test]"')])
def test_readme_holds_the_command(marker: str, expected: str) -> None:
    blocks = re.findall(rf"^<!-- command: {marker} -->\n```bash\n(.*?)^```$", _text("README.md"), re.M | re.S)
    assert len(blocks) == 1
    assert expected in blocks[0]


def test_links_of_the_papers_lead_somewhere() -> None:
    papers = [name for name in _files() if name.endswith(".md")]
    assert "README.md" in papers
    links = [(name, link) for name in papers for link in re.findall(r"\]\(([^)#:\s]+)\)", _text(name))]
    assert [(name, link) for name, link in links if not (PROJECT / name).parent.joinpath(link).exists()] == []


def test_no_large_file() -> None:
    assert [name for name in _files() if (PROJECT / name).stat().st_size > LARGEST_FILE] == []


def test_no_foreign_place_in_any_file() -> None:
    texts = [name for name in _files() if Path(name).suffix not in BINARY]
    assert [place for name in texts for place in foreign_places(name, _text(name).splitlines())] == []


@pytest.mark.parametrize("line", ["cd /" + "work/main", "https://pypi." + "org/simple", "see '/" + "tmp/x'"])
def test_foreign_places_are_seen(line: str) -> None:
    assert len(foreign_places("a", [line])) == 1


def test_wheel_holds_the_packages_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hatchling = pytest.importorskip("hatchling.build")
    wanted = _files(*PACKAGES)
    monkeypatch.chdir(PROJECT)
    with zipfile.ZipFile(tmp_path / hatchling.build_wheel(str(tmp_path))) as wheel:
        names = wheel.namelist()
    assert sorted(name for name in names if ".dist-info/" not in name) == wanted
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
