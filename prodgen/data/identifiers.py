"""Spellings of an identifier in a table: "AB-1" and "ab-1" are one, "5" and "5.0" are one."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Mapping

WHOLE_FLOAT = re.compile(r"((?:id:)?[+-]?\d+)\.0+")
LEADING_ZEROS = re.compile(r"0+(?=\d)")


def make_identifier_key(text: str) -> str:
    """The key of an identifier: without case, spaces, and the ".0" of a whole float."""
    key = "".join(text.split()).casefold()
    match = WHOLE_FLOAT.fullmatch(key)
    return match[1] if match else key


def unify_identifiers(cells: Iterable[str | None]) -> dict[str, str]:
    """{cell: identifier}: one spelling, the first in alphabetical order, of each identifier.

    It does not depend on how often a spelling occurs, so that added rows seldom change it.
    """
    spellings: dict[str, str] = {}
    texts = sorted({cell for cell in cells if cell})
    for text in texts:
        spellings.setdefault(make_identifier_key(text), text)
    return {text: spellings[make_identifier_key(text)] for text in texts}


def describe_unified(name: str, identifiers: Mapping[str, str]) -> list[str]:
    """Remarks on a column whose identifiers, {cell: identifier}, have several spellings."""
    variants = [(cell, one) for cell, one in identifiers.items() if cell != one]
    if not variants:
        return []
    cell, identifier = variants[0]
    count = len({one for _, one in variants})
    verb = "identifier has" if count == 1 else "identifiers have"
    return [
        f"column {name!r}: {count} {verb} several spellings, as {identifier!r} and {cell!r}; "
        "each is one product"
    ]


def describe_zero_variants(name: str, values: Iterable[str]) -> list[str]:
    """A remark where values differ by leading zeros alone, as "005" and "5" do."""
    by_number = collections.defaultdict(set)
    for text in values:
        if text.isascii() and text.isdigit():
            by_number[LEADING_ZEROS.sub("", text)].add(text)
    groups = [sorted(texts) for texts in by_number.values() if len(texts) > 1]
    if not groups:
        return []
    first, second = groups[0][:2]
    num_others = len(groups) - 1
    more = f", and {num_others} more such pair{'s' if num_others > 1 else ''}" if num_others else ""
    return [f"column {name!r}: {first!r} and {second!r} are kept apart{more}; they may be the same"]
