"""``astrotk darkexp``: halo fits to rotation curves, and the comparison of published ones."""

from __future__ import annotations

import click

from astrotk.cli.darkexp.evaluate import evaluate
from astrotk.cli.darkexp.fit import fit

__all__ = ("group",)


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


for command in (fit, evaluate):
    group.add_command(command)
