"""Which pictures of a long job are done: a line a picture, so that a killed job goes on.

A picture counts as done when its line is there and its file has the hash that the line says. The
lines are in the order in which pictures were finished; when all is done they are brought into the
table's order, so that an interrupted job ends with the bytes of an undisturbed one.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically

FILE = "manifest.jsonl"


class Ledger:
    """The pictures `files` of a folder, in the order wanted. Threads may put at the same time."""

    def __init__(self, folder: Path, files: Sequence[str]):
        self.folder, self._files, self._path = folder, list(files), folder / FILE
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = {file: line for file, line in self._read() if self._stands(file, line)}
        strangers = [f for f in self._files if f not in self._lines and self._foreign(f)]
        if strangers:
            raise UsageError(
                f"{folder / strangers[0]} exists, and this mode did not write it",
                "name another place with --out",
            )
        self._write()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many of the pictures are there."""
        return sum(file in self._lines and "refused" not in self._lines[file]
                   for file in self._files)  # fmt: skip

    def has(self, file: str, key: str, inputs: dict[str, str]) -> bool:
        """Whether a picture is done for the same request, from files of the same content.

        A line that does not say what its files held is believed.
        """
        line = self._lines.get(file, {})
        return line.get("key") == key and line.get("inputs", inputs) == inputs

    def put(self, file: str, content: bytes, entry: dict[str, Any]) -> None:
        """A picture to the disk, and then its line."""
        # No fsync a picture: a file that a crash has cut short does not have the hash of its line.
        (self.folder / file).write_bytes(content)
        self._add(file, entry | {"sha256": hashlib.sha256(content).hexdigest()})

    def refuse(self, file: str, reason: str, entry: dict[str, Any]) -> None:
        """The line of a picture that must not be written."""
        self._add(file, entry | {"refused": reason})

    def refused(self) -> list[tuple[int, str]]:
        """(line of the table, reason) of the pictures that were refused."""
        lines = [self._lines[file] for file in self._files if file in self._lines]
        return [(line["line"], line["refused"]) for line in lines if "refused" in line]

    def close(self) -> list[Path]:
        """Bring the lines into order; the files of the job that exist."""
        self._write()
        made = [f for f in self._files if "sha256" in self._lines.get(f, {})]
        return [*(self.folder / file for file in made), self._path]

    def _add(self, file: str, entry: dict[str, Any]) -> None:
        with self._lock:
            self._lines[file] = entry
            with open(self._path, "a", encoding="utf-8") as out:
                out.write(_line(file, entry))

    def _read(self) -> list[tuple[str, dict[str, Any]]]:
        """The lines that are whole; the last one of a file counts."""
        if not self._path.is_file():
            return []
        found = []
        for text in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(text)
                found.append((entry.pop("file"), entry))
            except (ValueError, KeyError, AttributeError, TypeError):
                continue  # cut short by a crash: its picture is made again
        return found

    def _stands(self, file: str, line: dict[str, Any]) -> bool:
        if "refused" in line:
            return True
        path = self.folder / Path(file).name
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == line.get(
            "sha256"
        )

    def _foreign(self, file: str) -> bool:
        """Whether a file of that name exists that no line speaks of."""
        return (self.folder / file).exists() and file not in {name for name, _ in self._read()}

    def _write(self) -> None:
        known = [file for file in self._files if file in self._lines]
        others = sorted(set(self._lines) - set(known))
        text = "".join(_line(file, self._lines[file]) for file in [*known, *others])
        write_atomically(self._path, text.encode())


def _line(file: str, entry: dict[str, Any]) -> str:
    return json.dumps({"file": file} | entry, sort_keys=True) + "\n"
