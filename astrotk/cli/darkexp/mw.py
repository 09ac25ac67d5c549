"""``astrotk darkexp mw``: halos fitted to the Milky Way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from astrotk.cli import options
from astrotk.cli.darkexp.shared import mapping, numbers, plain, tell_rejected, write_rejected

__all__ = ("mw",)


def _systematic(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[float, float]:
    """Read PERCENT or PERCENT@R into ``{R: percent}``."""
    found = {}
    for value in values:
        percent, _, start = value.partition("@")
        try:
            found[float(start or 0)] = float(percent)
        except ValueError:
            message = f"expected {param.metavar}, for example 3 or 15@22, found '{value}'"
            raise click.BadParameter(message, ctx, param) from None
    return found


@click.command("mw")
@click.argument("curve", type=click.Path(path_type=Path))
@click.option(
    "--profiles",
    metavar="NAMES",
    default="NFW,Burkert,Einasto",
    show_default=True,
    help="Halo profiles, joined by commas; or 'all'.",
)
@options.out("darkexp-mw", "Folder to write into.")
@click.option("--layout", metavar="NAME", help="Of a text file: eilers2019, ou2024, mroz2019 or wang2021.")
@mapping("--map", "column_map", "Name a column of your own table, for one of r, v, e_plus, e_minus; repeatable.")
@click.option(
    "--baryons",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="TOML file of discs and bulge; by default those of Ou et al. 2024, Table 2.",
)
@click.option("--r0", metavar="KPC", type=float, help="Distance of the Sun; by default that of the curve, or 8.178.")
@click.option(
    "--systematic",
    metavar="PERCENT[@KPC]",
    multiple=True,
    callback=_systematic,
    help="Add an error of so many percent of the velocity, from this radius on; repeatable.",
)
@click.option("--r-min", metavar="KPC", type=float, default=0.0, show_default=True, help="Leave out points further in.")
@click.option("--r-max", metavar="KPC", type=float, default=float("inf"), help="Leave out points further out.")
@click.option(
    "--fix",
    "fixed",
    metavar="NAME=NUMBER",
    multiple=True,
    callback=numbers,
    help="Hold a parameter: ml_disk (0.5 is the mass of the model), ml_bulge (0.7), r_s_kpc, ... Repeatable.",
)
@options.seed()
@options.backend()
@options.figures("summary", "summary: the curve with its components, and the density at the Sun.")
@options.json()
def mw(
    *,
    curve: Path,
    profiles: str,
    out: Path,
    layout: str | None,
    column_map: dict[str, str],
    baryons: Path | None,
    r0: float | None,
    systematic: dict[float, float],
    r_min: float,
    r_max: float,
    fixed: dict[str, float],
    seed: int,
    backend: str,
    figures: str,
    as_json: bool,
) -> None:
    """Fit halo profiles to a circular-velocity CURVE of the Milky Way.

    CURVE is one of the published text files (Eilers 2019, Ou 2024, Mróz 2019, Wang 2021), or a table of your own with
    radius in kpc and velocity with its error in km/s. What gas and stars contribute is computed from a model of
    their discs and bulge.

    \b
    Writes into the folder OUT:
      local.ecsv      a row a profile: dark matter at the Sun, M200, masses of the stars
      catalogue.ecsv  the parameters at the maximum a posteriori
      result.h5       everything, for 'astrotk report'
      *.png           the figures

    \b
    Examples:
      astrotk darkexp mw MW_RC_Ou2024_table1.tsv --systematic 3 --r-max 22
      astrotk darkexp mw MW_RC_Ou2024_table1.tsv --systematic 3 --systematic 15@22
      astrotk darkexp mw mine.csv --baryons discs.toml --r0 8.2 --json
    """  # noqa: D301
    from tqdm import tqdm

    from astrotk.darkexp.milky_way import OU2024, fit_milky_way
    from astrotk.darkexp.profiles import PROFILES, profile_named
    from catalogs.errors import CatalogFileError
    from catalogs.milky_way import read_baryon_model, read_velocity_curve

    if out.is_file():
        raise CatalogFileError(out, "is a file; name a folder with --out")
    names = list(PROFILES) if profiles.strip().lower() == "all" else profiles.split(",")
    chosen = {profile.name: profile for profile in map(profile_named, names)}
    data = read_velocity_curve(curve, layout=layout, column_map=column_map).within(r_min, r_max)
    model = OU2024 if baryons is None else read_baryon_model(baryons)
    with tqdm(total=len(chosen), unit="fit", disable=None, leave=False) as bar:
        result = fit_milky_way(
            data,
            list(chosen.values()),
            model,
            r0=r0,
            systematic=systematic,
            fixed=fixed,
            seed=seed,
            backend=backend,
            progress=lambda _: bar.update(),
        )
    for table in ("local", "catalogue"):
        result.write(out / f"{table}.ecsv", table=table)
    result.write(out / "result.h5")
    rejected = out / "rejected.ecsv"
    write_rejected(result, rejected)
    if figures != "none":
        from astrotk.darkexp.figures_milky_way import plates
        from stats.plots import save

        for plate in plates(result):
            save(plate, out)

    local, left_out = result.tables["local"], len(result.tables["rejected"])
    if as_json:
        rows: list[dict[str, Any]] = [{name: plain(row[name].item()) for name in local.colnames} for row in local]
        report = {"out": str(out), "points": len(data), "profiles": rows, "rejected": left_out}
        click.echo(json.dumps(report, indent=2))
        return
    click.echo("profile     chi2_red  dark matter at the Sun [GeV/cm3]  log10 M200  converged")
    for row, fit in zip(local, result.tables["catalogue"], strict=True):
        middle = row["rho_local_gev_p50"]
        spread = f"{middle:.3f} +{row['rho_local_gev_p84'] - middle:.3f} -{middle - row['rho_local_gev_p16']:.3f}"
        sure = "yes" if row["converged"] else "no"
        click.echo(f"{row['profile']:12}{fit['chi2_red']:8.3f}{spread:>34}{row['log10_m200_p50']:12.3f}{sure:>11}")
    tell_rejected(left_out, rejected)
    click.echo(out / "local.ecsv")
