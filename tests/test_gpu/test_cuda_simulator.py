"""The CUDA runners without a GPU: the conformance suites again, in a process that simulates one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from gpu import _cuda

TESTS = Path(__file__).resolve().parent.parent


@pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
@pytest.mark.skipif(_cuda.simulated(), reason="this process is the simulator already")
@pytest.mark.parametrize(("suite", "at_least"), [("test_rotation.py", 120)])
def test_conformance_in_the_simulator(suite, at_least, tmp_path):
    log = tmp_path / "log.xml"
    # Infinities are left out: the simulator is Python, which stops at the logarithm of one.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["-k", "cuda and not infinity", f"--junit-xml={log}", TESTS / "conformance" / suite]
    done = subprocess.run(
        command,
        cwd=TESTS.parent,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = ElementTree.parse(log).getroot()[0].attrib  # noqa: S314 - written by the process above
    assert int(counts["skipped"]) == 0, done.stdout
    assert int(counts["tests"]) >= at_least, done.stdout


def test_launch_covers_every_task_and_never_asks_for_an_empty_grid():
    launched = []

    class Kernel:
        def __getitem__(self, configuration):
            return lambda *arguments: launched.append((configuration, arguments))

    for tasks in (0, 1, _cuda.THREADS, _cuda.THREADS + 1):
        _cuda.launch(Kernel(), tasks, "argument")
    grids = [(grid, _cuda.THREADS) for grid in (1, 1, 2)]
    assert launched == [(configuration, ("argument",)) for configuration in grids]


def test_results_return_to_the_library_of_the_input(monkeypatch):
    class Array:
        def __init__(self, **marks):
            vars(self).update(marks)

        def copy_to_host(self):
            return "NumPy"

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(asarray=lambda array: ("CuPy", array)))
    result = Array()
    assert _cuda.returned_like(Array(), result) == "NumPy"
    assert _cuda.returned_like(Array(__cuda_ndarray__=True, __cuda_array_interface__={}), result) is result
    assert _cuda.returned_like(Array(__cuda_array_interface__={}), result) == ("CuPy", result)
