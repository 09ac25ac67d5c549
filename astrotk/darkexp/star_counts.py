"""Star counts of dwarf galaxies, fitted by a projected profile over a flat background.

Stars are counted: the likelihood is that of Poisson, for positions as for rings; surface densities with errors have a
Gaussian one. The field is taken to be complete, and round like the galaxy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import MaskedColumn, Table, vstack

from astrotk.darkexp.profiles import Profile
from astrotk.darkexp.projection import LOG_X, Projection, inside_of
from catalogs.errors import ParameterError
from catalogs.provenance import Provenance, Source
from catalogs.result import Result, rejected_table
from catalogs.star_counts import Rings, StarPositions
from stats.batch import sample
from stats.optimize import maximize
from stats.priors import Prior, Uniform
from stats.resampling import stream
from stats.target import Target

__all__ = ("DwarfModel", "fit_stars", "made_up_dwarf")

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Stars = StarPositions | Rings

#: Flat priors: of log10 r_s in units of the radius of the field; of members and background as shares of what is seen.
R_RANGE, MOST = (0.003, 10.0), 2.0
#: Rings into which positions are put for a figure, and draws that its band is made of.
SHOWN, BAND = 12, 400
QUANTILES = {"p16": 0.16, "p50": 0.5, "p84": 0.84}
#: Units (U is that of the radii) and meanings of the table `fits`.
COLUMNS = {
    "n_stars": ("", "stars seen"),
    "n_free": ("", "free parameters"),
    "bic": ("", "-2 ln L + n_free ln n_points, L the likelihood of the data at the maximum a posteriori"),
    "r_s": ("U", "scale radius of the profile"),
    "r_minus2": ("U", "radius where the density in space falls as r^-2"),
    "r_half": ("U", "projected radius within which half of the members of the field lie"),
    "phi0": ("", "shape parameter of DARKexp"),
    "alpha": ("", "shape parameter of Einasto"),
    "members": ("", "members within the field"),
    "background": ("1 / U2", "density of the background"),
    "ess": ("", "effective sample size of the worst parameter"),
    "rhat": ("", "R-hat of the worst parameter"),
    "converged": ("", "whether the sampled posterior passed the gate, and the maximum its check"),
    "at_bound": ("", "parameters whose posterior the end of a prior cuts, joined by +"),
}


def _edges(stars: Stars) -> tuple[float, float]:
    """Return the inner and outer radius of the field."""
    return (0.0, stars.r_max) if isinstance(stars, StarPositions) else (float(stars.r_low[0]), float(stars.r_high[-1]))


def _areas(low: npt.ArrayLike, high: npt.ArrayLike) -> Array:
    return np.asarray(np.pi * (np.asarray(high) ** 2 - np.asarray(low) ** 2))


def number_of_stars(stars: Stars) -> float:
    """Return how many stars are seen; of surface densities, how many they stand for."""
    if isinstance(stars, StarPositions):
        return float(len(stars))
    areas = 1.0 if stars.error is None else _areas(stars.r_low, stars.r_high)
    return float(max(np.sum(stars.value * areas), 1.0))


@dataclass(frozen=True)
class DwarfModel:
    """One profile for the star counts of dwarf galaxies.

    Free are the scale radius, the shape (if the profile has one), the number of members within the field and the
    density of the background. Members are counted where the stars are, so that profiles of infinite mass have them too.

    Parameters
    ----------
    names
        Of the dwarfs, each different.
    stars
        Their counts.
    profile
        With one shape parameter at most.
    """

    names: tuple[str, ...]
    stars: Sequence[Stars]
    profile: Profile

    @cached_property
    def projection(self) -> Projection:
        """The tables of the profile."""
        return Projection(self.profile)

    @cached_property
    def target(self) -> Target:
        """The posterior of the dwarfs."""
        r_max = np.array([_edges(each)[1] for each in self.stars])
        area = np.array([_areas(*_edges(each)) for each in self.stars])
        number = np.array([number_of_stars(each) for each in self.stars])
        names = ["log10_r_s"]
        priors: list[Prior] = [Uniform(*(np.log10(end * r_max) for end in R_RANGE))]
        for name, ends in self.profile.shape.items():
            log = self.projection.log_shape
            names.append(f"log10_{name}" if log else name)
            priors.append(Uniform(*(np.log10(ends) if log else ends)))
        names += ["log10_members", "background"]
        priors += [Uniform(0.0, np.log10(MOST * number + 1)), Uniform(0.0, MOST * number / area)]
        objects = [f"{name}/{self.profile.name}" for name in self.names]
        return Target(tuple(names), tuple(priors), objects, self.loglike)

    def loglike(self, theta: Array, objects: Indices) -> Array:
        """Return the log likelihood up to a constant, (object, walker)."""
        return np.stack([self._of_one(own, self.stars[o]) for own, o in zip(theta, objects, strict=True)])

    def _of_one(self, theta: Array, stars: Stars) -> Array:
        """Return the log likelihood of one dwarf, (walker,)."""
        if isinstance(stars, Rings):
            expected = self.expected(theta, _edges(stars), stars.r_low, stars.r_high)
            if stars.error is None:
                return np.asarray(np.sum(stars.value * np.log(expected) - expected, axis=1))
            densities = expected / _areas(stars.r_low, stars.r_high)
            return np.asarray(-0.5 * np.sum(((stars.value - densities) / stars.error) ** 2, axis=1))
        total = 10.0 ** theta[:, -2] + theta[:, -1] * _areas(*_edges(stars))
        return np.asarray(np.sum(np.log(self.densities(theta, _edges(stars), stars.r)), axis=1) - total)

    def _inside(self, theta: Array, edges: npt.ArrayLike) -> Array:
        """Return what the table says lies within radii (edges,) from 0 on, for theta (walker, dim)."""
        with np.errstate(divide="ignore"):
            log_x = np.log(edges) - theta[:, :1] * math.log(10)
        return self.projection.inside(log_x, theta[:, 1:-2])

    def densities(self, theta: Array, field: tuple[float, float], r: Array) -> Array:
        """Return stars, members and background, per unit area at r (points,) for theta (walker, dim)."""
        log_r_s = theta[:, :1] * math.log(10)
        log_sigma = self.projection.log_sigma(np.log(r) - log_r_s, theta[:, 1:-2]) - 2 * log_r_s
        members = 10.0 ** theta[:, -2:-1] / np.diff(self._inside(theta, field))
        return np.asarray(members * np.exp(log_sigma) + theta[:, -1:])

    def expected(self, theta: Array, field: tuple[float, float], low: Array, high: Array) -> Array:
        """Return the number of stars expected in rings (rings,) for theta (walker, dim)."""
        begin, end, inner, outer = np.split(
            self._inside(theta, np.concatenate([field, low, high])), [1, 2, 2 + low.size], axis=1
        )
        return np.asarray(10.0 ** theta[:, -2:-1] * (outer - inner) / (end - begin) + theta[:, -1:] * _areas(low, high))

    def describe(self, theta: Array, o: int) -> dict[str, Array]:
        """Turn free parameters (row, dim) of one dwarf into columns, (row,) each.

        Returns
        -------
        dict
            r_s, r_minus2 (NaN where the slope is never -2), r_half (within which half of the members of the field
            lie), the shape, members, background.
        """
        r_s = 10.0 ** theta[:, 0]
        shape = theta[:, 1:-2]
        own = list((10.0**shape if self.projection.log_shape else shape).T)
        return {
            "r_s": r_s,
            "r_minus2": r_s * self.profile.x_minus2(*own),
            "r_half": self._half(theta, _edges(self.stars[o])),
            **dict(zip(self.profile.shape, own, strict=True)),
            "members": 10.0 ** theta[:, -2],
            "background": theta[:, -1],
        }

    def _half(self, theta: Array, field: tuple[float, float]) -> Array:
        """Return the radius within which half of the members of the field lie, by ever finer grids."""
        wanted = np.mean(self._inside(theta, field), axis=1)[:, None]
        low, high = np.full((2, len(theta), 1), np.log([[[1e-5 * field[1]]], [[field[1]]]]))
        rows = np.arange(len(theta))[:, None]
        for _ in range(4):
            grid = low + (high - low) * np.linspace(0.0, 1.0, 65)
            inside = self.projection.inside(grid - theta[:, :1] * math.log(10), theta[:, 1:-2])
            above = np.clip(np.sum(inside < wanted, axis=1), 1, 64)[:, None]
            low, high = grid[rows, above - 1], grid[rows, above]
        return np.asarray(np.exp(0.5 * (low + high)[:, 0]))


def made_up_dwarf(
    profile: Profile,
    *shape: float,
    r_s: float = 3.0,
    members: float = 600.0,
    background: float = 0.3,
    r_max: float = 20.0,
    unit: str = "arcmin",
    seed: int = 0,
) -> StarPositions:
    """Draw the stars of a dwarf galaxy that does not exist.

    Parameters
    ----------
    profile, shape, r_s
        What the members follow; `r_s` in `unit`.
    members
        Expected within the field.
    background
        Expected per square `unit`.
    r_max, unit
        Of the field.
    seed
        Of the run.

    Returns
    -------
    StarPositions
        In random order.
    """
    rng = stream(seed, f"dwarf/{profile.name}")
    end = math.log(r_max / r_s)
    log_x = np.append(LOG_X[end > LOG_X], end)
    inside = np.exp(inside_of(profile, *shape)(log_x))
    share = rng.uniform(size=rng.poisson(members)) * inside[-1]
    own = r_s * np.exp(np.interp(np.log(share), np.log(inside), log_x))
    others = r_max * np.sqrt(rng.uniform(size=rng.poisson(background * _areas(0.0, r_max))))
    return StarPositions(rng.permutation(np.concatenate([own, others])), r_max, unit, Source("made up", ""))


# --- the fit ---------------------------------------------------------------------------------------------------------


def fit_stars(
    dwarfs: Mapping[str, Stars],
    profiles: Sequence[Profile],
    *,
    seed: int = 0,
    progress: Callable[[str], Any] | None = None,
) -> Result:
    """Fit projected profiles to star counts: the maximum a posteriori, and the sampled posterior.

    Parameters
    ----------
    dwarfs
        ``{name: star counts}``, all in one unit.
    profiles
        With one shape parameter at most.
    seed
        Of the run.
    progress
        Called with the name of each fit when it is done.

    Returns
    -------
    Result
        Kind "darkexp-stars"; tables ``fits`` (a row a dwarf and profile: ``x`` at the maximum, ``x_p16, x_p50,
        x_p84``), ``rings`` (the counts, and what each profile expects) and ``rejected``.

    Raises
    ------
    ParameterError
        If there is no dwarf, units differ, or a profile has too many shape parameters.
    """
    units = {stars.unit for stars in dwarfs.values()}
    if len(units) != 1:
        message = f"expected star counts in one unit, found {', '.join(sorted(units)) or 'no star counts'}"
        raise ParameterError(message)
    fits, rings = [], []
    for profile in profiles:
        model = DwarfModel(tuple(dwarfs), tuple(dwarfs.values()), profile)
        best, found = maximize(model.target, seed=seed), sample(model.target, seed=seed, progress=progress)
        good = found.diagnosis.converged & best.converged
        for o, (name, stars) in enumerate(dwarfs.items()):
            row: dict[str, Any] = {"object": name, "profile": profile.name, "n_stars": number_of_stars(stars)}
            bic = -2 * best.loglike[o] + model.target.dim * math.log(len(stars))
            row |= {"n_free": model.target.dim, "bic": float(bic)}
            at_best, draws = model.describe(best.theta[[o]], o), model.describe(found.draws[o], o)
            for key, values in draws.items():
                row[key] = float(at_best[key][0])
                row |= {f"{key}_{q}": float(np.quantile(values, share)) for q, share in QUANTILES.items()}
            row |= {"ess": float(found.diagnosis.ess[o].min()), "rhat": float(found.diagnosis.rhat[o].max())}
            row |= {"converged": bool(good[o]), "at_bound": "+".join(np.array(found.names)[found.at_bound[o]])}
            fits.append(row)
            rings.append(_rings(model, o, best.theta[o], found.draws[o]))
    (unit,) = units
    order = np.argsort([list(dwarfs).index(row["object"]) for row in fits], kind="stable")
    sources = [stars.source for stars in dwarfs.values()]
    return Result(
        kind="darkexp-stars",
        tables={
            "fits": _document(Table(rows=[fits[i] for i in order]), unit),
            "rings": vstack([rings[i] for i in order]),
            "rejected": rejected_table([item for source in sources for item in source.rejected]),
        },
        provenance=Provenance.record(
            seed=seed,
            sources=[source for source in sources if source.sha256],
            settings={"profiles": [profile.name for profile in profiles], "unit": unit},
        ),
    )


def _document(table: Table, unit: str) -> Table:
    """Fill what a profile does not have with NaN, and give the columns their units and descriptions."""
    for name in table.colnames:
        if isinstance(table[name], MaskedColumn):
            table[name] = table[name].filled(np.nan)
        stem, quantile = name.rpartition("_p")[::2] if name[-2:].isdigit() else (name, "")
        spelled, text = COLUMNS.get(stem, ("", ""))
        table[name].unit = spelled.replace("U", unit) or None
        table[name].description = f"{quantile} % quantile of {stem}" if quantile else text
    return table


def _rings(model: DwarfModel, o: int, best: Array, draws: Array) -> Table:
    """Return the surface densities of one dwarf, and what the profile expects of them."""
    stars = model.stars[o]
    if isinstance(stars, StarPositions):
        edges = np.append(0.0, np.geomspace(np.quantile(stars.r, 0.02), stars.r_max, SHOWN))
        low, high = edges[:-1], edges[1:]
        value, error = np.histogram(stars.r, edges)[0].astype(np.float64), None
    else:
        low, high, value, error = stars.r_low, stars.r_high, stars.value, stars.error
    area = _areas(low, high)
    rows = np.concatenate([best[None], draws[:: max(1, len(draws) // BAND)]])
    densities = model.expected(rows, _edges(stars), low, high) / area
    p16, p84 = np.quantile(densities[1:], [0.16, 0.84], axis=0)
    table = Table(
        {
            "object": np.full(low.size, model.names[o]),
            "profile": np.full(low.size, model.profile.name),
            "r_low": low,
            "r_high": high,
            "density": value / area if error is None else value,
            "e_density": np.sqrt(value) / area if error is None else error,
            "model": densities[0],
            "model_p16": p16,
            "model_p84": p84,
            "background": np.full(low.size, best[-1]),
        }
    )
    for name in table.colnames[2:]:
        table[name].unit = stars.unit if name.startswith("r_") else f"1 / {stars.unit}2"
    return table
