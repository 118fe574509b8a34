"""The image files that a user names: files, and folders with everything visible below them.

Folders are listed in one way (data/folder.py): hidden files, and links that leave the folder, are
left out. A file that cannot be used is listed with the reason, so that it ends no folder.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from prodgen.apps.common.output import MANIFEST, Output, say
from prodgen.apps.common.output_names import name_outputs
from prodgen.core import decode, formats
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.data.folder import SUFFIXES, Entry, Folder

MAX_PIXELS = 50_000_000
PROGRESS_SECONDS = 5.0  # between two lines of progress
MAX_LISTED = 4  # names that a message lists
Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """One file. name: its path below what the user named, with / between; stem: of its outputs.

    refusal: why it cannot be read, "" otherwise. is_image: whether it has the suffix or the first
    bytes of an image, or the user named it.
    """

    path: Path
    name: str
    refusal: str = ""
    is_image: bool = True
    stem: str = ""

    def check(self) -> None:
        """RejectedItem with the reason for a file that cannot be read."""
        if self.refusal:
            raise RejectedItem(self.refusal)


def split_paths(values: Sequence[str], flag: str) -> list[Path]:
    """The paths that a repeated flag names; a value that is no path is split at its commas.

    MissingInput for a path that does not exist.
    """
    paths = []
    for value in filter(None, values):
        whole_path = os.path.expanduser(value)
        parts = [value] if os.path.lexists(whole_path) else value.split(",")
        paths += [Path(os.path.expanduser(part)) for part in parts if part]
    for path in paths:
        if not os.path.exists(path):
            raise MissingInput(
                f"{flag}={path} does not exist", "name an image or a folder of images"
            )
    return paths


def list_files(
    values: Sequence[str],
    flag: str,
    earlier_outputs: Mapping[str, str] = MappingProxyType({}),
    own_paths: Set[Path] = frozenset(),
) -> list[ImageFile]:
    """The files of a flag: those that it names, and every visible file below its folders.

    A file's name is its path below the folder; with several paths, below the folder that contains
    all of them. earlier_outputs: `Output.list_earlier_outputs`. own_paths: resolved files and
    folders that the mode wrote; they are left out of folders. MissingInput where no file is an
    image.
    """
    paths = split_paths(values, flag)
    folders = [os.path.abspath(path if path.is_dir() else path.parent) for path in paths]
    root = os.path.commonpath(folders) if folders else ""
    files: dict[str, ImageFile] = {}
    for path, folder in zip(paths, folders, strict=True):
        prefix = "" if folder == root else f"{Path(os.path.relpath(folder, root)).as_posix()}/"
        real_folder = Path(os.path.realpath(folder))
        for file in find_files(path):
            real_path = real_folder / file.name
            is_own = real_path in own_paths or not own_paths.isdisjoint(real_path.parents)
            if path == file.path or not is_own:
                files[prefix + file.name] = dataclasses.replace(file, name=prefix + file.name)
    if not any(file.is_image for file in files.values()):
        text = ",".join(map(str, paths))
        raise MissingInput(f"{flag}={text} holds no images", "name an image or a folder of images")
    stems = name_outputs(list(files), earlier_outputs)
    return [
        dataclasses.replace(file, stem=stem)
        for file, stem in zip(files.values(), stems, strict=True)
    ]


def find_files(path: Path) -> list[ImageFile]:
    """The file itself, or every visible file below the folder."""
    if not path.is_dir():
        return [ImageFile(path, path.name)]
    return [
        ImageFile(file, entry.name, entry.refusal, is_image(file, entry))
        for entry in Folder(path, MAX_PIXELS).entries
        for file in [path / entry.name]
    ]


def list_images(
    values: Sequence[str],
    flag: str,
    earlier_outputs: Mapping[str, str] = MappingProxyType({}),
    own_paths: Set[Path] = frozenset(),
) -> list[ImageFile]:
    """The files of `list_files` that are images, also those that cannot be read; reports others."""
    files = list_files(values, flag, earlier_outputs, own_paths)
    other_names = [file.name for file in files if not file.is_image]
    if other_names:
        rest = len(other_names) - MAX_LISTED
        more = f" and {rest} more" if rest > 0 else ""
        say(f"left out, no images: {', '.join(other_names[:MAX_LISTED])}{more}")
    return [file for file in files if file.is_image]


def is_image(path: Path, entry: Entry) -> bool:
    """Whether a file of a folder has the suffix or the first bytes of an image."""
    if entry.name.lower().endswith(SUFFIXES):
        return True
    if entry.refusal or not entry.size:  # a FIFO or a device has no size and is never opened
        return False
    try:
        return bool(formats.identify_format(decode.read_regular(path, formats.HEAD_BYTES)))
    except RejectedItem:
        return False


def list_image_files(path: Path, flag: str) -> list[Path]:
    """The image files in a folder, sorted, or the one file; MissingInput names the flag.

    BadData where one of them cannot be opened, or lies outside the folder.
    """
    if not os.path.exists(path):
        raise MissingInput(f"{flag}={path} does not exist", "name an image or a folder of images")
    files = [file for file in find_files(path) if file.is_image]
    if not files:
        raise MissingInput(f"{flag}={path} holds no images", "name an image or a folder of images")
    for file in files:
        if file.refusal:
            raise BadData(f"{file.path}: {file.refusal}", "take it out")
    return [file.path for file in files]


def list_every_file(
    values: Sequence[str], out: Output, target: Path, outputs: Sequence[str], subfolder: str
) -> list[ImageFile]:
    """The files of --images except those that the mode itself wrote into `target`.

    target: the folder of `out`; outputs: names there that a mode writes; subfolder: its folder of
    images there. MissingInput without a source; UsageError where writing could replace a file of
    the user.
    """
    advice = "name another folder with --out"
    for source in split_paths(values, "--images"):
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
    own_paths = {target.resolve() / name for name in (*outputs, MANIFEST, subfolder)}
    return list_files(values, "--images", out.list_earlier_outputs(subfolder), own_paths)


def each_file(files: Sequence[Item], format_progress: Callable[[int], str]) -> Iterator[Item]:
    """The files, or other items, in turn.

    format_progress: makes a line of the number of finished files; it is printed every few seconds.
    """
    last_print = time.monotonic()
    for i, file in enumerate(files):
        yield file
        if time.monotonic() - last_print > PROGRESS_SECONDS:
            last_print = time.monotonic()
            say(format_progress(i + 1))


def read_named_image(file: str, flag: str, advice: str) -> np.ndarray:
    """The image uint8 [h, w, c] in the file of a flag. advice: where the file does not exist."""
    path = Path(os.path.expanduser(file))
    if not os.path.isfile(path):
        raise MissingInput(f"{flag}={file} does not exist", advice)
    try:
        return decode.decode_file(path, MAX_PIXELS)
    except RejectedItem as reason:
        raise BadData(f"{flag}={file}: {reason}", "name a PNG") from None
