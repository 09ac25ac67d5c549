"""``astrotk darkexp``: dark-matter halos, from the theory to the catalogue; one module a command."""

from __future__ import annotations

import click

from astrotk.cli.darkexp.calibrate import calibrate
from astrotk.cli.darkexp.evaluate import evaluate
from astrotk.cli.darkexp.fit import fit
from astrotk.cli.darkexp.mw import mw
from astrotk.cli.darkexp.project import project
from astrotk.cli.darkexp.simulate import simulate
from astrotk.cli.darkexp.solve import solve

__all__ = ("group",)


@click.group("darkexp")
def group() -> None:
    """Fit dark-matter halos to galaxies, DARKexp and eight others.

    \b
    Examples:
      astrotk fetch sparc
      astrotk darkexp fit Rotmod_LTG --profiles NFW,Burkert --out fits
      astrotk darkexp fit mine.csv --map r=radius --map v_obs=Vrot --out fits
      astrotk darkexp fit Rotmod_LTG --profiles all --method posterior
      astrotk darkexp evaluate published.csv --data Rotmod_LTG
      astrotk darkexp solve --phi0 4
    """  # noqa: D301


for command in (fit, evaluate, simulate, calibrate, solve, mw, project):
    group.add_command(command)
