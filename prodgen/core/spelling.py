"""British and American spelling: the program accepts a name in both."""

from __future__ import annotations

import re
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
