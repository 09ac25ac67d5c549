"""``astrotk darkexp calibrate``: whether the posteriors of a profile mean what they say."""

from __future__ import annotations

import json
from pathlib import Path

import click

from astrotk.cli import options
from astrotk.cli.darkexp.shared import galaxies_option, plain, read, template_option

__all__ = ("calibrate",)


@click.command("calibrate")
@click.option("--profile", metavar="NAME", default="DARKexp", show_default=True, help="Of the halos.")
@click.option(
    "-n", "--count", metavar="N", type=click.IntRange(20), default=300, show_default=True, help="Mock galaxies."
)
@template_option
@galaxies_option
@options.out("darkexp-calibration", "Folder to write into.")
@options.seed()
@options.figures("summary", "summary: the ranks of the truths.")
@options.json()
def calibrate(
    *,
    profile: str,
    count: int,
    template: tuple[Path, ...],
    galaxies: Path | None,
    out: Path,
    seed: int,
    figures: str,
    as_json: bool,
) -> None:
    """Fit mock galaxies whose truth was drawn from the prior.

    A truth drawn from the prior must have a uniform rank among the draws of its posterior, and lie in the 68 %
    interval 68 times of 100. Exits with 1 where a parameter does not pass.

    \b
    Writes into the folder OUT:
      calibration.ecsv  a row a parameter: p of the ranks, coverage, verdict
      mocks.ecsv        a row a mock: its truth, whether its fit converged
      ranks.png         the figure

    \b
    Examples:
      astrotk darkexp calibrate --profile NFW
      astrotk darkexp calibrate --template NGC3198_rotmod.dat -n 1000
    """  # noqa: D301
    from tqdm import tqdm

    from astrotk.darkexp.calibration import calibrate_profile
    from astrotk.darkexp.profiles import profile_named
    from catalogs.errors import CatalogFileError
    from stats.calibration import CALIBRATED
    from stats.plots import save
    from stats.posterior_plots import ranks

    if out.is_file():
        raise CatalogFileError(out, "is a file; name a folder with --out")
    real = read(template, galaxies, {}) if template else None
    with tqdm(total=count, unit="mock", disable=None, leave=False) as bar:
        result, verdict = calibrate_profile(
            profile_named(profile), count, template=real, seed=seed, progress=lambda _: bar.update()
        )
    for table in ("calibration", "mocks"):
        result.write(out / f"{table}.ecsv", table=table)
    if figures != "none":
        save(ranks(verdict), out)
    rows, mocks = result.tables["calibration"], result.tables["mocks"]
    if as_json:
        parameters = [{name: plain(row[name].item()) for name in rows.colnames} for row in rows]
        report = {"out": str(out), "parameters": parameters, "converged": int(mocks["converged"].sum())}
        click.echo(json.dumps(report, indent=2))
    else:
        click.echo(f"{len(mocks)} mocks, {mocks['converged'].sum()} converged")
        click.echo("parameter                p   68 % covers   95 % covers  verdict")
        for row in rows:
            click.echo(
                f"{row['parameter']:18}{row['p']:8.3f}{row['coverage_68']:14.3f}{row['coverage_95']:14.3f}"
                f"  {row['verdict']}"
            )
        click.echo(out / "calibration.ecsv")
    if any(rows["verdict"] != CALIBRATED):
        raise SystemExit(1)
