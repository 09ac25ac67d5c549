"""One self-contained HTML page about any number of results."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrotk.report.numbers import Scale, cell, plain, signed
from catalogs.files import atomic_write
from stats.demo import MISSED, NO_ERROR_BAR, RECOVERED, Demo, chi_square_p, limit, passed, verdicts
from stats.plots import Plate, css_variables, to_svg

if TYPE_CHECKING:
    from astropy.table import Table

    from catalogs.provenance import Provenance
    from catalogs.result import Result

__all__ = ("Section", "write_page")

#: Of each table; the file of the result has them all.
ROWS_SHOWN = 20

#: Either end of the little scale that shows a pull, in standard errors.
PULL_SHOWN = 4.0

#: Sign and CSS class of each verdict: never the colour alone.
MARKS = {RECOVERED: ("✓", "good"), MISSED: ("✗", "bad"), NO_ERROR_BAR: ("–", "none")}


#: Figures wider than this [inches] take the whole width of the page.
WIDE = 7.0


@dataclass(frozen=True)
class Section:
    """What the page says about one result.

    Parameters
    ----------
    title, summary
        The heading and the words below it.
    provenance
        How the result was made.
    truth
        From `stats.demo.verdicts`, where the truth is known.
    tables
        Of the result; the page shows the first rows of each.
    plates
        The figures.
    seconds
        How long the analysis took, where that was measured.
    """

    title: str
    summary: str
    provenance: Provenance
    truth: Table | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)
    plates: Sequence[Plate] = ()
    seconds: float | None = None

    @classmethod
    def of_demo(cls, demo: Demo, seconds: float) -> Section:
        """Compare a demonstration with its truth.

        Parameters
        ----------
        demo
            From the ``demo.run`` of a system.
        seconds
            How long it took.
        """
        result = demo.result
        return cls(
            title=demo.title,
            summary=demo.summary,
            provenance=result.provenance,
            truth=verdicts(demo.truth),
            tables=result.tables,
            plates=demo.plates,
            seconds=seconds,
        )

    @classmethod
    def of_result(cls, result: Result, plates: Sequence[Plate], *, title: str | None = None) -> Section:
        """Show a user's own result.

        Parameters
        ----------
        result
            Any.
        plates
            Its figures.
        title
            By default the kind of the result.
        """
        return cls(
            title=title or result.kind,
            summary="",
            provenance=result.provenance,
            tables=result.tables,
            plates=plates,
        )


def _truth_row(row: Any) -> dict[str, Any]:
    truth, recovered, error, pull = (float(row[name]) for name in ("truth", "recovered", "error", "pull"))
    mark, look = MARKS[row["verdict"]]
    shown = {name: cell(row[name]) for name in ("object", "quantity", "unit", "verdict")}
    shown |= {"mark": mark, "look": look}
    if not np.isfinite(pull):
        return shown | {"truth": plain(truth), "recovered": plain(recovered), "pull": "—", "place": None}
    scale = Scale.of(recovered, error)
    return shown | {
        "truth": scale.write(truth),
        "recovered": scale.write_with_error(recovered, error),
        "pull": signed(pull),
        "place": 50 * (1 + np.clip(pull / PULL_SHOWN, -1, 1)),
    }


def _overall(truth: Table) -> dict[str, Any]:
    """Sum up a truth table in one row."""
    found = list(truth["verdict"])
    with_error = truth[[verdict != NO_ERROR_BAR for verdict in found]]
    worst = max((abs(float(pull)) for pull in with_error["pull"]), default=np.nan)
    if passed(truth):
        verdict, (mark, look) = "all recovered", MARKS[RECOVERED]
    elif MISSED in found:
        verdict, (mark, look) = f"{found.count(MISSED)} missed", MARKS[MISSED]
    elif RECOVERED in found:
        verdict, (mark, look) = "error bars implausible", MARKS[MISSED]
    else:
        verdict, (mark, look) = "no error bars", MARKS[NO_ERROR_BAR]
    return {
        "recovered": f"{found.count(RECOVERED)} of {len(found)}",
        "limit": f"{limit(len(with_error)):.1f}",
        "worst": f"{worst:.1f}" if np.isfinite(worst) else "—",
        "probability": plain(chi_square_p(truth), digits=2),
        "verdict": verdict,
        "mark": mark,
        "look": look,
    }


def _shown_table(name: str, table: Table) -> dict[str, Any]:
    columns = [table[column] for column in table.colnames]
    return {
        "name": name,
        "rows": len(table),
        "columns": [
            {
                "name": column.info.name,
                "unit": column.info.unit.to_string("unicode") if column.info.unit else "",
                "number": column.dtype.kind in "iuf",
            }
            for column in columns
        ],
        "cells": [[cell(column[i]) for column in columns] for i in range(min(len(table), ROWS_SHOWN))],
    }


def _shown_plate(plate: Plate) -> dict[str, Any]:
    picture = base64.b64encode(to_svg(plate.figure).encode()).decode()
    return {
        "source": f"data:image/svg+xml;base64,{picture}",
        "alt": plate.alt,
        "caption": plate.caption,
        "wide": plate.figure.get_figwidth() > WIDE,
    }


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "—"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _shown(section: Section) -> dict[str, Any]:
    made = section.provenance
    tables = [_shown_table(name, table) for name, table in section.tables.items() if len(table)]
    return {
        "title": section.title,
        "summary": section.summary,
        "truth": [_truth_row(row) for row in section.truth] if section.truth is not None else [],
        "overall": _overall(section.truth) if section.truth is not None else None,
        "tables": tables,
        "rows": next((table["rows"] for table in tables if table["name"] != "rejected"), 0),
        "rejected": len(section.tables.get("rejected", ())),
        "plates": [_shown_plate(plate) for plate in section.plates],
        "made": made,
        "settings": json.dumps(dict(made.settings), indent=2, sort_keys=True, ensure_ascii=False),
        "time": _time(section.seconds),
    }


def write_page(path: str | PathLike[str], *, title: str, sections: Sequence[Section]) -> Path:
    """Write one HTML file with everything in it: words, tables, figures and provenance.

    Parameters
    ----------
    path
        The file; its folder is made where it does not exist.
    title
        Of the page.
    sections
        In the order of the page.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CatalogFileError
        If the file cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("astrotk.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("template.html.j2").render(
        title=title,
        sections=[_shown(section) for section in sections],
        light=css_variables(dark=False),
        dark=css_variables(dark=True),
    )
    with atomic_write(path) as partial:
        partial.write_text(html, encoding="utf-8")
    return Path(path)
