"""``astrotk darkexp fit``: halos fitted to rotation curves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrotk.cli import options
from astrotk.cli.darkexp.shared import (
    POINT_NAMES,
    galaxies_option,
    mapping,
    numbers,
    plain,
    read,
    tell_rejected,
    write_rejected,
)

if TYPE_CHECKING:
    from catalogs.result import Result

__all__ = ("fit",)

PROFILE_NAMES = "DARKexp, DARKexp-gamma, NFW, pISO, Burkert, Einasto, coreNFW, DC14, Lucky13"


@click.command("fit")
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
    type=click.Choice(["map", "posterior"]),
    default="map",
    show_default=True,
    help="map: the maximum of the posterior, in seconds. posterior: draws from it, with a gate of convergence.",
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
    callback=numbers,
    help="Hold a parameter: ml_disk, ml_bulge, distance_Mpc, inclination_deg, r_s_kpc, ... Repeatable.",
)
@galaxies_option
@mapping("--map", "column_map", f"Name a column of your own table, for one of {POINT_NAMES}; repeatable.")
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
@click.option(
    "--preset",
    type=click.Choice(["guess-of-96"]),
    help="Named cuts, instead of the four above. guess-of-96: at least 10 points and an outermost velocity below "
    "200 km/s, which leave 96 galaxies of SPARC; our guess of a published sample of 96 whose list is not printed.",
)
@click.option("--evidence", is_flag=True, help="With posterior: also the evidence by nested sampling, which is slow.")
@click.option(
    "--max-steps",
    metavar="N",
    type=click.IntRange(512),
    default=2**15,
    show_default=True,
    help="With posterior: after so many steps a galaxy counts as not converged.",
)
@options.seed()
@options.backend()
@options.jobs("With posterior: processes to share the galaxies among; by default one a core.")
@options.dask()
@options.resume()
@options.figures("summary", "summary: a few that sum up the fits. all: also some for each galaxy.")
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
    preset: str | None,
    evidence: bool,
    max_steps: int,
    seed: int,
    backend: str,
    jobs: int,
    dask: str | None,
    resume: bool,
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
                      the parameters with their errors, or, of a posterior,
                      their quantiles x_p16, x_p50, x_p84
      result.h5       everything, also the draws, for 'astrotk report'
      rejected.ecsv   what was left out and why, if anything was
      shards          of a posterior that is not finished, for --resume
      *.png           the figures

    \b
    Examples:
      astrotk darkexp fit Rotmod_LTG --profiles all --out fits
      astrotk darkexp fit Rotmod_LTG --profiles DARKexp,NFW --method posterior
      astrotk darkexp fit NGC3198_rotmod.dat --fix ml_disk=0.5 --figures all
      astrotk darkexp fit Rotmod_LTG --max-quality 2 --prior lcdm --json
      astrotk darkexp fit mine.csv --map r=radius --galaxies properties.csv
    """  # noqa: D301
    from tqdm import tqdm

    from astrotk.darkexp.profiles import PROFILES, profile_named
    from astrotk.darkexp.selection import PRESETS, Cuts
    from catalogs.errors import CatalogFileError, ParameterError

    if out.is_file():
        raise CatalogFileError(out, "is a file; name a folder with --out")
    cuts = Cuts(max_quality, min_inclination, max_inclination, min_points)
    if preset is not None:
        if cuts != Cuts():
            message = f"--preset {preset} brings its own cuts: leave out the other ones"
            raise ParameterError(message)
        cuts = PRESETS[preset]
    names = list(PROFILES) if profiles.strip().lower() == "all" else profiles.split(",")
    chosen = list({profile.name: profile for profile in map(profile_named, names)}.values())
    curves = read(paths, galaxies, column_map)
    common: dict[str, Any] = {"prior": prior, "fixed": fixed, "cuts": cuts, "seed": seed, "backend": backend}
    shards = out / "shards"
    with tqdm(total=len(curves) * len(chosen), unit="fit", disable=None, leave=False) as bar:
        if method == "map":
            from astrotk.darkexp.fit import fit_map

            result = fit_map(curves, chosen, **common, progress=lambda _: bar.update())
        else:
            from astrotk.darkexp.posterior import fit_posterior
            from stats.parallel import open_executor

            with open_executor(1 if dask else jobs, dask=dask) as executor:
                result = fit_posterior(
                    curves,
                    chosen,
                    **common,
                    max_steps=max_steps,
                    evidence=evidence,
                    executor=executor,
                    folder=shards,
                    resume=resume,
                    progress=bar.update,
                )
    keep = method == "map" or "sampler" in result.tables["rejected"]["where"]
    for suffix in dict.fromkeys(("ecsv", fmt)):
        result.write(out / f"catalogue.{suffix}", table="catalogue")
    result.write(out / "result.h5")
    if not keep:
        shutil.rmtree(shards, ignore_errors=True)  # all of it is in result.h5 now
    rejected = out / "rejected.ecsv"
    write_rejected(result, rejected)
    if figures != "none":
        _draw(result, out, each=figures == "all")

    summary, left_out = result.tables["summary"], len(result.tables["rejected"])
    if as_json:
        profiles_fitted = [{name: plain(row[name].item()) for name in summary.colnames} for row in summary]
        report = {"out": str(out), "profiles": profiles_fitted, "rejected": left_out}
        click.echo(json.dumps(report, indent=2))
        return
    click.echo("profile     fits  converged  at bound  median chi2_red  lowest BIC")
    for row in summary:
        click.echo(
            f"{row['profile']:10}{row['n_fits']:6d}{row['n_converged']:11d}{row['n_at_bound']:10d}"
            f"{row['median_chi2_red']:17.3f}{row['n_best_bic']:12d}"
        )
    tell_rejected(left_out, rejected)
    click.echo(out / "catalogue.ecsv")


def _draw(result: Result, out: Path, *, each: bool) -> None:
    from astrotk.darkexp import figures
    from stats.plots import save

    for plate in figures.plates(result):
        save(plate, out)
    for plate in figures.rotation_curves(result) if each else ():
        save(plate, out)
