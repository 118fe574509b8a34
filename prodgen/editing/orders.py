"""A table of requests, a row each: what is to be made, checked before anything is computed.

Columns: category, or photo (a path from the table's folder) with edit: vary, strength and keep;
attributes, as in colour=red;azimuth=30; seed; count; size in pixels; background, a colour; name, of
the files. Every cell may be empty.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from prodgen import tables
from prodgen.data.conditions import Conditions
from prodgen.errors import BadData, MissingInput, UsageError

COLUMNS = (
    "name", "category", "photo", "attributes", "seed", "count", "size", "background", "edit",
    "strength", "keep",
)  # fmt: skip
EDITS = ("", "vary")
MOST_BYTES, MOST_COUNT, MOST_SIZE = 50_000_000, 10_000, 4096
STRENGTH = 0.4


@dataclasses.dataclass(frozen=True)
class Order:
    """One row. line: of the table, the first below the heading is 2. name: of its files."""

    line: int
    name: str
    category: str
    photo: str
    attributes: tuple[tuple[str, str], ...]
    seed: int
    count: int
    size: int
    background: str
    edit: str
    strength: float
    keep: tuple[str, ...]

    def files(self) -> list[str]:
        """The names of its pictures."""
        return [f"{self.name}_{k:03d}.png" for k in range(self.count)]

    def key(self, origin: str) -> str:
        """What a picture of this order follows from: the row and, as `origin`, the run."""
        row = dataclasses.asdict(self) | {"line": 0, "origin": origin}
        return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


def read(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    """The rows of a table with their lines. MissingInput, BadData or UsageError, each with the
    next step, where it is none."""
    if not path.is_file():
        raise MissingInput(f"--table={path} does not exist", "name a .csv file")
    if path.stat().st_size > MOST_BYTES:
        raise BadData(f"--table={path} has more than {MOST_BYTES} bytes", "split it")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(csv.DictReader(file), path))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"--table={path} is no CSV in UTF-8: {error}", "save it as one") from None
    if not rows:
        raise BadData(f"--table={path} holds no rows", "add a row for each request")
    return rows


def _rows(reader: csv.DictReader, path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    unknown = [name for name in reader.fieldnames or () if name not in COLUMNS]
    if unknown or not reader.fieldnames:
        raise UsageError(
            f"--table={path}: column {unknown[0]!r} is not known" if unknown else
            f"--table={path} has no heading", f"the columns are {', '.join(COLUMNS)}",
        )  # fmt: skip
    for row in reader:
        if any(row.values()):
            yield reader.line_num, {name: (row.get(name) or "").strip() for name in COLUMNS}


def parsed(line: int, row: Mapping[str, str], conditions: Conditions, folder: Path) -> Order:
    """The order of one row; UsageError says what is wrong with it."""
    if len(row["name"]) > 100 or any(c in row["name"] for c in "/\\\0") or row["name"][:1] == ".":
        raise UsageError(f"name {row['name']!r} is no name for a file")
    attributes = tuple(_attributes(row["attributes"]))
    order = Order(
        line, row["name"] or f"line{line:05d}", row["category"], row["photo"], attributes,
        _number(row, "seed", int, 0, 2**31 - 2, 0), _number(row, "count", int, 1, MOST_COUNT, 1),
        _number(row, "size", int, 16, MOST_SIZE, 0), row["background"], row["edit"],
        _number(row, "strength", float, 0, 1, STRENGTH),
        tuple(row["keep"].replace("|", " ").replace(",", " ").split()) or ("category",),
    )  # fmt: skip
    _check(order, conditions, folder)
    return order


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, (part.strip() for part in text.replace(",", ";").split(";"))):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise UsageError(f"attributes: {part!r} is not name=value")
        yield name.strip(), value.strip()


def _number(row: Mapping[str, str], name: str, kind: type, low: float, high: float, default):
    if not row[name]:
        return default
    try:
        value = kind(row[name])
    except ValueError:
        raise UsageError(f"{name} {row[name]!r} is not a number") from None
    if not low <= value <= high:
        raise UsageError(f"{name} {value} is not from {low} to {high}")
    return value


def _check(order: Order, conditions: Conditions, folder: Path) -> None:
    """UsageError for what cannot be made, whatever the run."""
    if order.edit not in EDITS:
        raise UsageError(f"edit {order.edit!r} is not known; known: {', '.join(EDITS[1:])}")
    if bool(order.edit) != bool(order.photo):
        wants = "names no photo" if order.edit else "names no edit, such as vary"
        raise UsageError(f"it {wants}")
    if order.photo:
        path = folder / order.photo
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"photo {order.photo!r} lies outside the table's folder")
        if not path.is_file():
            raise UsageError(f"photo {order.photo!r} does not exist")
    for name in order.keep:
        if name not in tables.KEEPS:
            raise UsageError(f"keep {name!r} is not known; known: {', '.join(tables.KEEPS)}")
    conditions.pick(
        0, np.arange(1), order.category, dict(order.attributes)
    )  # names what is unknown
