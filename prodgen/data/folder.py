"""A folder of images, flat or with one folder a category, with or without official splits.

Files that are images by their first bytes decide what the folders mean (data/layout.py). The other
files are refused by name.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.core import decode, formats
from prodgen.core.errors import MissingInput, RejectedItem, UsageError
from prodgen.core.types import Attribute
from prodgen.data import folder_tree
from prodgen.data.layout import (
    Folders,
    Layout,
    Placement,
    describe_categories,
    find_layout,
    list_names,
    normalise_folders,
)
from prodgen.data.source import Item, SourceDescription
from prodgen.data.store import SPLITS

VERSION = 3  # of the reading rules: part of a store's key
SUFFIXES = formats.SUFFIXES
OUTSIDE = "outside the splits: in no folder train or test"
MAX_PARTS = 8  # that a sentence lists
IGNORED_NAMES = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file: its path below the folder, and the values by which a change is detected."""

    name: str
    size: int = 0  # bytes
    time: int = 0  # nanoseconds, of the last change
    refusal: str = ""


class Folder:
    """The images below `path`, read when they are needed: listing them opens no file."""

    parallel = True

    def __init__(self, path: Path, max_pixels: int):
        self.path = path
        self.max_pixels = max_pixels
        self.entries = sorted(_list_entries(path), key=lambda entry: os.fsencode(entry.name))

    def __len__(self) -> int:
        return len(self.entries)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, with the layout: other processes need not find it again."""
        return self.__dict__ | {"layout": self.layout}

    @functools.cached_property
    def refusals(self) -> list[str]:
        """Why each entry is no image by its first bytes; "" where it is one."""
        return [self._explain_refusal(entry) for entry in self.entries]

    @functools.cached_property
    def layout(self) -> Layout:
        """What the folders mean; the images among the entries decide it."""
        return find_layout(self._list_folders(is_image=True))

    @functools.cached_property
    def notes(self) -> tuple[str, ...]:
        """Remarks on what could be read in another way, and on images that are left out."""
        remarks = [*self.layout.remarks, *describe_categories(self.classes())]
        for reason, counts in (("without a category", self._group_loose()),
                               (f"left out, {OUTSIDE}", self._group_outside())):  # fmt: skip
            if counts:
                total = _count(sum(counts.values()), "image")
                remarks.insert(0, f"{total} {reason}: {_list_counts(counts)}")
        return tuple(remarks)

    def classes(self) -> tuple[str, ...]:
        folders = set(self._list_folders(is_image=True))
        names = {self.layout.place(path).category for path in folders} - {None}
        return tuple(sorted(names, key=os.fsencode))

    def schema(self) -> tuple[Attribute, ...]:
        return ()

    def content(self) -> dict[str, Any]:
        index = json.dumps([dataclasses.astuple(entry) for entry in self.entries])
        digest = hashlib.sha256(index.encode("ascii")).hexdigest()
        return {
            "source": "folder",
            "files": len(self.entries),
            "index": digest,
            "reader": [VERSION, decode.VERSION, formats.list_decoders()],
        }

    def item_name(self, index: int) -> str:
        """The name of an item whose image need not be decoded."""
        return self.entries[index].name

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        for index in range(start, min(stop, len(self.entries))):
            name = self.entries[index].name
            placement = self.layout.place(normalise_folders(name))
            try:
                if self.refusals[index] or placement.is_outside:
                    raise RejectedItem(self.refusals[index] or OUTSIDE)
                image = decode.decode_file(self.path / name, self.max_pixels)
            except RejectedItem as refusal:
                image = refusal
            yield Item(name, image, category=placement.category, split=placement.split)

    def describe(self) -> SourceDescription:
        """How the folder was read: its tree, what is a split, a category, or left out, and why."""
        images, layout = self._list_folders(is_image=True), self.layout
        title = self.path.absolute().name
        num_folders = len(set(images))
        sentences = [
            f"{title}/ holds {_count(len(images), 'image')} in {_count(num_folders, 'folder')}."
        ]
        if layout.wrapper:
            depth = len(layout.wrapper)
            num_inside = sum(path[:depth] == layout.wrapper for path in images)
            share = "all" if num_inside == len(images) else f"{num_inside:,} of {len(images):,}"
            sentences.append(f"{'/'.join(layout.wrapper)}/ is skipped: {share} images are in it.")
        sentences += [*self._describe_splits(), *self._describe_categories()]
        outside = self._group_outside()
        if outside:
            total = _count(sum(outside.values()), "image")
            sentences.append(f"{total} left out ({OUTSIDE}): {_list_counts(outside)}.")
        sentences += self._describe_refusals()
        others = self._list_folders(is_image=False)
        tree = folder_tree.render_tree(title, layout, images, others)
        return SourceDescription("How the folder was read", tuple(sentences), tree)

    def _explain_refusal(self, entry: Entry) -> str:
        if entry.refusal:
            return entry.refusal
        try:
            head = decode.read_regular(self.path / entry.name, formats.HEAD_BYTES)
        except RejectedItem as refusal:
            return str(refusal)
        return "" if formats.identify_format(head) else formats.explain_refusal(head)

    def _list_folders(self, is_image: bool) -> list[Folders]:
        """The folders above each image, or above each other file."""
        return [
            normalise_folders(entry.name)
            for entry, refusal in zip(self.entries, self.refusals, strict=True)
            if is_image == (not refusal)
        ]

    def _place_images(self) -> Iterator[tuple[str, Placement]]:
        """The name and the placement of each image."""
        for entry, refusal in zip(self.entries, self.refusals, strict=True):
            if not refusal:
                yield entry.name, self.layout.place(normalise_folders(entry.name))

    def _group_outside(self) -> dict[str, int]:
        """How many images outside the splits each outermost folder holds; loose ones by name."""
        return _group(name for name, place in self._place_images() if place.is_outside)

    def _group_loose(self) -> dict[str, int]:
        """As above, of images without a category, where others have one."""
        if not self.classes():
            return {}
        return _group(
            name
            for name, place in self._place_images()
            if place.category is None and not place.is_outside
        )

    def _describe_refusals(self) -> Iterator[str]:
        """A sentence for each reason why files are no images, for files named as images first."""
        names = collections.defaultdict(list)
        for entry, refusal in zip(self.entries, self.refusals, strict=True):
            if refusal:
                names[not entry.name.lower().endswith(SUFFIXES), refusal].append(entry.name)
        for (is_other, reason), group in sorted(names.items())[:MAX_PARTS]:
            total, verb = _count(len(group), "file"), "left out" if is_other else "refused"
            yield f"{total} {verb} ({reason}): {_list_counts(_group(group))}."

    def _describe_splits(self) -> Iterator[str]:
        layout = self.layout
        if layout.split_level is None:
            yield "It has no official splits: validation and test images are chosen from all."
            return
        depth = len(layout.wrapper) + layout.split_level
        counts: dict[tuple[str, str], int] = collections.Counter()
        for path in self._list_folders(is_image=True):
            split = layout.place(path).split
            if split:
                name = "*/" * layout.split_level + path[depth] + "/"
                counts[split, name] += 1
        order = sorted(counts.items(), key=lambda item: SPLITS.index(item[0][0]))
        parts = [f"{name} is {split} ({_count(n, 'image')})" for (split, name), n in order]
        yield f"Official splits: {list_names(parts, MAX_PARTS)}."
        missing = [name for name in SPLITS if name not in {split for split, _ in counts}]
        if missing:
            yield f"{' and '.join(missing).capitalize()} images are chosen from those of train."

    def _describe_categories(self) -> Iterator[str]:
        names = self.classes()
        if not names:
            yield "It has no categories: no folder names one."
            return
        yield f"{_count(len(names), 'category', 'categories')}: {list_names(names, MAX_PARTS)}."
        loose = self._group_loose()
        if loose:
            total = _count(sum(loose.values()), "image")
            yield f"{total} without a category, in no folder that names one: {_list_counts(loose)}."
        # Folders whose names differ in their Unicode form alone are one category.
        spellings = collections.defaultdict(set)
        for entry, refusal in zip(self.entries, self.refusals, strict=True):
            if not refusal:
                folders = entry.name.split("/")[:-1]
                for raw, name in zip(folders, normalise_folders(entry.name), strict=True):
                    spellings[name].add(raw)
        joint = [name for name in names if len(spellings[name]) > 1]
        if joint:
            yield (
                f"Folders with the same name in two Unicode forms are one category: "
                f"{list_names(joint)}."
            )


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


def _group(names: Iterable[str]) -> dict[str, int]:
    """How many of these files lie in each outermost folder; loose ones by name, in order."""
    counts: dict[str, int] = collections.Counter()
    for name in names:
        folder, slash, _ = name.partition("/")
        counts[folder + slash] += 1
    return counts


def _list_counts(counts: dict[str, int]) -> str:
    parts = [f"{name} ({n:,})" if name.endswith("/") else name for name, n in counts.items()]
    return list_names(parts, MAX_PARTS)


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
