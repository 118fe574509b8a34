"""A folder of pictures, flat or one folder a class.

The first folder level names the class; deeper levels do not matter. Where the first level is named
train, test and perhaps validation, those are official splits and the next level is the class. A
folder that holds nothing but one other folder is passed through, as unpacked archives have it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.core import decode
from prodgen.core.errors import MissingInput, Refused, UsageError
from prodgen.core.types import Attribute
from prodgen.data.source import Item, SplitName

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif")
IGNORED = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")
SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file: its path below the folder, and what a change of it would change."""

    name: str
    size: int = 0
    time: int = 0  # nanoseconds, of the last change
    refused: str = ""


class Folder:
    """The pictures below `path`. Listing reads no file; see the module for what is a class."""

    parallel = True

    def __init__(self, path: Path, max_pixels: int):
        self.path = path
        self.max_pixels = max_pixels
        self.entries = sorted(_list(path), key=lambda entry: os.fsencode(entry.name))
        pictures = [entry.name for entry in self.entries if _may_be_picture(entry)]
        self.depth, self.has_splits = _layout(pictures)

    def __len__(self) -> int:
        return len(self.entries)

    def classes(self) -> tuple[str, ...]:
        names = {self._category(entry.name) for entry in self.entries if _may_be_picture(entry)} - {
            None
        }
        return tuple(sorted(names, key=os.fsencode))

    def schema(self) -> tuple[Attribute, ...]:
        return ()

    def content(self) -> dict[str, Any]:
        index = json.dumps([dataclasses.astuple(entry) for entry in self.entries])
        digest = hashlib.sha256(index.encode("ascii")).hexdigest()
        return {"source": "folder", "files": len(self.entries), "index": digest}

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        for entry in self.entries[start:stop]:
            yield Item(
                entry.name,
                self._read(entry),
                category=self._category(entry.name),
                split=self._split(entry.name),
            )

    def _read(self, entry: Entry):
        if entry.refused:
            return Refused(entry.refused)
        try:
            return decode.decode_file(self.path / entry.name, self.max_pixels)
        except Refused as refused:
            return refused

    def _parts(self, name: str) -> list[str]:
        return name.split("/")[self.depth :]

    def _category(self, name: str) -> str | None:
        folders = self._parts(name)[:-1][int(self.has_splits) :]
        return folders[0] if folders else None

    def _split(self, name: str) -> SplitName | None:
        folders = self._parts(name)[:-1] if self.has_splits else []
        return SPLIT_FOLDERS.get(folders[0].lower()) if folders else None


def from_config(data: ConfigDict) -> Folder:
    """The source that config.data describes. MissingInput where the folder is not there."""
    if not data.path:
        raise UsageError("config.data.path is empty", "add --config.data.path=FOLDER")
    path = Path(data.path).expanduser()
    if not path.exists():
        raise MissingInput(f"there is no folder {path}", "set --config.data.path")
    if not path.is_dir():
        raise UsageError(
            f"config.data.path={path} is not a folder",
            "for a .csv or .jsonl file, set --config.data.source=table",
        )
    return Folder(path, data.max_pixels)


def _list(root: Path) -> Iterator[Entry]:
    """Every visible file below `root`, and every thing that will be refused, unsorted."""
    top = os.path.realpath(root)
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(root, below)) as found:
                visible = [one for one in found if not _is_ignored(one.name)]
        except OSError as error:
            yield Entry(below or ".", refused=f"unreadable: {error.strerror or error}")
            continue
        for one in visible:
            name = f"{below}/{one.name}" if below else one.name
            if not one.is_dir(follow_symlinks=False):
                yield _entry(one, name, top)
            elif one.name.lower().endswith(SUFFIXES):
                yield Entry(name, refused="not a picture: a folder")
            else:
                waiting.append(name)


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in IGNORED


def _entry(one: os.DirEntry, name: str, top: str) -> Entry:
    try:
        if one.is_symlink():
            target = os.path.realpath(one.path)
            if os.path.commonpath([target, top]) != top:
                return Entry(name, refused="outside: a link that leaves the folder")
            if os.path.isdir(target):
                return Entry(name, refused="not a picture: a link to a folder")
        found = one.stat()
        return Entry(name, found.st_size, found.st_mtime_ns)
    except OSError as error:
        reason = "missing: a broken link" if one.is_symlink() else f"unreadable: {error.strerror}"
        return Entry(name, refused=reason)


def _may_be_picture(entry: Entry) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()
    return not entry.refused and (not suffix or suffix in SUFFIXES)


def _layout(names: list[str]) -> tuple[int, bool]:
    """How many wrapping folders to pass through, and whether the next level names splits."""
    paths = [name.split("/") for name in names]
    depth = 0
    while paths and all(len(path) > depth + 1 and path[depth] == paths[0][depth] for path in paths):
        depth += 1
    firsts = {path[depth].lower() for path in paths if len(path) > depth + 1}
    flat = any(len(path) == depth + 1 for path in paths)
    has_splits = "train" in firsts and len(firsts) > 1 and firsts <= set(SPLIT_FOLDERS)
    return depth, has_splits and not flat
