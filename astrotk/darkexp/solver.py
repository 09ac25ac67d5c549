r"""DARKexp solved: the isotropic sphere whose energies are distributed as :math:`N \propto e^{\phi_0-\varepsilon} - 1`.

Units are G = M = beta = 1. The density is found as the one that its own energies give back,

.. math:: \rho \to \Psi, g \to f = N/g \to \rho .

Of infinite extent and with a regular centre, a solution exists for one depth alone, `JOIN`. At any other something must
give way, and here it is N of the most bound energies, the least that will do: with x the energy counted from the
centre, f follows DARKexp down to :math:`x_b` and there goes over into what makes a plain centre,

.. math:: f(x) = f_D(\tilde x)\,(x/\tilde x)^{-q}, \qquad \tilde x = x + x_b\,e^{-u-u^2/2},\quad u = x/x_b ,

q = 0 for a core (below the join) and q = 5/2 for a cusp rho ~ 1/r (above it). :math:`x_b` is not chosen: for each phi0
one value lets the equation hold at all radii, and it goes to zero at the join from both sides. So every solution is
an equilibrium; what `Solution.residual_rms` measures is how far its N is from DARKexp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq, minimize_scalar

from astrotk.darkexp.isotropic import Sphere
from astrotk.darkexp.table import load
from catalogs.errors import ParameterError

if TYPE_CHECKING:
    from catalogs.result import Result

__all__ = ("JOIN", "PHI0_RANGE", "Solution", "Start", "energies", "solve", "to_result")

Array = npt.NDArray[np.float64]

#: The depth at which a regular core is an exact solution; cores below it, cusps above.
JOIN = 2.05995
PHI0_RANGE = (0.3, 8.0)
#: Nearer to the join than this x_b is too small to matter, and left out.
NEAR_JOIN = 0.003
#: The residual of N, and of the virial ratio, up to which a solution is called self-consistent.
TOLERANCE = 0.01

#: The grid: its points, its outer end, and how many e-folds it reaches inward of r_b, or of r_-2 where there is none.
POINTS, OUTER, INWARD, ALL_INWARD = 300, math.log(1e4), 5.0, 9.2
#: The smooth part of a correction is a spline through this many knots.
KNOTS = 56
#: Weight of total mass and depth, which set the units, among the residuals.
PIN = 10.0
ITERATIONS, SETTLED, SLOW = 100, 1e-9, 0.75

_SPLINES = CubicSpline(np.linspace(0, 1, KNOTS), np.eye(KNOTS))(np.linspace(0, 1, POINTS))
_TO_KNOTS = np.linalg.pinv(_SPLINES)
#: Of f in the energy and of rho in the radius at the centre: of a core, and of a cusp.
_POWER, _SLOPE = (0.0, 2.5), (0.0, -1.0)


class Start(NamedTuple):
    """Where a search begins: the density on equal steps of ln r from `ln_inner`, and ln x_b (-inf for none)."""

    ln_inner: float
    ln_rho: Array
    ln_boundary: float


@dataclass(frozen=True)
class Solution:
    """A DARKexp halo in units of G = M = beta = 1.

    Parameters
    ----------
    phi0
        The depth of the centre.
    r, rho, mass, psi
        (n,): radius, density, mass within, and the depth -Phi, which is also the energy of the next four.
    f, g, n_target, n_model
        (n,): phase-space density, density of states, N of DARKexp, and the N that `rho` has by Eddington's formula.
    r_minus2, v_minus2, v_max_over_v_minus2, rho_minus2
        Where d ln rho / d ln r = -2 (outermost), and what is there.
    rho0
        Central density; NaN for a cusp.
    virial_ratio
        Potential energy over that which an equilibrium with the energies of DARKexp has.
    residual_rms
        sqrt(int (n_model / n_target - 1)^2 n_target d eps): the relative residual of N, rms over the mass.
    drift
        ln of the half-mass radius after one more pass over the one before.
    boundary
        "core" or "cusp": what the centre was made.
    r_boundary, eps_boundary, mass_inside
        The energy beyond which N gives way, the radius of that depth and the mass in there; 0, phi0 and 0 for none.
    self_consistent, note
        Whether residual and virial ratio are within 1 %, and if not, why.
    """

    phi0: float
    r: Array = field(repr=False)
    rho: Array = field(repr=False)
    mass: Array = field(repr=False)
    psi: Array = field(repr=False)
    f: Array = field(repr=False)
    g: Array = field(repr=False)
    n_target: Array = field(repr=False)
    n_model: Array = field(repr=False)
    r_minus2: float
    v_minus2: float
    v_max_over_v_minus2: float
    rho0: float
    rho_minus2: float
    virial_ratio: float
    residual_rms: float
    drift: float
    boundary: str
    r_boundary: float
    eps_boundary: float
    mass_inside: float
    self_consistent: bool
    note: str

    @property
    def eps(self) -> Array:
        """The energies of f, g and N: the depths of the radii."""
        return self.psi

    @cached_property
    def sphere(self) -> Sphere:
        """The density between the grid points and beyond them, with its mass and depth."""
        return Sphere(np.log(self.r), np.log(self.rho), _SLOPE[self.boundary == "cusp"])

    @property
    def start(self) -> Start:
        """A place to begin the search for a neighbour."""
        if not self.r_boundary:
            return Start(math.log(self.r[0]), np.log(self.rho), -math.inf)
        ln_inner = math.log(self.r_boundary) - INWARD
        ln_rho = self.sphere.ln_density_at(np.linspace(ln_inner, OUTER, POINTS))
        return Start(ln_inner, ln_rho, math.log(self.phi0 - self.eps_boundary))


def energies(fall: npt.ArrayLike, phi0: float) -> Array:
    """Return N of DARKexp at the energies phi0 - fall, for M = beta = 1."""
    return np.asarray(np.expm1(fall) / (math.expm1(phi0) - phi0))


def solve(phi0: float, *, start: Start | None = None) -> Solution:
    """Solve for the halo of one depth.

    Parameters
    ----------
    phi0
        From 0.3 to 8.
    start
        A neighbour's `Solution.start`; by default read from the shipped table.

    Raises
    ------
    ParameterError
        If phi0 is out of range, or the search does not settle.
    """
    if not PHI0_RANGE[0] <= phi0 <= PHI0_RANGE[1]:
        message = f"phi0: expected {PHI0_RANGE[0]:g} to {PHI0_RANGE[1]:g}, found {phi0:g}"
        raise ParameterError(message)
    return _describe(phi0, _settle(phi0, start or _start_from_table(phi0)))


def _pass(sphere: Sphere, ln_boundary: float, power: float) -> tuple[Array, Array, Array]:
    """Return f and g of a sphere's energies by the formula above, its mass kept, and the density that f makes there."""
    g = sphere.density_of_states()
    f = sphere.total_mass * energies(sphere.fall, sphere.depth) / g
    if ln_boundary > -math.inf:
        ratio = sphere.fall * math.exp(-ln_boundary)
        held = ratio + np.exp(-ratio - 0.5 * ratio**2)
        f = np.exp(CubicSpline(np.log(ratio), np.log(f))(np.log(held))) * (held / ratio) ** power
    n = f * g
    f *= sphere.total_mass / (_over_energies(n, sphere) + n[-1] * sphere.psi[-1])
    return f, g, sphere.density_of(f)


def _over_energies(values: Array, sphere: Sphere) -> float:
    """Integrate over the energies of the grid; at its ends the integrand has died away, so plain sums are exact."""
    return float(np.trapezoid(values * sphere.mass * np.exp(-sphere.ln_r), sphere.ln_r))


def _residuals(phi0: float, start: Start) -> Array:
    """Return ln of the new density over the old, and what pins mass and depth."""
    sphere = _sphere(phi0, start)
    change = np.log(_pass(sphere, start.ln_boundary, _POWER[phi0 > JOIN])[2]) - start.ln_rho
    return np.append(change, [PIN * math.log(sphere.total_mass), PIN * math.log(sphere.depth / phi0)])


def _settle(phi0: float, start: Start) -> Start:
    """Follow Gauss-Newton steps to the least residuals.

    A step has a smooth part, a spline found through the Jacobian, and a rough one: a pass smooths, so what no spline
    can follow is taken over from it as it is. The Jacobian is renewed only where the steps no longer shrink.
    """
    free = int(start.ln_boundary > -math.inf)
    jacobian, last, small = None, math.inf, 1e-6
    residuals = _residuals(phi0, start)
    for _ in range(ITERATIONS):
        if jacobian is None:
            columns = [start._replace(ln_rho=start.ln_rho + small * spline) for spline in _SPLINES.T]
            columns += [start._replace(ln_boundary=start.ln_boundary + small)] * free
            moved = [_residuals(phi0, column) for column in columns]
            jacobian = np.linalg.pinv((np.array(moved) - residuals).T / small, rcond=1e-9)
        step = -jacobian @ residuals
        rough = residuals[:POINTS] - _SPLINES @ (_TO_KNOTS @ residuals[:POINTS])
        change = _SPLINES @ step[:KNOTS] + rough
        shift = float(step[KNOTS]) if free else 0.0
        size = max(float(np.max(np.abs(change))), abs(shift))
        damping = min(1.0, 0.5 / size)
        start = start._replace(ln_rho=start.ln_rho + damping * change, ln_boundary=start.ln_boundary + damping * shift)
        if size < SETTLED:
            return start
        if not math.isfinite(size):
            break
        residuals = _residuals(phi0, start)
        if size > SLOW * last or damping < 1:
            jacobian = None
        last = size
    message = f"no solution was found at phi0 = {phi0:g}: start from that of a neighbour"
    raise ParameterError(message)


def _sphere(phi0: float, start: Start) -> Sphere:
    return Sphere(np.linspace(start.ln_inner, OUTER, POINTS), start.ln_rho, _SLOPE[phi0 > JOIN])


def _start_from_table(phi0: float) -> Start:
    """Read a first guess from the shipped table, of its own side of the join; r_b grows as the root of the distance."""
    table = load()
    side = (table.phi0 > JOIN) == (phi0 > JOIN)
    nearest = float(np.clip(phi0, *table.phi0[side][[0, -1]]))
    shares = table.boundary[side] / np.sqrt(np.abs(table.phi0[side] - JOIN))
    r_minus2, rho_minus2 = (
        math.exp(np.interp(phi0, table.phi0, np.log(column))) for column in (table.r_minus2, table.rho_minus2)
    )
    free = abs(phi0 - JOIN) > NEAR_JOIN
    r_b = r_minus2 * math.sqrt(abs(phi0 - JOIN)) * float(np.interp(phi0, table.phi0[side], shares))
    ln_inner = math.log(r_b) - INWARD if free else math.log(r_minus2) - ALL_INWARD
    x = np.exp(np.linspace(ln_inner, OUTER, POINTS)) / r_minus2
    near = np.minimum(x, 100.0)  # beyond, the spline of the mass no longer knows the density
    ln_rho = np.log(rho_minus2 / table.rho_hat(1.0, nearest) * table.rho_hat(near, nearest)) - 4 * np.log(x / near)
    start = Start(ln_inner, ln_rho, -math.inf)
    return start._replace(ln_boundary=math.log(_sphere(phi0, start).fall_at(math.log(r_b)))) if free else start


def _describe(phi0: float, start: Start) -> Solution:
    """Measure a solution."""
    sphere = _sphere(phi0, start)
    f, g, new = _pass(sphere, start.ln_boundary, _POWER[phi0 > JOIN])
    r, rho = np.exp(sphere.ln_r), np.exp(sphere.ln_rho)
    n_target = energies(sphere.fall, phi0)
    n_model = (f + sphere.distribution_of(rho - new)) * g
    residual_rms = math.sqrt(_over_energies((n_model / n_target - 1) ** 2 * n_target, sphere))
    equilibrium = 2 / 3 * (math.expm1(phi0) - phi0 - phi0**2 / 2) / (math.expm1(phi0) - phi0)
    virial_ratio = sphere.potential_energy / equilibrium

    last = int(np.flatnonzero(sphere.slope_at(sphere.ln_r) > -2)[-1])
    ln_r2 = brentq(lambda place: float(sphere.slope_at(place)) + 2, *sphere.ln_r[last : last + 2])
    top = int(np.argmax(sphere.mass / r))
    highest = minimize_scalar(
        lambda place: -float(sphere.mass_at(place)) * math.exp(-place), bounds=sphere.ln_r[[top - 1, top + 1]]
    )
    v2 = float(sphere.mass_at(ln_r2)) * math.exp(-ln_r2)
    x_b = math.exp(start.ln_boundary)
    r_b = float(np.exp(np.interp(math.log(x_b), np.log(sphere.fall), sphere.ln_r))) if x_b else 0.0
    boundary = "cusp" if phi0 > JOIN else "core"
    consistent = residual_rms < TOLERANCE and abs(virial_ratio - 1) < TOLERANCE
    half_mass = [np.interp(0.5 * each.mass[-1], each.mass, each.ln_r) for each in (sphere, sphere.like(new))]
    return Solution(
        phi0=phi0, r=r, rho=rho, mass=sphere.mass, psi=sphere.psi, f=f, g=g, n_target=n_target, n_model=n_model,
        r_minus2=math.exp(ln_r2),
        v_minus2=math.sqrt(v2),
        v_max_over_v_minus2=math.sqrt(-highest.fun / v2),
        rho0=float(rho[0]) if boundary == "core" else math.nan,
        rho_minus2=float(np.exp(sphere.ln_density_at(ln_r2))),
        virial_ratio=virial_ratio,
        residual_rms=residual_rms,
        drift=float(half_mass[1] - half_mass[0]),
        boundary=boundary,
        r_boundary=r_b,
        eps_boundary=phi0 - x_b,
        mass_inside=float(sphere.mass_at(math.log(r_b))) if r_b else 0.0,
        self_consistent=consistent,
        note="" if consistent else
        f"the {boundary} inside {r_b / math.exp(ln_r2):.2g} r_-2 is imposed: N(E) is off by {residual_rms:.2g} rms and "
        f"the virial ratio by {virial_ratio - 1:.2g}",
    )  # fmt: skip


def to_result(solution: Solution) -> Result:
    """Put a solution into a `catalogs.result.Result`: the profile a row a radius, the numbers in one row."""
    from astropy.table import Table

    from catalogs.provenance import Provenance
    from catalogs.result import Result

    arrays = {name: value for name, value in vars(solution).items() if isinstance(value, np.ndarray)}
    numbers = {name: [value] for name, value in vars(solution).items() if isinstance(value, (float, str, bool))}
    settings = {"units": "G = M = beta = 1", "r_min": float(solution.r[0]), "points": solution.r.size}
    tables = {"profile": Table(arrays), "summary": Table(numbers)}
    return Result("darkexp solution", tables, provenance=Provenance.record(settings=settings))
