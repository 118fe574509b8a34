"""A table of products: CSV, TSV or JSONL with images' paths, a category, any attributes.

The role of each column follows from its name and cells (columns.py), or from config.data.columns.
Paths are relative to config.data.root, by default the table's folder, and never leave it; a folder
`images` there is tried as well. A bad row is refused like a bad image and never stops the others.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.core import decode, formats
from prodgen.core.errors import MissingInput, RejectedItem, UsageError
from prodgen.core.types import Attribute
from prodgen.data import columns, shop_exports
from prodgen.data.column_kinds import parse_kinds
from prodgen.data.image_paths import ImagePaths
from prodgen.data.source import Item, SourceDescription, SplitName, Value
from prodgen.data.table_reader import SUFFIXES, Row, read_cell, read_table

READER_VERSION = 4  # part of a store's key: raise it where the same table is read differently


@dataclasses.dataclass(frozen=True)
class ProductImage:
    """One image of a row: `file`, or `refusal` with the reason why there is none."""

    name: str
    file: str = ""
    refusal: str = ""
    category: str | None = None
    attributes: dict[str, Value] = dataclasses.field(default_factory=dict)
    caption: str = ""
    split: SplitName | None = None
    group: str | None = None


class Table:
    """The images of a table's products.

    root: the folder of the paths, "" for the table's. image, category: columns that the config
    names, or "". kinds: what columns are, as config.data.columns has it. `notes` names the unused
    columns, each with the reason, and what else has to be known.
    """

    parallel = True

    def __init__(
        self, path: Path, max_pixels: int, image: str = "", category: str = "", kinds: str = "",
        root: str = "",
    ):  # fmt: skip
        self.max_pixels = max_pixels
        table = shop_exports.unfold(read_table(path))
        folder = Path(root).expanduser() if root else path.resolve().parent
        if not folder.is_dir():
            raise MissingInput(f"config.data.root={root} is no folder", "name that of the images")
        paths = ImagePaths(folder)
        self.roles = columns.find_roles(
            table, image, category, parse_kinds(kinds, table.header),
            paths.is_file,
        )  # fmt: skip
        rows = [
            (row, _list_paths(row, self.roles.images, paths.is_whole_path)) for row in table.rows
        ]
        paths.declare(path for _, names in rows for path in names)
        files = {path: paths.find(path) for _, names in rows for path in names}
        self.images, self._index, num_imageless = _read_images(
            rows, files, self.roles, paths.real_root
        )
        names = {product.category for product in self.images} - {None}
        self._classes = tuple(sorted(names))
        # What a change of the table changes: its cells, not how the file writes them.
        cells = json.dumps([dataclasses.astuple(row) for row in table.rows], default=str)
        self._digest = hashlib.sha256(cells.encode("utf-8", "surrogatepass")).hexdigest()
        self._sentences = (*table.notes, *_describe_paths(self.images, paths.matches, folder))
        if num_imageless:
            left_out = f"{num_imageless} rows without an image are left out"
            self._sentences += (f"{left_out}: other rows of the same products have one",)
        self.notes = (*table.notes, *self.roles.notes)

    def __len__(self) -> int:
        return len(self.images)

    def classes(self) -> tuple[str, ...]:
        return self._classes

    def schema(self) -> tuple[Attribute, ...]:
        return tuple(column.attribute for column in self.roles.attributes)

    def content(self) -> dict[str, Any]:
        index = hashlib.sha256(json.dumps(self._index).encode("ascii")).hexdigest()
        roles = [dataclasses.astuple(description) for description in self.roles.descriptions]
        return {
            "source": "table",
            "reader": [READER_VERSION, decode.VERSION, formats.list_decoders()],
            "table": self._digest,
            "index": index,
            "roles": roles,
        }

    def describe(self) -> SourceDescription:
        sentences = tuple(f"{text[0].upper()}{text[1:]}." for text in self._sentences)
        columns = self.roles.descriptions
        return SourceDescription("How the table was read", sentences, columns=columns)

    def item_name(self, index: int) -> str:
        """The name of an item whose image need not be decoded."""
        return self.images[index].name

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        for product in self.images[start:stop]:
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
                group=product.group,
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
    return Table(
        path, data.max_pixels, data.image_column, data.category_column, data.columns, data.root
    )


def _read_images(
    rows: list[tuple[Row, list[str]]], files: Mapping[str, tuple[str, str]], roles: columns.Roles,
    root: str,
) -> tuple[list[ProductImage], list[list[Any]], int]:  # fmt: skip
    """(every image of every row; [file, size, time] of each file, which show a change; the number
    of rows, such as variants, that have no image although their product has one).

    rows: each with its paths. files: as `ImagePaths.find` gives them, by path.
    """
    images, index, num_imageless = [], [], 0
    groups = {roles.read_group(row.cells) for row, names in rows if names} - {None}
    first_lines: dict[str, int] = {}  # the line that names each file first
    held_out_lines = _find_held_out_lines(rows, files, roles)
    for row, names in rows:
        if not names and not row.problem and roles.read_group(row.cells) in groups:
            num_imageless += 1
        elif not names:
            refusal = row.problem or "missing: no path in the row"
            images.append(ProductImage(f"line {row.line}", refusal=refusal))
        problem = roles.split.find_problem(row.cells) if roles.split else ""
        for name in names:
            file, refusal = ("", problem) if problem else files[name]
            other_line = held_out_lines.get(file, row.line)
            if file and file not in first_lines and other_line != row.line:
                refusal = f"repeated: line {other_line} holds the image out of training"
            elif file and file in first_lines:
                refusal = f"repeated: the image of line {first_lines[file]} again"
            elif file:
                first_lines[file] = row.line
                stat = os.stat(file)
                path = os.path.relpath(file, root)
                index.append([path, stat.st_size, stat.st_mtime_ns])
            if refusal:
                images.append(ProductImage(name, refusal=refusal))
            else:
                images.append(_make_image(name, file, row, roles))
    return images, index, num_imageless


def _find_held_out_lines(
    rows: list[tuple[Row, list[str]]], files: Mapping[str, tuple[str, str]], roles: columns.Roles
) -> dict[str, int]:
    """{file: the line that holds it out of training}: the first of the test split, else of the
    validation split. A file that several rows name is never trained on where one holds it out."""
    lines: dict[str, int] = {}
    for held_out_split in ("test", "validation"):
        for row, names in rows:
            if roles.split and roles.split.read(row.cells) == held_out_split:
                for name in names:
                    lines.setdefault(files[name][0], row.line)
    return lines


def _list_paths(
    row: Row, image_columns: Sequence[str], is_path: Callable[[str], bool]
) -> list[str]:
    """The paths of a row's images, each once, the main image first."""
    names: dict[str, None] = {}
    for column in image_columns:
        names |= dict.fromkeys(shop_exports.split_images(column, row.cells.get(column), is_path))
    return list(names)


def _make_image(name: str, file: str, row: Row, roles: columns.Roles) -> ProductImage:
    cells = row.cells
    return ProductImage(
        name,
        file,
        category=roles.read_category(cells),
        attributes={column.attribute.name: column.value(cells) for column in roles.attributes},
        caption=(read_cell(cells.get(roles.caption)) if roles.caption else None) or "",
        split=roles.split.read(cells) if roles.split else None,
        group=roles.read_group(cells),
    )


def _describe_paths(images: list[ProductImage], matches: Counter[str], folder: Path) -> list[str]:
    """Sentences on how the images' paths were matched."""
    num_files = sum(not image.refusal for image in images)
    sentences = [f"{num_files} of {len(images)} images were found in {folder.name or folder}"]
    sentences += [f"{count} paths were matched {how}" for how, count in matches.most_common()]
    return sentences
