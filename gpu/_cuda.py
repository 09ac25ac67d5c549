"""The one door to the GPU libraries: nothing else imports numba.cuda (through numba-cuda), cupy or cuda.core.

Importing this module imports none of them: a machine without a GPU pays nothing, and gets a reason instead
of a traceback.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

__all__ = (
    "THREADS",
    "compile_ptx",
    "compiler_status",
    "cuda",
    "launch",
    "link",
    "returned_like",
    "simulated",
    "status",
    "to_device",
)

#: Threads of a block: few, so that the few rows of a single object still reach several processors.
THREADS = 64

_NUMBA_CUDA = "numba-cuda is not installed: pip install 'astrotk[gpu]'"


def cuda() -> ModuleType:
    """Return ``numba.cuda``, as numba-cuda provides it."""
    import_module("numba_cuda")  # fails where the deprecated copy inside numba would stand in for it
    return import_module("numba.cuda")


def simulated() -> bool:
    """Return whether kernels run in numba-cuda's simulator, as NUMBA_ENABLE_CUDASIM=1 asks."""
    return bool(import_module("numba.core.config").ENABLE_CUDASIM)


def status() -> tuple[bool, str]:
    """Say whether kernels can run here.

    Returns
    -------
    tuple
        True and the name of the device, or False and the reason in one line.
    """
    if find_spec("numba_cuda") is None:
        return False, _NUMBA_CUDA
    if simulated():
        return True, "simulator"
    try:
        name = cuda().get_current_device().name
    except ImportError as error:  # numba's CudaSupportError is one
        return False, " ".join(str(error).split()).rstrip(" :")
    available, reason = _libraries("nvvm", "nvrtc")
    return available, reason or (name.decode() if isinstance(name, bytes) else str(name))


def to_device(array: Any) -> Any:
    """Return an array on the device: copied there, in C order, or as it is where it lives there already."""
    if hasattr(array, "__cuda_ndarray__"):  # numba's own, also in the simulator
        return array
    if hasattr(array, "__cuda_array_interface__"):
        return cuda().as_cuda_array(array)
    return cuda().to_device(np.ascontiguousarray(array))


def returned_like(array: Any, result: Any) -> Any:
    """Return a numba device array the way `array` came: as NumPy, or on the device from the same library."""
    if hasattr(array, "__cuda_ndarray__"):
        return result
    if hasattr(array, "__cuda_array_interface__"):
        import cupy

        return cupy.asarray(result)
    return result.copy_to_host()


def launch(kernel: Any, tasks: int, *arguments: Any) -> None:
    """Run a kernel with at least one thread a task."""
    if tasks:  # CUDA refuses an empty grid
        with warnings.catch_warnings():  # a small batch is no mistake
            warnings.filterwarnings("ignore", message="Grid size")
            kernel[-(-tasks // THREADS), THREADS](*arguments)


def compiler_status() -> tuple[bool, str]:
    """Say whether kernels can be compiled here, as `status` does; that needs libraries, but no driver."""
    if find_spec("numba_cuda") is None or find_spec("cuda.core") is None:
        return False, "numba-cuda or cuda-core is not installed: pip install 'astrotk[gpu-check]'"
    if simulated():
        return False, "the simulator compiles nothing: unset NUMBA_ENABLE_CUDASIM"
    return _libraries("nvvm", "nvrtc", "nvJitLink")


def compile_ptx(function: Callable[..., None], signature: Any, capability: tuple[int, int]) -> str:
    """Compile a kernel to PTX, without a driver."""
    from unittest.mock import patch

    # numba-cuda asks a device for its capability as soon as a kernel calls another function: here is one.
    device = SimpleNamespace(compute_capability=capability)
    with patch("numba.cuda.dispatcher.get_current_device", return_value=device):
        ptx, _ = cuda().compile_ptx(function, signature, cc=capability)
    return str(ptx)


def link(ptx: str, architecture: str) -> str:
    """Assemble PTX for an architecture ("sm_90"), without a driver, and return what ptxas reports of it."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=LinkerOptions(arch=architecture, ptxas_options=["-v"]))
    linker.link("cubin")
    return str(linker.get_info_log())


def _libraries(*names: str) -> tuple[bool, str]:
    """Return True and nothing, or False and which of the toolkit's libraries is missing."""
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    for name in names:
        try:
            load_nvidia_dynamic_lib(name)
        except DynamicLibNotFoundError:
            return False, f"the CUDA library {name} is not installed: pip install 'astrotk[gpu-check]'"
    return True, ""
