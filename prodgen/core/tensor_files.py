"""Arrays by name in a safetensors file that says what it is and verifies itself. Needs no JAX.

The format holds numbers and text only: reading one runs no code of the file. The metadata of a file
of this program has its format, the version of this format, and the hash of its arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.core.errors import BadCheckpoint, MissingInput
from prodgen.core.files import write_atomically

SUFFIX = ".safetensors"
FORMAT, FORMAT_VERSION = "prodgen", "1"
MAX_FILE_BYTES = 16 * 10**9
HEADER_SIZE_BYTES = 8  # at the start of a file: the size of its header
EXPORT_AGAIN = "export the run again"

Arrays = dict[str, np.ndarray]


def write_tensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """Write arrays of any shape, with metadata of text; the hash of the arrays is returned."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    own = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sha256": hash_tensors(arrays),
    }
    write_atomically(path, _sort_metadata(save(arrays, {**metadata, **own})))
    return own["sha256"]


def _sort_metadata(content: bytes) -> bytes:
    """The file with its metadata in the order of their names.

    The library writes them in another order each time; the same arrays give the same bytes here.
    """
    size = int.from_bytes(content[:HEADER_SIZE_BYTES], "little")
    header = json.loads(content[HEADER_SIZE_BYTES : HEADER_SIZE_BYTES + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % HEADER_SIZE_BYTES)  # the arrays stay aligned
    start = len(text).to_bytes(HEADER_SIZE_BYTES, "little")
    return start + text + content[HEADER_SIZE_BYTES + size :]


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a file of this program, without reading its arrays.

    MissingInput where it is absent, BadCheckpoint where it is damaged, from another program or of
    a format version that is not known here.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise MissingInput(f"{path} does not exist", "check that the path is right")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadCheckpoint(f"{path} is larger than {MAX_FILE_BYTES:,} bytes", EXPORT_AGAIN)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise BadCheckpoint(
            f"{path} is not a whole safetensors file: {error}", EXPORT_AGAIN
        ) from None
    if metadata.get("format") != FORMAT:
        raise BadCheckpoint(f"{path} is not the export of a run", EXPORT_AGAIN)
    check_version(metadata.get("format_version"), str(path))
    return metadata


def read_tensors(path: Path) -> tuple[Arrays, dict[str, str]]:
    """The arrays by name, and the metadata. Errors as of `read_metadata`; the hash is verified."""
    from safetensors.numpy import load

    metadata = read_metadata(path)
    arrays = load(path.read_bytes())
    if hash_tensors(arrays) != metadata.get("sha256"):
        raise BadCheckpoint(f"{path} has changed: its arrays have another hash", EXPORT_AGAIN)
    return arrays, metadata


def check_version(version: Any, place: str) -> None:
    """BadCheckpoint where a format version is not the one that this program knows."""
    if version != FORMAT_VERSION:
        raise BadCheckpoint(
            f"{place} has the format version {version!r}, and this version of prodgen knows "
            f"{FORMAT_VERSION!r}",
            f"open it with the version of prodgen that wrote it, or {EXPORT_AGAIN}",
        )


def hash_tensors(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256, in hex, of the names, types, shapes and values of arrays, whatever their order."""
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        hasher.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()


def nest(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """{"a/b/c": x} -> {"a": {"b": {"c": x}}}."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *folders, leaf = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = array
    return tree
