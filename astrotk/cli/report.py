"""``astrotk report``: one HTML page from results that were written earlier."""

from __future__ import annotations

from pathlib import Path

import click

from astrotk.cli import options

__all__ = ("command",)


@click.command()
@click.argument("results", metavar="RESULT.h5...", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.out("report.html", "The page to write.")
def command(results: tuple[Path, ...], out: Path) -> None:
    """Make one self-contained HTML page from results.

    Tables, figures and how each result was made, in one file that loads nothing from elsewhere.
    """
    from astrotk.report import Section, plates_of, write_page
    from catalogs.result import Result

    sections = []
    for path in results:
        result = Result.read(path)
        title = f"{path.stem} ({result.kind})"
        sections.append(Section.of_result(result, plates_of(result), title=title))
    click.echo(write_page(out, title="Results", sections=sections))
