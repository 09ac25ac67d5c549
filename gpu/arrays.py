"""Which device an array lives on, and the way back to NumPy; nothing here imports a GPU library."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ("device_of", "to_numpy")


def device_of(array: Any) -> str:
    """Return "cuda" for an array that lives on a GPU (CuPy, numba.cuda and its simulator), else "cpu"."""
    marks = ("__cuda_array_interface__", "__cuda_ndarray__")
    return "cuda" if any(hasattr(array, mark) for mark in marks) else "cpu"


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """Copy an array from wherever it lives to the host; NumPy arrays pass through."""
    if device_of(array) == "cpu":
        return np.asarray(array)
    return np.asarray(array.get() if hasattr(array, "get") else array.copy_to_host())
