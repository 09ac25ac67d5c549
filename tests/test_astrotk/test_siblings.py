"""The guard against files that hide the packages beside astrotk."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import astrotk
from astrotk import _siblings

HOME = Path(astrotk.__file__).parent.parent


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_siblings_are_ours() -> None:
    assert _siblings.shadowed() == {}
    _siblings.check_siblings()


@pytest.mark.parametrize("name", _siblings.SIBLINGS)
@pytest.mark.parametrize("kind", ["{}.py", "{}/__init__.py"])
def test_a_file_that_hides_a_sibling_is_named(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / kind.format(name)).touch()
    found = run(tmp_path, "-c", "import astrotk")
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: astrotk needs its own package '{name}'")
    assert str(HOME / name / "__init__.py") in last
    assert str(tmp_path / name) in last


@pytest.mark.parametrize("spec", [None, ModuleSpec("gpu", None, is_package=True)])
def test_a_sibling_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, spec: object) -> None:
    monkeypatch.setattr(_siblings, "find_spec", lambda name: spec if name == "gpu" else importlib.util.find_spec(name))
    assert _siblings.shadowed() == {"gpu": (HOME / "gpu" / "__init__.py", "nothing")}
    with pytest.raises(ImportError, match="but Python finds nothing") as error:
        _siblings.check_siblings()
    assert error.value.name == "gpu"


def test_python_m_astrotk_says_what_hides_what(tmp_path: Path) -> None:
    assert run(tmp_path, "-m", "astrotk", "--version").stdout == f"astrotk {astrotk.__version__}\n"
    (tmp_path / "stats.py").touch()
    found = run(tmp_path, "-m", "astrotk", "--version")
    assert found.returncode == 1
    assert f"but Python finds {tmp_path / 'stats.py'}: rename" in found.stderr.splitlines()[-1]
