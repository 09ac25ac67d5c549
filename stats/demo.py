"""A demonstration on made-up data with known truth, and the verdict on what was recovered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from catalogs.errors import ParameterError

if TYPE_CHECKING:
    from astropy.table import Table

    from catalogs.result import Result
    from stats.plots import Plate

__all__ = ("MISSED", "NO_ERROR_BAR", "RECOVERED", "Demo", "chi_square_p", "limit", "passed", "verdicts")

RECOVERED, MISSED, NO_ERROR_BAR = "recovered", "missed", "no error bar"

COLUMNS = ("object", "quantity", "unit", "truth", "recovered", "error")

#: The chance that one of all the quantities of a demonstration is called missed though its error bar is right:
#: that of three standard errors, where there is one quantity.
FALSE_ALARM = 0.0027

#: Pulls less likely than this as a set are too wide, or too narrow, for their error bars. Loose, because
#: quantities from one fit are correlated and the test takes them as independent.
IMPLAUSIBLE = 1e-4


@dataclass(frozen=True)
class Demo:
    """What one system shows of itself.

    Parameters
    ----------
    title, summary
        The system, and what was made up and recovered, in a sentence or two.
    result
        Of the ordinary analysis of the made-up data.
    truth
        One row a quantity: ``object``, ``quantity``, ``unit``, ``truth``, ``recovered``, ``error`` (one
        standard error, in that unit).
    plates
        The figures.
    """

    title: str
    summary: str
    result: Result
    truth: Table
    plates: tuple[Plate, ...]


def _floats(table: Table, name: str) -> npt.NDArray[np.float64]:
    return np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)


def limit(quantities: int) -> float:
    """Return how many standard errors off a quantity may be, among so many: 3.0 for one, 3.9 for thirty."""
    return float(-ndtri(FALSE_ALARM / (2 * max(quantities, 1))))


def verdicts(truth: Table) -> Table:
    """Compare what was recovered with the truth.

    Parameters
    ----------
    truth
        As in `Demo`.

    Returns
    -------
    Table
        A copy with two more columns: ``pull`` (``(recovered - truth) / error``, NaN without an error bar)
        and ``verdict`` (`RECOVERED` within `limit` standard errors, `MISSED` beyond them or where the value
        is not a number, `NO_ERROR_BAR` where the error is not finite and positive).

    Raises
    ------
    ParameterError
        If a column is missing.
    """
    missing = [name for name in COLUMNS if name not in truth.colnames]
    if missing:
        message = f"a truth table has the columns {', '.join(COLUMNS)}; {', '.join(missing)} is missing"
        raise ParameterError(message)
    table = truth.copy()
    true, recovered, error = (_floats(truth, name) for name in ("truth", "recovered", "error"))
    table["truth"], table["recovered"], table["error"] = true, recovered, error
    has_error = np.isfinite(error) & (error > 0)
    table["pull"] = pull = (recovered - true) / np.where(has_error, error, np.nan)
    table["verdict"] = np.where(
        has_error, np.where(np.abs(pull) <= limit(int(np.sum(has_error))), RECOVERED, MISSED), NO_ERROR_BAR
    )
    return table


def chi_square_p(verdicts: Table) -> float:
    """Return the two-sided chi-square probability of the pulls as a set.

    Small for pulls that scatter too much and also for pulls that scatter too little, which means error bars
    far too large. NaN where no row has an error bar.

    Parameters
    ----------
    verdicts
        From `verdicts`.
    """
    from scipy.stats import chi2

    pulls = _floats(verdicts, "pull")[np.asarray(verdicts["verdict"]) != NO_ERROR_BAR]
    if not pulls.size:
        return np.nan
    total = np.sum(pulls**2)
    return float(2 * min(chi2.cdf(total, pulls.size), chi2.sf(total, pulls.size)))


def passed(verdicts: Table) -> bool:
    """Say whether something was recovered, nothing missed, and the pulls are plausible as a set."""
    found: set[Any] = set(verdicts["verdict"])
    return RECOVERED in found and MISSED not in found and chi_square_p(verdicts) > IMPLAUSIBLE
