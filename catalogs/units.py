"""The units edge: quantities and unit strings come in, float64 arrays in the documented unit go on."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError, UnitError

if TYPE_CHECKING:
    from astropy.units import UnitBase

__all__ = ("convert", "has_unit_bomb", "parse_unit", "read_unit", "to_value")

#: Spellings that tables use and astropy does not know. A lone L is the Sun's luminosity, never a litre.
SPELLINGS = {
    "Ang": "Angstrom",
    "Angs": "Angstrom",
    "Angstroms": "Angstrom",
    "L": "solLum",
    "arcmins": "arcmin",
    "arcsecs": "arcsec",
    "counts": "ct",
    "days": "d",
    "degC": "deg_C",
    "degrees": "deg",
    "ergs": "erg",
    "hours": "h",
    "hr": "h",
    "mags": "mag",
    "microHz": "uHz",
    "microns": "micron",
    "muHz": "uHz",
    "sec": "s",
    "secs": "s",
    "seconds": "s",
    "years": "yr",
}
#: What stands in a unit field for "a pure number".
DIMENSIONLESS = {"", "-", "--", "---", "none", "unitless", "dimensionless", "1"}
MAX_LENGTH = 100
SUN = re.compile(r"(?<![A-Za-z])([MLR])_?(?:sun|sol|⊙|☉)(?![A-Za-z])", re.IGNORECASE)
SUN_NAME = {"m": "solMass", "l": "solLum", "r": "solRad"}
WORD = re.compile(r"[A-Za-z]+")
#: An exponent of four digits or more: astropy computes such a power of ten exactly, for minutes.
BOMB = re.compile(r"(?:\*\*|\^|10\s*[+-])\s*\(?\s*[+-]?\s*\d{4,}")


def has_unit_bomb(text: str) -> bool:
    """Tell whether a text could keep a unit parser busy for minutes (``10**99999999``)."""
    return BOMB.search(text) is not None


@lru_cache(maxsize=512)
def parse_unit(text: str) -> UnitBase:
    """Read a unit as astronomy tables spell it.

    Parameters
    ----------
    text
        ``km/s``, ``km s-1``, ``km.s-1``, ``Msun``, ``L/pc^2``, ``10^9 Lsun``, ``erg/s/cm2/Ang``, ``[cm/s2]``
        (the CDS notation of a logarithm), ``---`` and the like.

    Returns
    -------
    astropy.units.UnitBase

    Raises
    ------
    UnitError
        If no reading of the text is a unit.
    """
    import astropy.units as u

    plain = text.strip()
    if plain.lower() in DIMENSIONLESS:
        return u.dimensionless_unscaled
    message = f"expected a unit such as 'km/s', found {text[:MAX_LENGTH]!r}"
    if len(plain) > MAX_LENGTH or has_unit_bomb(plain):
        raise UnitError(message)
    named = SUN.sub(lambda match: SUN_NAME[match[1].lower()], plain)
    named = WORD.sub(lambda match: SPELLINGS.get(match[0], match[0]), named)
    for spelling, notation in ((named, "generic"), (named.replace(" ", ""), "cds")):
        try:
            return u.Unit(spelling, format=notation)
        except (ValueError, TypeError, ArithmeticError):
            continue
    raise UnitError(message)


def read_unit(text: str) -> UnitBase:
    """Read the unit of a column that may not be needed: one that nobody understands is kept as spelled."""
    from astropy.units import UnrecognizedUnit

    try:
        return parse_unit(text)
    except UnitError:
        return UnrecognizedUnit(text)


def convert(values: npt.ArrayLike, found: UnitBase | str, wanted: UnitBase | str, name: str) -> npt.NDArray[np.float64]:
    """Turn numbers in one unit into numbers in another.

    Parameters
    ----------
    values
        Any shape.
    found, wanted
        Units, or their spelling.
    name
        What the numbers are, for the message.

    Raises
    ------
    UnitError
        Where a unit cannot be read, or the two measure different things.
    """
    source = parse_unit(found) if isinstance(found, str) else found
    target = parse_unit(wanted) if isinstance(wanted, str) else wanted
    try:
        return np.asarray(source.to(target, np.asarray(values, dtype=np.float64)), dtype=np.float64)
    except (ValueError, TypeError) as exc:
        message = f"{name}: expected a unit that converts to '{wanted}', found '{found}'"
        raise UnitError(message) from exc


def to_value(x: Any, unit: UnitBase | str, name: str) -> npt.NDArray[np.float64]:
    """Take an argument of a public function to a float64 array in its documented unit.

    Parameters
    ----------
    x
        A Quantity or a table column with a unit, which is converted; or plain numbers, which mean `unit`.
        Masked elements become NaN.
    unit
        The documented unit.
    name
        Of the argument, for the message.

    Returns
    -------
    ndarray
        The shape of `x`.

    Raises
    ------
    UnitError
        If `x` has a unit of another physical type.
    ParameterError
        If `x` does not hold numbers.
    """
    found = getattr(x, "unit", None)
    mask = getattr(x, "mask", None)
    values = x if found is None else getattr(x, "value", x)
    if mask is not None:
        values = getattr(values, "unmasked", getattr(values, "data", values))
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        message = f"{name}: expected numbers in '{unit}', found {type(x).__name__} that cannot be read as numbers"
        raise ParameterError(message) from exc
    if mask is not None:
        array = np.where(np.asarray(mask), np.nan, array)
    return array if found is None else convert(array, found, unit, name)
