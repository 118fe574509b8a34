"""Which images of a batch are done, a line for each image, so that an interrupted batch continues.

An image counts as done when its line is there and its file has the hash of that line. Lines are
appended as images are finished. At the end they are sorted as the table is, so that an interrupted
batch ends with the same bytes as an uninterrupted one. An image has the name of a draft until its
line is written: a file that no line names is the user's own, wherever the command was stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prodgen.core.errors import UsageError
from prodgen.core.file_names import decode_names
from prodgen.core.files import write_atomically

MANIFEST_LINES, PROBLEMS = "manifest.jsonl", "problems.csv"
DOUBT_FIELDS = ("cutout_doubt", "doubt")  # of a line; the reasons in words, or ""
DRAFT_SUFFIX = ".batch-draft"  # of a hidden file


class BatchProgress:
    """The images `files` of a folder, in the order of the table. `write_image` is thread-safe."""

    def __init__(self, folder: Path, files: Sequence[str]):
        self.folder, self._files, self._path = folder, list(files), folder / MANIFEST_LINES
        folder.mkdir(parents=True, exist_ok=True)
        lines = self._read_lines()
        self._lines = {file: line for file, line in lines if self._is_valid(file, line)}
        # Lines of images that are to be made again stay until then, as they name their files.
        missing_files = set(self._files) - self._lines.keys()
        self._outdated_lines = {
            file: line for file, line in lines if file in missing_files and (folder / file).exists()
        }
        for draft in folder.glob(f".*{DRAFT_SUFFIX}"):
            draft.unlink()
        # A file that no line names belongs to the user.
        names = {file for file, _ in lines}
        own_problems = [] if self._path.exists() else [PROBLEMS]
        for file in [*self._files, *own_problems]:
            if file not in names and (folder / file).exists():
                raise UsageError(
                    f"{folder / file} exists, and this mode did not write it",
                    "name another place with --out",
                )
        self._write_lines()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of images that exist."""
        return sum(
            file in self._lines and "refused" not in self._lines[file] for file in self._files
        )

    def is_done(self, file: str, key: str, inputs: dict[str, str]) -> bool:
        """Whether an image is done for the same request, from input files of the same content.

        A line of an older version does not name its input files; then the key decides.
        """
        line = self._lines.get(file, {})
        return line.get("key") == key and line.get("inputs", inputs) == inputs

    def get_line(self, file: str) -> dict[str, Any] | None:
        """The line of an image that is done or refused; None where it is neither."""
        return self._lines.get(file)

    def write_image(self, file: str, content: bytes, entry: dict[str, Any]) -> None:
        """Write an image as a draft, then its line, then give the image its name."""
        # No fsync of each image: a file that a crash cut short does not match the hash of its line.
        draft = self.folder / f".{file}{DRAFT_SUFFIX}"
        draft.write_bytes(content)
        self._append_line(file, entry | {"sha256": hashlib.sha256(content).hexdigest()})
        os.replace(draft, self.folder / file)

    def record_refusal(self, file: str, reason: str, entry: dict[str, Any]) -> None:
        """Write the line of an image that must not be written."""
        self._append_line(file, entry | {"refused": reason})

    def refusals(self) -> list[tuple[int, str]]:
        """(line of the table, reason) of each refused image."""
        lines = [self._lines[file] for file in self._files if file in self._lines]
        return [(line["line"], line["refused"]) for line in lines if "refused" in line]

    def doubtful_lines(self) -> list[int]:
        """The lines of the table with an image that a person must look at, in rising order."""
        entries = [self._lines[file] for file in self._files if file in self._lines]
        return sorted({entry["line"] for entry in entries if any(map(entry.get, DOUBT_FIELDS))})

    def close(self) -> list[Path]:
        """Sort the lines; the files of the batch that exist."""
        self._write_lines()
        files = [file for file in self._files if "sha256" in self._lines.get(file, {})]
        return [*(self.folder / file for file in files), self._path]

    def _append_line(self, file: str, entry: dict[str, Any]) -> None:
        with self._lock:
            self._lines[file] = entry
            with open(self._path, "a", encoding="utf-8") as out:
                out.write(format_line(file, entry))

    def _read_lines(self) -> list[tuple[str, dict[str, Any]]]:
        """The lines that are complete; the last one of a file counts.

        UsageError where none of them is of this mode: the file is another program's.
        """
        if not self._path.is_file():
            return []
        lines = []
        texts = self._path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        for text in texts:
            try:
                entry = json.loads(text)
                lines += [(entry.pop("file"), entry)] if "key" in entry else []
            except (ValueError, KeyError, AttributeError, TypeError):
                continue  # cut short by a crash: its image is computed again
        if not lines and any(text.strip() and text.endswith("\n") for text in texts):
            raise UsageError(
                f"{self._path} was not written by this program", "name another place with --out"
            )
        return lines

    def _is_valid(self, file: str, line: dict[str, Any]) -> bool:
        """Whether the file of a line exists with the content of that line, or was refused."""
        if "refused" in line:
            return True
        path = self.folder / Path(file).name
        if not path.is_file():
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == line.get("sha256")

    def _write_lines(self) -> None:
        lines = self._outdated_lines | self._lines
        files = [file for file in self._files if file in lines]
        others = sorted(set(lines) - set(files))
        text = "".join(format_line(file, lines[file]) for file in [*files, *others])
        write_atomically(self._path, text.encode())


def format_line(file: str, entry: dict[str, Any]) -> str:
    """An image's line of the manifest."""
    return json.dumps(decode_names({"file": file} | entry), sort_keys=True) + "\n"
