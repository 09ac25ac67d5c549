"""What the DARKexp solver costs and what the shipped table is worth, in one run.

Ours: f, g and N(E) of a density at 300 energies; the peer, galpy (left out where absent): N(E) at 6. Then the seconds
of a whole solution, and the error of the table halfway between its nodes, max |d ln V| by range of r/r_-2.
Run: python benchmarks/darkexp_table.py [rounds]
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from astrotk.darkexp.isotropic import Sphere
from astrotk.darkexp.solver import solve
from astrotk.darkexp.table import load

BEYOND = (0.003, 0.01, 0.03, 0.1)


def median_seconds(what: Callable[[], object], rounds: int) -> float:
    """Time something a few times."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        what()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def hernquist_energies() -> np.ndarray:
    """Return N of a Hernquist sphere of M = G = a = 1, from its density alone."""
    ln_r = np.linspace(math.log(1e-5), math.log(1e4), 300)
    sphere = Sphere(ln_r, -np.log(2 * np.pi) - ln_r - 3 * np.log1p(np.exp(ln_r)), -1.0)
    return sphere.distribution_of(np.exp(sphere.ln_rho)) * sphere.density_of_states()


def galpy_energies() -> np.ndarray:
    """Return the same from galpy, at six energies."""
    from galpy.df import eddingtondf
    from galpy.potential import HernquistPotential

    return eddingtondf(pot=HernquistPotential(amp=2.0, a=1.0)).dMdE(-np.linspace(0.1, 0.9, 6))


def main() -> None:
    """Print the costs and the errors."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    ours = median_seconds(hernquist_energies, rounds)
    print(f"N(E) from a density: ours {1e3 * ours:.1f} ms for 300 energies")
    if find_spec("galpy"):
        theirs = median_seconds(galpy_energies, rounds)
        print(f"                     galpy {1e3 * theirs:.1f} ms for 6, {theirs / ours:.0f} x ours")
    print(f"a solution: {median_seconds(lambda: solve(4.0), rounds):.2f} s")

    table = load()
    print(f"table, max |d ln V| beyond r/r_-2 = {BEYOND}")
    for phi0 in (0.35, 1.05, 1.55, 1.85, 1.95, 2.03, 2.15, 2.25, 2.55, 3.05, 4.05, 6.05, 7.95):
        solution = solve(phi0)
        places = math.log(solution.r_minus2) + np.append(table.ln_x, 0.0)
        ln_v2 = np.log(solution.sphere.mass_at(places)) - places
        error = 0.5 * np.abs(ln_v2[:-1] - ln_v2[-1] - table.ln_v2(phi0, table.ln_x))
        print(f"{phi0:6.2f}" + "".join(f"{np.max(error[table.ln_x > math.log(x)]):10.1e}" for x in BEYOND))


if __name__ == "__main__":
    main()
