from __future__ import annotations

import numpy as np
import pytest

from gpu.arrays import device_of, to_numpy


class CuPyLike:
    __cuda_array_interface__ = {"version": 3}  # noqa: RUF012

    def __init__(self, values):
        self.values = values

    def get(self):
        return self.values


class NumbaLike:
    __cuda_ndarray__ = True

    def __init__(self, values):
        self.values = values

    def copy_to_host(self):
        return self.values


@pytest.mark.parametrize("host", [np.zeros(3), [1.0, 2.0], 3.0, None])
def test_anything_of_the_host_lives_on_the_cpu(host):
    assert device_of(host) == "cpu"


@pytest.mark.parametrize("library", [CuPyLike, NumbaLike])
def test_device_arrays_are_recognised_and_copied_back(library):
    values = np.arange(4.0)
    assert device_of(library(values)) == "cuda"
    np.testing.assert_array_equal(to_numpy(library(values)), values)


def test_numpy_passes_through_and_lists_are_converted():
    values = np.arange(3)
    assert to_numpy(values) is values
    np.testing.assert_array_equal(to_numpy([1.0, 2.0]), np.array([1.0, 2.0]))
