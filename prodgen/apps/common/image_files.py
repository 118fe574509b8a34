"""The image files that a user names, and the names of the files that are made from them.

Folders are listed in one way (data/folder.py): hidden files, and links that leave the folder, are
left out.
"""

from __future__ import annotations

import collections
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from prodgen.apps.common.output import MANIFEST, say
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.data.folder import SUFFIXES, Entry, Folder

MAX_PIXELS = 50_000_000
MAX_STEM_BYTES = 200  # file systems allow 255 bytes; the rest is for what is appended
PROGRESS_SECONDS = 5.0  # between two lines of progress


def list_image_files(path: Path, flag: str) -> list[Path]:
    """The image files in a folder, sorted, or the one file; MissingInput names the flag.

    BadData where one of them cannot be opened, or lies outside the folder.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingInput(f"{flag}={path} does not exist", "name an image or a folder of images")
    entries = [e for e in Folder(path, MAX_PIXELS).entries if e.name.lower().endswith(SUFFIXES)]
    if not entries:
        raise MissingInput(f"{flag}={path} holds no images", "name an image or a folder of images")
    for entry in entries:
        if entry.refusal:
            raise BadData(f"{path / entry.name}: {entry.refusal}", "take it out")
    return [path / entry.name for entry in entries]


def check_folders(source: Path, target: Path, outputs: Sequence[str], subfolder: str) -> None:
    """MissingInput without a source; UsageError where writing could replace a user's file.

    outputs: names in the target folder that a mode writes; subfolder: its folder of images there.
    """
    if not source.exists():
        raise MissingInput(
            f"--images={source} does not exist", "name an image or a folder of images"
        )
    advice = "name another folder with --out"
    if target.exists() and not target.is_dir():
        raise UsageError(f"--out={target} is a file, this mode writes a folder", advice)
    source_folder = (source if source.is_dir() else source.parent).resolve()
    if source_folder == target.resolve():
        raise UsageError(f"{target} holds the images that are read", advice)
    if source_folder.is_relative_to((target / subfolder).resolve()):
        raise UsageError(f"{source} is where the {subfolder} images go", advice)
    conflicts = [name for name in (*outputs, subfolder) if (target / name).exists()]
    if conflicts and not (target / MANIFEST).exists():
        raise UsageError(f"{target} holds a {conflicts[0]} that this mode did not write", advice)


def list_entries(source: Path, target: Path, outputs: Sequence[str], subfolder: str) -> list[Entry]:
    """The file, or every visible file below the folder except those that the mode itself wrote."""
    if not source.is_dir():
        return [Entry(source.name)]
    root, target = source.resolve(), target.resolve()
    own_files = {target / name for name in (*outputs, MANIFEST)}
    entries = []
    for entry in Folder(source, MAX_PIXELS).entries:
        path = root / entry.name
        if path not in own_files and target / subfolder not in path.parents:
            entries.append(entry)
    if not any(entry.name.lower().endswith(SUFFIXES) for entry in entries):
        raise MissingInput(f"--images={source} holds no images", "name a folder that holds some")
    return entries


def each_file(
    source: Path, entries: Sequence[Entry], format_progress: Callable[[int], str]
) -> Iterator[tuple[Path, Entry, str, str]]:
    """(path, entry, printable name, PNG name) of each file of `list_entries`.

    format_progress: makes a line of the number of finished files; it is printed every few seconds.
    """
    folder = source if source.is_dir() else source.parent
    names = [printable_name(entry.name) for entry in entries]
    last_print = time.monotonic()
    for i, (entry, name, png) in enumerate(zip(entries, names, png_names(names), strict=True)):
        yield folder / entry.name, entry, name, png
        if time.monotonic() - last_print > PROGRESS_SECONDS:
            last_print = time.monotonic()
            say(format_progress(i + 1))


def printable_name(name: str) -> str:
    """A file name as text: a question mark stands for what is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def escape_formula(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in "=+-@" else name


def png_names(files: Sequence[str]) -> list[str]:
    """A PNG's relative path for each file; no two are alike, also where case does not count.

    sub/a.jpg becomes sub/a.png. Where the folder holds another file called a, it becomes
    sub/a.jpg.png.
    """
    paths = [PurePosixPath(file) for file in files]
    stem_counts = collections.Counter(str(path.with_suffix("")).casefold() for path in paths)
    names: list[str] = []
    used_names: set[str] = set()
    for path in paths:
        is_unique = stem_counts[str(path.with_suffix("")).casefold()] == 1
        base = path.stem if is_unique or path.suffix.lower() == ".png" else path.name
        stem = base.encode()[:MAX_STEM_BYTES].decode("utf-8", "ignore")
        # The first free name of stem, stem-2, stem-3, ...
        stems = itertools.chain([stem], (f"{stem}-{k}" for k in itertools.count(2)))
        candidates = (str(path.with_name(f"{stem}.png")) for stem in stems)
        names.append(next(name for name in candidates if name.casefold() not in used_names))
        used_names.add(names[-1].casefold())
    return names
