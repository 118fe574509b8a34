"""Spellings of a name: British and American, composed; and names that may mean the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

BRITISH_SPELLINGS = {
    "color": "colour", "colors": "colours", "recolor": "recolour", "gray": "grey",
    "personalize": "personalise", "catalog": "catalogue", "center": "centre",
    "license": "licence",
}  # fmt: skip
MAX_COMPARED_NAMES = 300  # each is compared with each
MIN_TYPO_RATIO = 5  # a name may be a typing error of one that is so many times as frequent


def to_british(name: str) -> str:
    """The name with its American words replaced: "color_r" -> "colour_r"."""
    return re.sub(r"[A-Za-z]+", lambda word: BRITISH_SPELLINGS.get(word[0].lower(), word[0]), name)


def find_spelling(name: str, candidates: Iterable[str]) -> str:
    """`name` if it is a candidate, else the candidate that is its other spelling, else `name`."""
    names = list(candidates)
    if name in names:
        return name
    return next((one for one in names if to_british(one) == to_british(name)), name)


def find_variants(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs (rarer, more frequent) of names that may mean the same.

    counts: how often each name occurs. They differ by case, spaces or punctuation, by a plural s,
    by an abbreviation ("blk", "black"), or by one letter where one of them is rare. Names without
    letters and digits, such as "*", are no variants of each other.
    """
    names = [name for name in counts if any(map(str.isalnum, name))]
    names = sorted(names, key=lambda name: (-counts[name], name))
    keys = {n: "".join(filter(str.isalnum, compose(compose(n).casefold()))) for n in names}
    first_of_key: dict[str, str] = {}
    pairs = []
    for name in names:
        other = first_of_key.setdefault(keys[name], name)
        if other != name:
            pairs.append((name, other))
    # Every pair is compared, so this part is for short lists only.
    distinct_names = list(first_of_key.values())[:MAX_COMPARED_NAMES]
    for number, name in enumerate(distinct_names):
        for other in distinct_names[:number]:
            is_rare = counts[other] >= MIN_TYPO_RATIO * counts[name]
            if _is_variant(keys[name], keys[other], is_rare):
                pairs.append((name, other))
                break
    return pairs


def _is_variant(a: str, b: str, is_rare: bool) -> bool:
    """Whether two keys, letters and digits in lower case, look like spellings of one word."""
    if any(c.isdigit() for c in a + b):
        return False
    short, long = sorted((a, b), key=len)
    if len(short) >= 3 and long in (short + "s", short + "es"):
        return True
    # An abbreviation has the first letter and some consonants, in their order.
    letters = iter(long)
    is_skeleton = all(c in letters for c in short) and not set(short[1:]) & set("aeiou")
    if 2 <= len(short) <= 4 and len(long) > len(short) and short[0] == long[0] and is_skeleton:
        return True
    if not is_rare or len(short) < 5 or len(long) - len(short) > 1:
        return False
    # One letter added, left out, exchanged with another, or with its neighbour.
    start = next(
        (i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short)
    )
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    exchange = short[:start] + short[start : start + 2][::-1] + short[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or exchange == long


def compose(name: str) -> str:
    """The name in Unicode NFC: names that look the same and differ in code points become equal."""
    return unicodedata.normalize("NFC", name)
