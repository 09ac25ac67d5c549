"""``astrotk darkexp evaluate``: given parameters compared with the data."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click

from astrotk.cli import options
from astrotk.cli.darkexp.shared import POINT_NAMES, galaxies_option, mapping, plain, read, tell_rejected, write_rejected

__all__ = ("evaluate",)


@click.command("evaluate")
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "--data",
    "paths",
    metavar="PATH",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Rotation curves, as for 'fit'; repeatable.",
)
@options.out("evaluated.ecsv", "The table to write, in the format of its ending.")
@galaxies_option
@mapping("--map", "column_map", "Name a column of TABLE, for one of those above; repeatable.")
@mapping("--data-map", "data_map", f"Name a column of the data, for one of {POINT_NAMES}; repeatable.")
@options.backend()
@options.json()
def evaluate(
    *,
    table: Path,
    paths: tuple[Path, ...],
    out: Path,
    galaxies: Path | None,
    column_map: dict[str, str],
    data_map: dict[str, str],
    backend: str,
    as_json: bool,
) -> None:
    """Compare given parameters with the data, as 'fit' does.

    TABLE has one row a galaxy and profile, with the columns galaxy, profile, distance_Mpc, inclination_deg,
    ml_disk, ml_bulge, and r_s_kpc with log10_rho_s (in Msun/pc^3) or v200 (in km/s) with c200; for Einasto
    also alpha, for DC14 also log10_m200. A catalogue.ecsv of 'fit' is such a table.

    OUT has the same rows in the same order, with n_points, n_free, chi2 and chi2_red. A row that cannot be
    computed has NaN there, and its reason stands in OUT-rejected.ecsv.

    \b
    Examples:
      astrotk darkexp evaluate fits/catalogue.ecsv --data Rotmod_LTG
      astrotk darkexp evaluate published.csv --data Rotmod_LTG \\
        --map ml_disk=Ydisk -o compared.ecsv
    """  # noqa: D301
    import numpy as np

    from astrotk.darkexp.evaluate import evaluate as compare
    from astrotk.darkexp.evaluate import read_parameters
    from catalogs.errors import CatalogFormatError

    parameters = read_parameters(table, column_map=column_map)
    result = compare(parameters, read(paths, galaxies, data_map), backend=backend)
    rows, left_out = result.tables["evaluation"], result.tables["rejected"]
    computed = int(np.sum(np.isfinite(rows["chi2"])))
    if not computed:
        found = f"none: {left_out['reason'][0]}"
        raise CatalogFormatError(left_out["where"][0], "at least one row that can be computed", found)
    result.write(out, table="evaluation")
    rejected = out.with_name(f"{out.stem}-rejected.ecsv")
    write_rejected(result, rejected)
    finite = rows["chi2_red"][np.isfinite(rows["chi2_red"])]
    median = float(np.median(finite)) if finite.size else math.nan
    if as_json:
        report = {"out": str(out), "rows": len(rows), "computed": computed}
        report |= {"median_chi2_red": plain(median), "rejected": len(left_out)}
        click.echo(json.dumps(report, indent=2))
        return
    click.echo(f"{computed} of {len(rows)} rows computed, median chi2_red {median:.3f}")
    tell_rejected(len(left_out), rejected)
    click.echo(out)
