"""The pictures that a user points at, and where what is made of them may go.

There is one way to list a folder (data/folder.py): what is hidden, and links that leave it, are not
looked at.
"""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from prodgen.apps.common.output import MANIFEST
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.data.folder import SUFFIXES, Entry, Folder

MAX_PIXELS = 50_000_000
STEM = 200  # bytes: what is appended must fit into the 255 that file systems give a name


def files(path: Path, flag: str) -> list[Path]:
    """The picture files in a folder, sorted, or the one file; MissingInput names the flag.

    BadData where one of them cannot be opened, or lies outside.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingInput(
            f"{flag}={path} does not exist", "name a picture or a folder of pictures"
        )
    found = [e for e in Folder(path, MAX_PIXELS).entries if e.name.lower().endswith(SUFFIXES)]
    if not found:
        raise MissingInput(f"{flag}={path} holds no pictures", "name a picture or a folder of them")
    for entry in found:
        if entry.refusal:
            raise BadData(f"{path / entry.name}: {entry.refusal}", "take it out")
    return [path / entry.name for entry in found]


def check(source: Path, target: Path, written: Sequence[str], below: str) -> None:
    """MissingInput without a source; UsageError where writing could replace a user's file.

    written: names in the target folder that a mode writes; below: its folder of pictures there.
    """
    if not source.exists():
        raise MissingInput(
            f"--images={source} does not exist", "name a picture or a folder of pictures"
        )
    advice = "name another folder with --out"
    if target.exists() and not target.is_dir():
        raise UsageError(f"--out={target} is a file, this mode writes a folder", advice)
    home = (source if source.is_dir() else source.parent).resolve()
    if home == target.resolve():
        raise UsageError(f"{target} holds the pictures that are read", advice)
    if home.is_relative_to((target / below).resolve()):
        raise UsageError(f"{source} is where the {below} pictures go", advice)
    taken = [name for name in (*written, below) if (target / name).exists()]
    if taken and not (target / MANIFEST).exists():
        raise UsageError(f"{target} holds a {taken[0]} that this mode did not write", advice)


def listed(source: Path, target: Path, written: Sequence[str], below: str) -> list[Entry]:
    """The file, or every visible file below the folder but what the mode has written itself."""
    if not source.is_dir():
        return [Entry(source.name)]
    top, mine = source.resolve(), target.resolve()
    own = {mine / name for name in (*written, MANIFEST)}
    found = []
    for entry in Folder(source, MAX_PIXELS).entries:
        path = top / entry.name
        if path not in own and mine / below not in path.parents:
            found.append(entry)
    if not any(entry.name.lower().endswith(SUFFIXES) for entry in found):
        raise MissingInput(f"--images={source} holds no pictures", "name a folder that holds some")
    return found


def shown(name: str) -> str:
    """A file name as text: what is no UTF-8 in it shows as a question mark."""
    return os.fsencode(name).decode("utf-8", "replace")


def inert(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in "=+-@" else name


def png_names(files: Sequence[str]) -> list[str]:
    """A PNG's relative path for each file, no two alike even where case does not count.

    sub/a.jpg becomes sub/a.png, but where the folder holds another file called a, sub/a.jpg.png.
    """
    paths = [PurePosixPath(file) for file in files]
    namesakes = collections.Counter(str(path.with_suffix("")).casefold() for path in paths)
    taken: set[str] = set()
    found = []
    for path in paths:
        alone = namesakes[str(path.with_suffix("")).casefold()] == 1
        plain = alone or path.suffix.lower() == ".png"
        stem = (path.stem if plain else path.name).encode()[:STEM].decode("utf-8", "ignore")
        stems = itertools.chain([stem], (f"{stem}-{k}" for k in itertools.count(2)))
        names = (str(path.with_name(f"{stem}.png")) for stem in stems)
        found.append(next(name for name in names if name.casefold() not in taken))
        taken.add(found[-1].casefold())
    return found
