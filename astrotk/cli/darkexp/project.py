"""``astrotk darkexp project``: projected profiles fitted to star counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from astrotk.cli import options
from astrotk.cli.darkexp.shared import mapping, plain, tell_rejected, write_rejected

__all__ = ("project",)

#: What is drawn without a file: phi0, r_s [arcmin].
PHI0, R_S = 3.0, 3.0


def _centre(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """Read RA,DEC."""
    if value is None:
        return None
    try:
        ra, dec = (float(part) for part in value.split(","))
    except ValueError:
        message = f"expected {param.metavar} in degrees, for example 228.2,67.2, found '{value}'"
        raise click.BadParameter(message, ctx, param) from None
    return ra, dec


@click.command("project")
@click.argument("stars", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--profiles",
    metavar="NAMES",
    default="DARKexp,Burkert",
    show_default=True,
    help="Joined by commas; those with one shape parameter at most.",
)
@options.out("darkexp-project", "Folder to write into.")
@click.option("--rings", is_flag=True, help="STARS has a row a ring, not a row a star.")
@click.option("--unit", default="arcmin", show_default=True, help="Of the radii: an angle or a length.")
@click.option("--centre", metavar="RA,DEC", callback=_centre, help="In degrees; STARS then has columns ra and dec.")
@click.option("--r-max", metavar="R", type=float, help="Radius of the field; by default that of the outermost star.")
@mapping("--map", "column_map", "Name a column of STARS: r, ra, dec; r, r_low, r_high, n, sigma, e_sigma; repeatable.")
@options.seed()
@options.figures("summary", "summary: one figure a dwarf.")
@options.json()
def project(
    *,
    stars: tuple[Path, ...],
    profiles: str,
    out: Path,
    rings: bool,
    unit: str,
    centre: tuple[float, float] | None,
    r_max: float | None,
    column_map: dict[str, str],
    seed: int,
    figures: str,
    as_json: bool,
) -> None:
    """Fit projected profiles to the star counts of dwarf galaxies.

    STARS is a table (CSV, ECSV, FITS, HDF5, Parquet, VOTable) of one dwarf: a row a star with its distance r from
    the centre, or ra and dec; or, with --rings, a row a ring with r_low, r_high (or r) and n (or sigma and
    e_sigma). The field is taken to be round and complete. Without STARS a dwarf is made up.

    \b
    Writes into the folder OUT:
      fits.ecsv   a row a dwarf and profile: radii, shape, members, background
      rings.ecsv  the surface densities, and what each profile expects
      result.h5   everything
      *.png       a figure a dwarf

    \b
    Examples:
      astrotk darkexp project
      astrotk darkexp project stars.csv --centre 228.2,67.2 --r-max 20
      astrotk darkexp project counts.csv --rings --unit pc --profiles DARKexp-gamma
    """  # noqa: D301
    from tqdm import tqdm

    from astrotk.darkexp.profiles import PROFILES, profile_named
    from astrotk.darkexp.star_counts import fit_stars, made_up_dwarf
    from catalogs.errors import CatalogFileError, ParameterError
    from catalogs.star_counts import read_rings, read_star_positions

    if out.is_file():
        raise CatalogFileError(out, "is a file; name a folder with --out")
    if rings and (centre is not None or r_max is not None):
        message = "--centre and --r-max are for a row a star; rings have their own edges"
        raise ParameterError(message)
    chosen = {profile.name: profile for profile in map(profile_named, profiles.split(","))}
    dwarfs: dict[str, Any] = {}
    for path in stars:
        name = path.stem if path.stem not in dwarfs else str(path)
        dwarfs[name] = (
            read_rings(path, unit=unit, column_map=column_map)
            if rings
            else read_star_positions(path, unit=unit, centre=centre, r_max=r_max, column_map=column_map)
        )
    if not dwarfs:
        dwarfs["made-up dwarf"] = made_up_dwarf(PROFILES["DARKexp"], PHI0, r_s=R_S, seed=seed)
        click.echo(
            f"astrotk: no star counts: a dwarf is made up, DARKexp with phi0 = {PHI0:g} and r_s = {R_S:g} arcmin",
            err=True,
        )
    with tqdm(total=len(dwarfs) * len(chosen), unit="fit", disable=None, leave=False) as bar:
        result = fit_stars(dwarfs, list(chosen.values()), seed=seed, progress=lambda _: bar.update())
    for table in ("fits", "rings"):
        result.write(out / f"{table}.ecsv", table=table)
    result.write(out / "result.h5")
    rejected = out / "rejected.ecsv"
    write_rejected(result, rejected)
    if figures != "none":
        from astrotk.darkexp.figures_projection import plates
        from stats.plots import save

        for plate in plates(result):
            save(plate, out)

    fits, left_out = result.tables["fits"], len(result.tables["rejected"])
    if as_json:
        rows = [{name: plain(row[name].item()) for name in fits.colnames} for row in fits]
        click.echo(json.dumps({"out": str(out), "unit": unit, "fits": rows, "rejected": left_out}, indent=2))
        return
    click.echo(f"{'dwarf':20}{'profile':14}{'r_half':>26}{'members':>9}{'BIC':>10}  converged")
    for row in fits:
        middle = row["r_half_p50"]
        spread = f"{middle:.3g} +{row['r_half_p84'] - middle:.2g} -{middle - row['r_half_p16']:.2g} {unit}"
        sure = "yes" if row["converged"] else "no"
        click.echo(
            f"{row['object'][:19]:20}{row['profile']:14}{spread:>26}{row['members_p50']:9.0f}{row['bic']:10.1f}  {sure}"
        )
    tell_rejected(left_out, rejected)
    click.echo(out / "fits.ecsv")
