from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from gpu import _cuda, compile_report
from gpu.compile_report import Usage, complaints, limits, main, parse
from gpu.registry import kernels, runners

AVAILABLE, REASON = _cuda.compiler_status()
needs_compiler = pytest.mark.skipif(not AVAILABLE, reason=REASON)

LOG = """\
ptxas info    : Function properties for __internal_lgamma_pos
ptxas         .     24 bytes stack frame, 24 bytes spill stores, 20 bytes spill loads
ptxas info    : Function properties for kernel
ptxas         .     8 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 87 registers, used 1 barriers, 2048 bytes smem, 1064 bytes cmem[0]
"""
USAGE = Usage("family.kernel", "variant", "sm_90", registers=40, spill_stores=0, spill_loads=8, shared=0)


def test_parse_adds_up_the_functions_of_a_kernel():
    assert parse(LOG) == {"registers": 87, "spill_stores": 28, "spill_loads": 28, "shared": 2048}
    assert parse(LOG.replace("2048 bytes smem, ", ""))["shared"] == 0


def test_a_log_that_says_nothing_is_no_clean_bill():
    with pytest.raises(ValueError, match="expected 'Used N registers', found 'ptxas info'"):
        parse("ptxas info")


def test_complaints_name_what_was_passed():
    allowed = {"family.kernel": {"variant": {"registers": 40, "spill": 8}}}
    assert complaints(USAGE, allowed) == []
    assert complaints(replace(USAGE, registers=41), allowed) == [
        "gpu/limits.toml, family.kernel variant on sm_90: expected registers <= 40, found 41"
    ]
    assert "spill <= 8, found 12" in complaints(replace(USAGE, spill_stores=12), allowed)[0]
    assert "expected a limit, found none" in complaints(replace(USAGE, variant="new"), allowed)[0]


def test_every_kernel_with_a_cuda_runner_is_in_the_report_and_has_limits():
    with_cuda = {kernel for kernel in kernels() if "cuda" in runners(kernel)}
    assert set(compile_report.KERNELS) == set(limits()) == with_cuda


@pytest.mark.parametrize(("arguments", "registers", "code"), [([], 999, 0), (["--check"], 40, 0), (["--check"], 41, 1)])
def test_check_decides_the_exit_status(monkeypatch, arguments, registers, code):
    monkeypatch.setattr(_cuda, "compiler_status", lambda: (True, ""))
    monkeypatch.setattr(compile_report, "measure", lambda: iter([replace(USAGE, registers=registers)]))
    monkeypatch.setattr(compile_report, "limits", lambda: {"family.kernel": {"variant": {"registers": 40, "spill": 8}}})
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert re.search(rf"family\.kernel +variant +sm_90 +{registers}\b", result.stdout)
    assert ("expected registers <= 40" in result.stderr) == (code == 1)


def test_without_the_compiler_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_cuda, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["--check"])
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == "numba-cuda or cuda-core is not installed: pip install 'astrotk[gpu-check]'\n"


@needs_compiler
def test_kernels_compile_within_their_limits():
    result = CliRunner().invoke(main, ["--check", "--json"])
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)
    variants = {(kernel, variant) for kernel, table in limits().items() for variant in table}
    assert {(row["kernel"], row["variant"]) for row in rows} == variants
    assert {row["architecture"] for row in rows} == set(compile_report.ARCHITECTURES)
    assert all(16 < row["registers"] < 256 for row in rows)


@needs_compiler
def test_no_kernel_uses_a_maximum_that_swallows_nan():
    from numba import float64, void

    from gpu.rotation.cuda import variants

    def clamp(out):
        out[0] = max(out[0], 0.0)

    swallows = re.compile(r"(max|min)\.f64")
    assert swallows.search(_cuda.compile_ptx(clamp, void(float64[::1]), (9, 0)))
    for _, function, signature in variants():
        assert not swallows.search(_cuda.compile_ptx(function, signature, (9, 0)))
