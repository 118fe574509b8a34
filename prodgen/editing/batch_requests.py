"""A table of requests, a row each: what is to be made, checked before anything is computed.

Columns: category, or photo (a path from the table's folder) with edit: vary (strength, keep),
views, recolour (colour, method) or background; attributes, as in colour=red;azimuth=30; seed;
count; size, pixels of the longer side; background, a colour or a picture (a path like photo's);
name, of the files. Every cell may be empty.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from prodgen.config import registry
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.core.files import hash_file
from prodgen.core.spelling import find_spelling
from prodgen.data.conditions import Conditions
from prodgen.editing import STRENGTH

COLUMNS = (
    "name", "category", "photo", "attributes", "seed", "count", "size", "background", "edit",
    "strength", "keep", "colour", "method",
)  # fmt: skip
EDITS = {  # what may be made of a photo, "" without one -> the columns that say nothing to it
    "": ("colour", "method"),
    "vary": ("colour", "method"),
    "views": ("strength", "keep", "colour", "method"),
    "recolour": ("category", "attributes", "strength", "keep"),
    "background": ("category", "attributes", "strength", "keep", "colour", "method"),
}
ALONE = ("recolour", "background")  # one picture of a photo, at the photo's own resolution
METHODS = ("classical", "generated")  # to recolour, the first by default
MOST_BYTES, MOST_COUNT, MOST_SIZE = 50_000_000, 10_000, 4096
SILENT = ("colour", "method")  # left out of a key where empty: keys of older folders hold


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
    colour: str
    method: str

    @property
    def inverted(self) -> bool:
        """Whether its photo is put into the run."""
        return self.edit in ("vary", "views") or self.method == "generated"

    @property
    def guarded(self) -> bool:
        """Whether copies of training pictures are held back: views and edits are a user's own."""
        return self.edit in ("", "vary")

    @property
    def ground(self) -> str:
        """The file of its background, "" for a colour."""
        return self.background if Path(self.background).suffix else ""

    def files(self) -> list[str]:
        """The names of its pictures."""
        return [f"{self.name}_{k:03d}.png" for k in range(self.count)]

    def inputs(self, folder: Path) -> dict[str, str]:
        """The sha256 of each file that it names."""
        return {file: hash_file(folder / file) for file in (self.photo, self.ground) if file}

    def key(self, origin: str) -> str:
        """What a picture of this order follows from: the row and, as `origin`, the run."""
        row = dataclasses.asdict(self) | {"line": 0, "origin": origin}
        row = {name: value for name, value in row.items() if value or name not in SILENT}
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
    names = [find_spelling(name, COLUMNS) for name in reader.fieldnames or ()]
    reader.fieldnames = names
    unknown = [name for name in names if name not in COLUMNS]
    if len(set(names)) < len(names):
        raise UsageError(f"--table={path} has a column twice: {', '.join(names)}", "leave one out")
    if unknown or not names:
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
    edit = find_spelling(row["edit"], EDITS)
    keep = row["keep"].replace("|", " ").replace(",", " ").split()
    order = Order(
        line, row["name"] or f"line{line:05d}", row["category"], row["photo"], attributes,
        _number(row, "seed", int, 0, 2**31 - 2, 0), _number(row, "count", int, 1, MOST_COUNT, 1),
        _number(row, "size", int, 16, MOST_SIZE, 0), row["background"], edit,
        _number(row, "strength", float, 0, 1, STRENGTH),
        tuple(find_spelling(name, registry.KEEP_CHOICES) for name in keep) or ("category",),
        row["colour"], row["method"] or (METHODS[0] if edit == "recolour" else ""),
    )  # fmt: skip
    _check(order, row, conditions, folder)
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


def _check(order: Order, row: Mapping[str, str], conditions: Conditions, folder: Path) -> None:
    """UsageError for what cannot be made, whatever the run."""
    if order.edit not in EDITS:
        known = ", ".join(filter(None, EDITS))
        raise UsageError(f"edit {order.edit!r} is not known; known: {known}")
    if bool(order.edit) != bool(order.photo):
        wants = "names no photo" if order.edit else "names no edit, such as vary"
        raise UsageError(f"it {wants}")
    for column in EDITS[order.edit]:
        if row[column]:
            what = f"edit {order.edit}" if order.edit else "a row without an edit"
            raise UsageError(f"{column} says nothing to {what}")
    if order.edit in ALONE and order.count > 1:
        raise UsageError(f"count {order.count}: edit {order.edit} makes one picture of a photo")
    if order.edit == "recolour":
        _check_recolouring(order)
    for column, file in (("photo", order.photo), ("background", order.ground)):
        if file:
            _check_file(column, file, folder)
    for name in order.keep:
        if name not in registry.KEEP_CHOICES:
            raise UsageError(
                f"keep {name!r} is not known; known: {', '.join(registry.KEEP_CHOICES)}"
            )
    conditions.pick(
        0, np.arange(1), order.category, dict(order.attributes)
    )  # names what is unknown


def _check_recolouring(order: Order) -> None:
    if not order.colour:
        raise UsageError("edit recolour needs a colour, as in teal or #203a5f")
    if order.method not in METHODS:
        raise UsageError(f"method {order.method!r} is not known; known: {', '.join(METHODS)}")


def _check_file(column: str, file: str, folder: Path) -> None:
    """UsageError for a file outside the table's folder, or for none."""
    if "\0" not in file and not (folder / file).resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{column} {file!r} lies outside the table's folder")
    if not os.path.isfile(folder / file):  # no error for what can be no file's name
        raise UsageError(f"{column} {file!r} does not exist")
    if not os.access(folder / file, os.R_OK):
        raise UsageError(f"{column} {file!r} cannot be read")
