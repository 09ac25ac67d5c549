"""The runners of every kernel, found by name and loaded when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from gpu.arrays import device_of

__all__ = ("BACKENDS", "BackendUnavailable", "get", "kernels", "register", "runners")

#: Choices of ``backend=``; "auto" follows the array.
BACKENDS = ("auto", "cpu", "cuda")

_RUNNERS: dict[str, dict[str, str]] = {}
#: The modules that register kernels.
_FAMILIES = ("gpu.rotation",)


class BackendUnavailable(RuntimeError):
    """A backend that was asked for cannot run here; the message says why."""


def register(kernel: str, **runners: str) -> None:
    """Name the runners of a kernel.

    Parameters
    ----------
    kernel
        "family.name".
    **runners
        Backend to "module:function". All functions have one signature, and take what lives on their device.
    """
    _RUNNERS[kernel] = runners


def kernels() -> tuple[str, ...]:
    """Return the names of all kernels."""
    for family in _FAMILIES:
        import_module(family)
    return tuple(sorted(_RUNNERS))


def runners(kernel: str) -> Mapping[str, str]:
    """Return backend -> "module:function" of one kernel."""
    import_module(f"gpu.{kernel.partition('.')[0]}")
    return _RUNNERS[kernel]


def get(kernel: str, backend: str = "auto", like: Any = None) -> Callable[..., Any]:
    """Return the runner of a kernel.

    Parameters
    ----------
    kernel
        "family.name".
    backend
        One of `BACKENDS`. "auto" takes the device on which `like` lives, never another.
    like
        The array that will be handed over.

    Raises
    ------
    BackendUnavailable
        If there is no such runner, or it cannot run on this machine.
    """
    found = runners(kernel)
    wanted = device_of(like) if backend == "auto" else backend
    if wanted not in found:
        message = f"kernel {kernel} has no backend '{wanted}': choose one of auto, {', '.join(found)}"
        raise BackendUnavailable(message)
    if wanted == "cuda":
        from gpu import _cuda

        available, reason = _cuda.status()
        if not available:
            message = f"backend 'cuda' cannot run here: {reason}"
            raise BackendUnavailable(message)
    module, _, name = found[wanted].partition(":")
    runner: Callable[..., Any] = getattr(import_module(module), name)
    return runner
