"""Draws from the posteriors of many objects, whichever sampler made them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats.diagnostics import Diagnosis

__all__ = ("Posteriors", "at_bound")

Array = npt.NDArray[np.float64]

#: The end of a prior is looked at within this share of the posterior's width.
STRIP = 0.25
#: A posterior reaches an end where its density there is above that of a Gaussian two widths from its peak.
REACHES = float(np.exp(-2.0)) / np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class Posteriors:
    """What a sampler returns.

    Parameters
    ----------
    names
        The parameters.
    objects
        The names of the objects.
    draws
        (object, draw, dim): one ensemble after the other, each in the order of time.
    logpost, loglike
        (object, draw), up to a constant of the object.
    ensembles
        Independent ensembles of walkers among the draws of an object.
    steps
        (object,): steps of the whole run; the draws are of its second half.
    acceptance
        (object,): share of the proposals that were accepted.
    diagnosis
        Of the draws.
    at_bound
        (object, dim): the end of a prior cuts the posterior, see `at_bound`.
    """

    names: tuple[str, ...]
    objects: tuple[str, ...]
    draws: Array
    logpost: Array
    loglike: Array
    ensembles: int
    steps: npt.NDArray[np.int64]
    acceptance: Array
    diagnosis: Diagnosis
    at_bound: npt.NDArray[np.bool_]

    def quantiles(self, q: float) -> Array:
        """Return the q-quantile of each parameter, (object, dim)."""
        return np.asarray(np.quantile(self.draws, q, axis=1))

    def best(self) -> Array:
        """Return the draw of the highest posterior density, (object, dim)."""
        return np.asarray(self.draws[np.arange(len(self.draws)), self.logpost.argmax(axis=1)])

    def one(self, name: str) -> Self:
        """Return the posterior of one object, still with an axis of objects.

        Raises
        ------
        ParameterError
            If there is no object of this name.
        """
        if name not in self.objects:
            message = f"there is no posterior of '{name}'; the objects are {', '.join(self.objects[:8])}"
            raise ParameterError(message + ", ..." * (len(self.objects) > 8))
        k = np.array([self.objects.index(name)])
        arrays = ("draws", "logpost", "loglike", "steps", "acceptance", "at_bound")
        return replace(
            self, objects=(name,), diagnosis=self.diagnosis.take(k), **{a: getattr(self, a)[k] for a in arrays}
        )

    def to_arviz(self, name: str) -> Any:
        """Return the posterior of one object as ArviZ knows it, an ``xarray.DataTree``; an ensemble is a chain.

        Raises
        ------
        ParameterError
            If there is no object of this name, or ArviZ is not installed.
        """
        try:
            from arviz_base import from_dict
        except ImportError as exc:
            message = "ArviZ is not installed: pip install 'astrotk[arviz]'"
            raise ParameterError(message) from exc
        own = self.one(name)
        draws, logpost, loglike = (
            values[0].reshape(self.ensembles, -1, *values.shape[2:]) for values in (own.draws, own.logpost, own.loglike)
        )
        return from_dict(
            {
                "posterior": {parameter: draws[..., k] for k, parameter in enumerate(self.names)},
                "sample_stats": {"lp": logpost, "log_likelihood": loglike},
            },
            attrs={"/": {"object": name}},
        )


def at_bound(draws: Array, low: Array, high: Array) -> npt.NDArray[np.bool_]:
    """Say which parameters the end of a prior cuts short.

    With s half the width between the 16 and 84 % quantiles, the density within s/4 of an end is then higher than that
    of a Gaussian of width s two s from its peak. An upper or lower limit is all that such a posterior gives.

    Parameters
    ----------
    draws
        (object, draw, dim).
    low, high
        (object, dim): the ends, infinite where there is none.

    Returns
    -------
    ndarray
        (object, dim).
    """
    p16, p84 = np.quantile(draws, [0.16, 0.84], axis=1)
    strip = STRIP * (p84 - p16) / 2
    near_low = np.mean(draws <= (low + strip)[:, None], axis=1)
    near_high = np.mean(draws >= (high - strip)[:, None], axis=1)
    return np.asarray(np.maximum(near_low, near_high) > STRIP * REACHES)
