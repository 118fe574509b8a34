"""The files below a folder by path and by last parts, as other systems may spell them."""

from __future__ import annotations

import collections
import dataclasses
import html
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from prodgen.data.folder import SUFFIXES

MAX_INDEXED_FILES = 2_000_000
MAX_DISPERSAL_CHARACTERS = 2  # of a folder named by the first characters of its files
MAX_DISPERSAL_FOLDERS = 3
GENERIC_WORDS = frozenset(
    (
        *("asset", "assets", "bilder", "catalog", "catalogue", "content", "data", "download"),
        *("downloads", "file", "files", "foto", "fotos", "full", "gallery", "image", "images"),
        *("img", "imgs", "large", "media", "original", "originals", "photo", "photos", "picture"),
        *("pictures", "product", "products", "public", "raw", "source", "static", "upload"),
        *("uploads", "wp"),
    )
)


@dataclasses.dataclass(frozen=True)
class FileIndex:
    """The visible files below `root`, relative to it. Keys are those of `make_key`.

    by_path, by_bare_path: {whole path, with and without the suffix: files}. A folder `images` above
    all others may be left out. by_tail, by_bare_tail: {last parts of a path: files}.
    """

    root: str
    by_path: Mapping[str, list[str]]
    by_bare_path: Mapping[str, list[str]]
    by_tail: Mapping[str, list[str]]
    by_bare_tail: Mapping[str, list[str]]


def build_index(root: str) -> FileIndex:
    """The index of at most MAX_INDEXED_FILES files, in a fixed order; links are not followed."""
    indexes = tuple(collections.defaultdict(list) for _ in range(4))
    by_path, by_bare_path, by_tail, by_bare_tail = indexes
    for file in itertools.islice(_list_files(root), MAX_INDEXED_FILES):
        key = make_key(file)
        bare_key, suffix = os.path.splitext(key)
        for index, text in ((by_path, key), (by_bare_path, bare_key)):
            if index is by_path or suffix in SUFFIXES:
                for path in dict.fromkeys((text, text.removeprefix("images/"))):
                    index[path].append(file)
        for index, text in ((by_tail, key), (by_bare_tail, bare_key)):
            for tail in list_tails(text.split("/")):
                index[tail].append(file)
    return FileIndex(root, *indexes)


def make_key(path: str) -> str:
    """A path as the index has it: slashes, composed, in lower case, no spaces around its parts."""
    text = unicodedata.normalize("NFC", html.unescape(path).replace("\\", "/")).casefold()
    return "/".join(part.strip() for part in text.split("/") if part not in ("", "."))


def list_tails(parts: Sequence[str]) -> list[str]:
    """The last parts of a path, the longest first: a/b/c, b/c, c."""
    return ["/".join(parts[start:]) for start in range(len(parts))]


def is_compatible(file: str, parts: Sequence[str], num_equal: int) -> bool:
    """Whether the folders of a file agree with a path, of which the last `num_equal` parts are its.

    Each other folder of the file is a folder of the path, in its order; or it has a name without a
    meaning, such as `photos`; or it disperses the files by their first characters, as w/b/wb01.jpg.
    parts: of the path's key.
    """
    *folders, name = make_key(file).split("/")
    folders = folders[: len(folders) + 1 - num_equal]
    if num_equal == 1:
        folders = _drop_dispersal(folders, os.path.splitext(name)[0])
    rest = iter(parts[: len(parts) - num_equal])
    return all(_is_generic(folder) or folder in rest for folder in folders)


def _is_generic(folder: str) -> bool:
    return all(word in GENERIC_WORDS for word in re.split("[-_ ]+", folder))


def _drop_dispersal(folders: list[str], stem: str) -> list[str]:
    """The folders without those at the end that are the first characters of the stem."""
    for count in range(min(MAX_DISPERSAL_FOLDERS, len(folders)), 0, -1):
        prefixes = folders[-count:]
        joint = "".join(prefixes)
        is_short = max(map(len, prefixes)) <= MAX_DISPERSAL_CHARACTERS
        # 1/10.jpg is rather the tenth image of product 1.
        is_number = stem.isdigit() and len(joint) < 2
        is_prefix = stem.startswith(joint) or all(map(stem.startswith, prefixes))
        if is_short and is_prefix and not is_number and len(stem) > len(joint) + 1:
            return folders[:-count]
    return folders


def _list_files(root: str) -> Iterator[str]:
    """Every visible file below `root`, relative to it."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and not os.path.islink(os.path.join(folder, name)):
                yield os.path.relpath(os.path.join(folder, name), root)
