"""``astrotk darkexp simulate``: mock rotation curves of known halos."""

from __future__ import annotations

import json
from pathlib import Path

import click

from astrotk.cli import options
from astrotk.cli.darkexp.shared import POINT_NAMES, galaxies_option, mapping, read, template_option

__all__ = ("simulate",)


@click.command("simulate")
@click.option("--profile", metavar="NAME", default="NFW", show_default=True, help="Of the halos.")
@click.option(
    "-n", "--count", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="Mock galaxies."
)
@template_option
@galaxies_option
@mapping("--map", "column_map", f"Name a column of the template, for one of {POINT_NAMES}; repeatable.")
@click.option(
    "--halos",
    type=click.Choice(["typical", "prior"]),
    default="typical",
    show_default=True,
    help="typical: the mass that the stars call for, and its concentration with scatter. prior: everything from the "
    "priors of 'fit', as calibration asks.",
)
@click.option("--log-m200", metavar="DEX", type=click.FloatRange(6.0, 15.0), help="Mass of all typical halos [Msun].")
@options.out("darkexp-mocks", "Folder to write into.")
@options.fmt("ecsv", "Of the tables.", kinds=("ecsv", "fits", "csv", "parquet"))
@options.seed()
@options.json()
def simulate(
    *,
    profile: str,
    count: int,
    template: tuple[Path, ...],
    galaxies: Path | None,
    column_map: dict[str, str],
    halos: str,
    log_m200: float | None,
    out: Path,
    fmt: str,
    seed: int,
    as_json: bool,
) -> None:
    """Observe mock galaxies whose halos are known.

    Distances, inclinations and mass-to-light ratios of the truth scatter around the tabulated ones by their errors,
    velocities by theirs.

    \b
    Writes into the folder OUT:
      curves.ecsv    a row a point, for 'fit'
      galaxies.ecsv  a row a galaxy, for 'fit --galaxies'
      truth.ecsv     a row a galaxy: what a fit should find

    \b
    Examples:
      astrotk darkexp simulate --profile Burkert -n 100 -o mocks
      astrotk darkexp fit mocks/curves.ecsv --galaxies mocks/galaxies.ecsv
      astrotk darkexp simulate --template NGC3198_rotmod.dat --halos prior
    """  # noqa: D301
    from astrotk.darkexp.profiles import profile_named
    from astrotk.darkexp.simulate import simulate as make
    from catalogs.errors import CatalogFileError

    if out.is_file():
        raise CatalogFileError(out, "is a file; name a folder with --out")
    result = make(
        profile_named(profile),
        count,
        template=read(template, galaxies, column_map) if template else None,
        halos=halos,
        log_m200=log_m200,
        seed=seed,
    )
    paths = {table: out / f"{table}.{fmt}" for table in ("curves", "galaxies", "truth")}
    for table, path in paths.items():
        result.write(path, table=table)
    if as_json:
        report = {"out": str(out), "galaxies": count, "points": len(result.tables["curves"])}
        click.echo(json.dumps({**report, **{table: str(path) for table, path in paths.items()}}, indent=2))
        return
    click.echo(f"{count} galaxies, {len(result.tables['curves'])} points")
    click.echo(f"astrotk darkexp fit {paths['curves']} --galaxies {paths['galaxies']}")
