"""Data of JSON's types -> YAML.

Every text is quoted, so that no reader takes `1e3`, `on` or `1:30` for another type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")


def format_yaml(value: Mapping[str, Any]) -> str:
    """One document of block style, with keys in their order."""
    return "\n".join(_list_lines(value)) + "\n"


def _list_lines(value: Any) -> list[str]:
    """The lines of a block, without indentation."""
    lines = []
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            head = key if PLAIN_KEY.fullmatch(key) else quote_text(key)
            if is_block(item):
                lines += [f"{head}:", *(f"  {line}" for line in _list_lines(item))]
            else:
                lines.append(f"{head}: {format_scalar(item)}")
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for item in value:
            if is_block(item):
                first, *rest = _list_lines(item)
                lines += [f"- {first}", *(f"  {line}" for line in rest)]
            else:
                lines.append(f"- {format_scalar(item)}")
    else:
        lines.append(format_scalar(value))
    return lines


def is_block(value: Any) -> bool:
    """Whether a value is a mapping or a list with items."""
    return isinstance(value, (Mapping, list, tuple)) and len(value) > 0


def format_scalar(value: Any) -> str:
    """A text in quotes, a number, true or false, or an empty mapping or list."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return quote_text(value)
    return "{}" if isinstance(value, Mapping) else "[]"


def quote_text(text: str) -> str:
    """A double-quoted scalar (YAML 1.2, section 7.3.1)."""
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
