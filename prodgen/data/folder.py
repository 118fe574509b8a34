"""A folder of images, flat or with one folder a class.

The first folder level names the class; deeper levels do not matter. Where the names of the first
level are train, test and perhaps validation, they are official splits and the next level is the
class. A folder that contains only one other folder is skipped, as unpacked archives often have one.
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
from prodgen.core.errors import MissingInput, RejectedItem, UsageError
from prodgen.core.types import Attribute
from prodgen.data.source import Item, SplitName

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif")
IGNORED_NAMES = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")
SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file: its path below the folder, and the values by which a change is detected."""

    name: str
    size: int = 0  # bytes
    time: int = 0  # nanoseconds, of the last change
    refusal: str = ""


class Folder:
    """The images below `path`. Listing them reads no file; the module says what a class is."""

    parallel = True

    def __init__(self, path: Path, max_pixels: int):
        self.path = path
        self.max_pixels = max_pixels
        self.entries = sorted(_list_entries(path), key=lambda entry: os.fsencode(entry.name))
        paths = [entry.name.split("/") for entry in self.entries if _may_be_image(entry)]
        # Folders that contain only one other folder are skipped: the classes begin at `depth`.
        depth = 0
        while paths and all(
            len(path) > depth + 1 and path[depth] == paths[0][depth] for path in paths
        ):
            depth += 1
        folders = {path[depth].lower() for path in paths if len(path) > depth + 1}
        is_flat = any(len(path) == depth + 1 for path in paths)
        has_splits = "train" in folders and len(folders) > 1 and folders <= set(SPLIT_FOLDERS)
        self.depth, self.has_splits = depth, has_splits and not is_flat

    def __len__(self) -> int:
        return len(self.entries)

    def classes(self) -> tuple[str, ...]:
        images = filter(_may_be_image, self.entries)
        names = {self._find_category(entry.name) for entry in images} - {None}
        return tuple(sorted(names, key=os.fsencode))

    def schema(self) -> tuple[Attribute, ...]:
        return ()

    def content(self) -> dict[str, Any]:
        index = json.dumps([dataclasses.astuple(entry) for entry in self.entries])
        digest = hashlib.sha256(index.encode("ascii")).hexdigest()
        return {"source": "folder", "files": len(self.entries), "index": digest}

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        for entry in self.entries[start:stop]:
            try:
                if entry.refusal:
                    raise RejectedItem(entry.refusal)
                image = decode.decode_file(self.path / entry.name, self.max_pixels)
            except RejectedItem as refusal:
                image = refusal
            folders = entry.name.split("/")[self.depth : -1] if self.has_splits else []
            split = SPLIT_FOLDERS.get(folders[0].lower()) if folders else None
            category = self._find_category(entry.name)
            yield Item(entry.name, image, category=category, split=split)

    def _find_category(self, name: str) -> str | None:
        folders = name.split("/")[self.depth : -1][int(self.has_splits) :]
        return folders[0] if folders else None


def from_config(data: ConfigDict) -> Folder:
    """The source that config.data describes. MissingInput where the folder does not exist."""
    if not data.path:
        raise UsageError(
            "config.data.path is empty", "name a folder; or set config.data.path=FOLDER"
        )
    path = Path(data.path).expanduser()
    if not path.exists():
        raise MissingInput(
            f"there is no folder {path}", "put it there; or set config.data.path=FOLDER"
        )
    if not path.is_dir():
        raise UsageError(
            f"config.data.path={path} is not a folder",
            "name a folder; or set config.data.source=table for a .csv or .jsonl file",
        )
    return Folder(path, data.max_pixels)


def _list_entries(root: Path) -> Iterator[Entry]:
    """Every visible file below `root`, and everything that is refused, unsorted."""
    real_root = os.path.realpath(root)
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as scan:
                files = list(scan)
        except OSError as error:
            yield Entry(folder or ".", refusal=f"unreadable: {error.strerror or error}")
            continue
        for file in files:
            name = f"{folder}/{file.name}" if folder else file.name
            if file.name.startswith(".") or file.name.lower() in IGNORED_NAMES:
                continue
            if not file.is_dir(follow_symlinks=False):
                yield _make_entry(file, name, real_root)
            elif file.name.lower().endswith(SUFFIXES):
                yield Entry(name, refusal="not a picture: a folder")
            else:
                pending.append(name)


def _make_entry(file: os.DirEntry, name: str, real_root: str) -> Entry:
    """The entry of a file or link; links that leave the folder are refused."""
    try:
        if file.is_symlink():
            target = os.path.realpath(file.path)
            if os.path.commonpath([target, real_root]) != real_root:
                return Entry(name, refusal="outside: a link that leaves the folder")
            if os.path.isdir(target):
                return Entry(name, refusal="not a picture: a link to a folder")
        stat = file.stat()
        return Entry(name, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        is_link = file.is_symlink()
        reason = "missing: a broken link" if is_link else f"unreadable: {error.strerror}"
        return Entry(name, refusal=reason)


def _may_be_image(entry: Entry) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()
    return not entry.refusal and (not suffix or suffix in SUFFIXES)
