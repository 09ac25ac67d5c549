"""What the commands of ``astrotk darkexp`` share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrotk.cli import options

if TYPE_CHECKING:
    from catalogs.result import Result
    from catalogs.sparc import RotationCurves

__all__ = (
    "POINT_NAMES",
    "galaxies_option",
    "mapping",
    "numbers",
    "pairs",
    "plain",
    "read",
    "tell_rejected",
    "template_option",
    "write_rejected",
)


def pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Split NAME=VALUE."""
    found = {}
    for value in values:
        name, _, right = (part.strip() for part in value.partition("="))
        if not (name and right):
            message = f"expected {param.metavar}, found '{value}'"
            raise click.BadParameter(message, ctx, param)
        found[name] = right
    return found


def numbers(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """Split NAME=NUMBER."""
    try:
        return {name: float(value) for name, value in pairs(ctx, param, values).items()}
    except ValueError as exc:
        message = f"expected {param.metavar}: {exc}"
        raise click.BadParameter(message, ctx, param) from None


def mapping(flag: str, name: str, help: str) -> options.Decorator:
    """``FLAG OURS=THEIRS``, repeatable, passed on as a dictionary."""
    return click.option(flag, name, metavar="OURS=THEIRS", multiple=True, callback=pairs, help=help)


galaxies_option = click.option(
    "--galaxies",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Galaxy table: distances, inclinations, their errors, luminosities. By default SPARC_Lelli2016c.mrt "
    "in PATH or its parent, with Bulges.mrt beside it.",
)
template_option = click.option(
    "--template",
    metavar="PATH",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Real galaxies, as for 'fit', whose radii, errors and baryons the mocks take in turn; by default disks are "
    "made up. Repeatable.",
)
POINT_NAMES = "galaxy, distance, r, v_obs, e_v_obs, v_gas, v_disk, v_bulge"


def read(paths: tuple[Path, ...], galaxies: Path | None, column_map: dict[str, str]) -> RotationCurves:
    """Read the curves, and say so where a distance or an inclination cannot be free."""
    import numpy as np

    from catalogs.sparc import read_rotation_curves

    curves = read_rotation_curves(paths, galaxies, column_map=column_map)
    known = (curves.galaxies.e_distance > 0) & (curves.galaxies.e_inclination > 0)
    if not np.all(known):
        click.echo(
            f"astrotk: warning: for {np.sum(~known)} of {len(curves)} galaxies no table gives the errors of "
            "distance and inclination; what is not known is held fixed (name a table with --galaxies)",
            err=True,
        )
    return curves


def write_rejected(result: Result, path: Path) -> None:
    """Write what was left out; a file of an earlier run must not stay where there is nothing to tell."""
    if len(result.tables["rejected"]):
        result.write(path, table="rejected")
    else:
        path.unlink(missing_ok=True)


def tell_rejected(count: int, path: Path) -> None:
    """Say how many were left out, and where their reasons stand."""
    if count:
        click.echo(f"{count} left out: see {path}")


def plain(value: Any) -> Any:
    """Return a value of JSON, which has no word but null for what is not a number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
