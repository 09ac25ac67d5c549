"""What every test may ask for."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

PROJECT = Path(__file__).resolve().parent.parent

# numba's cache of a kernel does not see that a formula in another file changed: tests keep one cache a state of them.
_kernels = sorted((PROJECT / "gpu").rglob("*.py"))
_state = hashlib.sha256(b"".join(path.read_bytes() for path in _kernels)).hexdigest()[:16]
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"astrotk-numba-{_state}"))

# Shared machines are slow at times, and CI must say the same twice.
settings.register_profile("astrotk", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("astrotk")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data, which are never part of the repository."""
    folder = Path(os.environ.get("ASTROTK_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: ASTROTK_DATA or the default would be {folder}")
    return folder
