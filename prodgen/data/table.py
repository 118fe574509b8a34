"""A table of products: CSV, TSV or JSONL with a picture's path, a category, any attributes.

What each column is follows from its content (columns.py). Paths are relative to the table's folder
and never leave it; a folder `images` beside the table is tried as well. A bad row is refused like
a bad picture; it never stops the others.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.core import decode
from prodgen.core.errors import BadData, MissingInput, Refused, UsageError
from prodgen.core.types import Attribute
from prodgen.data import columns
from prodgen.data.source import Item, SplitName, Value

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Product:
    """One row of the table, its picture found (file) or refused."""

    name: str
    file: str = ""
    refused: str = ""
    category: str | None = None
    attributes: dict[str, Value] = dataclasses.field(default_factory=dict)
    caption: str = ""
    split: SplitName | None = None


class Table:
    """The products of a table. `notes` says which columns are left aside, and why."""

    parallel = True

    def __init__(self, path: Path, max_pixels: int, image: str = "", category: str = ""):
        self.max_pixels = max_pixels
        text = read_text(path)
        self.digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        header, rows = parse(text, path)
        self.roles = columns.find_roles(header, [row for _, row, _ in rows], image, category)
        self.products, self.index = _products(path.resolve().parent, rows, self.roles)
        names = {product.category for product in self.products} - {None}
        self._classes = tuple(sorted(names))
        self.notes = self.roles.notes

    def __len__(self) -> int:
        return len(self.products)

    def classes(self) -> tuple[str, ...]:
        return self._classes

    def schema(self) -> tuple[Attribute, ...]:
        return tuple(column.attribute for column in self.roles.attributes)

    def content(self) -> dict[str, Any]:
        index = hashlib.sha256(json.dumps(self.index).encode("ascii")).hexdigest()
        roles = [self.roles.image, self.roles.category or ""]
        return {"source": "table", "table": self.digest, "index": index, "roles": roles}

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        for product in self.products[start:stop]:
            yield Item(
                product.name,
                self._read(product),
                category=product.category,
                attributes=product.attributes,
                caption=product.caption,
                split=product.split,
            )

    def _read(self, product: Product):
        if product.refused:
            return Refused(product.refused)
        try:
            return decode.decode_file(product.file, self.max_pixels)
        except Refused as refused:
            return refused


def from_config(data: ConfigDict) -> Table:
    """The source that config.data describes. MissingInput where the table is not there."""
    if not data.path:
        raise UsageError("config.data.path is empty", "add --config.data.path=TABLE.csv")
    path = Path(data.path).expanduser()
    if not path.exists():
        raise MissingInput(f"there is no table {path}", "set --config.data.path")
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if one.suffix.lower() in SUFFIXES)
        hint = f"--config.data.path={path / inside[0]}" if inside else "--config.data.source=folder"
        raise UsageError(f"config.data.path={path} is a folder, not a table", f"try {hint}")
    return Table(path, data.max_pixels, data.image_column, data.category_column)


def read_text(path: Path) -> str:
    """The table's text: UTF-8, UTF-16 with its mark, or else what Excel calls ANSI."""
    try:
        raw = decode.read_regular(path)
    except Refused as refused:
        reason = str(refused).split(": ", 1)[-1]
        raise BadData(f"the table {path} cannot be read: {reason}") from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


NumberedRow = tuple[int, Row, str]  # line number, the row, and why it is refused ("" if it is not)


def parse(text: str, path: Path) -> tuple[list[str], list[NumberedRow]]:
    """The column names and the rows with their line numbers."""
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        header, rows = _parse_json(text)
    else:
        header, rows = _parse_csv(text, suffix)
    if not header or not rows:
        raise BadData(f"the table {path} has no rows", "its first line must name the columns")
    return header, rows


def _parse_csv(text: str, suffix: str) -> tuple[list[str], list[NumberedRow]]:
    delimiter = "\t" if suffix == ".tsv" else _delimiter(text)
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter)
    header: list[str] = []
    rows: list[NumberedRow] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return header, rows
        except csv.Error as error:
            rows.append((line, {}, f"bad row: {error}"))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            continue
        rows.append(_csv_row(line, header, cells, decimal_comma=delimiter == ";"))


def _csv_row(line: int, header: list[str], cells: list[str], decimal_comma: bool) -> NumberedRow:
    """A row; one with more values than columns has an unquoted delimiter: its cells are shifted."""
    if any(cell.strip() for cell in cells[len(header) :]):
        return line, {}, f"bad row: {len(cells)} cells under {len(header)} column names"
    row: Row = {}
    for name, cell in zip(header, cells, strict=False):
        if name and name not in row:
            cell = cell.strip()
            row[name] = columns.normalise_decimal(cell) if decimal_comma else cell
    return line, row, ""


def _delimiter(text: str) -> str:
    """The likeliest delimiter: the most frequent one in the first line, outside quotes."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    bare = "".join(first.split('"')[::2])
    return max(",;\t|", key=lambda mark: (bare.count(mark), mark == ","))


def _parse_json(text: str) -> tuple[list[str], list[NumberedRow]]:
    """One JSON object a line, or a single array of objects."""
    lines = list(enumerate(text.splitlines(), start=1))
    if text.lstrip()[:1] == "[":
        with contextlib.suppress(ValueError, RecursionError):  # else each line is refused
            lines = [(n, json.dumps(one)) for n, one in enumerate(json.loads(text), start=1)]
    header: dict[str, None] = {}
    rows: list[NumberedRow] = []
    for line, content in lines:
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError):
            rows.append((line, {}, "bad row: not JSON"))
            continue
        if not isinstance(row, dict):
            rows.append((line, {}, "bad row: not a JSON object"))
            continue
        header |= dict.fromkeys(row)
        rows.append((line, {name: columns.to_cell(value) for name, value in row.items()}, ""))
    return list(header), rows


def _products(
    root: Path, rows: list[NumberedRow], roles: columns.Roles
) -> tuple[list[Product], list[list[Any]]]:
    """Every row as a product, and [file, size, time] of each file: what a change would change."""
    products, index = [], []
    seen: dict[str, int] = {}
    top = os.path.realpath(root)
    for line, row, refused in rows:
        given = str(row.get(roles.image) or "").strip()
        name = given or f"line {line}"
        file = ""
        if not refused:
            file, refused = locate(root, top, given)
        if file and file in seen:
            refused = f"repeated: the picture of line {seen[file]} again"
        elif file:
            seen[file] = line
            found = os.stat(file)
            index.append([os.path.relpath(file, top), found.st_size, found.st_mtime_ns])
        if refused:
            products.append(Product(name, refused=refused))
        else:
            products.append(_product(name, file, row, roles))
    return products, index


def _product(name: str, file: str, row: Row, roles: columns.Roles) -> Product:
    category = columns.read_cell(row.get(roles.category)) if roles.category else None
    caption = columns.read_cell(row.get(roles.caption)) if roles.caption else None
    split = columns.read_cell(row.get(roles.split)) if roles.split else None
    return Product(
        name,
        file,
        category=category,
        attributes={one.attribute.name: one.value(row) for one in roles.attributes},
        caption=caption or "",
        split=columns.SPLIT_NAMES[split.lower()] if split else None,
    )


def locate(root: Path, top: str, given: str) -> tuple[str, str]:
    """(the file that a path in the table means, "") or ("", why it is refused)."""
    if not given:
        return "", "missing: no path in the row"
    if "://" in given:
        return "", "missing: a web address; download the pictures first"
    if "\0" in given:
        return "", "missing: no such file"
    outside = False
    for path in dict.fromkeys((given, given.replace("\\", "/"))):
        for candidate in (root / path, root / "images" / path):
            real = os.path.realpath(candidate)
            if os.path.commonpath([real, top]) != top:
                outside = True
            elif os.path.lexists(candidate) and os.path.exists(real):
                return real, ""
    return "", "outside: the path leaves the table's folder" if outside else "missing: no such file"
