"""What the config says of a table's columns: config.data.columns, image_column, category_column."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from prodgen.config import registry
from prodgen.core.errors import UsageError
from prodgen.core.spelling import compose

KINDS = (
    "image", "category", "group", "caption", "split", "number", "number_point", "number_comma",
    "angle", "categorical", "ignore",
)  # fmt: skip
SINGLE_KINDS = ("category", "group", "caption", "split")  # a table has one column of each
QUOTED_NAME = re.compile(r'"((?:[^"]|"")*)"\s*=|\'([^\']*)\'\s*=')
KIND = re.compile(r"\s*([^,]*?)\s*(?:,|$)")


def parse_kinds(text: str, header: Sequence[str]) -> dict[str, str]:
    """{column: kind} of config.data.columns, as in price=number,sku=group,notes=ignore.

    A name with commas or equals signs is read where it is a column, or stands in quotes. UsageError
    names an unknown column or kind, and a column that has two kinds.
    """
    kinds: dict[str, str] = {}
    rest = compose(text).strip(" ,\t\n")
    while rest:
        name, kind, size = _read_part(rest, header)
        if kind not in KINDS:
            raise UsageError(
                f"config.data.columns: {rest[:size].strip(' ,')!r} is not COLUMN=KIND",
                f"the kinds are {', '.join(KINDS)}",
            )
        name = require_column(name, header, "columns")
        if name in kinds:
            both = f"{name}={kinds[name]} and {name}={kind}"
            raise UsageError(f"config.data.columns has a column twice: {both}", "name it once")
        kinds[name] = kind
        rest = rest[size:].lstrip(" ,\t\n")
    return kinds


def _read_part(text: str, header: Sequence[str]) -> tuple[str, str, int]:
    """(column, kind, characters) of the first part of a text; the kind may be none."""
    parts = []
    # Of several columns that the text begins with, the longest; a name in the same case goes first.
    for name in sorted(header, key=lambda name: (-len(name), not text.startswith(name))):
        match = re.compile(re.escape(name) + r"\s*=" + KIND.pattern, re.IGNORECASE).match(text)
        if match:
            parts.append((name, match[1], match.end()))
    quotation = QUOTED_NAME.match(text)
    if quotation:
        name = (quotation[1] or "").replace('""', '"') or quotation[2] or ""
        match = KIND.match(text, quotation.end())
        parts.append((name.strip(), match[1], match.end()))
    known_parts = [part for part in parts if part[1] in KINDS]
    if parts:
        return (known_parts or parts)[0]
    part = text.partition(",")[0]
    name, _, kind = part.rpartition("=")
    return name.strip(), kind.strip(), len(part)


def merge_kinds(
    kinds: Mapping[str, str], header: Sequence[str], image: str, category: str
) -> dict[str, str]:
    """{column: kind} with the columns that config.data.image_column and category_column name.

    UsageError where a column has two kinds, or where two columns are one that a table has once.
    """
    result = {}
    for name, kind in ((image, "image"), (category, "category")):
        if not name:
            continue
        name = require_column(name, header, f"{kind}_column")
        if result.get(name, kind) != kind or kinds.get(name, kind) != kind:
            other = kinds.get(name, result.get(name))
            raise UsageError(
                f"config.data.{kind}_column={name}, but the column is {other}, too",
                "a column has one kind: leave out one of the two",
            )
        result[name] = kind
    result |= kinds
    for kind in SINGLE_KINDS:
        names = [name for name, other in result.items() if other == kind]
        if len(names) > 1:
            listed_names = " and ".join(map(repr, names))
            raise UsageError(
                f"the columns {listed_names} are {kind} both, and a table has one such column",
                f"give one of them another kind; or set config.data.columns={names[-1]}=ignore",
            )
    return result


def require_column(name: str, header: Sequence[str], field: str) -> str:
    """The column `name`, in any case; UsageError lists the columns where it is none of them."""
    if name in header:
        return name
    by_lower_name = {column.lower(): column for column in reversed(header)}
    if name.lower() in by_lower_name:
        return by_lower_name[name.lower()]
    hint = registry.suggest_names(name, list(header)).replace("known:", "the table's columns:")
    raise UsageError(
        f"config.data.{field}={name!r} is no column of the table; {hint}",
        "name a column of the table",
    )
