from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gpu import _cuda, registry
from gpu.registry import BackendUnavailable, get, kernels, runners


class OnDevice:
    """All that an array needs to be taken for one of a GPU."""

    __cuda_array_interface__ = {"version": 3}  # noqa: RUF012


def test_kernels_are_found_without_importing_a_runner():
    code = (
        "import sys; from gpu.registry import kernels; names = kernels(); assert names, names;"
        "sys.exit(any(name in sys.modules for name in ('numba', 'numba_cuda', 'cupy', 'cuda')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_kernel_has_a_cpu_runner_that_loads():
    for kernel in kernels():
        assert set(runners(kernel)) <= set(registry.BACKENDS)
        assert callable(get(kernel, "cpu"))


def test_auto_follows_the_array():
    assert get("rotation.chi2", like=np.zeros(3)) is get("rotation.chi2", "cpu")
    assert get("rotation.chi2") is get("rotation.chi2", "cpu")


def test_auto_never_goes_to_another_device(monkeypatch):
    monkeypatch.setattr(_cuda, "status", lambda: (False, "no NVIDIA driver"))
    with pytest.raises(BackendUnavailable, match=r"^backend 'cuda' cannot run here: no NVIDIA driver$"):
        get("rotation.chi2", like=OnDevice())


def test_an_available_device_is_used(monkeypatch):
    registry.register("rotation.pretended", cuda="operator:add")
    try:
        monkeypatch.setattr(_cuda, "status", lambda: (True, "a device"))
        assert get("rotation.pretended", like=OnDevice())(1, 2) == 3
    finally:
        del registry._RUNNERS["rotation.pretended"]


def test_unknown_backends_are_named_with_the_choices():
    with pytest.raises(BackendUnavailable, match=r"rotation\.chi2 has no backend 'metal': .* auto, cpu, cuda"):
        get("rotation.chi2", "metal")


def test_status_gives_a_reason_in_one_line():
    available, text = _cuda.status()
    assert text
    assert "\n" not in text
    assert available or not _cuda.simulated()


def test_status_names_a_missing_package(monkeypatch):
    monkeypatch.setattr(_cuda, "find_spec", lambda name: None)
    assert _cuda.status() == (False, "numba-cuda is not installed: pip install 'astrotk[gpu]'")
    assert _cuda.compiler_status()[0] is False
    assert "astrotk[gpu-check]" in _cuda.compiler_status()[1]
