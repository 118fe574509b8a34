"""Photos that are named after SKUs, for a table without a column of paths.

A photo belongs to an SKU if its name is the SKU, or the SKU with an ending such as _2, -back or
_alt1. A main photo has the SKU alone, or an ending such as _main, -front or _1. A photo that could
belong to two SKUs belongs to none.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence

MAIN_WORDS = ("main", "front", "hero")
OTHER_WORDS = (
    "back", "rear", "side", "left", "right", "top", "bottom", "inside", "detail", "closeup",
    "close-up", "alt", "view",
)  # fmt: skip
# A number alone follows _ or a space: after a dash it is often a part of another SKU.
ENDING = re.compile(
    rf"[ _-]+(?P<word>{'|'.join((*MAIN_WORDS, *OTHER_WORDS))})[ _-]?(?P<k>\d{{0,2}})"
    r"|[ _]+\(?(?P<number>\d{1,2})\)?"
)


def assign_photos(names: Sequence[str], skus: Sequence[str]) -> dict[str, list[str]]:
    """{SKU: paths of its photos, the main one first} of the SKUs that have a main photo.

    names: paths of photos. SKUs are compared without regard to case.
    """
    keys = {_make_key(sku): sku for sku in skus if sku}
    ranks: dict[str, list[tuple[int, int, str]]] = {}
    for name in names:
        stem = _make_key(os.path.splitext(name.rpartition("/")[2])[0])
        matches = [(stem, 0, 0)] if stem in keys else list(_list_matches(stem, keys))
        if len(matches) == 1:
            key, rank, number = matches[0]
            ranks.setdefault(keys[key], []).append((rank, number, name))
    return {
        sku: [name for *_, name in sorted(photos)]
        for sku, photos in ranks.items()
        if min(photos)[0] < 2  # the SKU alone, or the ending of a main photo
    }


def _list_matches(stem: str, keys: dict[str, str]):
    """(key of the SKU, rank, number) for each SKU that a photo could belong to."""
    for key in keys:
        match = ENDING.fullmatch(stem[len(key) :]) if stem.startswith(key) else None
        if match:
            word, number = match["word"], int(match["k"] or match["number"] or 0)
            is_main = word in MAIN_WORDS or (not word and number == 1)
            yield key, 1 if is_main else 2, number


def _make_key(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().strip()
