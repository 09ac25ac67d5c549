"""``astrotk doctor``: what this machine can do, and why not more."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from astrotk._siblings import SIBLINGS, shadowed
from astrotk.cli import options

__all__ = ("command",)

#: Packages that astrotk can do without, and the extra that brings each.
OPTIONAL = {"cupy-cuda13x": "gpu", "numba-cuda": "gpu", "distributed": "dask", "torch": "train"}
MISSING = "missing, so astrotk cannot work: install it again"


@click.command("doctor")
@options.json("Print the report as JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Say what this machine can do, and why not more.

    Exits with 1 if astrotk cannot be used as it is installed.
    """
    hidden = shadowed()
    report = {
        "Versions": _versions(),
        "Packages": {name: f"hidden by {hidden[name][1]}" if name in hidden else "ours" for name in SIBLINGS},
        "Processor": _processor(),
        "GPU": _gpu(),
        "Files": _files(),
    }
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        width = max(len(name) for part in report.values() for name in part)
        for heading, part in report.items():
            click.echo(heading)
            for name, value in part.items():
                click.echo(f"  {name:{width}}  {_in_words(value)}")
    if hidden or MISSING in report["Versions"].values():
        ctx.exit(1)


def _in_words(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _version(name: str, otherwise: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return otherwise


def _versions() -> dict[str, Any]:
    from catalogs.provenance import TRACED

    optional = {
        name: _version(name, f"not installed (pip install 'astrotk[{extra}]')") for name, extra in OPTIONAL.items()
    }
    return {
        "python": platform.python_version(),
        **{name: _version(name, MISSING) for name in TRACED},
        **optional,
    }


def _processor() -> dict[str, Any]:
    import numba
    from numba.core.caching import FunctionCache

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        where = FunctionCache(_processor).cache_path  # type: ignore[no-untyped-call]
        cache = f"kept from run to run (for this file in {where})"
    except RuntimeError:
        cache = "compiled anew in each process: set NUMBA_CACHE_DIR to a folder that can be written"
    return {
        "cores": os.cpu_count(),
        "usable by this process": usable,
        "threads of a kernel": numba.get_num_threads(),
        "compiled kernels": cache,
    }


def _gpu() -> dict[str, Any]:
    from gpu import _cuda

    available, detail = _cuda.status()
    return {"usable": available, "device" if available else "reason": detail}


def _files() -> dict[str, Any]:
    from catalogs.fetch import cache_dir, sources

    here = Path(__file__).resolve().parents[2]
    data = Path(os.environ.get("ASTROTK_DATA") or here.parent / "shared" / "data")
    present = "there" if data.is_dir() else "not there; only tests on real data need it (ASTROTK_DATA)"
    states = {f"data set {source.name}": source.state for source in sources().values()}
    return {"data folder": f"{data} ({present})", "cache of downloads": str(cache_dir()), **states}
