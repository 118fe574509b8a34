"""British and American spelling: a name is accepted in both wherever a user writes one."""

from __future__ import annotations

import re
from collections.abc import Iterable

BRITISH = {
    "color": "colour", "colors": "colours", "recolor": "recolour", "gray": "grey",
    "personalize": "personalise", "catalog": "catalogue", "center": "centre",
}  # fmt: skip


def to_british(name: str) -> str:
    """The name with its American words replaced: "color_r" -> "colour_r"."""
    return re.sub(r"[A-Za-z]+", lambda word: BRITISH.get(word[0].lower(), word[0]), name)


def find_spelling(name: str, known: Iterable[str]) -> str:
    """The known name that `name` stands for: itself, or its other spelling; else `name`."""
    names = list(known)
    if name in names:
        return name
    return next((one for one in names if to_british(one) == to_british(name)), name)
