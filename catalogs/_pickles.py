"""A machine that runs the part of the pickle language which makes data.

A pickle is a program, and Python's own unpickler lets it call things, allocate at will and hash what cannot
be hashed in the age of the universe. This machine knows builtin containers, scalars and numpy arrays without
Python objects, makes arrays through numpy's public constructors alone, and charges all of it against a limit.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from catalogs.errors import CatalogFormatError

__all__ = ("PLAIN", "Machine")

PLAIN = "a pickle of plain containers and numpy arrays"

#: Bytes charged for an operation: more than any takes, its operand apart.
OPERATION = 256

# fmt: off
_CONSTANTS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
})
# fmt: on
_DTYPE = re.compile(r"[biufcmMSUV]\d{0,9}")
_TIME_UNIT = re.compile(r"[A-Za-z]{1,7}")


@dataclass(frozen=True)
class _Global:
    """A name that a pickle may call, and our stand-in for it."""

    name: str
    call: Callable[..., Any]


@dataclass
class _Unbuilt:
    """A dtype or an array that waits for its state; until then nothing else may use it."""

    build: Callable[[Any], Any]
    memo_keys: list[int] = field(default_factory=list)


class Machine:
    """Runs one pickle.

    Parameters
    ----------
    path
        The file it comes from, for messages.
    max_bytes
        The most that its data may take.
    """

    def __init__(self, path: str | PathLike[str], max_bytes: int) -> None:
        self.path, self.max_bytes, self.left, self.place = path, max_bytes, max_bytes, 0
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.calls: dict[str, Callable[..., Any]] = {
            "builtins.bytes": self._bytes,
            "builtins.bytearray": lambda *args: bytearray(self._bytes(*args)),
            "builtins.complex": lambda real, imag: complex(float(real), float(imag)),
            "builtins.set": lambda items=(): set(self._keys(items)),
            "builtins.frozenset": lambda items=(): frozenset(self._keys(items)),
            "collections.OrderedDict": lambda pairs=(): self._filled(OrderedDict(), pairs),
            "_codecs.encode": self._encoded,
            "numpy.dtype": self._dtype,
            "numpy.ndarray": lambda *_: self._refuse("a call of numpy.ndarray"),
            "numpy._core.multiarray._reconstruct": lambda *_: _Unbuilt(self._array_of_state),
            "numpy._core.multiarray.scalar": lambda dtype, raw: self._array(raw, dtype, (), "C")[()],
            "numpy._core.numeric._frombuffer": self._array_of_buffer,
        }

    def run(self, program: bytes) -> Any:
        """Return what the pickle makes.

        Raises
        ------
        CatalogFormatError
            If it asks for anything but data, or for too much of it.
        Exception
            Of any kind, if it is broken.
        """
        # From memory: a file object would allocate whatever length an operation claims.
        for opcode, operand, place in pickletools.genops(io.BytesIO(program)):
            self.place = place or 0
            self._charge(OPERATION)
            if opcode.name in _CONSTANTS:
                self.stack.append(operand)
            else:
                self._step(opcode.name, operand)
        return self._plain(self._pop())

    def _step(self, name: str, operand: Any) -> None:
        stack = self.stack
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self._memoise(len(self.memo) if operand is None else operand)
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[operand])
            case "MARK":
                self.outer.append(stack)
                self.stack = []
            case "POP":
                self._pop()
            case "POP_MARK":
                self._items()
            case "DUP":
                stack.append(stack[-1])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                parts = [self._pop() for _ in range(int(name[-1]))]
                stack.append(tuple(reversed(parts)))
            case "TUPLE":
                self._push_items(tuple)
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                self._push_items(list)
            case "APPEND":
                value = self._plain(self._pop())
                self._top(list).append(value)
            case "APPENDS":
                values = [self._plain(item) for item in self._items()]
                self._top(list).extend(values)
            case "EMPTY_SET":
                stack.append(set())
            case "ADDITEMS":
                keys = self._keys(self._items())
                self._top(set).update(keys)
            case "FROZENSET":
                self._push_items(lambda items: frozenset(self._keys(items)))
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                self._push_items(lambda items: self._filled({}, _pairs(items)))
            case "SETITEM":
                pair = (self._pop(), self._pop())[::-1]
                self._filled(self._top(dict), [pair])
            case "SETITEMS":
                pairs = _pairs(self._items())
                self._filled(self._top(dict), pairs)
            case "GLOBAL":
                stack.append(self._global(operand.replace(" ", ".")))
            case "STACK_GLOBAL":
                attribute, module = self._pop(), self._pop()
                stack.append(self._global(f"{module:s}.{attribute:s}"))
            case "REDUCE":
                arguments, function = self._pop(), self._pop()
                if not isinstance(function, _Global):
                    self._refuse(f"a call of a {type(function).__name__}")
                stack.append(function.call(*arguments))
            case "BUILD":
                self._build(self._pop())
            case _:
                self._refuse(f"the operation {name}")

    def _refuse(self, found: str) -> NoReturn:
        raise CatalogFormatError(self.path, PLAIN, found, f"byte {self.place}")

    def _charge(self, nbytes: int) -> None:
        self.left -= nbytes
        if self.left < 0:
            self._refuse(f"one that needs more than {self.max_bytes} bytes")

    # The stack. Whatever leaves it is built.

    def _pop(self) -> Any:
        return self._built(self.stack.pop())

    def _items(self) -> list[Any]:
        """Take all that lies above the last mark."""
        items, self.stack = self.stack, self.outer.pop()
        return [self._built(item) for item in items]

    def _push_items(self, make: Callable[[list[Any]], Any]) -> None:
        value = make(self._items())
        self.stack.append(value)

    def _top(self, kind: type) -> Any:
        value = self.stack[-1]
        if not isinstance(value, kind):
            self._refuse(f"{type(value).__name__} where a {kind.__name__} is filled")
        return value

    def _memoise(self, key: int) -> None:
        value = self.memo[key] = self.stack[-1]
        if isinstance(value, _Unbuilt):
            value.memo_keys.append(key)

    def _built(self, value: Any) -> Any:
        if isinstance(value, _Unbuilt):
            self._refuse("an array or a dtype without its state")
        return value

    def _build(self, state: Any) -> None:
        unbuilt = self.stack[-1]
        if not isinstance(unbuilt, _Unbuilt):
            self._refuse(f"a state for a {type(unbuilt).__name__}")
        value = self.stack[-1] = unbuilt.build(state)
        self.memo.update(dict.fromkeys(unbuilt.memo_keys, value))

    # Containers.

    def _plain(self, value: Any) -> Any:
        if isinstance(value, _Global):
            self._refuse(f"{value.name} as a value")
        return value

    def _key(self, key: Any) -> Any:
        """Pass on what hashes quickly: short flat tuples, and scalars that fit the hash."""
        for part in key if isinstance(key, tuple) and len(key) <= 64 else (key,):
            quick = part is None or isinstance(part, (str, bytes, float, np.integer, np.floating, np.bool_))
            if not quick and not (isinstance(part, int) and part.bit_length() < 61):
                self._refuse(f"a key with a {type(part).__name__} that is no simple scalar")
        return key

    def _keys(self, items: list[Any]) -> list[Any]:
        self._charge(OPERATION * len(items))
        return [self._key(item) for item in items]

    def _filled(self, target: dict[Any, Any], pairs: Iterable[Any]) -> dict[Any, Any]:
        for key, value in pairs:
            self._charge(OPERATION)
            target[self._key(key)] = self._plain(value)
        return target

    def _bytes(self, content: Any = b"") -> bytes:
        if not isinstance(content, (bytes, bytearray)):
            self._refuse(f"bytes of a {type(content).__name__}")
        self._charge(len(content))
        return bytes(content)

    def _encoded(self, text: Any, codec: Any) -> bytes:
        if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
            self._refuse("an encoding other than Latin-1")
        self._charge(len(text))
        return text.encode("latin-1")

    # numpy.

    def _global(self, name: str) -> _Global:
        name = re.sub(r"^__builtin__\.", "builtins.", name)
        name = re.sub(r"^numpy\.core\.", "numpy._core.", name)
        if name not in self.calls:
            self._refuse(f"the global {name:.100}, which is refused")
        return _Global(name, self.calls[name])

    def _dtype(self, spec: Any, *_flags: Any) -> _Unbuilt:
        if not (isinstance(spec, str) and _DTYPE.fullmatch(spec)):
            self._refuse(f"the dtype {spec:.40}" if isinstance(spec, str) else "a dtype without a name")
        return _Unbuilt(lambda state: self._dtype_of_state(spec, state))

    def _dtype_of_state(self, spec: str, state: Any) -> np.dtype[Any]:
        match state:
            case (3 | 4, str(), None, tuple(names), dict(columns), int(itemsize), *_):
                self._charge(OPERATION * len(names))
                formats = [columns[name][0] for name in names]
                # Columns inside columns may overlap and double at each level, at no cost to the file.
                if not all(isinstance(part, np.dtype) and part.base.names is None for part in formats):
                    self._refuse("a column that is no plain array")
                titles = [columns[name][2] if len(columns[name]) > 2 else None for name in names]
                if not all(title is None or isinstance(title, str) for title in titles):
                    self._refuse("a column with a title that is no text")
                offsets = [columns[name][1] for name in names]
                parts = {"names": names, "formats": formats, "offsets": offsets, "titles": titles}
                return np.dtype(parts | {"itemsize": itemsize})  # type: ignore[call-overload, no-any-return]
            case (3 | 4, str(), (np.dtype() as base, tuple(shape)), None, None, *_):
                return np.dtype((base, self._shape(shape)))
            case (4, str(order), None, None, None, _, _, _, (_, (bytes(unit), int(step), *_))):
                text = unit.decode()
                if text == "generic":
                    return np.dtype(f"{order}{spec}")
                if _TIME_UNIT.fullmatch(text) and 0 < step < 1 << 31:
                    return np.dtype(f"{order}{spec}[{step}{text}]")
            case (3 | 4, ("<" | ">" | "|" | "=") as order, None, None, None, *_):
                return np.dtype(f"{order}{spec}")
        return self._refuse("a dtype in another state")

    def _array_of_state(self, state: Any) -> npt.NDArray[Any]:
        match state:
            case (_, shape, dtype, int(fortran), raw):
                return self._array(raw, dtype, shape, "F" if fortran else "C")
        return self._refuse("an array in another state")

    def _array_of_buffer(self, raw: Any, dtype: Any, shape: Any, order: str, axes: Any = None) -> npt.NDArray[Any]:
        if axes is None:
            return self._array(raw, dtype, shape, order)
        return self._array(raw, dtype, shape, "C").transpose(self._shape(axes))

    def _array(self, raw: Any, dtype: Any, shape: Any, order: Any) -> npt.NDArray[Any]:
        if isinstance(raw, str):  # the bytes of Python 2
            raw = self._encoded(raw, "latin-1")
        if not isinstance(raw, (bytes, bytearray)):
            self._refuse(f"an array of {type(raw).__name__} items instead of bytes")
        if not isinstance(dtype, np.dtype) or not dtype.itemsize or order not in ("C", "F"):
            self._refuse("an array without a usable dtype or order")
        if math.prod(self._shape(shape)) * dtype.itemsize != len(raw):
            self._refuse(f"{len(raw)} bytes for an array of shape {shape} and dtype {dtype!s:.60}")
        self._charge(len(raw))
        return np.ndarray(shape, dtype, raw, order=order).copy(order)

    def _shape(self, shape: Any) -> tuple[int, ...]:
        if not isinstance(shape, tuple) or len(shape) > 64:
            self._refuse("an array without a usable shape")
        if not all(isinstance(n, int) and 0 <= n < 1 << 48 for n in shape):
            self._refuse("a shape that is no tuple of sizes")
        return shape


def _pairs(items: list[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)
