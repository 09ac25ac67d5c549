r"""The rotation curves of DARKexp halos as a table: :math:`\ln V^2(\phi_0, \ln r/r_{-2})`, zero at :math:`r_{-2}`.

:math:`\phi_0` alone fixes the shape, and solving for it takes a second, so a fit reads the shape from a uniform cubic
B-spline through solutions made once (``tools/darkexp_table.py``). The density comes from the same spline:

.. math:: h(x) = x\,V^2(x), \qquad \hat\rho(x) = h'(x)/x^2 .
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import as_file, files
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from catalogs.errors import CatalogFormatError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalogs.provenance import Source

__all__ = ("DensityTable", "Table", "gamma_of", "load", "read", "read_density_table")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Rotation curves on a uniform grid, and the spline through them.

    Parameters
    ----------
    phi0, ln_x
        The nodes, (n_phi,) and (n_x,): the depth of the centre and ``ln r/r_-2``, both uniform.
    nodes
        ln V^2 / ``V_-2^2`` there, (n_phi, n_x).
    residual_rms, virial_ratio, drift, boundary
        Of the solution behind each phi0, (n_phi,): see `astrotk.darkexp.solver.Solution`.
    r_minus2, rho_minus2
        Of the same, at G = M = beta = 1.
    """

    phi0: Array
    ln_x: Array
    nodes: Array = field(repr=False)
    residual_rms: Array = field(repr=False)
    virial_ratio: Array = field(repr=False)
    drift: Array = field(repr=False)
    boundary: Array = field(repr=False)
    r_minus2: Array = field(repr=False)
    rho_minus2: Array = field(repr=False)

    @property
    def phi0_first(self) -> float:
        """The first phi0."""
        return float(self.phi0[0])

    @cached_property
    def phi0_step(self) -> float:
        """From one phi0 to the next."""
        return float(self.phi0[-1] - self.phi0[0]) / (self.phi0.size - 1)

    @property
    def x_first(self) -> float:
        """The first ``ln r/r_-2``."""
        return float(self.ln_x[0])

    @cached_property
    def x_step(self) -> float:
        """From one ``ln r/r_-2`` to the next."""
        return float(self.ln_x[-1] - self.ln_x[0]) / (self.ln_x.size - 1)

    @cached_property
    def coefficients(self) -> Array:
        """The B-spline's, (n_phi + 2, n_x + 2): the cell from node i to i + 1 is the sum over i..i+3."""
        along_x = _coefficients(np.ascontiguousarray(self.nodes.T)).T
        return np.ascontiguousarray(_coefficients(along_x))

    def ln_v2(self, phi0: npt.ArrayLike, ln_x: npt.ArrayLike) -> Array:
        """Return ln V^2 / ``V_-2^2`` at ``ln r/r_-2`` (any shape, broadcast); beyond the ends a power law in r."""
        return self._at(phi0, ln_x)[0]

    def rho_hat(self, x: npt.ArrayLike, phi0: npt.ArrayLike) -> Array:
        """Return h'(x) / x^2 at x = ``r/r_-2`` for h = x V^2 / ``V_-2^2``: the density times a constant."""
        ln_x = np.log(x)
        ln_v2, slope, _ = self._at(phi0, ln_x)
        return np.asarray(np.exp(ln_v2 - 2 * ln_x) * (1 + slope))

    def slope(self, x: npt.ArrayLike, phi0: npt.ArrayLike) -> Array:
        """Return d ln rho / d ln r at x = ``r/r_-2``."""
        _, slope, bend = self._at(phi0, np.log(x))
        return np.asarray(slope - 2 + bend / (1 + slope))

    def _at(self, phi0: npt.ArrayLike, ln_x: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """Return ln V^2 and its first and second derivative in ln x."""
        depth, place = np.broadcast_arrays(np.asarray(phi0, dtype=np.float64), np.asarray(ln_x, dtype=np.float64))
        if not np.all((depth >= self.phi0[0]) & (depth <= self.phi0[-1])):
            message = f"phi0: expected {self.phi0[0]:g} to {self.phi0[-1]:g}, where the table ends"
            raise ParameterError(message)
        inside = np.clip(place, self.ln_x[0], self.ln_x[-1])
        i, u = _cell((depth - self.phi0_first) / self.phi0_step, self.phi0.size)
        j, v = _cell((inside - self.x_first) / self.x_step, self.ln_x.size)
        four = np.arange(4)
        corner = self.coefficients[i[..., None, None] + four[:, None], j[..., None, None] + four]
        column = np.sum(_weights(u)[0][..., :, None] * corner, axis=-2)
        value, first, second = (
            np.sum(weights * column, axis=-1) / self.x_step**order for order, weights in enumerate(_weights(v))
        )
        return value + first * (place - inside), first, np.where(place == inside, second, 0.0)


def _cell(t: Array, nodes: int) -> tuple[npt.NDArray[np.intp], Array]:
    """Return the cell of a place counted in steps, and where in the cell it is."""
    i = np.clip(np.floor(t), 0, nodes - 2).astype(np.intp)
    return i, t - i


def _weights(u: Array) -> tuple[Array, Array, Array]:
    """Return the weights of four neighbouring coefficients, (..., 4), for the value and two derivatives."""
    v = 1 - u
    value = np.stack([v**3, 4 - 6 * u**2 + 3 * u**3, 4 - 6 * v**2 + 3 * v**3, u**3], axis=-1) / 6
    first = np.stack([-(v**2), 3 * u**2 - 4 * u, 4 * v - 3 * v**2, u**2], axis=-1) / 2
    second = np.stack([v, 3 * u - 2, 3 * v - 2, u], axis=-1)
    return value, first, second


def _coefficients(nodes: Array) -> Array:
    """Return the coefficients through the nodes along the first axis; the two cells at each end are one cubic."""
    n = len(nodes)
    matrix = np.zeros((n + 2, n + 2))
    for i in range(n):
        matrix[i + 1, i : i + 3] = 1 / 6, 4 / 6, 1 / 6
    matrix[0, :5] = matrix[-1, -5:] = 1, -4, 6, -4, 1
    ends = np.zeros_like(nodes[:1])
    return np.linalg.solve(matrix, np.concatenate([ends, nodes, ends]))


def gamma_of(phi0: npt.ArrayLike) -> Array:
    """Return the inner slope of the Dehnen profile that stands for DARKexp (Hjorth et al. 2015, ApJ 811, 2).

    The fit is valid for 1.7 <= phi0 <= 6; below phi0 = 1.647 gamma stays at 0.
    """
    return np.maximum(3 * np.log10(phi0) - 0.65, 0.0)


@cache
def load() -> Table:
    """Return the table that comes with the package."""
    with as_file(files("astrotk.darkexp") / "data" / "darkexp.npz") as path:
        return read(path)


def read(path: str | PathLike[str]) -> Table:
    """Return a table that ``tools/darkexp_table.py`` wrote."""
    with np.load(path) as stored:
        return Table(nodes=stored["ln_v2"], **{name: stored[name] for name in stored.files if name != "ln_v2"})


@dataclass(frozen=True)
class DensityTable:
    """The density of one halo, from a file.

    Parameters
    ----------
    x
        (n,): ``r/r_-2``, rising.
    rho_hat
        (n,): the density over that at ``r_-2``.
    source
        The file, its hash and the rejected rows.
    """

    x: Array
    rho_hat: Array
    source: Source


def read_density_table(path: str | PathLike[str], *, column_map: Mapping[str, str] | None = None) -> DensityTable:
    """Read a density profile, such as those that the authors of DARKexp publish, and scale it to ``r_-2``.

    Parameters
    ----------
    path
        A table with the columns ``r`` (or ``x``) and ``rho``, in any units and any order of rows.
    column_map
        ``{ours: theirs}`` where the columns have other names.

    Raises
    ------
    CatalogFileError, CatalogFormatError
        If the file cannot be read, or its slope does not pass through -2 among at least five different radii.
    """
    from scipy.interpolate import CubicSpline

    from catalogs.tables import Column, read_table

    wanted = (Column("r", aliases=("x", "radius"), positive=True), Column("rho", aliases=("density",), positive=True))
    data = read_table(path, wanted, column_map=column_map)
    order = np.argsort(data.columns["r"])
    ln_r, ln_rho = (np.log(data.columns[name][order]) for name in ("r", "rho"))
    if ln_r.size < 5 or np.any(np.diff(ln_r) <= 0):
        raise CatalogFormatError(path, "at least five radii, each once", f"{np.unique(ln_r).size} of {ln_r.size} rows")
    density = CubicSpline(ln_r, ln_rho)
    crossings = density.derivative().solve(-2.0, extrapolate=False)
    if not crossings.size:
        ends = ", ".join(f"{slope:.2f}" for slope in density(ln_r[[0, -1]], 1))
        raise CatalogFormatError(path, "a slope d ln rho / d ln r that passes through -2", f"slopes at the ends {ends}")
    at = crossings[-1]
    return DensityTable(np.exp(ln_r - at), np.exp(ln_rho - density(at)), data.source)
