"""A table of products: CSV, TSV or JSONL with an image's path, a category, any attributes.

The role of each column follows from its content (columns.py). Paths are relative to the table's
folder and never leave it; a folder `images` beside the table is tried as well. A bad row is refused
like a bad image and never stops the others.
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
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.core.types import Attribute
from prodgen.data import columns
from prodgen.data.source import Item, SplitName, Value

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ProductRow:
    """One row of the table: `file` is its image, or `refusal` the reason why there is none."""

    name: str
    file: str = ""
    refusal: str = ""
    category: str | None = None
    attributes: dict[str, Value] = dataclasses.field(default_factory=dict)
    caption: str = ""
    split: SplitName | None = None


class Table:
    """The products of a table. `notes` names the unused columns, each with the reason."""

    parallel = True

    def __init__(self, path: Path, max_pixels: int, image: str = "", category: str = ""):
        self.max_pixels = max_pixels
        text = read_text(path)
        self.digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        header, rows = parse(text, path)
        self.roles = columns.find_roles(header, [row for _, row, _ in rows], image, category)
        self.products, self.index = _read_products(path.resolve().parent, rows, self.roles)
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
            try:
                if product.refusal:
                    raise RejectedItem(product.refusal)
                image = decode.decode_file(product.file, self.max_pixels)
            except RejectedItem as refusal:
                image = refusal
            yield Item(
                product.name,
                image,
                category=product.category,
                attributes=product.attributes,
                caption=product.caption,
                split=product.split,
            )


def from_config(data: ConfigDict) -> Table:
    """The source that config.data describes. MissingInput where the table does not exist."""
    if not data.path:
        raise UsageError(
            "config.data.path is empty", "name a table; or set config.data.path=TABLE.csv"
        )
    path = Path(data.path).expanduser()
    if not path.exists():
        raise MissingInput(
            f"there is no table {path}", "put it there; or set config.data.path=TABLE.csv"
        )
    if path.is_dir():
        tables = sorted(file.name for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        hint = f"config.data.path={path / tables[0]}" if tables else "config.data.source=folder"
        raise UsageError(
            f"config.data.path={path} is a folder, not a table", f"name a table; or set {hint}"
        )
    return Table(path, data.max_pixels, data.image_column, data.category_column)


def read_text(path: Path) -> str:
    """The table's text: UTF-8, UTF-16 with a byte order mark, or else Windows-1252."""
    try:
        content = decode.read_regular(path)
    except RejectedItem as refusal:
        reason = str(refusal).split(": ", 1)[-1]
        raise BadData(f"the table {path} cannot be read: {reason}", "name a file of text") from None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


NumberedRow = tuple[int, Row, str]  # line number, row, reason of a refusal or ""


def parse(text: str, path: Path) -> tuple[list[str], list[NumberedRow]]:
    """The column names and the rows with their line numbers. BadData where there are no rows."""
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        header, rows = _parse_json(text)
    else:
        header, rows = _parse_csv(text, suffix)
    if not header or not rows:
        raise BadData(f"the table {path} has no rows", "its first line must name the columns")
    return header, rows


def _parse_csv(text: str, suffix: str) -> tuple[list[str], list[NumberedRow]]:
    # The delimiter is the most frequent mark in the first line, outside quotes.
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    unquoted_text = "".join(first_line.split('"')[::2])
    delimiter = max(",;\t|", key=lambda mark: (unquoted_text.count(mark), mark == ","))
    delimiter = "\t" if suffix == ".tsv" else delimiter
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
        # More cells than columns: an unquoted delimiter has shifted the cells.
        if any(cell.strip() for cell in cells[len(header) :]):
            reason = f"bad row: {len(cells)} cells under {len(header)} column names"
            rows.append((line, {}, reason))
            continue
        row: Row = {}
        for name, cell in zip(header, cells, strict=False):
            if name and name not in row:
                cell = cell.strip()
                row[name] = columns.normalise_decimal(cell) if delimiter == ";" else cell
        rows.append((line, row, ""))


def _parse_json(text: str) -> tuple[list[str], list[NumberedRow]]:
    """One JSON object a line, or a single array of objects."""
    lines = list(enumerate(text.splitlines(), start=1))
    if text.lstrip()[:1] == "[":
        with contextlib.suppress(ValueError, RecursionError):  # else each line is refused
            lines = [(n, json.dumps(row)) for n, row in enumerate(json.loads(text), start=1)]
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


def _read_products(
    root: Path, rows: list[NumberedRow], roles: columns.Roles
) -> tuple[list[ProductRow], list[list[Any]]]:
    """Every row as a product, and [file, size, time] of each file, which show a change."""
    products, index = [], []
    first_lines: dict[str, int] = {}  # the line that names each file first
    real_root = os.path.realpath(root)
    for line, row, refusal in rows:
        path = str(row.get(roles.image) or "").strip()
        name = path or f"line {line}"
        file = ""
        if not refusal:
            file, refusal = locate(root, real_root, path)
        if file and file in first_lines:
            refusal = f"repeated: the image of line {first_lines[file]} again"
        elif file:
            first_lines[file] = line
            stat = os.stat(file)
            index.append([os.path.relpath(file, real_root), stat.st_size, stat.st_mtime_ns])
        if refusal:
            products.append(ProductRow(name, refusal=refusal))
            continue
        split = columns.read_cell(row.get(roles.split)) if roles.split else None
        product = ProductRow(
            name,
            file,
            category=columns.read_cell(row.get(roles.category)) if roles.category else None,
            attributes={column.attribute.name: column.value(row) for column in roles.attributes},
            caption=(columns.read_cell(row.get(roles.caption)) if roles.caption else None) or "",
            split=columns.SPLIT_NAMES[split.lower()] if split else None,
        )
        products.append(product)
    return products, index


def locate(root: Path, real_root: str, path: str) -> tuple[str, str]:
    """(the file that a path in the table names, "") or ("", the reason why it is refused).

    real_root: `root` with symbolic links resolved.
    """
    if not path:
        return "", "missing: no path in the row"
    if "://" in path:
        return "", "missing: a web address; download the images first"
    if "\0" in path:
        return "", "missing: no such file"
    is_outside = False
    for spelling in dict.fromkeys((path, path.replace("\\", "/"))):
        for candidate in (root / spelling, root / "images" / spelling):
            real_path = os.path.realpath(candidate)
            if os.path.commonpath([real_path, real_root]) != real_root:
                is_outside = True
            elif os.path.lexists(candidate) and os.path.exists(real_path):
                return real_path, ""
    if is_outside:
        return "", "outside: the path leaves the table's folder"
    return "", "missing: no such file"
