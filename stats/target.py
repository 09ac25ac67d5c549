"""The one description of a posterior that every sampler, optimiser and calibration takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats.priors import Prior

__all__ = ("Target",)

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Target:
    """The posterior of many objects that share one set of parameters.

    The batch of objects is the first axis everywhere; one object is a batch of one. Parameters that an object does not
    have must not be in the vector: such objects belong to a target of their own.

    Parameters
    ----------
    names
        The parameters, with their unit in the name where they have one.
    priors
        One `Prior` a parameter.
    objects
        The names of the objects; each also keys the object's random stream.
    loglike
        ``loglike(theta[object, walker, dim], objects[object]) -> (object, walker)``: log likelihood, up to a constant
        of the object.
    residuals
        Where the log likelihood is -1/2 times a sum of squares: ``residuals(theta[row, dim], object) -> (row, point)``
        of one object.
    joint
        Gaussian prior terms that tie parameters together: ``joint(theta[object, walker, dim], objects) -> z[object,
        walker, term]``, each adding -z^2/2 to the log prior.
    """

    names: tuple[str, ...]
    priors: tuple[Prior, ...]
    objects: Sequence[str]
    loglike: Callable[[Array, Indices], Array]
    residuals: Callable[[Array, int], Array] | None = None
    joint: Callable[[Array, Indices], Array] | None = None

    def __post_init__(self) -> None:
        if len(self.names) != len(self.priors):
            message = f"a target needs one prior a parameter: {len(self.names)} names, {len(self.priors)} priors"
            raise ParameterError(message)
        if len(set(self.names)) != len(self.names):
            message = f"the parameters of a target need different names, found {', '.join(self.names)}"
            raise ParameterError(message)
        if len(set(self.objects)) != len(self.objects):
            message = "the objects of a target need different names: each keys a random stream"
            raise ParameterError(message)

    @property
    def dim(self) -> int:
        """The number of free parameters."""
        return len(self.names)

    def everything(self) -> Indices:
        """Return the indices of all objects."""
        return np.arange(len(self.objects))

    def logprior(self, theta: Array, objects: Indices) -> Array:
        """Return the log prior, (object, walker); -inf outside the support."""
        total = np.zeros(theta.shape[:2])
        for k, prior in enumerate(self.priors):
            total += prior.logpdf(theta[..., k], objects)
        if self.joint is not None:
            total -= 0.5 * np.sum(self.joint(theta, objects) ** 2, axis=-1)
        return total

    def logpost(self, theta: Array, objects: Indices) -> Array:
        """Return log prior + log likelihood, (object, walker); -inf outside the support and where either is NaN."""
        with np.errstate(invalid="ignore"):
            total = self.logprior(theta, objects) + self.loglike(theta, objects)
        return np.where(np.isnan(total), -np.inf, total)

    def transform(self, u: Array, objects: Indices) -> Array:
        """Map the unit cube to the priors, (object, walker, dim); `joint` terms are not part of it."""
        return np.stack([prior.transform(u[..., k], objects) for k, prior in enumerate(self.priors)], axis=-1)

    def support(self, objects: Indices) -> tuple[Array, Array]:
        """Return the lower and upper ends of all priors, (object, dim) each."""
        low, high = zip(*(prior.support(objects) for prior in self.priors), strict=True)
        return np.stack(low, axis=-1), np.stack(high, axis=-1)

    def gauss(self, objects: Indices) -> tuple[Array, Array]:
        """Return the means and inverse widths of all priors, (object, dim) each; 0 where the prior is flat."""
        mean, weight = zip(*(prior.gauss(objects) for prior in self.priors), strict=True)
        return np.stack(mean, axis=-1), np.stack(weight, axis=-1)
