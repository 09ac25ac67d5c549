"""``astrotk darkexp``: halo fits to rotation curves, and the comparison of published ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrotk.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astropy.table import Table

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
      astrotk darkexp fit my_galaxies.csv --map r=radius --map v_obs=Vrot --out fits
      astrotk darkexp evaluate published.csv --data Rotmod_LTG -o compared.ecsv
    """


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Split NAME=VALUE."""
    for value in values:
        name, sign, right = value.partition("=")
        if not (name and sign and right):
            raise click.BadParameter(f"expected NAME=VALUE, found '{value}'", ctx, param)  # noqa: EM102
    return {name.strip(): right.strip() for name, _, right in (value.partition("=") for value in values)}


def _numbers(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """Split NAME=NUMBER."""
    pairs = _pairs(ctx, param, values)
    try:
        return {name: float(value) for name, value in pairs.items()}
    except ValueError as exc:
        raise click.BadParameter(f"expected NAME=NUMBER: {exc}", ctx, param) from None  # noqa: EM102


galaxies_option = click.option(
    "--galaxies",
    type=click.Path(path_type=Path),
    help="Galaxy table with distances, inclinations and luminosities; by default SPARC_Lelli2016c.mrt in PATH or its "
    "parent.",
)
map_option = click.option(
    "--map",
    "column_map",
    metavar="OURS=THEIRS",
    multiple=True,
    callback=_pairs,
    help="Name of a column in your table: one of galaxy, distance, r, v_obs, e_v_obs, v_gas, v_disk, v_bulge.",
)


@group.command("fit")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--profiles", default="NFW,Burkert", show_default=True, help=f"'all', or some of {PROFILE_NAMES}.")
@click.option("--method", type=click.Choice(["map"]), default="map", show_default=True, help="Maximum a posteriori.")
@options.out("darkexp-fit", "Folder for the catalogue, result.h5 and the figures.")
@options.fmt("ecsv", "Also write the catalogue in this format.", kinds=("ecsv", "fits", "mrt", "csv", "parquet"))
@click.option("--prior", type=click.Choice(["flat", "lcdm"]), default="flat", show_default=True,
              help="Flat in the logarithms of the halo's scales, or the relations of LCDM between concentration, halo "
              "and stellar mass.")  # fmt: skip
@click.option("--fix", "fixed", metavar="NAME=VALUE", multiple=True, callback=_numbers,
              help="Hold a parameter: distance_Mpc, inclination_deg, ml_disk, ml_bulge, r_s_kpc, alpha, ...")  # fmt: skip
@galaxies_option
@map_option
@click.option("--max-quality", type=click.IntRange(1, 3), help="Keep quality flags up to this (1 high, 3 low).")
@click.option("--min-inclination", type=float, help="Keep galaxies inclined by at least this [deg].")
@click.option("--max-inclination", type=float, help="Keep galaxies inclined by at most this [deg].")
@click.option("--min-points", type=click.IntRange(1), default=1, show_default=True, help="Keep curves this long.")
@options.seed()
@options.backend()
@options.figures("summary", "None, the three that sum up the fits, or also one for each galaxy.")
@options.json("Print the summary as JSON.")
def fit(
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

    PATH is a folder of SPARC's NAME_rotmod.dat files, such a file, MassModels_Lelli2016c.mrt, or a table of your own
    (CSV, ECSV, FITS, HDF5, Parquet, VOTable) with one row a point.

    \b
    Writes into the folder OUT:
      catalogue.ecsv   a row a galaxy and profile: parameters, errors, chi2_red, bic, converged
      result.h5        everything, for 'astrotk report'
      rejected.ecsv    what was left out, and why
      *.png            the figures

    \b
    Examples:
      astrotk darkexp fit Rotmod_LTG --profiles all --out fits
      astrotk darkexp fit NGC3198_rotmod.dat --fix ml_disk=0.5 --figures all --out ngc3198
      astrotk darkexp fit Rotmod_LTG --max-quality 2 --min-inclination 30 --prior lcdm --out fits
    """
    from astrotk.darkexp.fit import Cuts, fit_map
    from astrotk.darkexp.profiles import PROFILES, profile_named

    names = list(PROFILES) if profiles.strip().lower() == "all" else profiles.split(",")
    chosen = list({profile_named(name).name: profile_named(name) for name in names}.values())
    curves = _read(paths, galaxies, column_map)
    with _progress(len(curves) * len(chosen)) as advance:
        result = fit_map(
            curves,
            chosen,
            prior=prior,
            fixed=fixed,
            cuts=Cuts(max_quality, min_inclination, max_inclination, min_points),
            seed=seed,
            backend=backend,
            progress=advance,
        )
    out.mkdir(parents=True, exist_ok=True)
    for suffix in dict.fromkeys(("ecsv", fmt)):
        result.write(out / f"catalogue.{suffix}", table="catalogue")
    result.write(out / "result.h5")
    _write_rejected(result, out / "rejected.ecsv")
    if figures != "none":
        _draw(result, out, each=figures == "all")
    _say(result, out, as_json)


@group.command("evaluate")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--data", "paths", required=True, multiple=True, type=click.Path(path_type=Path),
              help="Rotation curves, as for 'fit'; repeatable.")  # fmt: skip
@options.out("evaluated.ecsv", "The table to write; the format follows its ending.")
@galaxies_option
@click.option("--map", "column_map", metavar="OURS=THEIRS", multiple=True, callback=_pairs,
              help="Name of a column in TABLE.")  # fmt: skip
@options.backend()
@options.json("Print the summary as JSON.")
def evaluate(
    table: Path,
    paths: tuple[Path, ...],
    out: Path,
    galaxies: Path | None,
    column_map: dict[str, str],
    backend: str,
    as_json: bool,
) -> None:
    """Compare the parameters in TABLE with the data: the same chi2_red as 'fit'.

    TABLE has one row a galaxy and profile: galaxy, profile, distance_Mpc, inclination_deg, ml_disk, ml_bulge, r_s_kpc
    and log10_rho_s [Msun/pc^3] (or v200 [km/s] and c200), alpha for Einasto, log10_m200 for DC14. A catalogue.ecsv of
    'fit' is such a table.

    \b
    Examples:
      astrotk darkexp evaluate fits/catalogue.ecsv --data Rotmod_LTG -o again.ecsv
      astrotk darkexp evaluate published.csv --data Rotmod_LTG --map ml_disk=Ydisk -o compared.ecsv
    """
    from astrotk.darkexp.evaluate import evaluate as compare
    from astrotk.darkexp.evaluate import read_parameters

    curves = _read(paths, galaxies, {})
    result = compare(read_parameters(table, column_map=column_map), curves, backend=backend)
    result.write(out, table="evaluation")
    _report_evaluation(result, out, as_json)


def _read(paths: tuple[Path, ...], galaxies: Path | None, column_map: dict[str, str]) -> RotationCurves:
    import numpy as np

    from catalogs.sparc import read_rotation_curves

    curves = read_rotation_curves(paths, galaxies, column_map=column_map)
    table = curves.galaxies
    fixed = int(np.sum(~((table.e_distance > 0) & (table.e_inclination > 0))))
    if fixed:
        click.echo(
            f"astrotk: warning: {fixed} of {len(curves)} galaxies have no error of distance or inclination in a galaxy "
            "table; what is not known is held fixed (name a table with --galaxies)",
            err=True,
        )
    return curves


class _progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=total, unit="fit", disable=None, leave=False)

    def __enter__(self) -> Callable[[str], Any]:
        return lambda name: self.bar.update()

    def __exit__(self, *exc: object) -> None:
        self.bar.close()


def _write_rejected(result: Result, path: Path) -> None:
    """Write what was left out; a file of an earlier run must not stay where there is nothing to tell."""
    if len(result.tables["rejected"]):
        result.write(path, table="rejected")
    else:
        path.unlink(missing_ok=True)


def _draw(result: Result, out: Path, *, each: bool) -> None:
    from astrotk.darkexp import figures
    from stats.plots import save

    def wanted() -> Iterator[Any]:
        yield from figures.plates(result)
        if each:
            yield from figures.rotation_curves(result)

    for plate in wanted():
        save(plate, out)


def _rows(table: Table) -> list[dict[str, Any]]:
    """Return the rows as JSON values; what is not a number is null."""
    rows = [{name: row[name].item() if hasattr(row[name], "item") else row[name] for name in table.colnames} for row in table]
    return [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()} for row in rows]


def _say(result: Result, out: Path, as_json: bool) -> None:
    summary, rejected = result.tables["summary"], len(result.tables["rejected"])
    if as_json:
        click.echo(json.dumps({"out": str(out), "profiles": _rows(summary), "rejected": rejected}, indent=2))
        return
    click.echo(f"{'profile':10}{'fits':>6}{'converged':>11}{'at bound':>10}{'median chi2_red':>17}{'lowest BIC':>12}")
    for row in summary:
        click.echo(
            f"{row['profile']:10}{row['n_fits']:6d}{row['n_converged']:11d}{row['n_at_bound']:10d}"
            f"{row['median_chi2_red']:17.3f}{row['n_best_bic']:12d}"
        )
    if rejected:
        click.echo(f"{rejected} left out: see {out / 'rejected.ecsv'}")
    click.echo(out / "catalogue.ecsv")


def _report_evaluation(result: Result, out: Path, as_json: bool) -> None:
    import numpy as np

    from catalogs.errors import CatalogFormatError

    table, rejected = result.tables["evaluation"], result.tables["rejected"]
    known = np.isfinite(table["chi2"])
    if not np.any(known):
        raise CatalogFormatError(rejected["where"][0], "at least one row that can be computed", rejected["reason"][0])
    finite = table["chi2_red"][np.isfinite(table["chi2_red"])]
    median = float(np.median(finite)) if finite.size else math.nan
    if as_json:
        value = median if math.isfinite(median) else None
        summary = {"out": str(out), "rows": len(table), "computed": int(known.sum()), "median_chi2_red": value}
        click.echo(json.dumps(summary, indent=2))
        return
    for row in rejected:
        click.echo(f"left out: {row['name']}, {row['where']}: {row['reason']}", err=True)
    click.echo(f"{known.sum()} of {len(table)} rows computed, median chi2_red {median:.3f}")
    click.echo(out)
