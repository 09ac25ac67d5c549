"""Densities of one and two parameters on a grid, for figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from catalogs.errors import ParameterError
from stats.kde.bandwidth import scott
from stats.kde.density import Cloud, check_bandwidth

__all__ = ("kde_grid",)

Floats = npt.NDArray[np.float64]

#: How many standard deviations of the kernel the transform reaches beyond the grid.
REACH = 7
#: Steps of the transform in the narrowest standard deviation of the kernel along an axis.
FINENESS = 4
#: Nodes of the transform: half a gigabyte.
MOST_NODES = 2**26


def kde_grid(
    samples: npt.ArrayLike,
    grid: npt.ArrayLike | Sequence[npt.ArrayLike],
    h: float | None = None,
    weights: npt.ArrayLike | None = None,
) -> Floats:
    """Evaluate a kernel density estimate on a regular grid, by Fourier transform.

    Each sample is shared out over its neighbouring nodes, on the grid or on a finer one; the transform is multiplied by
    that of the kernel and divided by that of the sharing. The error is below 2e-5 of the peak.

    Parameters
    ----------
    samples
        (n,) or (n, 1), or (n, 2).
    grid
        Equally spaced nodes, (m,), or two such axes.
    h
        Bandwidth in units of the whitened samples, by default that of Scott.
    weights
        (n,), not negative, of any sum.

    Returns
    -------
    ndarray
        (m,), or (m_0, m_1) with the first axis for the first column of `samples`: the density at the nodes.

    Raises
    ------
    ParameterError
        For other shapes, axes that are not equally spaced, samples that do not spread in all directions, or a kernel
        that is too narrow for a transform of reasonable size.
    """
    from scipy import fft

    cloud = Cloud(samples, weights)
    dim = cloud.columns
    if dim > 2 or cloud.dim < dim:
        message = f"a grid holds one or two parameters that vary, found {dim}, of which {cloud.dim} vary"
        raise ParameterError(message)
    axes = _axes(grid, dim)
    covariance = check_bandwidth(float(scott(cloud.size, dim)) if h is None else h) ** 2 * cloud.covariance
    narrowest = 1 / np.sqrt(np.diag(np.linalg.inv(covariance)))
    step = np.array([axis[1] - axis[0] for axis in axes])
    finer = np.maximum(1, np.ceil(FINENESS * step / narrowest))
    margin = 2 + np.ceil(REACH * np.sqrt(np.diag(covariance)) / (step / finer))
    last = finer * [len(axis) - 1 for axis in axes]
    nodes = 1 + last + 2 * margin
    if np.prod(nodes) > MOST_NODES:
        message = f"a kernel {np.min(narrowest / step):.1e} steps of the grid wide is too narrow: take a finer grid"
        raise ParameterError(message)
    step /= finer
    shape = tuple(fft.next_fast_len(int(count), real=True) for count in nodes)
    place = (cloud.points - [axis[0] for axis in axes]) / step + margin
    inside = np.all((place >= 1) & (place < nodes - 2), axis=1)
    shared = _shared(place[inside], cloud.share[inside], shape)
    smooth = fft.irfftn(fft.rfftn(shared) * _smoothing(covariance, step, shape), s=shape)
    shown = tuple(slice(int(m), int(m + end) + 1, int(f)) for m, end, f in zip(margin, last, finer, strict=True))
    density: Floats = np.maximum(smooth[shown], 0) / np.prod(step)
    return density


def _axes(grid: npt.ArrayLike | Sequence[npt.ArrayLike], dim: int) -> list[Floats]:
    """Return the axes of a grid, each of them rising in equal steps."""
    axes = [np.asarray(axis, dtype=np.float64) for axis in ([grid] if dim == 1 else grid)]  # type: ignore[union-attr]
    if len(axes) != dim or any(axis.ndim != 1 or axis.size < 2 for axis in axes):
        wanted = "one axis" if dim == 1 else "a pair of axes"
        message = f"the grid of {dim} parameter{'s'[: dim - 1]} is {wanted} of 2 nodes or more"
        raise ParameterError(message)
    for axis in axes:
        steps = np.diff(axis)
        if not (np.all(np.isfinite(axis)) and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-6)):
            message = f"the axis of a grid rises in equal steps, found steps from {np.min(steps)} to {np.max(steps)}"
            raise ParameterError(message)
    return axes


def _shared(place: Floats, share: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the shares of samples at `place` (n, dim) in steps, spread by a cubic B-spline over four nodes an axis."""
    first = np.floor(place).astype(np.intp) - 1
    t = place - first - 1
    splines = np.stack([(1 - t) ** 3, 4 + t * t * (3 * t - 6), 1 + 3 * t * (1 + t * (1 - t)), t**3]) / 6
    total = np.zeros(np.prod(shape))
    for offset in np.ndindex((4,) * len(shape)):
        node = np.ravel_multi_index(tuple((first + offset).T), shape)
        parts = [splines[k, :, axis] for axis, k in enumerate(offset)]
        total += np.bincount(node, share * np.prod(parts, axis=0), minlength=total.size)
    return total.reshape(shape)


def _smoothing(covariance: Floats, step: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the transform of the kernel over that of the B-spline."""
    frequencies = [np.fft.fftfreq(count) for count in shape]
    frequencies[-1] = np.fft.rfftfreq(shape[-1])
    nu = np.meshgrid(*frequencies, indexing="ij", sparse=True)
    square = sum(
        covariance[a, b] * (2 * np.pi * nu[a] / step[a]) * (2 * np.pi * nu[b] / step[b])
        for a in range(len(shape))
        for b in range(len(shape))
    )
    return np.asarray(np.exp(-0.5 * square) / math.prod(np.sinc(axis) ** 4 for axis in nu))
