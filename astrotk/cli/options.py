"""The options that mean the same in every command.

Each function returns a decorator. A command takes those that it uses, and may say more precisely what an
option does to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

__all__ = ("backend", "dask", "figures", "fmt", "jobs", "json", "out", "resume", "seed")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def out(default: str | None = None, help: str = "Where to write; by default beside the input.") -> Decorator:
    """``-o/--out PATH``, passed on as ``out: Path | None``."""
    return click.option("-o", "--out", type=click.Path(path_type=Path), default=default, show_default=True, help=help)


def fmt(
    default: str = "h5",
    help: str = "Of the output file; h5 holds everything, the others one table.",
    kinds: Sequence[str] = ("h5", "ecsv", "fits", "csv", "parquet"),
) -> Decorator:
    """``--format``, passed on as ``fmt: str``."""
    return click.option("--format", "fmt", type=click.Choice(kinds), default=default, show_default=True, help=help)


def seed(default: int = 0, help: str = "The same seed gives the same numbers, on any number of cores.") -> Decorator:
    """``--seed N``, passed on as ``seed: int``."""
    return click.option("--seed", type=click.IntRange(min=0), default=default, show_default=True, help=help)


def jobs(help: str = "Processes to share the objects among; by default one a core.") -> Decorator:
    """``--jobs N``, passed on as ``jobs: int``."""
    return click.option("--jobs", type=click.IntRange(min=1), default=_cores, help=help)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def dask(
    help: str = "Work on this Dask cluster (for example tcp://host:8786) instead of on this machine.",
) -> Decorator:
    """``--dask ADDRESS``, passed on as ``dask: str | None``."""
    return click.option("--dask", metavar="ADDRESS", help=help)


def backend(default: str = "auto", help: str = "Where the kernels run; auto stays where the data is.") -> Decorator:
    """``--backend``, passed on as ``backend: str``."""
    kinds = click.Choice(["auto", "cpu", "cuda"])
    return click.option("--backend", type=kinds, default=default, show_default=True, help=help)


def json(help: str = "Print the summary as JSON on standard output.") -> Decorator:
    """``--json``, passed on as ``as_json: bool``."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def figures(default: str = "summary", help: str = "Draw none, one for all objects, or also one for each.") -> Decorator:
    """``--figures``, passed on as ``figures: str``."""
    kinds = click.Choice(["none", "summary", "all"])
    return click.option("--figures", type=kinds, default=default, show_default=True, help=help)


def resume(
    help: str = "Go on from what an interrupted run left; the end is the same to the last bit.",
) -> Decorator:
    """``--resume``, passed on as ``resume: bool``."""
    return click.option("--resume", is_flag=True, help=help)
