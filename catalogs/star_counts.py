"""Star counts around a centre: the positions of stars, or their numbers in rings.

Positions: a row a star, with its distance from the centre (``r``) or its sky position (``ra``, ``dec``; the centre is
then an argument). Rings: a row a ring, its edges (``r_low``, ``r_high``) or its middle (``r``; the edges then lie half
way between), and either the number of stars (``n``) or their surface density with its error (``sigma``, ``e_sigma``,
per square unit of r). Formats and column maps are those of `catalogs.tables`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from catalogs.errors import CatalogFormatError, ParameterError
from catalogs.provenance import Rejected, Source
from catalogs.tables import Column, TableData, read_table
from catalogs.units import parse_unit

__all__ = ("Rings", "StarPositions", "read_rings", "read_star_positions")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StarPositions:
    """Stars in a round field.

    Parameters
    ----------
    r
        (stars,) distance from the centre, in `unit`, at most `r_max`.
    r_max
        Radius of the field.
    unit
        Of r: an angle or a length.
    source
        The file, with what was left out of it.
    """

    r: Array
    r_max: float
    unit: str
    source: Source

    def __len__(self) -> int:
        return self.r.size


@dataclass(frozen=True)
class Rings:
    """Star counts in rings that do not overlap, from the inside out.

    Parameters
    ----------
    r_low, r_high
        (rings,) edges, in `unit`.
    value
        (rings,) the number of stars; where `error` is given, stars per square `unit`.
    error
        (rings,) standard error of a surface density; None for numbers, whose scatter is that of Poisson.
    unit
        Of the edges.
    source
        The file, with what was left out of it.
    """

    r_low: Array
    r_high: Array
    value: Array
    error: Array | None
    unit: str
    source: Source

    def __len__(self) -> int:
        return self.value.size


def read_star_positions(
    path: str | PathLike[str],
    *,
    unit: str = "arcmin",
    centre: tuple[float, float] | None = None,
    r_max: float | None = None,
    column_map: Mapping[str, str] | None = None,
) -> StarPositions:
    """Read a table with a row a star.

    Parameters
    ----------
    path
        With a column ``r``, or ``ra`` and ``dec`` [deg].
    unit
        That radii are wanted in, and are taken to be in where the file does not say.
    centre
        Right ascension and declination [deg]; with it `r` is not looked for, and `unit` must be an angle.
    r_max
        Radius of the field [unit]; stars beyond are left out. By default that of the outermost star.
    column_map
        ``{our name: name in the file}``.

    Raises
    ------
    CatalogFileError, CatalogFormatError, UnitError
        If the file is missing, has not these columns, or no usable star.
    ParameterError
        If `unit`, `centre` or `r_max` makes no sense.
    """
    _check_unit(unit, angle=centre is not None)
    if r_max is not None and not 0 < r_max < math.inf:
        message = f"r_max: expected a radius above 0, found {r_max:g}"
        raise ParameterError(message)
    if centre is None:
        data = read_table(
            path, (Column("r", unit, aliases=("R", "radius", "r_ell"), positive=True),), column_map=column_map
        )
        r = data.columns["r"]
    else:
        columns = (
            Column("ra", "deg", aliases=("RAJ2000", "ra_deg")),
            Column("dec", "deg", aliases=("DEJ2000", "dec_deg")),
        )
        data = read_table(path, columns, column_map=column_map)
        r = _separation(data, centre) * parse_unit("deg").to(parse_unit(unit))
    limit = float(r.max()) if r_max is None else r_max
    keep = (r > 0) & (r <= limit)
    beyond = [
        Rejected(
            str(path),
            f"row {row + 1}",
            f"expected a distance of 0 to {limit:g} {unit} from the centre, found {value:g}",
        )
        for row, value in zip(data.row[~keep], r[~keep], strict=True)
    ]
    if not np.any(keep):
        raise CatalogFormatError(path, f"at least one star within {limit:g} {unit} of the centre", "none")
    source = replace(data.source, rejected=(*data.source.rejected, *beyond))
    return StarPositions(r[keep], limit, unit, source)


def _separation(data: TableData, centre: tuple[float, float]) -> Array:
    """Return the angle [deg] between the stars and the centre, by the haversine formula."""
    if not (0 <= centre[0] < 360 and -90 <= centre[1] <= 90):
        message = f"centre: expected right ascension 0 to 360 and declination -90 to 90 deg, found {centre}"
        raise ParameterError(message)
    ra, dec, ra0, dec0 = (np.deg2rad(x) for x in (data.columns["ra"], data.columns["dec"], *centre))
    haversine = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin((ra - ra0) / 2) ** 2
    return np.asarray(np.rad2deg(2 * np.arcsin(np.sqrt(np.minimum(haversine, 1.0)))))


def _check_unit(unit: str, *, angle: bool = False) -> None:
    kind = parse_unit(unit).physical_type
    if kind not in (("angle",) if angle else ("angle", "length")):
        message = f"unit: expected an angle{'' if angle else ' or a length'}, such as arcmin, found '{unit}'"
        raise ParameterError(message)


def read_rings(
    path: str | PathLike[str], *, unit: str = "arcmin", column_map: Mapping[str, str] | None = None
) -> Rings:
    """Read a table with a row a ring; rows in any order.

    Parameters
    ----------
    path
        With the columns described at the head of this module.
    unit
        That radii are wanted in, and are taken to be in where the file does not say.
    column_map
        ``{our name: name in the file}``.

    Raises
    ------
    CatalogFileError, CatalogFormatError, UnitError
        If the file is missing, has not these columns, no usable ring, or rings that overlap.
    ParameterError
        If `unit` is no angle or length.
    """
    _check_unit(unit)
    columns = (
        Column("r", unit, aliases=("R", "radius"), required=False, positive=True),
        Column("r_low", unit, aliases=("r_in", "R_in"), required=False),
        Column("r_high", unit, aliases=("r_out", "R_out"), required=False, positive=True),
        Column("n", aliases=("N", "count", "counts", "n_stars"), required=False),
        Column("sigma", f"1 / {unit}2", aliases=("Sigma", "density"), required=False),
        Column("e_sigma", f"1 / {unit}2", aliases=("e_Sigma", "sigma_err", "error"), required=False, positive=True),
    )
    data = read_table(path, columns, column_map=column_map)
    found = data.columns
    if "n" not in found and not {"sigma", "e_sigma"} <= set(found):
        raise CatalogFormatError(
            path, "a column 'n', or 'sigma' and 'e_sigma'", ", ".join(found) or "neither", "the header"
        )
    r_low, r_high, order = _edges(path, found)
    value, error = (found["n"], None) if "n" in found else (found["sigma"], found["e_sigma"])
    wrong = np.flatnonzero((value < 0) | (value != np.round(value))) if error is None else np.empty(0)
    if wrong.size:
        where = f"row {data.row[wrong[0]] + 1}"
        raise CatalogFormatError(path, "a whole number of stars", f"{value[wrong[0]]:g}", where)
    return Rings(r_low, r_high, value[order], None if error is None else error[order], unit, data.source)


def _edges(
    path: str | PathLike[str], found: Mapping[str, npt.NDArray[Any]]
) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Return the edges of the rings from the inside out, and the order of the rows."""
    if {"r_low", "r_high"} <= set(found):
        order = np.argsort(found["r_low"], kind="stable")
        low, high = found["r_low"][order], found["r_high"][order]
    elif "r" in found:
        order = np.argsort(found["r"], kind="stable")
        r = found["r"][order]
        if r.size < 2:
            raise CatalogFormatError(path, "edges r_low and r_high, or at least two rings", "one middle r")
        between = 0.5 * (r[1:] + r[:-1])
        low, high = np.append(max(0.0, 2 * r[0] - between[0]), between), np.append(between, 2 * r[-1] - between[-1])
    else:
        raise CatalogFormatError(path, "columns 'r_low' and 'r_high', or 'r'", ", ".join(found), "the header")
    if np.any(low < 0) or np.any(high <= low) or np.any(low[1:] < high[:-1] * (1 - 1e-9)):
        raise CatalogFormatError(
            path, "rings 0 <= r_low < r_high that do not overlap", "others", "columns r_low, r_high"
        )
    return low, high, order
