"""``astrotk demo``: every system on made-up data, and whether it finds the truth again."""

from __future__ import annotations

import json
import math
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrotk.cli import options

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ("command",)

#: The systems; each module has ``run(seed) -> stats.demo.Demo``.
DEMOS = {"darkexp": "astrotk.darkexp.demo"}


@click.command("demo")
@options.out("astrotk-demo", "The folder to write index.html and one .h5 a system to.")
@click.option("--only", type=click.Choice(list(DEMOS)), multiple=True, help="This system alone; repeatable.")
@options.seed(help="Of the made-up data.")
@options.json("Print what was recovered as JSON.")
@click.pass_context
def command(ctx: click.Context, out: Path, only: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Run every system on made-up data with known truth, and report on one page what was recovered.

    Exits with 1 if a quantity was missed.
    """
    from astrotk import report
    from stats.demo import passed, verdicts

    out.mkdir(parents=True, exist_ok=True)
    sections, tables = [], {}
    for name in only or DEMOS:
        click.echo(f"{name} ... ", nl=False, err=True)
        start = time.perf_counter()
        demo = import_module(DEMOS[name]).run(seed)
        seconds = time.perf_counter() - start
        click.echo(f"{seconds:.1f} s", err=True)
        demo.result.write(out / f"{name}.h5")
        sections.append(report.Section.of_demo(demo, seconds))
        tables[name] = verdicts(demo.truth)
    page = report.write_page(out / "index.html", title="astrotk demo", sections=sections)

    good = {name: passed(table) for name, table in tables.items()}
    if as_json:
        systems = {
            name: {"passed": good[name], "seconds": section.seconds, "quantities": _rows(table)}
            for (name, table), section in zip(tables.items(), sections, strict=True)
        }
        click.echo(json.dumps({"page": str(page), "systems": systems}, indent=2))
    else:
        for name, table in tables.items():
            for line in _lines(table):
                click.echo(f"{name}  {line}")
        for name in (name for name, fine in good.items() if not fine):
            click.echo(f"{name}  FAILED: a quantity was missed, or the error bars do not fit the scatter")
        click.echo(page)
    if not all(good.values()):
        ctx.exit(1)


def _rows(table: Table) -> list[dict[str, Any]]:
    """Turn verdicts into JSON values; a pull without an error bar is null."""
    rows = [dict(zip(table.colnames, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]
    return [{key: _json_value(value) for key, value in row.items()} for row in rows]


def _json_value(value: Any) -> float | str | None:
    if isinstance(value, str):
        return str(value)
    return float(value) if math.isfinite(value) else None


def _lines(table: Table) -> list[str]:
    """Say truth, recovered value and verdict, one line a quantity."""
    columns = [
        [f"{row['object']}" for row in table],
        [f"{row['quantity']}" for row in table],
        [f"truth {row['truth']:.5g}" for row in table],
        [f"recovered {row['recovered']:.5g} ± {row['error']:.2g} {row['unit']}".rstrip() for row in table],
        [f"pull {row['pull']:+.1f}" for row in table],
        [f"{row['verdict']}" for row in table],
    ]
    widths = [max(map(len, column), default=0) for column in columns]
    return [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
