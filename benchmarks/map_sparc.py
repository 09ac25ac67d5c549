"""The whole command that fits NFW and Burkert to the 175 galaxies of SPARC, against its peers, in one run.

The commands take turns; medians of whole-process wall times. sidmkit holds distance and inclination fixed and draws no
figures unless asked; pygrc fits NFW alone. A peer that is not installed is left out. Needs the data (ASTROTK_DATA, by
default ../shared/data). Run: python benchmarks/map_sparc.py [rounds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import numpy as np

from astrotk.darkexp.profiles import PROFILES
from astrotk.darkexp.selection import groups
from catalogs.result import read_result_table
from catalogs.sparc import read_rotation_curves
from stats.optimize import maximize

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ASTROTK_DATA", ROOT.parent / "shared" / "data")).resolve()
STARTS = signature(maximize).parameters["starts"].default
ROTMOD = DATA / "darkexp" / "sparc" / "Rotmod_LTG"

PYGRC = """
import contextlib, io, pathlib, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
failed = 0
with contextlib.redirect_stdout(io.StringIO()):
    import pygrc
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*_rotmod.dat")):
        d = pygrc.Reader.read(str(path))
        r, gas, disk, bulge = (d[k].to_numpy() for k in ("Rad", "Vgas", "Vdisk", "Vbul"))
        def curve(x, rs, v, ml):
            y = x / rs
            halo = v**2 * (np.log1p(y) / y - 1 / (1 + y)) / 0.1931471805599453
            parts = (np.interp(x, r, part * abs(part)) for part in (gas, disk, bulge))
            g, s, b = parts
            return np.sqrt(np.maximum(halo + g + ml * s + 1.4 * ml * b, 1e-9))
        try:
            fit = pygrc.Fit(d["Rad"], d["Vobs"], 5.0, 80.0, 0.5)
            fit.fit_lsq(curve, [(0.05, 300), (1, 600), (0.05, 5)], d["errV"].to_numpy())
        except Exception:
            failed += 1
print(failed, "failed")
"""


def commands(out: Path) -> dict[str, list[str]]:
    """Return the commands that take turns, by name."""
    bin_dir = Path(sys.executable).parent
    ours = [str(bin_dir / "astrotk"), "darkexp", "fit", str(ROTMOD), "--profiles", "NFW,Burkert", "--method", "map"]
    found = {
        "astrotk": [*ours, "--out", str(out / "figures")],
        "astrotk, no figures": [*ours, "--figures", "none", "--out", str(out / "plain")],
    }
    if find_spec("sidmkit"):
        found["sidmkit"] = [
            str(bin_dir / "sidmkit-sparc"), "batch", "--quiet",
            "--inputs", str(ROTMOD), "--outdir", str(out / "sidmkit"),
        ]  # fmt: skip
    if find_spec("pygrc"):
        found["pygrc, NFW alone"] = [sys.executable, "-c", PYGRC, str(ROTMOD)]
    return found


def seconds_of_the_fits() -> float:
    """Time the search for the maxima, without imports, reading and writing."""
    curves = read_rotation_curves(ROTMOD)
    models = [model for name in ("NFW", "Burkert") for model in groups(curves, PROFILES[name], "flat", {}, "auto")[0]]
    start = time.perf_counter()
    for model in models:
        maximize(model.target)
    return time.perf_counter() - start


def main() -> None:
    """Time, and print ours, the peer's and the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        todo = commands(Path(folder))
        subprocess.run(todo["astrotk"], check=True, capture_output=True)  # compiles the kernels once
        seconds: dict[str, list[float]] = {name: [] for name in todo}
        for _ in range(rounds):
            for name, command in todo.items():
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                seconds[name].append(time.perf_counter() - start)
        table, _ = read_result_table(Path(folder) / "plain" / "catalogue.ecsv")
        alone = [seconds_of_the_fits() for _ in range(rounds + 1)][1:]
    ours = statistics.median(seconds["astrotk, no figures"])
    print(f"175 galaxies, whole command, median of {rounds} rounds")
    for name, values in seconds.items():
        middle = statistics.median(values)
        spread = f"({min(values):.2f} to {max(values):.2f})"
        print(f"{name:22}{middle:7.2f} s   {middle / ours:5.2f} x ours without figures   {spread}")
    middle = statistics.median(alone)
    print(f"{'the 350 fits alone':22}{middle:7.2f} s   {1e3 * middle / 350:5.2f} ms each, with {STARTS} starts")
    for profile in ("NFW", "Burkert"):
        chi2 = np.asarray(table["chi2_red"][table["profile"] == profile])
        print(f"median chi2_red of {profile}: {np.median(chi2[np.isfinite(chi2)]):.4f}")


if __name__ == "__main__":
    main()
