r"""A sphere in equilibrium with its own gravity, its orbits isotropic: from density to energies and back, at G = 1.

With the depth :math:`\Psi = -\Phi` and the binding energy :math:`\varepsilon = -E` (Hjorth & Williams 2010,
ApJ 722, 851; Binney & Tremaine 2008, section 4.3),

.. math::

    g(\varepsilon) = 16\pi^2 \int_0^{r(\varepsilon)} \sqrt{2(\Psi - \varepsilon)}\,r^2 dr, \quad
    \rho(r) = 4\pi \int_0^{\Psi(r)} f(\varepsilon)\sqrt{2(\Psi - \varepsilon)}\,d\varepsilon, \quad
    N(\varepsilon) = f(\varepsilon)\,g(\varepsilon) .

Energies stand for the radii whose depth they are, so everything lives on one grid in ln r. Near the centre
:math:`\Psi(0) - \Psi` is far below rounding of :math:`\Psi`, so it is carried on its own, as `Sphere.fall`.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

__all__ = ("Sphere",)

Array = npt.NDArray[np.float64]


def _gauss(nodes: int) -> tuple[Array, Array]:
    """Return the Gauss-Legendre rule on [0, 1]."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return 0.5 * (places + 1), 0.5 * weights


_CELL_NODES, _CELL_WEIGHTS = _gauss(3)
#: Inward an integrand dies away at once; outward it may rise over many decades to the edge of a core.
_INWARD, _OUTWARD = _gauss(40), _gauss(120)
#: How many e-folds an integral goes beyond the point where nothing but power laws is left.
INWARD, OUTWARD = 14.0, 8.0
#: Where to read the difference of two depths: from the centre below this share of the whole, from outside above.
NEAR = 0.4


class Sphere:
    """A density on a uniform grid in ln r, and what gravity makes of it.

    Parameters
    ----------
    ln_r, ln_rho
        (n,): the grid, uniform, and the density on it. Beyond its end the density falls as r^-4.
    inner_slope
        d ln rho / d ln r below the grid; above -2.

    Attributes
    ----------
    mass
        (n,): within r.
    fall
        (n,): Psi(0) - Psi(r).
    psi
        (n,): Psi(r).
    total_mass, depth
        Of the whole, and Psi(0).
    """

    def __init__(self, ln_r: Array, ln_rho: Array, inner_slope: float) -> None:
        self.ln_r, self.ln_rho, self.inner_slope = ln_r, ln_rho, inner_slope
        step = (ln_r[-1] - ln_r[0]) / (ln_r.size - 1)
        inside = ln_r[:-1, None] + step * _CELL_NODES
        self._ln_rho = CubicSpline(ln_r, ln_rho)

        core = 4 * np.pi * np.exp(3 * ln_r[0] + ln_rho[0]) / (3 + inner_slope)
        shells = 4 * np.pi * step * np.exp(3 * inside + self._ln_rho(inside)) @ _CELL_WEIGHTS
        self.mass = core + np.concatenate([[0.0], np.cumsum(shells)])
        ln_mass = CubicSpline(ln_r, np.log(self.mass))
        self._outside = 4 * np.pi * float(np.exp(3 * ln_r[-1] + ln_rho[-1]))
        self.total_mass = float(self.mass[-1]) + self._outside

        falls = step * np.exp(ln_mass(inside) - inside) @ _CELL_WEIGHTS
        self.fall = core * np.exp(-ln_r[0]) / (2 + inner_slope) + np.concatenate([[0.0], np.cumsum(falls)])
        last = (self.total_mass - 0.5 * self._outside) * np.exp(-ln_r[-1])
        self.psi = last + np.concatenate([np.cumsum(falls[::-1])[::-1], [0.0]])
        self.depth = float(self.fall[0] + self.psi[0])
        self._curves = CubicSpline(ln_r, np.log([self.fall, self.psi, self.mass]), axis=1)

    def ln_density_at(self, ln_r: npt.ArrayLike) -> Array:
        """Return ln rho anywhere."""
        held = np.clip(ln_r, self.ln_r[0], self.ln_r[-1])
        beyond = np.asarray(ln_r) - held
        return np.asarray(self._ln_rho(held) + np.where(beyond < 0, self.inner_slope, -4.0) * beyond)

    def slope_at(self, ln_r: npt.ArrayLike) -> Array:
        """Return d ln rho / d ln r on the grid's range."""
        return np.asarray(self._ln_rho(ln_r, 1))

    def mass_at(self, ln_r: npt.ArrayLike) -> Array:
        """Return the mass within r, anywhere."""
        return self._read(np.asarray(ln_r))[2]

    def fall_at(self, ln_r: npt.ArrayLike) -> Array:
        """Return Psi(0) - Psi(r), anywhere."""
        return self._read(np.asarray(ln_r))[0]

    def like(self, density: Array) -> Sphere:
        """Return another density on this grid."""
        return Sphere(self.ln_r, np.log(density), self.inner_slope)

    def _read(self, ln_r: Array) -> tuple[Array, Array, Array]:
        """Return fall, psi and mass anywhere: by splines on the grid, by power laws below it, exact beyond it."""
        held = np.clip(ln_r, self.ln_r[0], self.ln_r[-1])
        fall, psi, mass = np.exp(self._curves(held))
        below, beyond = ln_r < held, ln_r > held
        inward = np.exp(np.minimum(ln_r - held, 0.0))
        fall = fall * inward ** (2 + self.inner_slope)
        mass = mass * inward ** (3 + self.inner_slope)
        if np.any(below):
            psi = np.where(below, self.depth - fall, psi)
        if np.any(beyond):
            outside = self._outside * np.exp(held - ln_r)
            psi = np.where(beyond, (self.total_mass - 0.5 * outside) * np.exp(-ln_r), psi)
            fall = np.where(beyond, self.depth - psi, fall)
            mass = np.where(beyond, self.total_mass - outside, mass)
        return fall, psi, mass

    def _drop(self, fall: Array, psi: Array) -> Array:
        """Return |Psi(r_i) - Psi| for rows i of points, counted from the centre or from outside."""
        near = np.minimum(fall, self.fall[:, None]) < NEAR * self.depth
        return np.asarray(np.abs(np.where(near, fall - self.fall[:, None], self.psi[:, None] - psi)))

    def density_of_states(self) -> Array:
        """Return g at the energies Psi(r_i), (n,)."""
        ahead, weights = _ahead(np.array([INWARD]), _INWARD)
        ln_r = self.ln_r[:, None] - ahead
        fall, psi, _ = self._read(ln_r)
        speed = np.sqrt(2 * self._drop(fall, psi))
        return np.asarray(16 * np.pi**2 * np.sum(weights * speed * np.exp(3 * ln_r), axis=1))

    def density_of(self, f: Array) -> Array:
        """Return the density that f, given at the energies Psi(r_i), makes in this potential; (n,) both.

        Beyond the grid f falls as the energy to the power 5/2, which belongs to r^-4.
        """
        ahead, weights = _ahead(self.ln_r[-1] - self.ln_r + OUTWARD, _OUTWARD)
        ln_r = self.ln_r[:, None] + ahead
        fall, psi, mass = self._read(ln_r)
        spread = np.exp(CubicSpline(self.ln_r, np.log(f))(np.minimum(ln_r, self.ln_r[-1])))
        spread *= np.minimum(psi / self.psi[-1], 1.0) ** 2.5
        speed = np.sqrt(2 * self._drop(fall, psi))
        return np.asarray(4 * np.pi * np.sum(weights * spread * speed * mass * np.exp(-ln_r), axis=1))

    def distribution_of(self, density: Array) -> Array:
        r"""Return the f that makes a density in this potential, by Eddington's formula; (n,) both.

        .. math:: f(\varepsilon) = \frac{1}{\sqrt8\,\pi^2}
            \int_0^\varepsilon \frac{d^2\rho}{d\Psi^2}\frac{d\Psi}{\sqrt{\varepsilon - \Psi}}

        What lies beyond the grid is left out. The formula is linear, so `density` may be a difference of two.
        """
        ahead, weights = _ahead(self.ln_r[-1] - self.ln_r + OUTWARD, _OUTWARD)
        ln_r = self.ln_r[:, None] + ahead
        by_ln_r = CubicSpline(self.ln_r, density)(self.ln_r, 1)
        by_psi = CubicSpline(self.ln_r, -by_ln_r * np.exp(self.ln_r) / self.mass)
        held = np.minimum(ln_r, self.ln_r[-1])
        bend = np.where(ln_r <= self.ln_r[-1], -by_psi(held, 1), 0.0)
        fall, psi, _ = self._read(ln_r)
        return np.asarray(np.sum(weights * bend / np.sqrt(self._drop(fall, psi)), axis=1) / (np.sqrt(8) * np.pi**2))

    @cached_property
    def potential_energy(self) -> float:
        """Half the integral of Psi over the mass, the size of the potential energy."""
        weight = CubicSpline(self.ln_r, self.psi * np.exp(3 * self.ln_r + self.ln_rho))
        inner = self.psi[0] * self.mass[0]
        outer = self.psi[-1] * self._outside / 2  # Psi and the mass outside fall as 1/r
        return float(0.5 * (4 * np.pi * weight.integrate(self.ln_r[0], self.ln_r[-1]) + inner + outer))


def _ahead(reach: Array, rule: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return distances in ln r up to `reach` (rows,) and weights, (rows, nodes).

    The distance is q^2 / (1 + q): square near zero, where the integrands have a root, linear beyond.
    """
    nodes, weights = rule
    end = 0.5 * (reach + np.sqrt(reach * (reach + 4)))[:, None]
    q = end * nodes
    return q**2 / (1 + q), end * weights * q * (2 + q) / (1 + q) ** 2
