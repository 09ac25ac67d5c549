"""``astrotk darkexp``: halo fits to rotation curves, and the comparison of published ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrotk.cli import options

if TYPE_CHECKING:
    from catalogs.result import Result
    from catalogs.sparc import RotationCurves

__all__ = ("group",)

PROFILE_NAMES = "NFW, pISO, Burkert, Einasto, coreNFW, DC14, Lucky13"


@click.group("darkexp")
def group() -> None:
    """Fit dark-matter halos to galaxy rotation curves.

    \b
    Examples:
      astrotk fetch sparc
      astrotk darkexp fit Rotmod_LTG --profiles NFW,Burkert --out fits
      astrotk darkexp fit mine.csv --map r=radius --map v_obs=Vrot --out fits
      astrotk darkexp evaluate published.csv --data Rotmod_LTG
    """  # noqa: D301


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Split NAME=VALUE."""
    pairs = {}
    for value in values:
        name, _, right = (part.strip() for part in value.partition("="))
        if not (name and right):
            message = f"expected {param.metavar}, found '{value}'"
            raise click.BadParameter(message, ctx, param)
        pairs[name] = right
    return pairs


def _numbers(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """Split NAME=NUMBER."""
    try:
        return {name: float(value) for name, value in _pairs(ctx, param, values).items()}
    except ValueError as exc:
        message = f"expected {param.metavar}: {exc}"
        raise click.BadParameter(message, ctx, param) from None


def _map(flag: str, name: str, help: str) -> options.Decorator:
    return click.option(flag, name, metavar="OURS=THEIRS", multiple=True, callback=_pairs, help=help)


_galaxies = click.option(
    "--galaxies",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Galaxy table: distances, inclinations, their errors, luminosities. By default SPARC_Lelli2016c.mrt "
    "in PATH or its parent, with Bulges.mrt beside it.",
)
POINT_NAMES = "galaxy, distance, r, v_obs, e_v_obs, v_gas, v_disk, v_bulge"


@group.command("fit")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--profiles",
    metavar="NAMES",
    default="NFW,Burkert",
    show_default=True,
    help=f"Joined by commas: some of {PROFILE_NAMES}; or 'all'.",
)
@click.option(
    "--method",
    type=click.Choice(["map"]),
    default="map",
    show_default=True,
    help="map: the maximum of the posterior.",
)
@options.out("darkexp-fit", "Folder to write into.")
@options.fmt(
    "ecsv",
    "Also write the catalogue in this format.",
    kinds=("ecsv", "fits", "mrt", "csv", "parquet"),
)
@click.option(
    "--prior",
    type=click.Choice(["flat", "lcdm"]),
    default="flat",
    show_default=True,
    help="flat: in the logarithms of the halo's scales. lcdm: the relations between concentration, halo mass "
    "and stellar mass.",
)
@click.option(
    "--fix",
    "fixed",
    metavar="NAME=NUMBER",
    multiple=True,
    callback=_numbers,
    help="Hold a parameter: ml_disk, ml_bulge, distance_Mpc, inclination_deg, r_s_kpc, ... Repeatable.",
)
@_galaxies
@_map("--map", "column_map", f"Name a column of your own table, for one of {POINT_NAMES}; repeatable.")
@click.option(
    "--max-quality",
    metavar="N",
    type=click.IntRange(1, 3),
    help="Leave out galaxies of a worse quality flag than this; 1 is high, 3 low.",
)
@click.option("--min-inclination", metavar="DEG", type=float, help="Leave out galaxies more face-on than this.")
@click.option("--max-inclination", metavar="DEG", type=float, help="Leave out galaxies more edge-on than this.")
@click.option(
    "--min-points",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Leave out curves of fewer points.",
)
@options.seed()
@options.backend()
@options.figures("summary", "summary: three that sum up the fits. all: also one a galaxy.")
@options.json()
def fit(
    *,
    paths: tuple[Path, ...],
    profiles: str,
    method: str,
    out: Path,
    fmt: str,
    prior: str,
    fixed: dict[str, float],
    galaxies: Path | None,
    column_map: dict[str, str],
    max_quality: int | None,
    min_inclination: float | None,
    max_inclination: float | None,
    min_points: int,
    seed: int,
    backend: str,
    figures: str,
    as_json: bool,
) -> None:
    """Fit halo profiles to the rotation curves in PATH.

    PATH is a folder of SPARC's NAME_rotmod.dat files, such a file, MassModels_Lelli2016c.mrt, or a table of
    your own (CSV, ECSV, FITS, HDF5, Parquet, VOTable) with one row a point: radius in kpc, velocities and
    their errors in km/s, stars at a mass-to-light ratio of 1. Columns with units are converted.

    \b
    Writes into the folder OUT:
      catalogue.ecsv  a row a galaxy and profile: chi2_red, bic, converged,
                      the parameters and their errors
      result.h5       everything, for 'astrotk report'
      rejected.ecsv   what was left out and why, if anything was
      *.png           the figures

    \b
    Examples:
      astrotk darkexp fit Rotmod_LTG --profiles all --out fits
      astrotk darkexp fit NGC3198_rotmod.dat --fix ml_disk=0.5 --figures all
      astrotk darkexp fit Rotmod_LTG --max-quality 2 --prior lcdm --json
      astrotk darkexp fit mine.csv --map r=radius --galaxies properties.csv
    """  # noqa: D301
    from tqdm import tqdm

    from astrotk.darkexp.fit import Cuts, fit_map
    from astrotk.darkexp.profiles import PROFILES, profile_named
    from catalogs.errors import CatalogFileError

    if out.is_file():
        raise CatalogFileError(out, "is a file; name a folder with --out")
    names = list(PROFILES) if profiles.strip().lower() == "all" else profiles.split(",")
    chosen = {profile.name: profile for profile in map(profile_named, names)}
    curves = _read(paths, galaxies, column_map)
    with tqdm(total=len(curves) * len(chosen), unit="fit", disable=None, leave=False) as bar:
        result = fit_map(
            curves,
            list(chosen.values()),
            prior=prior,
            fixed=fixed,
            cuts=Cuts(max_quality, min_inclination, max_inclination, min_points),
            seed=seed,
            backend=backend,
            progress=lambda _: bar.update(),
        )
    for suffix in dict.fromkeys(("ecsv", fmt)):
        result.write(out / f"catalogue.{suffix}", table="catalogue")
    result.write(out / "result.h5")
    rejected = out / "rejected.ecsv"
    _write_rejected(result, rejected)
    if figures != "none":
        _draw(result, out, each=figures == "all")

    summary, left_out = result.tables["summary"], len(result.tables["rejected"])
    if as_json:
        profiles_fitted = [{name: _plain(row[name].item()) for name in summary.colnames} for row in summary]
        report = {"out": str(out), "profiles": profiles_fitted, "rejected": left_out}
        click.echo(json.dumps(report, indent=2))
        return
    click.echo("profile     fits  converged  at bound  median chi2_red  lowest BIC")
    for row in summary:
        click.echo(
            f"{row['profile']:10}{row['n_fits']:6d}{row['n_converged']:11d}{row['n_at_bound']:10d}"
            f"{row['median_chi2_red']:17.3f}{row['n_best_bic']:12d}"
        )
    _tell_rejected(left_out, rejected)
    click.echo(out / "catalogue.ecsv")


@group.command("evaluate")
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
@_galaxies
@_map("--map", "column_map", "Name a column of TABLE, for one of those above; repeatable.")
@_map("--data-map", "data_map", f"Name a column of the data, for one of {POINT_NAMES}; repeatable.")
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
    result = compare(parameters, _read(paths, galaxies, data_map), backend=backend)
    rows, left_out = result.tables["evaluation"], result.tables["rejected"]
    computed = int(np.sum(np.isfinite(rows["chi2"])))
    if not computed:
        found = f"none: {left_out['reason'][0]}"
        raise CatalogFormatError(left_out["where"][0], "at least one row that can be computed", found)
    result.write(out, table="evaluation")
    rejected = out.with_name(f"{out.stem}-rejected.ecsv")
    _write_rejected(result, rejected)
    finite = rows["chi2_red"][np.isfinite(rows["chi2_red"])]
    median = float(np.median(finite)) if finite.size else math.nan
    if as_json:
        report = {"out": str(out), "rows": len(rows), "computed": computed}
        report |= {"median_chi2_red": _plain(median), "rejected": len(left_out)}
        click.echo(json.dumps(report, indent=2))
        return
    click.echo(f"{computed} of {len(rows)} rows computed, median chi2_red {median:.3f}")
    _tell_rejected(len(left_out), rejected)
    click.echo(out)


def _read(paths: tuple[Path, ...], galaxies: Path | None, column_map: dict[str, str]) -> RotationCurves:
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


def _write_rejected(result: Result, path: Path) -> None:
    """Write what was left out; a file of an earlier run must not stay where there is nothing to tell."""
    if len(result.tables["rejected"]):
        result.write(path, table="rejected")
    else:
        path.unlink(missing_ok=True)


def _tell_rejected(count: int, path: Path) -> None:
    if count:
        click.echo(f"{count} left out: see {path}")


def _draw(result: Result, out: Path, *, each: bool) -> None:
    from astrotk.darkexp import figures
    from stats.plots import save

    for plate in figures.plates(result):
        save(plate, out)
    for plate in figures.rotation_curves(result) if each else ():
        save(plate, out)


def _plain(value: Any) -> Any:
    """Return a value of JSON, which has no word but null for what is not a number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
