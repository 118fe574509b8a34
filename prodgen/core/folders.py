"""The few operations on files that a run's checkpoints need, on a local folder.

`core/remote_files.py` has the same ones for a folder of an object store.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from prodgen.core.files import hash_file, write_atomically


class LocalFolder:
    """A folder of the file system. Names are relative to it, with slashes."""

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def list_names(self) -> list[str]:
        """The names of what lies directly in the folder; [] where it is absent."""
        try:
            return [path.name for path in self.path.iterdir()]
        except FileNotFoundError:
            return []

    def list_folders(self) -> list[str]:
        """The names of the folders directly in it."""
        return [name for name in self.list_names() if (self.path / name).is_dir()]

    def hash_files(self, below: str) -> dict[str, str]:
        """sha256 of every file of the folder `below`, by its name relative to `below`."""
        root = self.path / below
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): hash_file(path) for path in files}

    def find_difference(self, below: str, hashes: dict[str, str]) -> str | None:
        """A description of the first file of `below` that is missing or has another hash."""
        for name, expected_hash in hashes.items():
            path = self.path / below / name
            if not path.is_file():
                return f"{below}/{name} is missing"
            if hash_file(path) != expected_hash:
                return f"{below}/{name}: sha256 mismatch"
        return None

    def read(self, name: str) -> bytes:
        """The content of a file; OSError where that is impossible."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Replace a file by one with `content`, whole or not at all."""
        write_atomically(self.path / name, content)

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def delete_folder(self, name: str) -> None:
        """Delete a folder and all below it."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path / name)

    def move_folder(self, name: str, new_name: str) -> None:
        """Give a folder, if it is there, another name; a folder of that name is replaced."""
        shutil.rmtree(self.path / new_name, ignore_errors=True)
        if (self.path / name).exists():
            (self.path / name).rename(self.path / new_name)
