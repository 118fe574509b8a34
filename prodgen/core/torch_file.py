"""Tensors out of PyTorch's files of weights, read without executing them.

A file of `torch.save` holds a pickle, which says the names, shapes and strides, and the numbers as
raw bytes. Since PyTorch 1.6 it is a zip archive of both; before, it was the pickles and then the
bytes in a row, as many published weights still are. The pickle's instructions are interpreted by
`arrays.Machine`: what is not a dict of plain tensors is refused, and nothing is ever called.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.core import arrays
from prodgen.core.errors import BadData

ENTRIES = 100_000  # of an archive
ZIP, DIRECTORY = b"PK\x03\x04", b"PK\x01\x02"  # an archive and an entry of its directory begin so
MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a pickled number, before PyTorch 1.6
PROTOCOL = 1001  # of the files that begin with it
NUMBERS = {
    "Half": "<f2", "Float": "<f4", "Double": "<f8",
    "Char": "<i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Byte": "<u1",
}  # fmt: skip
UNREADABLE = (  # what zipfile and struct raise at damage, and what is raised here
    ValueError, LookupError, OverflowError, RuntimeError, EOFError,
    struct.error, zipfile.BadZipFile,
)  # fmt: skip


class _Torch(enum.Enum):
    """The two functions of a pickled state dict, of which neither is ever looked up."""

    DICT = "collections.OrderedDict"
    TENSOR = "what makes a tensor of a storage, an offset, a shape and strides"


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A class of storages, as numpy's code of their numbers."""

    code: str


@dataclasses.dataclass(frozen=True)
class _Storage:
    """A row of `size` numbers that lie in the file under a key."""

    code: str
    key: str
    size: int

    @property
    def bytes(self) -> int:
        return self.size * np.dtype(self.code).itemsize


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TorchMachine(arrays.Machine):
    """Knows dicts, tensors and, by their ids, the storages that lie outside the pickle."""

    globals = {
        "collections OrderedDict": _Torch.DICT,
        "torch._utils _rebuild_tensor_v2": _Torch.TENSOR,
        **{f"torch {name}Storage": _Kind(code) for name, code in NUMBERS.items()},
    }
    known = "a dict, a tensor or a storage of plain numbers"

    def __init__(self):
        super().__init__()
        self.storages: dict[str, _Storage] = {}

    def step(self, opcode: str, argument: Any) -> None:
        match opcode:
            case "BINPERSID":
                self.stack.append(self.storage(*self.last(1)))
            case "EMPTY_LIST":  # of the older files' keys
                self.stack.append([])
            case "APPEND":
                self.extend(self.last(1))
            case "APPENDS":
                self.extend(self.since_start())
            case _:
                super().step(opcode, argument)

    def extend(self, values: list[Any]) -> None:
        """Put values at the end of the list on top of the stack."""
        if not isinstance(self.stack[-1], list):
            raise ValueError("it extends something that is not a list")
        self.stack[-1].extend(values)

    def storage(self, identity: Any) -> _Storage:
        """The storage of an id; the older files have a last entry, always None, in it."""
        match identity:
            case ("storage", _Kind(code), str(key), str(), size) | (
                "storage", _Kind(code), str(key), str(), size, None
            ):  # fmt: skip
                found = _Storage(code, key, _count(size))
            case _:
                raise ValueError("not the id of a storage of plain numbers")
        if self.storages.setdefault(key, found) != found:
            raise ValueError(f"the storage {key!r} in two forms")
        return found

    def call(self, function: Any, arguments: Any) -> dict | _Tensor:
        match function, arguments:
            case (_Torch.DICT, ()):
                return {}
            case _Torch.TENSOR, (_Storage(), offset, tuple(), tuple(), bool(), dict(hooks)):
                storage, _, shape, strides, *_ = arguments
                if not hooks and len(shape) == len(strides):
                    counts = (tuple(map(_count, numbers)) for numbers in (shape, strides))
                    return _Tensor(storage, _count(offset), *counts)
        raise ValueError("it calls something else than an empty dict or a tensor of a storage")

    def build(self, target: Any, state: Any) -> None:
        """A state dict carries its modules' versions, which say nothing about its tensors."""
        match target, state:
            case dict(), {"_metadata": dict()} if len(state) == 1:
                return
        raise ValueError("it fills something else than a state dict's metadata")


def read_state_dict(path: Path, sha256: str | None, origin: str) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name, in the file's order; arrays are read-only views.

    Tensors are of floats of 2, 4 or 8 bytes or of integers, and keep their strides. MissingInput
    where the file is absent, with `origin`, the command that brings it; BadData where its hash is
    not `sha256` (None: any), where it is larger than 1 GB or cut off, and where it holds anything
    else (other dicts, numbers, modules, other types of tensors), which is then named.
    """
    content = arrays.content(path, sha256, origin)
    read = _read_zip if content.startswith(ZIP) else _read_legacy
    try:
        tensors, storages = read(content)
        return {name: _array(tensor, storages) for name, tensor in tensors.items()}
    except UNREADABLE as error:
        raise BadData(
            f"{path} is not a whole file of plain tensors: {error}",
            "name a file of the state dict alone, as torch.save(model.state_dict(), file) makes it",
        ) from None


def _read_zip(content: bytes) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    """The tensors by name, and the storages' bytes by key. ValueError names what is wrong.

    Nothing but what the pickle names is read, and never more than the file's own size in all.
    """
    if content.count(DIRECTORY) > ENTRIES:  # every entry would take memory before it is read
        raise ValueError(f"more than {ENTRIES} entries")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries.values()):
            raise ValueError("compressed or encrypted entries, which torch.save does not make")
        if sum(entry.file_size for entry in archive.infolist()) > len(content):
            raise ValueError("entries larger than the file")
        roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError(f"{len(roots)} entries data.pkl instead of one")
        (root,) = roots
        if root + "byteorder" in entries and archive.read(root + "byteorder") != b"little":
            raise ValueError("bytes that are not in little-endian order")
        machine = _TorchMachine()
        tensors = _tensors(machine.run(archive.read(root + "data.pkl")))
        storages = {}
        for key, storage in machine.storages.items():
            entry = archive.getinfo(f"{root}data/{key}")
            if entry.file_size != storage.bytes:
                raise ValueError(f"{entry.file_size} bytes for {storage}")
            storages[key] = archive.read(entry)
    return tensors, storages


def _read_legacy(content: bytes) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    """The same of a file of before PyTorch 1.6.

    Five pickles in a row (a magic number, the protocol's, facts of the computer, the state dict,
    the keys of its storages), then the storages in the order of the keys: how many numbers, in 8
    bytes, and the numbers.
    """
    if not content.startswith(MAGIC):
        raise ValueError("it begins as no file of torch.save does")
    stream = io.BytesIO(content)
    stream.seek(len(MAGIC))
    facts = [_TorchMachine().run(stream) for _ in range(2)]
    match facts:
        case [int(protocol), {"little_endian": True}] if protocol == PROTOCOL:
            machine = _TorchMachine()
        case _:
            raise ValueError(f"not of protocol {PROTOCOL} with bytes in little-endian order")
    tensors, keys = _tensors(machine.run(stream)), _TorchMachine().run(stream)
    if not isinstance(keys, list) or keys != sorted(machine.storages):
        raise ValueError("its keys are not those of the storages that its tensors name")
    storages = {}
    for key in keys:
        storage = machine.storages[key]
        if (size := struct.unpack("<q", stream.read(8))[0]) != storage.size:
            raise ValueError(f"{size} numbers for {storage}")
        storages[key] = stream.read(storage.bytes)
    if len(content) != stream.tell():
        raise ValueError(f"{len(content) - stream.tell()} bytes after the last storage")
    return tensors, storages


def _tensors(found: Any) -> dict[str, _Tensor]:
    """The state dict, if it is one. ValueError names the first entry that is no tensor."""
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__.strip('_')}, not a dict of tensors")
    for name, value in found.items():
        if not isinstance(value, _Tensor):
            raise ValueError(f"{name!r} is a {type(value).__name__.strip('_')}, not a tensor")
    return found


def _array(tensor: _Tensor, storages: dict[str, bytes]) -> np.ndarray:
    """The view of the storage's bytes. ValueError where it would reach outside them.

    It has at most as many numbers as the storage: a stride of zero would let a file of a few bytes
    stand for an array of any size.
    """
    storage, numbers = tensor.storage, math.prod(tensor.shape)
    steps = zip(tensor.shape, tensor.strides, strict=True)
    end = tensor.offset + (sum((n - 1) * step for n, step in steps) + 1 if numbers else 0)
    data = storages[storage.key]
    if numbers > storage.size or end > storage.size or len(data) != storage.bytes:
        raise ValueError(f"{tensor} reaches beyond its storage, or the file is cut off")
    kind = np.dtype(storage.code)
    strides = tuple(step * kind.itemsize for step in tensor.strides)
    return np.ndarray(tensor.shape, kind, data, tensor.offset * kind.itemsize, strides)


def _count(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is not a count")
    return number
