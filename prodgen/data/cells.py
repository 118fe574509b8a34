"""Cells of histories and batch requests: names that look like missing values, JSON's values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prodgen.core import decode
from prodgen.core.errors import BadData, RejectedItem
from prodgen.core.pairs import format_pair
from prodgen.core.spelling import compose
from prodgen.data.table_reader import JSON_SUFFIXES, TableText, decode_text, read_cell, read_table


def read_rows(path: Path) -> TableText:
    """The table in a file. BadData where it cannot be read, or is one JSON object."""
    if path.suffix.lower() in JSON_SUFFIXES:
        try:
            text = decode_text(decode.read_regular(path))[0].strip()
            # JSONL is no JSON value as a whole: this ends after its first line.
            is_object = "\n" in text and isinstance(json.loads(text), dict)
        except (ValueError, RecursionError, RejectedItem):
            is_object = False
        if is_object:
            raise BadData(
                f"the table {path} is one JSON object over several lines",
                "write an object a line, or an array of objects",
            )
    return read_table(path)


def read_name(value: Any) -> str:
    """The text of a cell that names something, "" where it is missing: a word is a name, also NA
    or null, as an empty cell or a mark such as "-" is not."""
    text = compose(value).strip() if isinstance(value, str) else ""
    return text if text.isalpha() else read_cell(value) or ""


def unwrap_cell(column: str, value: Any) -> Any:
    """The value of a cell, of a list of one item the item. RejectedItem for several, or objects."""
    while isinstance(value, list) and len(value) <= 1:
        value = value[0] if value else None
    if isinstance(value, list):
        raise RejectedItem(f"{column} has {len(value)} values; write a row for each")
    if isinstance(value, dict):
        if value:
            raise RejectedItem(f"{column} is a JSON object; write a text")
        return None
    return str(value).lower() if isinstance(value, bool) else value


def join_pairs(column: str, value: Any) -> str | None:
    """A cell of name=value pairs as text: an object's pairs, a list's texts; None where empty."""
    if isinstance(value, list):
        texts = [join_pairs(column, item) for item in value]
        return ";".join(filter(None, texts)) or None
    if isinstance(value, dict):
        inner = {str(name): unwrap_cell(f"{column}: {name}", one) for name, one in value.items()}
        return ";".join(
            format_pair(name, str(one)) for name, one in inner.items() if one is not None
        )
    return None if value is None else str(value).strip()
