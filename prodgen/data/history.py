"""What a person did with products: a CSV (or TSV, JSONL) with a row an interaction.

Columns: `product`, a name or an id of the run's own pictures, or `picture`, a file beside the table
that never lies outside its folder; `weight`, a number, or `event`, a word that stands for one; and
`person`, where the table is about several. A bad row is refused by its line; it stops no other.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prodgen.core.errors import BadData, MissingInput, Refused, UsageError
from prodgen.data import table

COLUMNS = ("product", "picture", "weight", "event", "person")
LIMIT = 100.0  # of a weight: a purchase is 1
LISTED = 8  # people named where one has to be chosen


@dataclasses.dataclass(frozen=True)
class Interaction:
    """One row: a row `id` of the store, or the `file` of a picture where that is -1."""

    line: int
    name: str
    id: int
    file: str
    weight: float


@dataclasses.dataclass(frozen=True)
class History:
    """One person's interactions in the table's order; `refused`: why rows were, by line; `ignored`:
    columns that say nothing here."""

    interactions: tuple[Interaction, ...]
    refused: tuple[str, ...]
    ignored: tuple[str, ...]


def read(path: Path, events: Mapping[str, float], names: Mapping[str, int], person: str) -> History:
    """The history in a table. `events` gives the weight of each word, `names` the id of each of
    the run's products by name.

    Of several rows about one product the weightiest counts, of equals the last: bought and sent
    back is sent back. MissingInput without the table, UsageError where its columns or the person
    are not there, BadData where no row is left.
    """
    if not path.is_file():
        raise MissingInput(f"--history={path} is not a file", "name a CSV of products and events")
    header, rows = table.parse(table.read_text(path), path)
    _check(header, path)
    rows = _of_person(rows, header, person)
    root, refused, kept = path.resolve().parent, [], {}
    for line, row, bad in rows:
        try:
            if bad:
                raise Refused(bad)
            one = _interaction(line, row, root, events, names)
        except Refused as reason:
            refused.append(f"line {line}: {reason}")
            continue
        key, before = (one.id, one.file), kept.get((one.id, one.file))
        if before is None or abs(one.weight) >= abs(before.weight):
            kept[key] = one
    if not kept:
        raise BadData(
            f"--history={path} has no row that can be used: {'; '.join(refused[:LISTED])}",
            "name products as the run's store does, and events or weights",
        )
    ignored = tuple(name for name in header if name and name not in COLUMNS)
    return History(tuple(kept.values()), tuple(refused), ignored)


def _check(header: list[str], path: Path) -> None:
    for pair in (("product", "picture"), ("weight", "event")):
        if not set(pair) & set(header):
            raise UsageError(
                f"--history={path} has neither a column {pair[0]} nor {pair[1]}; it has "
                f"{', '.join(header)}",
                f"name its columns {', '.join(COLUMNS)}",
            )


def _of_person(
    rows: list[table.NumberedRow], header: list[str], person: str
) -> list[table.NumberedRow]:
    """The rows of one person; all where the table is about one."""
    if "person" not in header:
        if person:
            raise UsageError("--person is given, but the history has no column person")
        return rows
    people = list(dict.fromkeys(_text(row, "person") for _, row, bad in rows if not bad))
    if person in people or (not person and len(people) == 1):
        chosen = person or people[0]
        return [one for one in rows if one[2] or _text(one[1], "person") == chosen]
    known = ", ".join(people[:LISTED]) + (", ..." if len(people) > LISTED else "")
    what = f"--person={person!r} is not in the history" if person else "it is about several people"
    raise UsageError(what, f"choose one with --person: {known}")


def _interaction(
    line: int, row: table.Row, root: Path, events: Mapping[str, float], names: Mapping[str, int]
) -> Interaction:
    """One row as it is meant. `Refused` says what is wrong with it."""
    weight, product = _weight(row, events), _text(row, "product")
    if product:
        return Interaction(line, product, _id(product, names), "", weight)
    given = _text(row, "picture")
    if not given:
        raise Refused("it names neither a product nor a picture")
    file, reason = table.locate(root, os.path.realpath(root), given)
    if reason:
        raise Refused(f"picture {given!r}: {reason}")
    return Interaction(line, given, -1, file, weight)


def _id(product: str, names: Mapping[str, int]) -> int:
    if product in names:
        return names[product]
    if product.isdecimal() and int(product) in names.values():
        return int(product)
    close = difflib.get_close_matches(product, list(names), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise Refused(f"the run has no product {product!r}{hint}")


def _weight(row: table.Row, events: Mapping[str, float]) -> float:
    """The number in `weight`, or what `event` stands for."""
    text, event = _text(row, "weight"), _text(row, "event").lower()
    if not text and event not in events:
        raise Refused(
            f"event {event!r} is none of {', '.join(events)}" if event else "no weight and no event"
        )
    try:
        weight = float(text) if text else events[event]
    except ValueError:
        raise Refused(f"weight {text!r} is not a number") from None
    if not math.isfinite(weight) or abs(weight) > LIMIT:
        raise Refused(f"weight {text} is not within {LIMIT:g} of 0")
    return weight


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()
