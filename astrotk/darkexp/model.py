r"""The rotation curve of a galaxy, its parameters and their priors.

.. math:: V^2(R) = \left[V_g|V_g| + \Upsilon_d V_d|V_d| + \Upsilon_b V_b|V_b|\right]\frac{D}{D_0}
          + V_\mathrm{halo}^2\!\left(R\,\frac{D}{D_0}\right)

is compared with V_obs sin(i0)/sin(i), whose error scales alike; the difference is taken in the frame of the tabulated
inclination, where the errors do not change. Conventions: Li et al. 2020, ApJS 247, 31.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from astrotk.darkexp.halos import derived
from astrotk.darkexp.profiles import H0, G, Profile, kernel_constants
from catalogs.errors import ParameterError
from catalogs.sparc import RotationCurves
from gpu import registry
from gpu.rotation import formula
from gpu.rotation.data import Curves
from stats.priors import Normal, Prior, Uniform
from stats.target import Target

__all__ = ("H0", "PRIORS", "RotationModel")

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Choices of the prior: flat in the logarithms of the halo's scales, or with the relations of LCDM.
PRIORS = ("flat", "lcdm")
#: Profiles for which the concentration-mass relation of simulations makes sense.
WITH_LCDM = ("NFW", "Einasto", "coreNFW", "DC14", "Lucky13")

#: Flat priors of the halo, in log10 of the unit in the name.
HALO_RANGE = {
    "r_s_kpc": (0.05, 300.0),
    "v_s_kms": (1.0, 600.0),
    "r_minus2_kpc": (0.05, 300.0),
    "v_minus2_kms": (1.0, 600.0),
    "v200": (5.0, 1000.0),
    "c200": (0.1, 1000.0),
}
#: Profiles whose scale radius is r_-2.
WITH_R_MINUS2 = (formula.DARKEXP, formula.DARKEXP_GAMMA)
#: Profiles whose shape follows from the galaxy and the other parameters.
WITH_FIXED_SHAPE = (formula.CORENFW, formula.DC14)
#: log10 of the mass-to-light ratios at 3.6 micron: mean and scatter [dex], range.
ML_DISK, ML_BULGE, ML_SCATTER, ML_RANGE = math.log10(0.5), math.log10(0.7), 0.1, (-1.5, 1.0)
#: Distance and inclination stay within so many errors of the table, and of what is possible.
SIGMAS, MIN_DISTANCE_RATIO, MIN_INCLINATION = 5.0, 0.1, 1.0

#: Width of the kernel's row.
ROW = 7
#: Columns of the kernel's row for the parameters that are no halo's, and whether they are sampled as log10.
COLUMNS = {
    "ml_disk": (formula.LOG_ML_DISK, True),
    "ml_bulge": (formula.LOG_ML_BULGE, True),
    "distance_Mpc": (formula.DISTANCE, False),
    "inclination_deg": (formula.INCLINATION, False),
}


def prior_of(profile: Profile, prior: str) -> str:
    """Return the prior that a profile takes: one of your own, pISO and Burkert know no relations of LCDM."""
    return prior if profile.kind is not None and profile.name in WITH_LCDM else "flat"


def signed_square(v: Array) -> Array:
    """Return V|V|: gas in a hole pulls outward, and its square must stay negative."""
    return v * np.abs(v)


def kernel_curves(curves: RotationCurves) -> Curves:
    """Hand the curves to the kernels; unknown properties are NaN, an unknown inclination is edge-on."""
    table = curves.galaxies
    bulge = np.where(np.isnan(table.bulge_luminosity) & ~curves.has_bulge, 0.0, table.bulge_luminosity)
    inclination = np.where(np.isnan(table.inclination), 90.0, table.inclination)
    galaxy = np.stack([curves.distance, inclination, table.r_eff, table.luminosity - bulge, bulge], axis=1)
    return Curves(
        first=curves.first,
        r=curves.r,
        gas=signed_square(curves.v_gas),
        disk=signed_square(curves.v_disk),
        bulge=signed_square(curves.v_bulge),
        v_obs=curves.v_obs,
        weight=1.0 / curves.e_v_obs,
        galaxy=np.ascontiguousarray(galaxy),
    )


# --- the relations of LCDM -------------------------------------------------------------------------------------------

#: h of the simulations behind the relations.
LITTLE_H = 0.671


def concentration_of(log_m200: Array, *, einasto: bool) -> Array:
    """Return log10 C200 of Dutton & Maccio 2014, MNRAS 441, 3359, at z = 0 for log10 M200 [Msun]; scatter 0.11 dex."""
    m = log_m200 - 12.0 + math.log10(LITTLE_H)
    return 0.977 - 0.130 * m if einasto else 0.905 - 0.101 * m


def stellar_mass_of(log_m200: Array) -> Array:
    """Return log10 M* [Msun] of Moster, Naab & White 2013, MNRAS 428, 3121, at z = 0; scatter 0.15 dex."""
    m = 10.0 ** (log_m200 - 11.590)
    return np.asarray(log_m200 + np.log10(2 * 0.0351 / (m**-1.376 + m**0.608)))


def einasto_alpha_of(log_m200: Array) -> Array:
    """Return log10 alpha of Dutton & Maccio 2014 (the form of Gao et al. 2008) at z = 0; scatter 0.16 dex."""
    m = log_m200 - 12.0 + math.log10(LITTLE_H)
    nu = 10.0 ** (-0.11 + 0.146 * m + 0.0138 * m**2 + 0.00123 * m**3)
    return np.asarray(np.log10(0.0095 * nu**2 + 0.155))


# --- the model -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RotationModel:
    """One profile for galaxies that have the same free parameters.

    Parameters
    ----------
    curves
        The galaxies.
    profile
        The halo.
    prior
        One of `PRIORS`.
    fixed
        ``{parameter: value}`` of parameters that are not free, in the units of their names.
    backend
        Of the kernels; see `gpu.registry`.
    """

    curves: RotationCurves
    profile: Profile
    prior: str = "flat"
    fixed: Mapping[str, float] | None = None
    backend: str = "auto"

    @cached_property
    def coordinates(self) -> int:
        """How the two halo parameters are read: V200 and C200 where the masses matter, else r_s and V(r_s)."""
        return formula.VIRIAL if self.profile.kind == formula.DC14 or self.prior == "lcdm" else formula.SCALE

    @property
    def halo_names(self) -> tuple[str, ...]:
        """The halo's parameters, by the names of the catalogue."""
        pair = ("r_minus2_kpc", "v_minus2_kms") if self.profile.kind in WITH_R_MINUS2 else ("r_s_kpc", "v_s_kms")
        if self.coordinates == formula.VIRIAL:
            pair = ("v200", "c200")
        return pair if self.profile.kind in WITH_FIXED_SHAPE else (*pair, *self.profile.shape)

    @cached_property
    def free(self) -> tuple[str, ...]:
        """The free parameters, by the names of the catalogue; the same for all galaxies of the model."""
        table = self.curves.galaxies
        names = [*self.halo_names, "ml_disk"]
        names += ["ml_bulge"] * bool(np.any(self.curves.has_bulge))
        names += ["distance_Mpc"] * bool(np.all(table.e_distance > 0))
        names += ["inclination_deg"] * bool(np.all(table.e_inclination > 0))
        return tuple(name for name in names if name not in (self.fixed or {}))

    @cached_property
    def data(self) -> Curves:
        """The curves as the kernels read them."""
        return kernel_curves(self.curves)

    def _priors_of(self, name: str) -> Prior:
        table = self.curves.galaxies
        if name in HALO_RANGE:
            return Uniform(*np.log10(HALO_RANGE[name]))
        if name == "ml_disk":
            return Normal(ML_DISK, ML_SCATTER, *ML_RANGE)
        if name == "ml_bulge":
            return Normal(ML_BULGE, ML_SCATTER, *ML_RANGE)
        if name == "distance_Mpc":
            mean = np.where(np.isnan(table.distance), self.curves.distance, table.distance)
            spread = SIGMAS * table.e_distance
            low = np.maximum(mean - spread, MIN_DISTANCE_RATIO * mean)
            return Normal(mean, table.e_distance, low, mean + spread)
        if name == "inclination_deg":
            spread = SIGMAS * table.e_inclination
            low = np.maximum(table.inclination - spread, MIN_INCLINATION)
            return Normal(table.inclination, table.e_inclination, low, np.minimum(table.inclination + spread, 90.0))
        ends = np.array(self.profile.shape[name])
        return Uniform(*(np.log10(ends) if self.is_log(name) else ends))

    @cached_property
    def _halo_columns(self) -> tuple[int, ...]:
        """Where the halo's parameters stand in the kernel's row; shapes of a profile of your own follow the row."""
        if self.profile.kind is not None:
            return (formula.FIRST, formula.SECOND, formula.EXTRA)
        return (formula.FIRST, formula.SECOND, *range(ROW, ROW + len(self.profile.shape)))

    def _column(self, name: str) -> int:
        return COLUMNS[name][0] if name in COLUMNS else self._halo_columns[self.halo_names.index(name)]

    @cached_property
    def _places(self) -> Indices:
        """For each column of the kernel's row, the free parameter that goes there, or -1."""
        places = np.full(self._template.shape[1], -1)
        for k, name in enumerate(self.free):
            places[self._column(name)] = k
        return places

    def is_log(self, name: str) -> bool:
        """Tell whether a parameter is sampled as its log10."""
        if name in COLUMNS:
            return COLUMNS[name][1]
        return name in HALO_RANGE or name in self.profile.logarithmic

    @cached_property
    def _template(self) -> Array:
        """The rows of the galaxies with every parameter that is not free, (galaxies, columns)."""
        width = ROW + (len(self.profile.shape) if self.profile.kind is None else 0)
        rows = np.zeros((len(self.curves), width))
        rows[:, formula.LOG_ML_DISK], rows[:, formula.LOG_ML_BULGE] = ML_DISK, ML_BULGE
        rows[:, formula.DISTANCE] = self.data.galaxy[:, formula.DISTANCE_0]
        rows[:, formula.INCLINATION] = self.data.galaxy[:, formula.INCLINATION_0]
        for name, value in (self.fixed or {}).items():
            if name in (*self.halo_names, *COLUMNS):
                rows[:, self._column(name)] = math.log10(value) if self.is_log(name) else value
        # against an unknown inclination none can be compared: the ratio of the sines stays 1
        unknown = np.isnan(self.curves.galaxies.inclination)
        rows[unknown, formula.INCLINATION] = self.data.galaxy[unknown, formula.INCLINATION_0]
        return rows

    def rows(self, theta: Array, objects: Indices) -> Array:
        """Complete free parameters (object, walker, dim) to the kernel's rows (object, walker, columns)."""
        from gpu.rotation import cpu

        rows: Array = cpu.complete(self._template, objects, self._places, np.ascontiguousarray(theta))
        return rows

    def loglike(self, theta: Array, objects: Indices) -> Array:
        """Return -chi^2 / 2, (object, walker)."""
        rows = self.rows(theta, objects)
        if self.profile.kind is not None:
            chi2 = registry.get("rotation.chi2", self.backend, like=theta)
            out: Array = chi2(self.profile.kind, self.coordinates, rows, objects, self.data, kernel_constants())
            return -0.5 * out
        return np.stack([-0.5 * np.sum(self._plain(own, o) ** 2, axis=1) for own, o in zip(rows, objects, strict=True)])

    @cached_property
    def _residuals_kernel(self) -> Any:
        from gpu.rotation import cpu

        return cpu.residuals

    def residuals(self, theta: Array, o: int) -> Array:
        """Return (V_obs - V sin i / sin i0) / error of one galaxy, (row, point)."""
        rows = self.rows(theta[None], np.array([o]))[0]
        if self.profile.kind is None:
            return self._plain(rows, o)
        out: Array = self._residuals_kernel(self.profile.kind, self.coordinates, rows, o, self.data, kernel_constants())
        return out

    def _plain(self, rows: Array, o: int) -> Array:
        """Return the residuals of a profile that has no compiled kernel, in NumPy."""
        data, galaxy, points = self.data, self.data.galaxy[o], self.curves.points(o)
        ratio = rows[:, [formula.DISTANCE]] / galaxy[formula.DISTANCE_0]
        slant = np.sin(np.deg2rad(rows[:, [formula.INCLINATION]])) / np.sin(np.deg2rad(galaxy[formula.INCLINATION_0]))
        r_s, v_s = 10.0 ** rows[:, [formula.FIRST]], 10.0 ** rows[:, [formula.SECOND]]
        x = data.r[points] * ratio / r_s
        shape = [rows[:, [column]] for column in range(ROW, rows.shape[1])]
        halo = v_s**2 * self.profile.h(x, *shape) / (x * self.profile.h(np.ones_like(r_s), *shape))
        ml_disk, ml_bulge = 10.0 ** rows[:, [formula.LOG_ML_DISK]], 10.0 ** rows[:, [formula.LOG_ML_BULGE]]
        stars = ml_disk * data.disk[points] + ml_bulge * data.bulge[points]
        v2 = (data.gas[points] + stars) * ratio + halo
        return np.asarray((data.v_obs[points] - slant * np.sqrt(np.maximum(v2, 0.0))) * data.weight[points])

    def _relations(self, theta: Array, objects: Indices) -> Array:
        """Return the standardised distances from the relations of LCDM, (object, walker, term)."""
        rows = self.rows(theta, objects)
        galaxy = self.data.galaxy[objects][:, None]
        log_v200, log_c200 = rows[..., formula.FIRST], rows[..., formula.SECOND]
        log_m200 = 3 * log_v200 - math.log10(10 * G * H0)
        ratio = rows[..., formula.DISTANCE] / galaxy[..., formula.DISTANCE_0]
        stars = (
            10.0 ** rows[..., formula.LOG_ML_DISK] * galaxy[..., formula.L_DISK]
            + 10.0 ** rows[..., formula.LOG_ML_BULGE] * galaxy[..., formula.L_BULGE]
        )
        log_stars = np.log10(stars * 1e9 * ratio**2)
        einasto = self.profile.kind == formula.EINASTO
        terms = [
            (log_c200 - concentration_of(log_m200, einasto=einasto)) / 0.11,
            (log_stars - stellar_mass_of(log_m200)) / 0.15,
        ]
        if einasto:
            terms.append((rows[..., formula.EXTRA] - einasto_alpha_of(log_m200)) / 0.16)
        return np.stack(terms, axis=-1)

    @cached_property
    def target(self) -> Target:
        """The posterior of the galaxies."""
        return Target(
            names=tuple(f"log10_{name}" if self.is_log(name) else name for name in self.free),
            priors=tuple(self._priors_of(name) for name in self.free),
            objects=[f"{name}/{self.profile.name}" for name in self.curves.name.tolist()],
            loglike=self.loglike,
            residuals=self.residuals,
            joint=self._relations if self.prior == "lcdm" else None,
        )

    # --- what a row means --------------------------------------------------------------------------------------------

    def describe(self, theta: Array, objects: Indices) -> dict[str, Array]:
        """Turn free parameters into the columns of the catalogue.

        Parameters
        ----------
        theta
            (row, dim).
        objects
            (row,): the galaxy of each row.

        Returns
        -------
        dict
            (row,) each: distance_Mpc, inclination_deg (NaN if unknown), ml_disk, ml_bulge (NaN without a bulge),
            those of `astrotk.darkexp.halos.derived`, and the shape parameters that are free.
        """
        rows = self.rows(theta[:, None], objects)[:, 0]
        scales, shape = self.halos(rows, objects)
        r_s, amplitude = scales.T
        table, bulge = self.curves.galaxies, self.curves.has_bulge[objects]
        named = {
            "distance_Mpc": rows[:, formula.DISTANCE],
            "inclination_deg": np.where(np.isnan(table.inclination[objects]), np.nan, rows[:, formula.INCLINATION]),
            "ml_disk": 10.0 ** rows[:, formula.LOG_ML_DISK],
            "ml_bulge": np.where(bulge, 10.0 ** rows[:, formula.LOG_ML_BULGE], np.nan),
            **derived(self.profile, r_s, amplitude, shape),
        }
        for name in self.halo_names[2:]:
            value = rows[:, self._column(name)]
            named[name] = 10.0**value if self.is_log(name) else value
        return named

    def halos(self, rows: Array, objects: Indices) -> tuple[Array, Array]:
        """Return (r_s, A) and the shape of the profile for kernel rows (row, columns)."""
        if self.profile.kind is None:
            r_s, v_s, shape = 10.0 ** rows[:, formula.FIRST], 10.0 ** rows[:, formula.SECOND], rows[:, ROW:]
            amplitude = v_s**2 / self.profile.h(np.ones_like(r_s), *shape.T)
            return np.stack([r_s, amplitude], axis=1), shape
        from gpu.rotation import cpu

        found = cpu.halos(self.profile.kind, self.coordinates, rows, objects, self.data.galaxy, kernel_constants())
        return found[:, :2], found[:, 2 : 2 + len(self.profile.shape)]

    def components(self, theta: Array, o: int) -> dict[str, Array]:
        """Return the velocities of each component at the points of one galaxy, in the frame of the data [km/s].

        Parameters
        ----------
        theta
            (..., dim): the free parameters.
        o
            The galaxy.

        Returns
        -------
        dict
            (..., points) each: ``total, halo, gas, disk, bulge``, times sin i / sin i0; gas keeps its sign.
        """
        rows = self.rows(theta.reshape(1, -1, theta.shape[-1]), np.array([o]))[0]
        scales, shape = self.halos(rows, np.full(len(rows), o))
        r_s, amplitude = scales.T[..., None]
        galaxy, points = self.data.galaxy[o], self.curves.points(o)
        column = rows.T[..., None]
        ratio = column[formula.DISTANCE] / galaxy[formula.DISTANCE_0]
        slant = np.sin(np.deg2rad(column[formula.INCLINATION])) / np.sin(np.deg2rad(galaxy[formula.INCLINATION_0]))
        x = self.data.r[points] * ratio / r_s
        squares = {
            "halo": amplitude * self.profile.h(x, *shape.T[..., None]) / x,
            "gas": self.data.gas[points] * ratio,
            "disk": self.data.disk[points] * ratio * 10.0 ** column[formula.LOG_ML_DISK],
            "bulge": self.data.bulge[points] * ratio * 10.0 ** column[formula.LOG_ML_BULGE],
        }
        squares["total"] = np.maximum(sum(squares.values()), 0.0)
        shaped = (*theta.shape[:-1], -1)
        return {name: (slant * np.sign(v2) * np.sqrt(np.abs(v2))).reshape(shaped) for name, v2 in squares.items()}


def needs(profile: Profile, prior: str) -> tuple[str, ...]:
    """Return which properties of a galaxy a profile cannot do without."""
    if profile.kind == formula.CORENFW:
        return ("r_eff",) if prior == "flat" else ("r_eff", "luminosity")
    return ("luminosity",) if profile.kind == formula.DC14 or prior == "lcdm" else ()


def unmet(curves: RotationCurves, wanted: tuple[str, ...]) -> list[str]:
    """Return, for each galaxy, the first property of those wanted that is not known; empty where all are."""
    table = curves.galaxies
    lacking = [""] * len(curves)
    for name in wanted:
        known = getattr(table, name) > 0
        if name == "luminosity":
            known &= ~(curves.has_bulge & np.isnan(table.bulge_luminosity))
        for i in np.flatnonzero(~known):
            lacking[i] = lacking[i] or name
    return lacking


def check_fixed(fixed: Mapping[str, float], profiles: list[Profile], prior: str, curves: RotationCurves) -> None:
    """Raise a `ParameterError` for a fixed parameter that no profile has, or that cannot take its value."""
    models = [RotationModel(curves, profile, prior_of(profile, prior), fixed) for profile in profiles]
    known = sorted({name for model in models for name in (*model.halo_names, *COLUMNS)})
    for name, value in fixed.items():
        if name not in known:
            message = f"cannot fix '{name}': the parameters are {', '.join(known)}"
            raise ParameterError(message)
        own_shape = any(name in model.halo_names and not model.is_log(name) for model in models)
        if not math.isfinite(value) or (value <= 0 and not own_shape):
            message = f"cannot fix {name} at {value}: expected a number above 0"
            raise ParameterError(message)
        for model in models:
            low, high = model.profile.shape.get(name, (-math.inf, math.inf))
            if model.profile.kind in WITH_R_MINUS2 and not low <= value <= high:
                message = f"cannot fix {name} of {model.profile.name} at {value}: expected {low:g} to {high:g}"
                raise ParameterError(message)
    for model in models:
        if not model.free:
            message = f"cannot fix every parameter of {model.profile.name}: leave one free, or evaluate the values"
            raise ParameterError(message)
