"""Files written whole or not at all, files that carry their own hash, and hashes of files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """The whole content or the old file, never a part of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(draft, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def write_sealed(path: Path, content: bytes) -> None:
    """A file that knows the hash of its own content, written whole or not at all."""
    write_atomically(path, hashlib.sha256(content).digest() + content)


def read_sealed(path: Path) -> bytes | None:
    """What `write_sealed` wrote; None where there is no file, or a damaged one."""
    found = path.read_bytes() if path.is_file() else b""
    return found[32:] if hashlib.sha256(found[32:]).digest() == found[:32] else None


def file_hash(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
