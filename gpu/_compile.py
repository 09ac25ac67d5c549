"""Formulas stand once, as plain Python; here a runner compiles them with its own decorator."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

__all__ = ("compile_formulas",)


def compile_formulas(module: ModuleType, jit: Callable[[FunctionType], Any]) -> SimpleNamespace:
    """Compile every function of a formula module, so that they call each other compiled.

    Parameters
    ----------
    module
        Its functions are scalar Python; its other names are constants.
    jit
        ``numba.njit(...)``, ``numba.cuda.jit(device=True)`` or the like.

    Returns
    -------
    types.SimpleNamespace
        The compiled functions under their names, and the constants.
    """
    scope = dict(vars(module))
    for name, function in vars(module).items():
        if isinstance(function, FunctionType) and function.__module__ == module.__name__:
            scope[name] = jit(FunctionType(function.__code__, scope, name, function.__defaults__))
    return SimpleNamespace(**{name: value for name, value in scope.items() if not name.startswith("__")})
