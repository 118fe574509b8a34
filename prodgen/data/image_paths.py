"""Which file a path in a table means: paths come from other systems, spellings and folders.

A path is looked up as it stands, then in other spellings (Unicode forms, entities, percent signs),
and at last by an index of all files below the root: by case, without suffix, and by the last parts
of an absolute path or a web address. A file outside the root is never taken.

No path takes the image of another one. All paths of a table are declared first; a file belongs to
the paths that name it most surely, and to none where several different ones could mean it.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import html
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path

from prodgen.data.file_index import FileIndex, build_index, is_compatible, list_tails, make_key
from prodgen.data.folder import SUFFIXES

EXACT, SPELLING, LAST_PARTS, NAME = range(4)  # levels of a match, the surest first
MAX_LISTED_FILES, MAX_SIMILAR_FILES = 3, 100
DRIVE = re.compile(r"^([A-Za-z]:|file:/+(localhost/)?|\\\\[^\\]+\\[^\\]+)", re.IGNORECASE)
WEB_ADDRESS = re.compile(r"^(?:https?:|(?=//[^/]+\.))//([^/]+)/", re.IGNORECASE)
# Parameters of a web address that do not say which image it is: its version, its size, its format.
UNIMPORTANT_PARAMETERS = re.compile(
    r"\d*|v|ver|version|rev|t|ts|time|timestamp|cb|cache|w|h|width|height|size|scale|dpr|q|quality"
    r"|f|fm|format|fit|crop|auto|bg|pad|impolicy|imwidth|itok|hash|utm_\w+",
    re.IGNORECASE,
)
NO_FILE = "missing: no such file"
OUTSIDE = "outside: the path leaves the table's folder"


@dataclasses.dataclass(frozen=True)
class Match:
    """The file that a path means by itself, whatever the other paths of the table mean.

    file: its real path, or "" with the reason why there is none, which may name similar_files. how:
    in words, "" for the file's own path. has_only_name: path and file have no folder in common.
    """

    file: str = ""
    reason: str = ""
    similar_files: tuple[str, ...] = ()
    level: int = EXACT
    how: str = ""
    has_only_name: bool = False


class ImagePaths:
    """Finds the files of a table. root: the folder that paths are relative to.

    matches: {how a path was matched, where it is not the file's own: number of paths}.
    """

    def __init__(self, root: Path):
        self.root, self.real_root = root, os.path.realpath(root)
        self.matches: collections.Counter[str] = collections.Counter()
        self._match = functools.cache(self._find_match)
        # {file: {identity of a path that means it: level}}, {name: identities of the paths to it}
        self._claims: dict[str, dict[str, int]] = collections.defaultdict(dict)
        self._namesakes: dict[str, set[str]] = collections.defaultdict(set)

    def declare(self, paths: Iterable[str]) -> None:
        """Add paths of the table, all of them before the first `find`."""
        for path in dict.fromkeys(paths):
            match, identity = self._match(path), _identify(path)
            self._namesakes[_list_parts(path)[-1][-1]].add(identity)
            if match.file:
                levels = self._claims[match.file]
                levels[identity] = min(match.level, levels.get(identity, NAME))

    def find(self, path: str) -> tuple[str, str]:
        """(the real path of the file, "") or ("", the reason why there is none)."""
        match = self._match(path)
        if not match.file:
            # Files that are the images of other paths are no advice.
            similar_files = set(match.similar_files)
            has_advice = not similar_files or not similar_files <= self._claims.keys()
            return "", match.reason if has_advice else _describe_missing(path)
        reason = self._explain_conflict(path, match)
        if reason:
            return "", reason
        self.matches.update([match.how] if match.how else [])
        return match.file, ""

    def is_file(self, text: str) -> bool:
        """Whether a text, taken for a path, means a file."""
        return bool(self._match(text).file)

    def is_whole_path(self, text: str) -> bool:
        """As `is_file`; the last parts of a path, or its name, do not count."""
        return self.is_file(text) and self._match(text).level <= SPELLING

    def _explain_conflict(self, path: str, match: Match) -> str:
        """Why a file is not that of this path: others name it more surely, or as surely."""
        if match.level == EXACT:
            return ""
        identity, file = _identify(path), os.path.relpath(match.file, self.real_root)
        levels = self._claims.get(match.file, {}).items()
        rivals = {other for other, level in levels if other != identity and level == match.level}
        if any(level < match.level for _, level in levels):
            return f"{NO_FILE}; {file} is the image of another path in the table"
        if match.has_only_name:
            rivals |= self._namesakes.get(make_key(file).split("/")[-1], set()) - {identity}
        if rivals:
            count = f"{len(rivals) + 1} different paths"
            return f"{NO_FILE}; {count} could mean {file}: write that path in the table"
        return ""

    def _find_match(self, path: str) -> Match:
        if not path or "\0" in path:
            return Match(reason=NO_FILE if path else "missing: no path in the row")
        match, is_outside = self._open_directly(path)
        if match:
            return match
        if is_outside and ".." in path.replace("\\", "/").split("/"):
            return Match(reason=OUTSIDE)
        # The index: of the readings of a path, the one that fits a file most surely.
        is_address = bool(WEB_ADDRESS.match(path))
        is_absolute = is_address or path.startswith("/") or bool(DRIVE.match(path))
        index, readings = self._index, _list_parts(path)
        matches = [_search(index, parts, is_address, is_absolute) for parts in readings]
        matches = [match for match in matches if match]
        if matches:
            return min(matches, key=lambda match: (not match.file, match.level))
        # No file has the name in the folders of the path: one in other folders is advice.
        *folders, name = readings[-1]
        bare_parts = [*folders, os.path.splitext(name)[0]]
        for files_by_tail, parts in (
            (index.by_tail, readings[-1]), (index.by_bare_tail, bare_parts),
        ):  # fmt: skip
            tails = list_tails(parts)
            files = next((files_by_tail[tail] for tail in tails if tail in files_by_tail), [])
            if files:
                return _advise(index, files)
        return Match(reason=OUTSIDE if is_outside else _describe_missing(path))

    def _open_directly(self, path: str) -> tuple[Match | None, bool]:
        """(the match without the index, whether the path leaves the root)."""
        is_outside, images = False, self.root / "images"
        own_spellings, other_spellings = _list_spellings(path)
        files: dict[str, str] = {}
        for spelling in (*own_spellings, *other_spellings):
            # The folder `images` may be left out; a way out of it leads nowhere.
            folders = [self.root] if ".." in spelling.split("/") else [self.root, images]
            for candidate in (folder / spelling for folder in folders):
                file = os.path.realpath(candidate)
                if os.path.commonpath([file, self.real_root]) != self.real_root:
                    is_outside = True
                elif os.path.isfile(file):
                    if spelling in own_spellings:
                        return Match(file), is_outside
                    files.setdefault(file, spelling)
                    break
        if len(files) > 1:
            return _refuse_ambiguous([os.path.relpath(f, self.real_root) for f in files]), False
        for file, spelling in files.items():
            texts = (path.replace("\\", "/"), spelling)
            path_nfc, spelling_nfc = (unicodedata.normalize("NFC", text) for text in texts)
            is_unicode = path_nfc.endswith(spelling_nfc)
            how = "by another Unicode spelling" if is_unicode else "by decoding their characters"
            return Match(file, level=SPELLING, how=how), is_outside
        return None, is_outside

    @functools.cached_property
    def _index(self) -> FileIndex:
        return build_index(self.real_root)


def _search(
    index: FileIndex, parts: Sequence[str], is_address: bool, is_absolute: bool
) -> Match | None:
    """The file of which the whole path is `parts`, or the last parts of an absolute path.

    Otherwise the one file that has most of the last parts, if its other folders agree with the
    path. None where no file has the name.
    """
    if is_address and len(parts) == 1:  # the host alone
        return None
    tails = list_tails(parts)
    for number, tail in enumerate(tails if is_absolute else tails[:1]):
        num_equal = len(parts) - number
        level = SPELLING if number == 0 and not is_address else LAST_PARTS
        has_only_name = level > SPELLING and num_equal == 1
        for files, how in (
            (index.by_path.get(tail, []), "by case or spelling"),
            (index.by_bare_path.get(tail, []), "without their suffix"),
        ):
            if len(files) > 1:
                return _refuse_ambiguous(files)
            if files:
                how = how if level == SPELLING else "by their last parts"
                file = os.path.join(index.root, files[0])
                return Match(file, level=level, how=how, has_only_name=has_only_name)
        files = index.by_tail.get(tail, []) if is_absolute else []
        if len(files) == 1 and is_compatible(files[0], parts, num_equal):
            level, how = (NAME, "names") if num_equal == 1 else (LAST_PARTS, "last parts")
            file = os.path.join(index.root, files[0])
            how = f"by their {how}"
            return Match(file, level=level, how=how, has_only_name=num_equal == 1)
        if files:
            return _advise(index, files)
    return None


def _advise(index: FileIndex, files: Sequence[str]) -> Match:
    """The refusal of a path that may mean one of these files."""
    advice = f"{files[0]} is there: write that path in the table"
    if len(files) > 1:
        advice = f"{len(files)} files have its name, such as {files[0]}: "
        advice += "write the path of one in the table"
    similar_files = [os.path.join(index.root, file) for file in files[:MAX_SIMILAR_FILES]]
    return Match(reason=f"{NO_FILE}; {advice}", similar_files=tuple(similar_files))


def _refuse_ambiguous(files: Sequence[str]) -> Match:
    listed_files = ", ".join(files[:MAX_LISTED_FILES])
    return Match(reason=f"missing: it could be {listed_files}; write one of them")


def _list_spellings(path: str) -> tuple[list[str], list[str]]:
    """(the spellings that are a path's own, those that say the same in other characters)."""
    text = path.replace("\\", "/")
    own = [path, text]
    if WEB_ADDRESS.match(path):
        return [path], []
    if text.lower().startswith("file:"):
        text = "/" + urllib.parse.unquote(DRIVE.sub("", text))
        own = [text]
    # Shop systems write paths from the root of their media folder.
    if text.startswith("/"):
        text = text.lstrip("/")
        own.append(text)
    others = [
        unicodedata.normalize(form, decode(text))
        for decode in (str, html.unescape, urllib.parse.unquote)
        for form in ("NFC", "NFD")
    ]
    own = [spelling for spelling in own if "\0" not in spelling]
    return own, [t for t in dict.fromkeys(others) if t not in own and "\0" not in t]


def _list_parts(path: str) -> list[list[str]]:
    """The parts of a path's key, as it stands and with its percent signs decoded.

    The host is the first part of a web address.
    """
    match = WEB_ADDRESS.match(path)
    if match:
        path = f"{match[1]}/{re.split('[?#]', path[match.end() :])[0]}"
    path = DRIVE.sub("", path)
    keys = dict.fromkeys(map(make_key, (path, urllib.parse.unquote(path))))
    return [key.split("/") for key in keys]


def _identify(path: str) -> str:
    """What is equal for two paths exactly if they name one image, wherever they come from.

    A web address of an image counts without its scheme, and without its version or size.
    """
    match = WEB_ADDRESS.match(path)
    if not match:
        text = path.replace("\\", "/")
        return text.lower() if re.match("[A-Za-z]:", text) else text
    address, _, query = path[match.end() :].partition("#")[0].partition("?")
    address = unicodedata.normalize("NFC", urllib.parse.unquote(address))
    parameters = query.replace("&amp;", "&").split("&")
    if address.lower().endswith(SUFFIXES):
        names = {text: text.partition("=")[0] for text in parameters}
        parameters = [t for t in parameters if not UNIMPORTANT_PARAMETERS.fullmatch(names[t])]
    return "?".join([f"{match[1].lower()}/{address}", *sorted(parameters)])


def _describe_missing(path: str) -> str:
    if WEB_ADDRESS.match(path):
        return "missing: a web address; download the images first"
    return NO_FILE
