"""Atomic writes, files that hold a checksum of their content, and hashes of files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import IO

SHA256_BYTES = 32
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}
MAX_DRAFT_BYTES = 200  # of a name that gets a dot and a process's number


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by one with `content`; a crash leaves the old file or the new one."""
    # A name may be as long as the file system allows, so the draft of a long one has another.
    name = os.fsencode(path.name)
    stem = path.name if len(name) <= MAX_DRAFT_BYTES else hashlib.sha256(name).hexdigest()
    draft = path.with_name(f".{stem}.{os.getpid()}")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        error.filename = str(path)  # a failed write has none, and a draft's name helps nobody
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def write_checksummed(path: Path, content: bytes) -> None:
    """Write atomically a file that begins with the sha256 of its content."""
    write_atomically(path, hashlib.sha256(content).digest() + content)


def read_checksummed(path: Path) -> bytes | None:
    """The content that `write_checksummed` wrote; None if the file is absent or damaged."""
    data = path.read_bytes() if path.is_file() else b""
    checksum, content = data[:SHA256_BYTES], data[SHA256_BYTES:]
    return content if hashlib.sha256(content).digest() == checksum else None


def sync_folder(folder: Path) -> None:
    """Wait until the files of a folder, and the folder itself, are on the disk."""
    for entry in (*folder.iterdir(), folder):
        descriptor = os.open(entry, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def describe_shortage(folder: Path, num_bytes: int) -> str | None:
    """A warning where the disk of `folder` has less than `num_bytes` free; None where it has."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes >= num_bytes:
        return None
    return (
        f"{folder} has {free_bytes / 1e6:.1f} MB free, and {num_bytes / 1e6:.1f} MB are advised: "
        "free disk space"
    )


def hash_file(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock_file(file: IO, is_waiting: bool = False) -> bool:
    """Lock an open file until it is closed; False where its file system has no locks.

    BlockingIOError if another process holds the lock, unless `is_waiting`. The operating system
    releases the lock when its holder dies.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if is_waiting else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    return True
