"""A person's interactions with products: a CSV (or TSV, JSONL) with a row an interaction.

Columns: `product`, a name or an id of the run's own products, or `picture`, a file beside the table
that never lies outside its folder; `weight`, a number, or `event`, a word with a known weight; and
`person`, where the table is about several. A bad row, or one that contradicts itself, is refused by
its line and stops no other.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.core.spelling import compose
from prodgen.data.cells import read_name, read_rows, unwrap_cell
from prodgen.data.image_paths import ImagePaths
from prodgen.data.numerals import parse_number
from prodgen.data.product_names import ProductNames
from prodgen.data.shop_exports import list_paths
from prodgen.data.table_reader import Cells, Row, TableText, read_cell

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
    table was read, and people whose names are alike."""

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
    table = read_rows(path)
    header, rows = _rename_columns(table, path)
    for pair in (("product", "picture"), ("weight", "event")):
        if not set(pair) & set(header):
            raise UsageError(
                f"--history={path} has neither a column {pair[0]} nor {pair[1]}; it has "
                f"{', '.join(header)}",
                f"name its columns {', '.join(COLUMNS)}",
            )
    paths, interactions = ImagePaths(path.resolve().parent), {}
    paths.declare(image for row in rows for image in list_paths(row.cells.get("picture")))
    rows, refusals, notes = _select_person(rows, header, person)
    products, notes_on_products = ProductNames(names), []
    for row in rows:
        try:
            if row.problem:
                raise RejectedItem(row.problem)
            interaction, note = _parse_row(row, paths, events, products)
            notes_on_products += [f"line {row.line}: {note}"] if note else []
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
    notes = (*table.notes, *notes, *notes_on_products[:MAX_LISTED])
    return History(tuple(interactions.values()), tuple(refusals), unused_columns, notes)


def _rename_columns(table: TableText, path: Path) -> tuple[list[str], list[Row]]:
    """The header and the rows with the names of COLUMNS, which may be written in capitals.

    UsageError for a column twice.
    """
    names = {name: name.lower() if name.lower() in COLUMNS else name for name in table.header}
    twice = [name for name, n in collections.Counter(names.values()).items() if n > 1]
    if twice:
        spellings = ", ".join(name for name in names if names[name] == twice[0])
        raise UsageError(
            f"--history={path} has several columns {twice[0]}: {spellings}", "leave one out"
        )
    rows = [
        dataclasses.replace(row, cells={names[name]: cell for name, cell in row.cells.items()})
        for row in table.rows
    ]
    return [names[name] for name in table.header], rows


def _select_person(
    rows: list[Row], header: list[str], person: str
) -> tuple[list[Row], list[str], list[str]]:
    """(the rows of one person, refusals of rows without one, notes); all rows where the table is
    about one person. A row that cannot be read stays."""
    if "person" not in header:
        if person:
            raise UsageError(
                "--person is given, but the history has no column person",
                "leave --person out: all rows are of one person",
            )
        return rows, [], []
    people_by_line = {row.line: _read_person(row) for row in rows}
    people = list(dict.fromkeys(filter(None, people_by_line.values())))
    if not people and not person:
        return rows, [], []
    person = compose(person).strip() or (people[0] if len(people) == 1 else "")
    if person not in people:
        hint = ", ".join(people[:MAX_LISTED]) + (", ..." if len(people) > MAX_LISTED else "")
        what = (
            f"--person={person!r} is not in the history" if person else "it is about several people"
        )
        advice = f"choose one with --person: {hint}" if people else "leave --person out"
        raise UsageError(what, advice)
    blank_rows = [row for row in rows if not row.problem and not people_by_line[row.line]]
    refusals = [f"line {row.line}: it names no person" for row in blank_rows]
    variants = [name for name in people if _unify(name) == _unify(person)]
    notes = []
    if len(variants) > 1:
        others = ", ".join(name for name in variants if name != person)
        notes.append(f"rows of {others} are not used: only those of {person} are")
    chosen_rows = [row for row in rows if row.problem or people_by_line[row.line] == person]
    return chosen_rows, refusals, notes


def _read_person(row: Row) -> str:
    """The person of a row, "" without one; a word such as NA is a name."""
    try:
        return "" if row.problem else read_name(unwrap_cell("person", row.cells.get("person")))
    except RejectedItem:
        return ""


def _unify(person: str) -> str:
    """What names have in common that differ by case, spaces, marks, or a spreadsheet's ".0"."""
    return re.sub(r"[\W_]+", "", re.sub(r"\.0+$", "", person)).casefold()


def _parse_row(
    row: Row, paths: ImagePaths, events: Mapping[str, float], products: ProductNames
) -> tuple[Interaction, str]:
    """(the interaction of one row, a note or ""). `RejectedItem` gives the reason without one."""
    line, cells = row.line, row.cells
    weight = _parse_weight(cells, events)
    product = unwrap_cell("product", cells.get("product"))
    product = "" if read_cell(product) is None else str(product).strip()
    images = list_paths(cells.get("picture"))
    images = images if read_cell(images[0] if images else None) else []
    if product:
        id, note = products.find(product)
        if images and not _is_same(products, id, images):
            raise RejectedItem(
                f"it names the product {product!r} and the picture {images[0]!r}; leave one out"
            )
        return Interaction(line, product, id, "", weight), note
    if not images:
        raise RejectedItem("it names neither a product nor a picture")
    if len(images) > 1:
        raise RejectedItem(f"it names {len(images)} pictures; write a row for each")
    image = images[0]
    file, reason = paths.find(image)
    if reason:
        raise RejectedItem(f"picture {image!r}: {reason}")
    return Interaction(line, image, -1, file, weight), ""


def _is_same(products: ProductNames, id: int, images: list[str]) -> bool:
    """Whether a row's pictures are the product's own."""
    try:
        return all(products.find(image)[0] == id for image in images)
    except RejectedItem:
        return False


def _parse_weight(row: Cells, events: Mapping[str, float]) -> float:
    """The number in `weight`, or the weight of the event; RejectedItem where their signs differ."""
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
    if weight * events.get(event, 0.0) < 0:
        sign = "negative" if events[event] < 0 else "positive"
        raise RejectedItem(f"weight {text} contradicts event {event!r}, which is {sign}")
    return weight


def _text(row: Mapping[str, Any], name: str) -> str:
    return read_cell(unwrap_cell(name, row.get(name))) or ""
