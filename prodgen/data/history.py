"""A person's interactions with products: a CSV (or TSV, JSONL) with a row an interaction.

Columns: `product`, a name or an id of the run's own products, or `picture`, a file beside the table
that never lies outside its folder; `weight`, a number, or `event`, a word with a known weight; and
`person`, where the table is about several. A bad row is refused by its line and stops no other.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.data.image_paths import ImagePaths
from prodgen.data.numerals import parse_number
from prodgen.data.shop_exports import list_paths
from prodgen.data.table_reader import Cells, Row, TableText, read_cell, read_table

COLUMNS = ("product", "picture", "weight", "event", "person")
MAX_WEIGHT = 100.0  # a purchase has weight 1
MAX_LISTED = 8  # people or reasons that a message lists


@dataclasses.dataclass(frozen=True)
class Interaction:
    """One row: `id` of the store's row, or -1 where `file` is the image."""

    line: int
    name: str
    id: int
    file: str
    weight: float


@dataclasses.dataclass(frozen=True)
class History:
    """One person's interactions in the table's order; `refusals`: the reason of each refused row,
    by line; `unused_columns`: columns that have no meaning here; `notes`: what was guessed when the
    table was read."""

    interactions: tuple[Interaction, ...]
    refusals: tuple[str, ...]
    unused_columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read(path: Path, events: Mapping[str, float], names: Mapping[str, int], person: str) -> History:
    """The history in a table. `events` gives the weight of each event, `names` the id of each of
    the run's products by name.

    Of several rows about one product the largest absolute weight counts, of equal ones the last: a
    product that is bought and returned counts as returned. MissingInput without the table,
    UsageError where its columns or the person do not exist, BadData where no row is usable.
    """
    if not path.is_file():
        raise MissingInput(f"--history={path} is not a file", "name a CSV of products and events")
    table = read_table(path)
    header, rows = _rename_columns(table)
    for pair in (("product", "picture"), ("weight", "event")):
        if not set(pair) & set(header):
            raise UsageError(
                f"--history={path} has neither a column {pair[0]} nor {pair[1]}; it has "
                f"{', '.join(header)}",
                f"name its columns {', '.join(COLUMNS)}",
            )
    paths, refusals, interactions = ImagePaths(path.resolve().parent), [], {}
    paths.declare(image for row in rows for image in list_paths(row.cells.get("picture")))
    rows = _select_person(rows, header, person)
    for row in rows:
        try:
            if row.problem:
                raise RejectedItem(row.problem)
            interaction = _parse_row(row, paths, events, names)
        except RejectedItem as reason:
            refusals.append(f"line {row.line}: {reason}")
            continue
        key = (interaction.id, interaction.file)
        earlier = interactions.get(key)
        if earlier is None or abs(interaction.weight) >= abs(earlier.weight):
            interactions[key] = interaction
    if not interactions:
        raise BadData(
            f"--history={path} has no row that can be used: {'; '.join(refusals[:MAX_LISTED])}",
            "name products as the run's store does, and events or weights",
        )
    unused_columns = tuple(name for name in header if name and name not in COLUMNS)
    return History(tuple(interactions.values()), tuple(refusals), unused_columns, table.notes)


def _rename_columns(table: TableText) -> tuple[list[str], list[Row]]:
    """The header and the rows with the names of COLUMNS, which may be written in capitals."""
    names = {name: name.lower() if name.lower() in COLUMNS else name for name in table.header}
    rows = [
        dataclasses.replace(row, cells={names[name]: cell for name, cell in row.cells.items()})
        for row in table.rows
    ]
    return [names[name] for name in table.header], rows


def _select_person(rows: list[Row], header: list[str], person: str) -> list[Row]:
    """The rows of one person; all rows where the table is about one."""
    if "person" not in header:
        if person:
            raise UsageError(
                "--person is given, but the history has no column person",
                "leave --person out: all rows are of one person",
            )
        return rows
    people = list(dict.fromkeys(_text(row.cells, "person") for row in rows if not row.problem))
    if person in people or (not person and len(people) == 1):
        person = person or people[0]
        return [row for row in rows if row.problem or _text(row.cells, "person") == person]
    hint = ", ".join(people[:MAX_LISTED]) + (", ..." if len(people) > MAX_LISTED else "")
    what = f"--person={person!r} is not in the history" if person else "it is about several people"
    raise UsageError(what, f"choose one with --person: {hint}")


def _parse_row(
    row: Row, paths: ImagePaths, events: Mapping[str, float], names: Mapping[str, int]
) -> Interaction:
    """The interaction of one row. `RejectedItem` gives the reason where there is none."""
    line, cells = row.line, row.cells
    weight, product = _parse_weight(cells, events), _text(cells, "product")
    if product:
        id = names.get(product)
        number = re.fullmatch(r"(\d{1,9})(\.0*)?", product)  # spreadsheets write 7.0
        if id is None and number and int(number[1]) in names.values():
            id = int(number[1])
        if id is None:
            close = difflib.get_close_matches(product, list(names), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise RejectedItem(f"the run has no product {product!r}{hint}")
        return Interaction(line, product, id, "", weight)
    images = list_paths(cells.get("picture"))
    if not images:
        raise RejectedItem("it names neither a product nor a picture")
    if len(images) > 1:
        raise RejectedItem(f"it names {len(images)} pictures; write a row for each")
    image = images[0]
    file, reason = paths.find(image)
    if reason:
        raise RejectedItem(f"picture {image!r}: {reason}")
    return Interaction(line, image, -1, file, weight)


def _parse_weight(row: Cells, events: Mapping[str, float]) -> float:
    """The number in `weight`, or the weight of the event."""
    text, event = _text(row, "weight"), _text(row, "event").lower()
    if not text and event not in events:
        raise RejectedItem(
            f"event {event!r} is none of {', '.join(events)}" if event else "no weight and no event"
        )
    weight = parse_number(text) if text else events[event]
    if weight is None:
        raise RejectedItem(f"weight {text!r} is not a number")
    if abs(weight) > MAX_WEIGHT:
        raise RejectedItem(f"weight {text} is not within {MAX_WEIGHT:g} of 0")
    return weight


def _text(row: Mapping[str, Any], name: str) -> str:
    return read_cell(row.get(name)) or ""
