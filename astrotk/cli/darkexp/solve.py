"""``astrotk darkexp solve``: one DARKexp halo from its energy distribution."""

from __future__ import annotations

import json
from pathlib import Path

import click

from astrotk.cli import options
from astrotk.cli.darkexp.shared import plain

__all__ = ("solve",)

#: What is told of a solution, in this order.
TOLD = (
    "phi0", "r_minus2", "v_minus2", "v_max_over_v_minus2", "rho0", "rho_minus2", "virial_ratio", "residual_rms",
    "drift", "boundary", "r_boundary", "eps_boundary", "mass_inside", "self_consistent", "note",
)  # fmt: skip


@click.command("solve")
@click.option("--phi0", required=True, type=float, help="Depth of the centre, 0.3 to 8.")
@options.out(help="Write the halo (.h5, .ecsv, .fits, .csv, .parquet); its figure is put beside it.")
@options.json()
@click.option(
    "--figures",
    type=click.Choice(["none", "summary"]),
    default="summary",
    show_default=True,
    help="Draw the halo beside the file of --out, or not.",
)
def solve(*, phi0: float, out: Path | None, as_json: bool, figures: str) -> None:
    """Solve for the isotropic halo with the energies of DARKexp, N(E) ~ exp(phi0 - E) - 1.

    Units are G = M = beta = 1. At phi0 = 2.06 the solution is exact; below, the centre is made a core, above, a
    1/r cusp, and the numbers say what that costs: residual_rms is the relative residual of N(E), virial_ratio is 1
    in the equilibrium of DARKexp, r_boundary is the radius inside which the centre is imposed.

    \b
    Examples:
      astrotk darkexp solve --phi0 2.05995
      astrotk darkexp solve --phi0 4 --json
      astrotk darkexp solve --phi0 4 -o halo.h5
    """  # noqa: D301
    from astrotk.darkexp.solver import solve as find
    from astrotk.darkexp.solver import to_result

    solution = find(phi0)
    told = {name: plain(getattr(solution, name)) for name in TOLD}
    told["grid"] = {"r_min": solution.r[0], "r_max": solution.r[-1], "points": solution.r.size}
    told["units"] = "G = M = beta = 1"
    written = []
    if out:
        written.append(to_result(solution).write(out))
        if figures != "none":
            from astrotk.darkexp.figures_solution import halo
            from stats.plots import save

            written += save(halo(solution), out.parent)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for name, value in told.items():
        if name != "grid" and value not in (None, ""):
            click.echo(f"{name:20}{value:.6g}" if isinstance(value, float) else f"{name:20}{value}")
    click.echo(f"{'grid':20}{solution.r.size} points, r = {solution.r[0]:.3g} to {solution.r[-1]:.3g}")
    for path in written:
        click.echo(path)
