"""What darkexp shows of itself: halos put into made-up galaxies, and found again."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from astrotk.darkexp.figures import comparison, gallery, shape
from astrotk.darkexp.mock import disks, observe
from astrotk.darkexp.posterior import fit_posterior
from astrotk.darkexp.profiles import PROFILES
from stats.demo import Demo

__all__ = ("run",)

GALAXIES = 6
QUANTITIES = {"phi0": "", "log10_m200": "dex(solMass)", "v_minus2_kms": "km / s", "ml_disk": "solMass / solLum"}


def run(seed: int = 0) -> Demo:
    """Sample the posteriors of DARKexp, NFW and Burkert halos of made-up galaxies that live in DARKexp halos."""
    template, log_m200 = disks(GALAXIES, seed=seed)
    curves, truth = observe(template, PROFILES["DARKexp"], log_m200, seed=seed)
    result = fit_posterior(curves, [PROFILES[name] for name in ("DARKexp", "NFW", "Burkert")], seed=seed)
    rows = result.tables["catalogue"]
    darkexp = rows[rows["profile"] == "DARKexp"]
    best = result.tables["galaxies"]["best_profile"]
    table = Table(
        rows=[
            (row["galaxy"], name, unit, true[name], row[f"{name}_p50"], _error(row, name, true[name]))
            for row, true in zip(darkexp, truth, strict=True)
            for name, unit in QUANTITIES.items()
        ],
        names=("object", "quantity", "unit", "truth", "recovered", "error"),
    )
    return Demo(
        title="darkexp: dark-matter halos from rotation curves",
        summary=(
            f"{GALAXIES} disk galaxies were made up in DARKexp halos of known mass and shape, and observed with "
            "realistic errors in velocity, distance, inclination and mass-to-light ratio. The posteriors of three "
            "halo profiles were sampled for each; the table compares those of DARKexp with the truth: the median, and "
            f"the width of the posterior on the side of the truth. {np.sum(rows['converged'])} of {len(rows)} "
            "posteriors passed the gate of convergence. The true profile has the lowest BIC in "
            f"{np.sum(best == 'DARKexp')} of {GALAXIES}: its shape costs one parameter more."
        ),
        result=result,
        truth=table,
        plates=(gallery(result), shape(result), comparison(result)),
    )


def _error(row: Table.Row, name: str, truth: float) -> float:
    """Return the width of the posterior on the side where the truth lies."""
    low, middle, high = (row[f"{name}_{end}"] for end in ("p16", "p50", "p84"))
    return float(high - middle if truth > middle else middle - low)
