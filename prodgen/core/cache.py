"""Results kept in files: computed again where the file is missing, damaged or of another key."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prodgen.core.files import read_checksummed, write_checksummed


def cached_bytes(path: Path, compute: Callable[[], bytes]) -> bytes:
    """The content of `path`, a file whose name holds the hash of what it was computed from.

    A folder that cannot be written is no error: the result is then computed each time.
    """
    content = read_checksummed(path)
    if content is None:
        content = compute()
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_checksummed(path, content)
    return content


def cached_tree(
    path: Path, key: str, compute: Callable[[], dict[str, Any]], is_read_only: bool = False
) -> dict[str, Any]:
    """The arrays in `path`, a file that holds the result of one key at a time.

    The dictionary holds what `compute` returns and, under "key", the key. With `is_read_only`, and
    where a folder cannot be written, which is no error, the result is computed each time.
    """
    import flax.serialization  # heavy: modes are imported without JAX

    entry = _read_tree(path)
    if entry["key"] != key:
        entry = {"key": key} | compute()
        if is_read_only:
            return entry
        with contextlib.suppress(OSError):
            write_checksummed(path, flax.serialization.msgpack_serialize(entry))
    return entry


def has_tree(path: Path, key: str) -> bool:
    """Whether `path` holds the result of `key`, so that `cached_tree` computes nothing."""
    return _read_tree(path)["key"] == key


def _read_tree(path: Path) -> dict[str, Any]:
    """The dictionary in a file of `cached_tree`; one of the key "" where there is none."""
    import flax.serialization

    content = read_checksummed(path)
    return flax.serialization.msgpack_restore(content) if content else {"key": ""}
