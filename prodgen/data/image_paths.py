"""Which file a path in a table means: paths come from other systems, spellings and folders.

A path is looked up as it stands, then in other spellings (Unicode forms, entities, backslashes),
without its leading slash, and at last by an index of all files below the root: by case, without
suffix, and by the last parts of an absolute path or a web address. A file outside the root is never
taken. What is not unique is refused with the files that it could be.
"""

from __future__ import annotations

import collections
import functools
import html
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from prodgen.data.folder import SUFFIXES

MAX_INDEXED_FILES = 2_000_000
MAX_LISTED_FILES = 3
DRIVE = re.compile(r"^([A-Za-z]:|file://+|\\\\[^\\]+\\[^\\]+)")
WEB_ADDRESS = re.compile(r"^(https?://[^/]+|//[^/]+\.[^/]+)/", re.IGNORECASE)


class ImagePaths:
    """Finds the files of a table. root: the folder that paths are relative to.

    matches: {how a path was matched, where it is not the file's own: number of paths}.
    """

    def __init__(self, root: Path):
        self.root, self.real_root = root, os.path.realpath(root)
        self.matches: collections.Counter[str] = collections.Counter()

    def find(self, path: str) -> tuple[str, str]:
        """(the real path of the file, "") or ("", the reason why there is none)."""
        if not path:
            return "", "missing: no path in the row"
        if "\0" in path:
            return "", "missing: no such file"
        is_outside = False
        for how, spelling in _spellings(path):
            for candidate in (self.root / spelling, self.root / "images" / spelling):
                real_path = os.path.realpath(candidate)
                if os.path.commonpath([real_path, self.real_root]) != self.real_root:
                    is_outside = True
                elif os.path.isfile(real_path):
                    self.matches.update([how] if how else [])
                    return real_path, ""
        if is_outside and ".." in path.replace("\\", "/").split("/"):
            return "", "outside: the path leaves the table's folder"
        file, reason = self._search(path)
        if is_outside and not file:
            reason = "outside: the path leaves the table's folder"
        return file, reason

    def _search(self, path: str) -> tuple[str, str]:
        """As `find`, by the index."""
        is_address = bool(WEB_ADDRESS.match(path))
        is_absolute = is_address or path.startswith("/") or bool(DRIVE.match(path))
        if is_address:
            path = urllib.parse.unquote(re.split("[?#]", path[WEB_ADDRESS.match(path).end() :])[0])
        key = _make_key(DRIVE.sub("", path))
        parts = key.split("/")
        # The whole path first; then, where its root is another system's, its last parts.
        tails = ["/".join(parts[start:]) for start in range(len(parts))]
        for number, tail in enumerate(tails if is_absolute else tails[:1]):
            for how, index in (("", self._index[0]), ("without their suffix", self._index[1])):
                files = index.get(tail, [])
                if len(files) > 1:
                    listed_files = ", ".join(files[:MAX_LISTED_FILES])
                    return "", f"missing: it could be {listed_files}; write one of them"
                if files:
                    how = "by their last parts" if number else how or "by case or spelling"
                    self.matches[how] += 1
                    return os.path.join(self.real_root, files[0]), ""
        files = self._index[2].get(parts[-1], []) if is_absolute else []
        if len(files) == 1:
            self.matches["by their names"] += 1
            return os.path.join(self.real_root, files[0]), ""
        # Name a file that is there: the same name in another folder, or with another suffix.
        stem = os.path.splitext(parts[-1])[0]
        files = self._index[2].get(parts[-1], []) or self._index[3].get(stem, [])
        if files:
            return "", f"missing: no such file; {files[0]} is there: write that path in the table"
        reason = "a web address; download the images first" if is_address else "no such file"
        return "", f"missing: {reason}"

    @functools.cached_property
    def _index(self) -> tuple[dict[str, list[str]], ...]:
        """The files below the root by: path, path without suffix, name, name without suffix."""
        indexes = tuple(collections.defaultdict(list) for _ in range(4))
        for count, file in enumerate(_list_files(self.real_root)):
            if count >= MAX_INDEXED_FILES:
                break
            key = _make_key(file)
            without_suffix, suffix = os.path.splitext(key)
            name, stem = key.rsplit("/", 1)[-1], without_suffix.rsplit("/", 1)[-1]
            keys = [key, without_suffix if suffix in SUFFIXES else "", name, stem]
            # The folder `images` beside a table may be left out.
            keys += [k.removeprefix("images/") for k in keys[:2] if k.startswith("images/")]
            for number, k in enumerate(keys):
                files = indexes[number if number < 4 else number - 4][k] if k else []
                if file not in files:
                    files.append(file)
        return indexes


def _spellings(path: str) -> Iterator[tuple[str, str]]:
    """(how, path) of the spellings that are tried directly, the path itself first."""
    yield "", path
    texts = [path.replace("\\", "/"), html.unescape(path)]
    texts += [form for text in texts for form in (
        unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    )]  # fmt: skip
    for text in dict.fromkeys(texts):
        if text != path:
            yield ("" if text == texts[0] else "by another Unicode spelling"), text
    # Shop systems write paths from the root of their media folder.
    if path.startswith(("/", "\\")) and not WEB_ADDRESS.match(path):
        yield "", path.replace("\\", "/").lstrip("/")


def _make_key(path: str) -> str:
    """A path as the index has it: slashes, composed, in lower case, no spaces around its parts."""
    text = unicodedata.normalize("NFC", html.unescape(path).replace("\\", "/")).casefold()
    return "/".join(part.strip() for part in text.split("/") if part not in ("", "."))


def _list_files(root: str) -> Iterator[str]:
    """Every visible file below `root`, relative to it, in a fixed order; links are not followed."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and not os.path.islink(os.path.join(folder, name)):
                yield os.path.relpath(os.path.join(folder, name), root)
