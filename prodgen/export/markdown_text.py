"""Markdown of the cards: front matter, tables, and names that Markdown shows as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from prodgen.core.file_names import format_name

NOT_MEASURED = "not measured"
# Characters with a meaning in Markdown; an underscore has one only at the edge of a word.
SPECIAL_CHARACTERS = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)")


def escape(text: object) -> str:
    """A text from a run's data, such as a category, as one line that Markdown shows literally."""
    line = " ".join(format_name(str(text)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL_CHARACTERS.sub(lambda match: "\\" + match[0], line)


def build_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown. header: as Markdown; cells are escaped."""
    titles = list(header)
    lines = [titles, ["---"] * len(titles), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def build_front_matter(metadata: Mapping[str, Any]) -> str:
    """The YAML between two lines `---` that the Hugging Face Hub reads; None is left out."""
    present = {name: value for name, value in metadata.items() if value is not None}
    text = yaml.safe_dump(present, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{text}---\n"


def format_number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits, "not measured" for None."""
    if value is None:
        return NOT_MEASURED
    if float(value).is_integer():
        return f"{int(value):,}"
    # As a decimal number: a shop does not read 1.2e+04.
    return f"{float(f'{value:.{digits}g}'):,.10g}"
