"""Which product of a run a text in a table means: by its name first, by its id at last.

A name is found as the table reader finds an image: as it stands, in another Unicode form, with
other slashes, entities or percent signs, in another case, without its suffix, or by the last parts
of an absolute path. A text that could be two products is refused with both.
"""

from __future__ import annotations

import collections
import difflib
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterable, Mapping

from prodgen.core.errors import RejectedItem
from prodgen.core.formats import SUFFIXES
from prodgen.data.file_index import list_tails, make_key

ID = re.compile(r"(\d{1,9})(?:\.0*)?")  # spreadsheets write 7.0
ABSOLUTE = re.compile(r"/|\\|[A-Za-z]:|https?:", re.IGNORECASE)
MAX_LISTED_PRODUCTS = 4


class ProductNames:
    """Finds products. ids: {name: id of the run's product}."""

    def __init__(self, ids: Mapping[str, int]):
        self._ids, self._names = dict(ids), {id: name for name, id in ids.items()}
        names = list(self._ids)
        # From the surest reading to the least sure one: {reading of a name: names}.
        self._indexes = [
            (read, _group(names, read, shorten))
            for shorten in (str, _cut_suffix)
            for read in (_unify, make_key)
        ]
        stems = _group(names, lambda stem: stem.rpartition("/")[2], _cut_suffix)
        self._paths_by_name: dict[str, str] = {}  # by name, the path with no other part of it
        self._numbers = collections.defaultdict(list)  # names of which the last part is a number
        for stem, group in stems.items():
            if re.fullmatch(r"\d{1,9}", stem):
                self._numbers[int(stem)] += group

    def find(self, text: str) -> tuple[int, str]:
        """(the id of the product, a note where its name goes before an id, else "").

        RejectedItem for a text that is no product's, or could be several products'.
        """
        number = ID.fullmatch(text)
        names = self._find_names(text) or (self._find_names(number[1]) if number else [])
        is_id = bool(number) and (number[1] == "0" or number[1][0] != "0")
        by_id = self._names.get(int(number[1])) if is_id else None
        if not names and number:
            # The last part of a name is as likely meant as an id is.
            numbers = self._numbers[int(number[1])]
            if by_id is None and numbers:
                raise RejectedItem(f"the run has no product {text!r}; did you mean {numbers[0]}?")
            candidates = dict.fromkeys([*numbers, by_id] if by_id is not None else [])
            if len(candidates) > 1:
                others = _list(name for name in candidates if name != by_id)
                raise RejectedItem(
                    f"product {text!r} could be {others}, or {by_id} by its id; write its name"
                )
            names = list(candidates)
        if not names:
            close = difflib.get_close_matches(text, list(self._ids), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise RejectedItem(f"the run has no product {text!r}{hint}")
        if len(names) > 1:
            raise RejectedItem(f"product {text!r} could be {_list(names)}; write one of them")
        is_name_first = by_id is not None and by_id != names[0]
        note = f"{text!r} is the product {names[0]}, not {by_id} by its id" if is_name_first else ""
        return self._ids[names[0]], note

    def name(self, id: int) -> str:
        """The name of a product."""
        return self._names[id]

    def _find_names(self, text: str) -> list[str]:
        """The names that a text means by the surest reading by which it means any."""
        if text in self._ids:
            return [text]
        decoded_text = urllib.parse.unquote(text)
        texts = list(dict.fromkeys((text, decoded_text)))
        for read, index in self._indexes:
            names = {name: None for one in texts for name in index.get(read(one), ())}
            if names:
                return list(names)
        if not ABSOLUTE.match(text):
            return []
        # The last parts of a path of another system: the longest that are a whole name.
        for tail in list_tails(make_key(re.split("[?#]", text)[0]).split("/"))[1:]:
            for _, index in self._indexes[1::2]:
                if tail in index:
                    if "/" not in tail:
                        self._check_rivals(text, index[tail][0])
                    return index[tail]
        return []

    def _check_rivals(self, text: str, name: str) -> None:
        """RejectedItem where another path meant this product, too, by its last part alone."""
        rival = self._paths_by_name.setdefault(name, text)
        if rival != text:
            raise RejectedItem(f"{rival!r} and {text!r} could both mean {name}; write its name")


def _group(
    names: Iterable[str], read: Callable[[str], str], shorten: Callable[[str], str]
) -> dict[str, list[str]]:
    groups = collections.defaultdict(list)
    for name in names:
        groups[read(shorten(name))].append(name)
    return dict(groups)


def _unify(name: str) -> str:
    """A name in Unicode NFC, with slashes, without one at its start or spaces around it."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").strip().lstrip("/")


def _cut_suffix(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name


def _list(names: Iterable[str]) -> str:
    names = list(names)
    more = ", ..." if len(names) > MAX_LISTED_PRODUCTS else ""
    return ", ".join(names[:MAX_LISTED_PRODUCTS]) + more
