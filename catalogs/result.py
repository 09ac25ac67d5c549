"""What every analysis returns, and the files it can be written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from catalogs.provenance import Provenance

__all__ = ("Result",)


@dataclass(frozen=True)
class Result:
    """Tables, arrays and the record of how they were made."""

    kind: str
    tables: Mapping[str, Table]
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
