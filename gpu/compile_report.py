"""What the compiler makes of every GPU kernel, on machines without a GPU: ``python -m gpu.compile_report``.

A kernel that needs more registers leaves room for fewer threads, and one that spills keeps its variables in
memory. Neither fails a test, so limits stand in ``limits.toml`` and ``--check`` holds the kernels to them.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any

import click

from gpu import _cuda

__all__ = ("Usage", "complaints", "limits", "main", "measure")

ARCHITECTURES = ("sm_80", "sm_90")
#: Kernel -> "module:function", which yields (name, plain Python kernel, signature) of its variants.
KERNELS = {"rotation.chi2": "gpu.rotation.cuda:variants"}


@dataclass(frozen=True)
class Usage:
    """What one thread of a kernel uses, and its block of shared memory; spills and memory in bytes."""

    kernel: str
    variant: str
    architecture: str
    registers: int
    spill_stores: int
    spill_loads: int
    shared: int


def parse(log: str) -> dict[str, int]:
    """Read what ``ptxas -v`` says of one kernel; spills include those of the functions that it calls."""
    used = re.search(r"Used (\d+) registers", log)
    if used is None:
        message = f"ptxas: expected 'Used N registers', found {log!r}: has its output changed?"
        raise ValueError(message)
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    shared = re.search(r"(\d+) bytes smem", log)
    return {
        "registers": int(used[1]),
        "spill_stores": sum(int(stores) for stores, _ in spills),
        "spill_loads": sum(int(loads) for _, loads in spills),
        "shared": int(shared[1]) if shared else 0,
    }


def measure() -> Iterator[Usage]:
    """Compile every variant of every kernel for every architecture."""
    for kernel, place in KERNELS.items():
        module, _, name = place.partition(":")
        for variant, function, signature in getattr(import_module(module), name)():
            for architecture in ARCHITECTURES:
                capability = int(architecture[-2]), int(architecture[-1])
                log = _cuda.link(_cuda.compile_ptx(function, signature, capability), architecture)
                yield Usage(kernel, variant, architecture, **parse(log))


def limits() -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """Return the limits of the repository: kernel -> variant -> registers and spill."""
    return tomllib.loads(files("gpu").joinpath("limits.toml").read_text(encoding="utf-8"))


def complaints(usage: Usage, allowed: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[str]:
    """Say in a line each which limits a kernel passes; one that has no limits is a complaint too."""
    place = f"gpu/limits.toml, {usage.kernel} {usage.variant} on {usage.architecture}"
    limit = allowed.get(usage.kernel, {}).get(usage.variant)
    if limit is None:
        return [f"{place}: expected a limit, found none"]
    found = {"registers": usage.registers, "spill": max(usage.spill_stores, usage.spill_loads)}
    return [
        f"{place}: expected {name} <= {limit[name]}, found {value}"
        for name, value in found.items()
        if value > limit[name]
    ]


def table(usages: list[Usage]) -> str:
    """Return a table for the terminal."""
    form = "{:<16} {:<13} {:<13} {:>9} {:>12} {:>11} {:>7}"
    return "\n".join(form.format(*row) for row in (list(Usage.__dataclass_fields__), *map(_values, usages)))


def _values(usage: Usage) -> list[Any]:
    return list(asdict(usage).values())


@click.command()
@click.option("--check", is_flag=True, help="Exit with 1 if a kernel passes its limit in gpu/limits.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
@click.pass_context
def main(context: click.Context, *, check: bool, as_json: bool) -> None:
    """Compile all GPU kernels and print the registers, spills and shared memory of each; needs no GPU."""
    available, reason = _cuda.compiler_status()
    if not available:
        click.echo(reason, err=True)
        context.exit(3)
    usages = list(measure())
    click.echo(json.dumps([asdict(usage) for usage in usages], indent=1) if as_json else table(usages))
    allowed = limits()
    wrong = [line for usage in usages for line in complaints(usage, allowed)] if check else []
    for line in wrong:
        click.echo(line, err=True)
    context.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
