"""Make ``astrotk/darkexp/data/darkexp.npz``, the table of DARKexp halos, from nothing but the solver.

Starts at the join with a plain guess and goes from neighbour to neighbour up and down in phi0, a few minutes in all.
The same machine gives the same bytes; another may differ in the last digits. Run: python tools/darkexp_table.py [FILE]
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from astrotk.darkexp.solver import JOIN, OUTER, POINTS, Solution, Start, solve

DATA = Path(__file__).resolve().parent.parent / "astrotk" / "darkexp" / "data"
PHI0 = np.linspace(0.3, 8.0, 78)
LN_X = np.linspace(math.log(1e-3), math.log(1e3), 241)
#: r_b / r_-2 over the root of the distance from the join, for the first step to either side.
FIRST_BOUNDARY = {"core": 0.19, "cusp": 0.08}
SCALARS = ("residual_rms", "virial_ratio", "drift", "r_minus2", "rho_minus2")


def at_the_join() -> Solution:
    """Solve where a core is exact, from a double power law."""
    ln_r = np.linspace(math.log(2e-5), OUTER, POINTS)
    ln_rho = math.log(3 / (4 * math.pi * 0.22**3)) - 4 * np.log1p(np.exp(ln_r) / 0.22)
    return solve(JOIN, start=Start(float(ln_r[0]), ln_rho, -math.inf))


def walk(join: Solution, values: np.ndarray, boundary: str) -> dict[float, Solution]:
    """Solve from the join outward, each from the one before."""
    r_b = FIRST_BOUNDARY[boundary] * math.sqrt(abs(values[0] - JOIN)) * join.r_minus2
    x_b = float(join.sphere.fall_at(math.log(r_b)))
    solution, found = replace(join, r_boundary=r_b, eps_boundary=join.phi0 - x_b), {}
    print(f"{'phi0':>6}{'residual':>12}{'virial - 1':>12}{'drift':>12}{'r_b/r_-2':>10}{'M(r_b)':>10}  consistent")
    for value in values.tolist():
        found[value] = solution = solve(value, start=solution.start)
        print(
            f"{value:6.2f}{solution.residual_rms:12.2e}{solution.virial_ratio - 1:12.2e}{solution.drift:12.2e}"
            f"{solution.r_boundary / solution.r_minus2:10.5f}{solution.mass_inside:10.2e}  {solution.self_consistent}",
            flush=True,
        )
    return found


def main() -> None:
    """Solve, print what each solution is worth, and write."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "darkexp.npz"
    join = at_the_join()
    found = walk(join, PHI0[PHI0 < JOIN][::-1], "core") | walk(join, PHI0[PHI0 > JOIN], "cusp")
    solutions = [found[value] for value in PHI0.tolist()]
    ln_v2 = [curve(solution) for solution in solutions]
    columns = {name: np.array([getattr(solution, name) for solution in solutions]) for name in SCALARS}
    columns["boundary"] = np.array([solution.r_boundary / solution.r_minus2 for solution in solutions])
    np.savez_compressed(path, phi0=PHI0, ln_x=LN_X, ln_v2=np.array(ln_v2), **columns)
    card = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "made_by": "tools/darkexp_table.py",
        "content": "ln V^2 / V_-2^2 of DARKexp halos over phi0 and ln r/r_-2, and what each solution is worth",
        "method": "astrotk.darkexp.solver",
        "license": "BSD-3-Clause",
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {path.stat().st_size} bytes")


def curve(solution: Solution) -> np.ndarray:
    """Return ln V^2 on LN_X, 0 at r_-2."""
    places = np.append(LN_X, 0.0) + math.log(solution.r_minus2)
    ln_v2 = np.log(solution.sphere.mass_at(places)) - places
    return ln_v2[:-1] - ln_v2[-1]


if __name__ == "__main__":
    main()
