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


def cached_tree(path: Path, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The arrays in `path`, a file that holds the result of one key at a time.

    The dictionary holds what `compute` returns and, under "key", the key.
    """
    import flax.serialization  # heavy: modes are imported without JAX

    content = read_checksummed(path)
    entry = flax.serialization.msgpack_restore(content) if content else {"key": ""}
    if entry["key"] != key:
        entry = {"key": key} | compute()
        write_checksummed(path, flax.serialization.msgpack_serialize(entry))
    return entry
