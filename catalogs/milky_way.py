"""Circular-velocity curves of the Milky Way, and models of the mass that is seen in it.

Curves: the text files of `LAYOUTS`, columns between blanks, known by their order; or every format of `catalogs.tables`
with the columns of `CURVE_COLUMNS`. Baryons: a TOML file,

.. code-block:: toml

    [[stars]]          # exponential discs, any number; mass [Msun], scale length and height [kpc]
    mass = 3.65e10
    scale = 2.35
    height = 0.14      # 0 for a thin disc

    [[gas]]
    mass = 8.2e9
    scale = 18.24
    height = 0.52

    [bulge]            # Hernquist; mass [Msun], scale radius [kpc]; may be left out
    mass = 1.55e10
    scale = 0.7
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from catalogs._words import read_words
from catalogs.errors import CatalogFormatError, ParameterError
from catalogs.files import foreign_errors, open_hashed
from catalogs.provenance import Source
from catalogs.tables import Column, read_table

__all__ = ("LAYOUTS", "BaryonModel", "Bulge", "Disk", "VelocityCurve", "read_baryon_model", "read_velocity_curve")

Array = npt.NDArray[np.float64]

CURVE_COLUMNS = (
    Column("r", "kpc", aliases=("R", "R_kpc", "r_kpc", "radius"), positive=True),
    Column("v", "km/s", aliases=("v_c", "vc", "vc_kms", "v_circ", "v_obs"), positive=True),
    Column("e_plus", "km/s", aliases=("sig_plus", "e_v_plus", "e_v", "e_v_obs", "sigma"), positive=True),
    Column("e_minus", "km/s", aliases=("sig_minus", "e_v_minus"), positive=True, required=False),
)
#: Files with more bytes are no model of baryons.
MAX_BYTES = 100_000
#: No mass or length of a galaxy comes near this.
MAX_NUMBER = 1e30


class Layout(NamedTuple):
    """A published text file: what its name contains, its columns, its first word if it has a line of names."""

    mark: str
    labels: tuple[str, ...]
    r0: float
    reference: str
    header: str = ""


#: The published curves; R0 [kpc] is that of the paper, NaN where the file does not say it.
LAYOUTS = {
    "eilers2019": Layout(
        "eilers", ("r", "v", "e_plus", "e_minus"), 8.122, "Eilers, Hogg, Rix & Ness 2019, ApJ 871, 120"
    ),
    "ou2024": Layout(
        "ou2024",
        ("r", "v", "e_plus", "e_minus", "stars"),
        8.178,
        "Ou, Eilers, Necib & Frebel 2024, MNRAS 528, 693",
        "R_kpc",
    ),
    "mroz2019": Layout("mroz", ("r", "v", "e_plus", "e_r"), math.nan, "Mróz et al. 2019, ApJ 870, L10"),
    "wang2021": Layout("stddev_w21", ("row", "r", "v", "e_plus", "e_r"), math.nan, "Wang et al. 2021"),
}


@dataclass(frozen=True)
class VelocityCurve:
    """A circular-velocity curve of the Milky Way; arrays of one length, in the order of the file.

    Parameters
    ----------
    r
        Galactocentric radius [kpc], > 0.
    v
        Circular velocity [km/s].
    e_plus, e_minus
        Its random error upward and downward [km/s]; the same where only one is given.
    r0
        Distance of the Sun from the centre that the radii are built on [kpc]; NaN where unknown.
    reference
        Of a published curve; empty for a user's own.
    source
        The file, with what was left out of it.
    """

    r: Array
    v: Array
    e_plus: Array
    e_minus: Array
    r0: float
    reference: str
    source: Source

    def __len__(self) -> int:
        return self.r.size

    @property
    def e_v(self) -> Array:
        """The mean of the two errors, for a likelihood that knows but one [km/s]."""
        return 0.5 * (self.e_plus + self.e_minus)

    def within(self, r_min: float = 0.0, r_max: float = math.inf) -> VelocityCurve:
        """Return the points with r_min <= r <= r_max [kpc].

        Raises
        ------
        ParameterError
            If there are none.
        """
        keep = (self.r >= r_min) & (self.r <= r_max)
        if not np.any(keep):
            found = f"{self.r.min():g} to {self.r.max():g} kpc"
            message = f"{self.source.path}: expected points within {r_min:g} to {r_max:g} kpc, found {found}"
            raise ParameterError(message)
        return replace(self, **{key: getattr(self, key)[keep] for key in ("r", "v", "e_plus", "e_minus")})


def read_velocity_curve(
    path: str | PathLike[str],
    *,
    layout: str | None = None,
    column_map: Mapping[str, str] | None = None,
) -> VelocityCurve:
    """Read a circular-velocity curve of the Milky Way.

    Parameters
    ----------
    path
        A ``.dat``, ``.txt`` or ``.tsv`` file of one of the `LAYOUTS`, or a table with the columns of `CURVE_COLUMNS`.
    layout
        Of a text file, where its name does not show it.
    column_map
        ``{our name: name in the file}`` of a table.

    Raises
    ------
    CatalogFileError, CatalogFormatError, UnitError
        If the file is missing, is none of these or has no usable row.
    ParameterError
        If the layout is unknown, or not known for a text file.
    """
    path = Path(path)
    if layout is None and path.suffix.lower() not in (".dat", ".txt", ".tsv"):
        data = read_table(path, CURVE_COLUMNS, column_map=column_map)
        return _curve(data.columns, math.nan, "", data.source)
    own = _layout_of(path, layout)
    columns, source, _ = read_words(path, own.labels, CURVE_COLUMNS)
    names = f"found {own.header!r}"
    rejected = tuple(item for item in source.rejected if not (own.header and item.reason.endswith(names)))
    if not columns["r"].size:
        found = f"none: {rejected[0].where}: {rejected[0].reason}" if rejected else "none"
        raise CatalogFormatError(path, "at least one usable row", found)
    return _curve(columns, own.r0, own.reference, replace(source, rejected=rejected))


def _layout_of(path: Path, layout: str | None) -> Layout:
    if layout is not None:
        if layout.lower() not in LAYOUTS:
            message = f"no curve of the Milky Way is laid out as '{layout}': choose from {', '.join(LAYOUTS)}"
            raise ParameterError(message)
        return LAYOUTS[layout.lower()]
    for known in LAYOUTS.values():
        if known.mark in path.name.lower():
            return known
    message = f"{path}: the name shows no layout of a text file; name one of {', '.join(LAYOUTS)}, or bring a table"
    raise ParameterError(message)


def _curve(columns: Mapping[str, npt.NDArray[Any]], r0: float, reference: str, source: Source) -> VelocityCurve:
    e_minus = columns.get("e_minus", columns["e_plus"])
    return VelocityCurve(columns["r"], columns["v"], columns["e_plus"], e_minus, r0, reference, source)


# --- what is seen -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Disk:
    """A disc of density falling as ``exp(-R / scale) exp(-|z| / height)``.

    Parameters
    ----------
    mass
        [Msun], > 0.
    scale
        Length [kpc], > 0.
    height
        [kpc]; 0 for a thin disc.
    """

    mass: float
    scale: float
    height: float = 0.0


@dataclass(frozen=True)
class Bulge:
    """A Hernquist (1990) sphere of `mass` [Msun] and `scale` radius [kpc], both > 0."""

    mass: float
    scale: float


@dataclass(frozen=True)
class BaryonModel:
    """Stars and gas of a galaxy.

    Parameters
    ----------
    stars, gas
        Discs.
    bulge
        None for a galaxy without.
    reference
        Where the numbers come from.
    source
        The file, if they come from one.
    """

    stars: tuple[Disk, ...]
    gas: tuple[Disk, ...] = ()
    bulge: Bulge | None = None
    reference: str = ""
    source: Source | None = None


Part = TypeVar("Part", Disk, Bulge)


def read_baryon_model(path: str | PathLike[str]) -> BaryonModel:
    """Read a model of stars and gas, in TOML; see the head of this module.

    Raises
    ------
    CatalogFileError
        If the file is missing, too large or unreadable.
    CatalogFormatError
        If it is not such a model: an unknown key, a number that cannot be, no stars.
    """
    with open_hashed(path, MAX_BYTES) as (stream, sha256), foreign_errors(path, "TOML"):
        found = tomllib.loads(stream.read().decode("utf-8-sig"))
    unknown = sorted(set(found) - {"stars", "gas", "bulge", "reference"})
    if unknown:
        raise CatalogFormatError(path, "stars, gas, bulge and reference", f"'{unknown[0]}'")
    stars, gas = (_disks(path, found.get(key, []), key) for key in ("stars", "gas"))
    if not stars:
        raise CatalogFormatError(path, "at least one disc [[stars]]", "none")
    bulge = _part(Bulge, path, found["bulge"], "bulge") if "bulge" in found else None
    return BaryonModel(stars, gas, bulge, str(found.get("reference", "")), Source(str(path), sha256))


def _disks(path: str | PathLike[str], found: Any, key: str) -> tuple[Disk, ...]:
    if not isinstance(found, list):
        raise CatalogFormatError(path, f"a list of tables [[{key}]]", type(found).__name__, key)
    return tuple(_part(Disk, path, each, f"{key} {i}") for i, each in enumerate(found, 1))


def _part(kind: type[Part], path: str | PathLike[str], found: Any, where: str) -> Part:
    """Build a disc or bulge from a table of TOML."""
    wanted = [field.name for field in fields(kind)]
    if not isinstance(found, dict) or not {"mass", "scale"} <= set(found) <= set(wanted):
        held = ", ".join(found) if isinstance(found, dict) else type(found).__name__
        raise CatalogFormatError(path, f"a table with {', '.join(wanted)}", held or "nothing", where)
    for key, value in found.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER
        if not number or (value == 0 and key != "height"):
            raise CatalogFormatError(path, f"a positive number for {key}", repr(value)[:40], where)
    return kind(**{key: float(value) for key, value in found.items()})
