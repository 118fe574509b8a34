"""Lists of pairs, as in colour=red,azimuth=30; quotes enclose what has a comma of its own."""

from __future__ import annotations

import re

QUOTED_TEXT = r'"(?:[^"]|"")*"'
PAIR_EXAMPLE = 'as in colour=red,azimuth=30, or in quotes: colour="red, white"'


def parse_pairs(text: str, separators: str = ",") -> tuple[tuple[str, str], ...]:
    """The (name, value) pairs of a text, each once, in order.

    A name or a value in double quotes may contain separators and "="; a quote inside is doubled.
    ValueError, with the reason, for a part that is no pair, and for a name with two values.
    """
    marks = re.escape(separators)
    pair = rf"\s*({QUOTED_TEXT}|[^={marks}]*?)\s*(?:(=)\s*({QUOTED_TEXT}|[^{marks}]*?)\s*)?"
    pairs: dict[str, str] = {}
    for match in re.finditer(rf"{pair}(?:[{marks}]|$)", text):
        name, value = _unquote(match[1]), _unquote(match[3] or "")
        if not name and not match[2]:
            continue
        if not name or not value:
            raise ValueError(f"{match[0].strip(separators + ' ')!r} is not name=value")
        if pairs.setdefault(name, value) != value:
            raise ValueError(f"{name} has two values, {pairs[name]!r} and {value!r}")
    return tuple(pairs.items())


def format_pair(name: str, value: str) -> str:
    """A pair as `parse_pairs` reads it, whatever its name and value contain."""
    return "=".join('"' + text.replace('"', '""') + '"' for text in (name, value))


def _unquote(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if is_quoted else text
