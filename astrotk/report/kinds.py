"""Which module draws which kind of result."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from catalogs.errors import ParameterError

if TYPE_CHECKING:
    from catalogs.result import Result
    from stats.plots import Plate

__all__ = ("KINDS", "TABLES_ONLY", "plates_of")

#: ``{kind: module}``; a fixed table, because a file must not choose what is imported.
KINDS = {
    "darkexp": "astrotk.darkexp.figures",
    "darkexp-stars": "astrotk.darkexp.figures_projection",
}
#: Kinds that are shown by their tables alone.
TABLES_ONLY = ("darkexp solution", "darkexp-calibration", "darkexp-mock")


def plates_of(result: Result) -> tuple[Plate, ...]:
    """Return the figures of a result, drawn by the ``plates`` function of its own system.

    Raises
    ------
    ParameterError
        If no system makes results of this kind.
    """
    if result.kind in TABLES_ONLY:
        return ()
    if result.kind not in KINDS:
        message = f"no figures for a result of kind {result.kind!r}: expected one of {', '.join(KINDS)}"
        raise ParameterError(message)
    return tuple(import_module(KINDS[result.kind]).plates(result))
