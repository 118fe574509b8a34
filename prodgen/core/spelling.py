"""Spellings of a name: British and American, composed and decomposed, upper and lower case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

BRITISH_SPELLINGS = {
    "color": "colour", "colors": "colours", "recolor": "recolour", "gray": "grey",
    "personalize": "personalise", "catalog": "catalogue", "center": "centre",
}  # fmt: skip


def to_british(name: str) -> str:
    """The name with its American words replaced: "color_r" -> "colour_r"."""
    return re.sub(r"[A-Za-z]+", lambda word: BRITISH_SPELLINGS.get(word[0].lower(), word[0]), name)


def find_spelling(name: str, candidates: Iterable[str]) -> str:
    """`name` if it is a candidate, else the candidate that is its other spelling, else `name`."""
    names = list(candidates)
    if name in names:
        return name
    return next((one for one in names if to_british(one) == to_british(name)), name)


def compose(name: str) -> str:
    """The name in Unicode NFC: names that look the same and differ in code points become equal."""
    return unicodedata.normalize("NFC", name)


def find_case_variants(names: Iterable[str]) -> list[list[str]]:
    """Groups of at least two names that differ only by case, or by space around or between words.

    Each group is sorted, and so are the groups. Equal names count once.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        key = compose(" ".join(compose(name).casefold().split()))
        groups.setdefault(key, []).append(name)
    return sorted(group for group in groups.values() if len(group) > 1)
