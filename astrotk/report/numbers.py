"""Numbers as a reader wants them: as many digits as the error allows, and a true minus sign."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

__all__ = ("Scale", "cell", "plain", "signed")

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

#: More decimals than a float64 has digits would be noise.
FLOAT_DIGITS = 16

#: Powers of ten that are written out.
_WRITTEN_OUT = range(-3, 5)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _power_of(size: float) -> int:
    """Return the power of ten to take out of numbers of this size; 0 where they are written out."""
    power = math.floor(math.log10(size)) if size and math.isfinite(size) else 0
    return 0 if power in _WRITTEN_OUT else power


def _mantissa(value: float, power: int) -> float:
    # Decimal, because 10.0**power leaves the range of float64 before the smallest numbers do.
    return float(Decimal(value).scaleb(-power))


def _factor(power: int) -> str:
    return f" × 10{str(power).translate(_SUPERSCRIPT)}" if power else ""


@dataclass(frozen=True)
class Scale:
    """The power of ten and the decimals that one measurement is written with.

    Parameters
    ----------
    power
        Taken out of every number.
    decimals
        Kept after that; negative rounds to tens.
    """

    power: int
    decimals: int

    @classmethod
    def of(cls, value: float, error: float) -> Scale:
        """Keep two digits of a finite and positive error."""
        size = abs(value) if math.isfinite(value) else 0.0
        power = _power_of(max(size, error))
        place = int(f"{error:.1e}"[4:])  # of the first digit, after rounding to two
        return cls(power, min(1 - place + power, FLOAT_DIGITS))

    def _rounded(self, value: float) -> str:
        mantissa = round(_mantissa(value, self.power), self.decimals)
        return _minus(f"{mantissa:.{max(self.decimals, 0)}f}")

    def write(self, value: float) -> str:
        """Return one number."""
        return f"{self._rounded(value)}{_factor(self.power)}"

    def write_with_error(self, value: float, error: float) -> str:
        """Return a number and its error, the power of ten written once."""
        pair = f"{self._rounded(value)} ± {self._rounded(error)}"
        return f"({pair}){_factor(self.power)}" if self.power else pair


def plain(value: float, digits: int = 4) -> str:
    """Return a number without an error, to so many digits."""
    power = _power_of(abs(value))
    mantissa = np.format_float_positional(
        _mantissa(value, power), precision=digits, unique=False, fractional=False, trim="-"
    )
    return _minus(mantissa) + _factor(power)


def signed(value: float) -> str:
    """Return a pull: one decimal and always a sign."""
    return _minus(f"{value:+.1f}")


def cell(value: Any) -> str:
    """Return whatever stands in a table as text."""
    if np.ma.is_masked(value):
        return "—"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"array {value.shape}"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return _minus(str(value))
    return plain(float(value)) if isinstance(value, float | np.floating) else str(value)
