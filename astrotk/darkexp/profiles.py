r"""Spherical halos: :math:`\rho(r) = \rho_s\,\hat\rho(r/r_s)`: DARKexp, the seven of the SPARC catalogue, and your own.

A profile is its dimensionless density; everything else follows from it:

.. math:: h(x) = \int_0^x t^2\hat\rho(t)\,dt, \quad M = 4\pi\rho_s r_s^3 h(x), \quad V^2 = 4\pi G\rho_s r_s^2\,h(x)/x .

Sources: see `gpu.rotation.formula`, where h(x) of all of them stand. Both DARKexp profiles have r_s = ``r_-2``, the
radius where the slope is -2, and :math:`\rho_s = V_{-2}^2/(4\pi G r_{-2}^2)`, so that h(1) = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from astrotk.darkexp import table
from catalogs.errors import ParameterError
from catalogs.units import to_value
from gpu.rotation import formula
from gpu.rotation.data import Constants

__all__ = ("H0", "PROFILES", "G", "Profile", "check_profile", "kernel_constants", "profile_named")

Array = npt.NDArray[np.float64]

#: The gravitational constant [kpc km^2 s^-2 Msun^-1].
G = 4.30091e-6
PC3_PER_KPC3 = 1e9
#: The Hubble constant of the published catalogue [km/s/kpc].
H0 = 0.073
#: Gyr in 1 kpc/(km/s).
GYR = 0.977792

#: ln x between which a slope of -2 is looked for.
LOG_X_RANGE = (math.log(1e-5), math.log(1e6))
#: Where the prior of phi0 is flat: the whole table, and the range over which the closed form was compared with DARKexp.
PHI0_TABLE, PHI0_GAMMA = (0.3, 6.5), (1.65, 6.5)

#: Nodes and weights of the quadrature for a profile that brings no mass of its own.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


@cache
def kernel_constants() -> Constants:
    """Return what the kernels are told: the constants, and the table of DARKexp."""
    curves = table.load()
    return Constants(
        g=G,
        h0=H0,
        core_age=0.04 * 14.0 / GYR,
        phi0_first=curves.phi0_first,
        phi0_step=curves.phi0_step,
        x_first=curves.x_first,
        x_step=curves.x_step,
        coefficients=curves.coefficients,
    )


def root(function: Callable[..., Array], low: float, high: float, *arguments: Array) -> Array:
    """Return where ``function(x, *arguments)`` changes sign between low and high, elementwise; NaN where it does not.

    Parameters
    ----------
    function
        Of arrays (n,).
    low, high
        The ends, for all elements.
    arguments
        (n,) each; at least one.
    """
    from scipy.optimize import elementwise

    ends = np.full(arguments[0].shape, low), np.full(arguments[0].shape, high)
    with np.errstate(all="ignore"):  # what has no root may have no number at all
        found = elementwise.find_root(function, ends, args=arguments, tolerances={"xatol": 1e-12, "xrtol": 0.0})
    return np.where(found.success, found.x, np.nan)


@dataclass(frozen=True)
class Profile:
    """A spherical density profile.

    Parameters
    ----------
    name
        As it stands in catalogues.
    rho_hat
        ``rho_hat(x, *shape)``: density over rho_s at x = r / r_s; takes and returns arrays.
    mass_hat
        ``mass_hat(x, *shape)``: h(x) above. Without it h is integrated numerically.
    slope_hat
        ``slope_hat(x, *shape)``: d ln rho / d ln r. Without it the density is differentiated numerically.
    minus2_hat
        ``minus2_hat(*shape)``: x where the slope is -2, NaN where it never is. Without it the slope is searched.
    shape
        ``{name: (low, high)}`` of the shape parameters: the range of their flat prior.
    logarithmic
        The shape parameters whose prior is flat in their logarithm instead.
    kind
        The compiled kernel of a built-in profile; a profile of your own has none and runs on NumPy.

    Examples
    --------
    >>> hernquist = Profile("Hernquist", lambda x: 1 / (x * (1 + x) ** 3), lambda x: 0.5 * (x / (1 + x)) ** 2)
    >>> check_profile(hernquist)
    >>> round(float(hernquist.velocity(8.0, r_s=10.0, rho_s=0.01)), 3)
    81.685
    """

    name: str
    rho_hat: Callable[..., Any]
    mass_hat: Callable[..., Any] | None = None
    slope_hat: Callable[..., Any] | None = None
    minus2_hat: Callable[..., Any] | None = None
    shape: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    logarithmic: tuple[str, ...] = ()
    kind: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to other processes by name, where built in, because the functions cannot."""
        if PROFILES.get(self.name) is self:
            return profile_named, (self.name,)
        return super().__reduce__()  # type: ignore[return-value]

    def h(self, x: npt.ArrayLike, *shape: npt.ArrayLike) -> Array:
        """Return h(x), the mass within x over 4 pi rho_s r_s^3."""
        x = np.asarray(x, dtype=np.float64)
        if self.kind is not None:
            return _compiled_mass(self.kind, x, shape)
        if self.mass_hat is not None:
            return np.asarray(self.mass_hat(x, *shape), dtype=np.float64)
        # t = x s^2 takes the edge off a central cusp
        s = 0.5 * (1.0 + _NODES)
        t = x[..., None] * s**2
        spread = [np.asarray(value, dtype=np.float64)[..., None] for value in shape]
        return np.asarray(np.sum(_WEIGHTS * s * t**2 * self.rho_hat(t, *spread), axis=-1) * x)

    def slope(self, x: npt.ArrayLike, *shape: npt.ArrayLike) -> Array:
        """Return d ln rho / d ln r at x."""
        x = np.asarray(x, dtype=np.float64)
        if self.slope_hat is not None:
            return np.asarray(self.slope_hat(x, *shape), dtype=np.float64)
        step = 1e-4
        high, low = self.rho_hat(x * np.exp(step), *shape), self.rho_hat(x * np.exp(-step), *shape)
        return np.asarray(np.log(high / low) / (2 * step))

    def x_minus2(self, *shape: npt.ArrayLike) -> Array:
        """Return x where d ln rho / d ln r is -2, NaN where it never is; shape parameters are scalars or (n,)."""
        if self.minus2_hat is not None:
            return np.asarray(self.minus2_hat(*shape), dtype=np.float64)
        own = np.broadcast_arrays(0.0, *[np.asarray(value, dtype=np.float64) for value in shape])
        return np.exp(root(lambda log_x, *args: self.slope(np.exp(log_x), *args[1:]) + 2, *LOG_X_RANGE, *own))

    def density(self, r: Any, r_s: Any, rho_s: Any, *shape: npt.ArrayLike) -> Array:
        """Return the density [Msun/pc^3] at r [kpc] for r_s [kpc] and rho_s [Msun/pc^3]; Quantity accepted."""
        x = to_value(r, "kpc", "r") / to_value(r_s, "kpc", "r_s")
        return np.asarray(to_value(rho_s, "Msun / pc3", "rho_s") * self.rho_hat(x, *shape))

    def enclosed_mass(self, r: Any, r_s: Any, rho_s: Any, *shape: npt.ArrayLike) -> Array:
        """Return the mass [Msun] within r [kpc] for r_s [kpc] and rho_s [Msun/pc^3]; Quantity accepted."""
        radius = to_value(r_s, "kpc", "r_s")
        x = to_value(r, "kpc", "r") / radius
        rho = to_value(rho_s, "Msun / pc3", "rho_s") * PC3_PER_KPC3
        return np.asarray(4 * np.pi * rho * radius**3 * self.h(x, *shape))

    def velocity(self, r: Any, r_s: Any, rho_s: Any, *shape: npt.ArrayLike) -> Array:
        """Return the circular velocity [km/s] at r [kpc] for r_s [kpc] and rho_s [Msun/pc^3]; Quantity accepted."""
        return np.asarray(np.sqrt(G * self.enclosed_mass(r, r_s, rho_s, *shape) / to_value(r, "kpc", "r")))


def _compiled_mass(kind: int, x: Array, shape: tuple[npt.ArrayLike, ...]) -> Array:
    from gpu.rotation import cpu

    padded = np.broadcast_arrays(x, *shape, *([0.0] * (3 - len(shape))))
    # a view of a broadcast is not for writing
    flat_x, p0, p1, p2 = (np.array(value, dtype=np.float64).ravel() for value in padded)
    masses: Array = cpu.masses(kind, flat_x, p0, p1, p2, kernel_constants())
    return masses.reshape(padded[0].shape)


def _rho_corenfw(x: Array, core: Array, n: Array) -> Array:
    """Read, Agertz & Collins 2016, eq. 19: f^n rho_NFW + n f^(n-1) (1 - f^2) h_NFW / (x^2 r_c)."""
    f = np.tanh(x / core)
    h = PROFILES["NFW"].h(x)
    return np.asarray(f**n / (x * (1 + x) ** 2) + n * f ** (n - 1) * (1 - f**2) * h / (x**2 * core))


def _slope_corenfw(x: Array, core: Array, n: Array) -> Array:
    """Return the slope of M L / x^3 with L = d ln M / d ln x = m + n t: m of NFW, t = d ln tanh(y) / d ln y."""
    y = x / core
    m = x**2 / ((1 + x) ** 2 * PROFILES["NFW"].h(x))
    t = 4 * y * np.exp(-2 * y) / -np.expm1(-4 * y)
    growth = m + n * t
    bend = m * (2 / (1 + x) - m) + n * t * (1 - 2 * y / np.tanh(2 * y))
    return np.asarray(growth - 3 + bend / growth)


def _rho_dc14(x: Array, alpha: Array, beta: Array, gamma: Array) -> Array:
    return x**-gamma * (1 + x**alpha) ** (-(beta - gamma) / alpha)


def _gamma_of(phi0: npt.ArrayLike) -> Array:
    """Return gamma of DARKexp-gamma; NaN where it would reach 2 and ``r_-2`` the centre."""
    gamma = table.gamma_of(phi0)
    return np.where(gamma < 2, gamma, np.nan)


def _rho_gamma(x: Array, phi0: Array) -> Array:
    """Return y^-gamma (1 + y)^(gamma - 4) of Dehnen (1993), y = x (2 - gamma) / 2, in the units of h(1) = 1."""
    gamma = _gamma_of(phi0)
    y1 = (2 - gamma) / 2
    y = x * y1
    return np.asarray((3 - gamma) * y1**3 * (1 + 1 / y1) ** (3 - gamma) * y**-gamma * (1 + y) ** (gamma - 4))


def _slope_gamma(x: Array, phi0: Array) -> Array:
    gamma = _gamma_of(phi0)
    y = x * (2 - gamma) / 2
    return np.asarray(-(gamma + 4 * y) / (1 + y))


#: DARKexp, its closed form, and the profiles of the SPARC halo catalogue (Li et al. 2020, ApJS 247, 31), by name.
PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "DARKexp",
            lambda x, phi0: table.load().rho_hat(x, phi0),
            slope_hat=lambda x, phi0: table.load().slope(x, phi0),
            minus2_hat=np.ones_like,
            shape={"phi0": PHI0_TABLE},
            kind=formula.DARKEXP,
        ),
        Profile(
            "DARKexp-gamma",
            _rho_gamma,
            slope_hat=_slope_gamma,
            minus2_hat=np.ones_like,
            shape={"phi0": PHI0_GAMMA},
            kind=formula.DARKEXP_GAMMA,
        ),
        Profile(
            "NFW",
            lambda x: 1 / (x * (1 + x) ** 2),
            slope_hat=lambda x: -(1 + 3 * x) / (1 + x),
            minus2_hat=lambda: 1.0,
            kind=formula.NFW,
        ),
        Profile(
            "pISO",
            lambda x: 1 / (1 + x**2),
            slope_hat=lambda x: -2 * x**2 / (1 + x**2),
            minus2_hat=lambda: np.nan,
            kind=formula.PISO,
        ),
        Profile(
            "Burkert",
            lambda x: 1 / ((1 + x) * (1 + x**2)),
            slope_hat=lambda x: -x / (1 + x) - 2 * x**2 / (1 + x**2),
            minus2_hat=lambda: 1.5213797068045676,  # x^3 = x + 2
            kind=formula.BURKERT,
        ),
        Profile(
            "Einasto",
            lambda x, alpha: np.exp(-2 / alpha * (x**alpha - 1)),
            slope_hat=lambda x, alpha: -2 * x**alpha,
            minus2_hat=np.ones_like,
            shape={"alpha": (0.02, 5.0)},
            logarithmic=("alpha",),
            kind=formula.EINASTO,
        ),
        Profile(
            "coreNFW",
            _rho_corenfw,
            slope_hat=_slope_corenfw,
            shape={"core": (0.02, 5.0), "n": (0.0, 1.0)},
            kind=formula.CORENFW,
        ),
        Profile(
            "DC14",
            _rho_dc14,
            slope_hat=lambda x, alpha, beta, gamma: -(gamma + beta * x**alpha) / (1 + x**alpha),
            minus2_hat=lambda alpha, beta, gamma: ((2 - gamma) / (beta - 2)) ** (1 / alpha),
            shape={"alpha": (0.55, 2.7), "beta": (2.5, 3.2), "gamma": (0.2, 1.25)},
            kind=formula.DC14,
        ),
        Profile(
            "Lucky13",
            lambda x: 1 / (1 + x) ** 3,
            slope_hat=lambda x: -3 * x / (1 + x),
            minus2_hat=lambda: 2.0,
            kind=formula.LUCKY13,
        ),
    )
}


def profile_named(name: str) -> Profile:
    """Return a built-in profile; upper and lower case do not matter.

    Raises
    ------
    ParameterError
        If there is none of that name; the message lists those that are.
    """
    for known, profile in PROFILES.items():
        if known.lower() == name.strip().lower():
            return profile
    message = f"no halo profile is called '{name}': choose from {', '.join(PROFILES)}"
    raise ParameterError(message)


def check_profile(profile: Profile, *, rtol: float = 1e-6) -> None:
    """Check that a profile is consistent with itself, as every built-in one is.

    Over four decades in x and a grid of shapes: the density is positive and finite, h increases and has the derivative
    x^2 rho, h vanishes at the centre, the slope is the gradient of the density, arrays come back in their shape, and
    velocity, mass and density agree in their units.

    Parameters
    ----------
    profile
        Built in, or of your own.
    rtol
        Relative difference that is allowed.

    Raises
    ------
    ParameterError
        Naming what is inconsistent, and where.
    """
    grid = np.array(np.meshgrid(*[np.linspace(low, high, 4)[1:3] for low, high in profile.shape.values()]))
    for shape in grid.reshape(len(profile.shape), -1).T if profile.shape else [()]:
        _check_shape(profile, tuple(float(value) for value in shape), rtol)


def _check_shape(profile: Profile, shape: tuple[float, ...], rtol: float) -> None:
    """Do `check_profile` for one set of shape parameters."""
    x = np.geomspace(1e-2, 1e2, 81)
    r_s, rho_s, step = 3.0, 0.02, 1e-3

    def require(ok: Any, what: str) -> None:
        bad = ~np.broadcast_to(np.asarray(ok), x.shape)
        if np.any(bad):
            where = "".join(f", {key} = {value:g}" for key, value in zip(profile.shape, shape, strict=True))
            message = f"profile {profile.name}: {what}, at x = {x[bad][0]:g}{where}"
            raise ParameterError(message)

    try:
        rho, h = np.asarray(profile.rho_hat(x, *shape)), profile.h(x, *shape)
    except (TypeError, ValueError) as exc:  # what math.exp, or "if x < 1", make of an array
        message = f"profile {profile.name}: density and mass must take and return arrays of the shape of x: {exc}"
        raise ParameterError(message) from exc
    shaped = rho.shape == x.shape and h.shape == x.shape
    require(shaped, "density and mass must take and return arrays of the shape of x")
    require(np.isfinite(rho) & ((rho > 0) | (x > 3)), "the density must be finite, and positive up to x = 3")
    require(np.isfinite(h) & (h > 0), "the mass must be positive and finite")
    felt = x**3 * rho > 1e-9 * h  # a steep halo ends where floating point does
    require(np.append(True, np.diff(h) > 0) | ~felt, "the mass must increase with x")
    require(profile.h(x * 1e-4, *shape) <= h * 1e-2, "the mass must vanish at the centre")

    growth = _five_point(lambda shift: profile.h(x * np.exp(shift), *shape), step)
    agree = np.isclose(growth, x**3 * rho, rtol=rtol, atol=1e-9 * h)
    require(agree, "the mass must have the derivative x^2 rho_hat")
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = _five_point(lambda shift: np.log(profile.rho_hat(x * np.exp(shift), *shape)), step)
    agree = np.isclose(profile.slope(x, *shape), slope, rtol=rtol, atol=rtol)
    require(agree | ~felt, "the slope must be d ln rho / d ln r")

    v, m = (of(x * r_s, r_s, rho_s, *shape) for of in (profile.velocity, profile.enclosed_mass))
    require(np.isclose(v**2 * x * r_s, G * m, rtol=rtol), "V^2 r must be G M")
    growth = _five_point(lambda shift: profile.enclosed_mass(x * r_s * np.exp(shift), r_s, rho_s, *shape), step)
    shell = 4 * np.pi * (x * r_s) ** 3 * PC3_PER_KPC3 * profile.density(x * r_s, r_s, rho_s, *shape)
    agree = np.isclose(growth, shell, rtol=rtol, atol=1e-9 * m)
    require(agree, "dM/dr must be 4 pi r^2 rho in Msun, kpc and Msun/pc^3")


def _five_point(function: Callable[[float], Any], step: float) -> Array:
    """Return the derivative at 0 by the five-point rule."""
    f = [np.asarray(function(k * step), dtype=np.float64) for k in (-2, -1, 1, 2)]
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)
