"""What exports of shop systems have that other tables have not.

Shopify writes a product's data into its first row only and one row for each further image; its
options are pairs of columns, a name and a value, as WooCommerce's attributes are. WooCommerce,
Magento and Google Merchant list several images in one cell, and categories as paths.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prodgen.core.formats import SUFFIXES
from prodgen.data.identifiers import make_identifier_key
from prodgen.data.table_reader import Cells, Row, TableText, read_cell

HANDLE, IMAGE_SRC = "handle", "image src"  # of Shopify
PARENT, SKU, ID = "parent", "sku", "id"  # of WooCommerce
PAIRS = (  # columns of a name and of its value
    (re.compile(r"option(\d+) name"), "option{} value"),
    (re.compile(r"attribute (\d+) name"), "attribute {} value(s)"),
)
# Shopify's columns that belong to one row, an image or a variant, and not to the product.
ROW_COLUMNS = re.compile(r"variant .*|image .*|option\d+ value.*|gift card")
EXTRA_IMAGE_NAMES = (
    "additional_images", "additional images", "additional_image_link", "additional image link",
    "additional_image_links", "additional image links", "gallery", "media_gallery", "other images",
)  # fmt: skip
NUMBERED_IMAGE = re.compile(
    r"(additional |extra )?(image|picture|photo|img)[ _-]?(url|link|src)?[ _-]?\d{1,2}"
)
LIST_NAMES = (*EXTRA_IMAGE_NAMES, "images", "photos", "pictures", "image_urls", "image urls")
PATH_CATEGORY_NAMES = (
    "categories", "product_type", "product type", "product category", "google_product_category",
    "google product category", "category_path", "category path", "taxonomy",
)  # fmt: skip
ADDRESS_START = re.compile(r"https?://|(?:^|(?<=[\s,;|]))//[^/\s,;|]+\.[^/\s,;|]+/", re.IGNORECASE)
MAX_JOINED_PIECES = 3  # of a cell, that may be one file's name
PATH_KEYS = ("src", "url", "path", "file", "filename", "image", "href", "link")  # of an object
UNINFORMATIVE_VALUES = ("default title", "default category")


def unfold(table: TableText) -> TableText:
    """The table with a product's data in each of its rows, and pairs of columns as columns."""
    by_name = {name.lower(): name for name in reversed(table.header)}
    rows, notes = list(table.rows), list(table.notes)
    if HANDLE in by_name and IMAGE_SRC in by_name:
        rows = _fill_down(rows, by_name[HANDLE])
        notes.append("Shopify: a row without data of its own has those of its product's first row")
    if PARENT in by_name and SKU in by_name:
        rows = _join_parents(rows, by_name[PARENT], by_name[SKU], by_name.get(ID, ""))
        notes.append("variations have the data of their parent, where they have none of their own")
    header, pairs = table.header, _find_pairs(by_name)
    if pairs:
        rows = [dataclasses.replace(row, cells=_resolve_pairs(row.cells, pairs)) for row in rows]
        # The pairs' own columns are gone from the rows; those of their names are new.
        paired_names = {name for pair in pairs for name in pair}
        new_names = (name for row in rows for name in row.cells if name not in by_name)
        names = [*header, *new_names]
        header = tuple(dict.fromkeys(name for name in names if name not in paired_names))
    return dataclasses.replace(table, header=header, rows=tuple(rows), notes=tuple(notes))


def split_images(name: str, cell: Any, is_path: Callable[[str], bool]) -> list[str]:
    """The paths in a cell of an image column: several where such a column lists them.

    is_path(text) says whether a text is the path of a file, whatever marks are in its name.
    """
    texts = list_paths(cell)
    if name.lower() not in LIST_NAMES or isinstance(cell, (list, dict)) or len(texts) != 1:
        return texts
    text = texts[0]
    if is_path(text):
        return texts
    # A web address can have commas in it, as in w_200,h_300/red.jpg.
    if ADDRESS_START.search(text):
        pieces = re.split(rf"\s*[|\n]\s*|[\s,;]+(?={ADDRESS_START.pattern})", text)
        return [path for path in (piece.strip(" ,;\r\t") for piece in pieces) if path]
    mark = next((mark for mark in ("|", ";", ",", "\n") if mark in text), None)
    if not mark:
        return texts
    pieces = [piece for piece in text.split(mark) if piece.strip()]
    paths = []
    while pieces:
        # The longest piece that is a file: the mark can belong to its name.
        sizes = range(min(len(pieces), MAX_JOINED_PIECES), 0, -1)
        size = next((n for n in sizes if is_path(mark.join(pieces[:n]).strip())), 0)
        if not size:
            # Without one, a path reaches to its suffix: no part of a name is a path.
            ends = [n for n, piece in enumerate(pieces, 1) if has_suffix(piece)]
            size = ends[0] if ends else 1
        paths.append(mark.join(pieces[:size]).strip())
        pieces = pieces[size:]
    return paths


def has_suffix(path: str) -> bool:
    """Whether a path ends as an image file does."""
    return path.strip().lower().endswith(SUFFIXES)


def list_paths(cell: Any) -> list[str]:
    """The paths in a cell: one of text; of a JSON table also a list, or objects with a path."""
    if isinstance(cell, dict):
        by_name = {str(name).lower(): value for name, value in cell.items()}
        return next((list_paths(by_name[name]) for name in PATH_KEYS if by_name.get(name)), [])
    if isinstance(cell, list):
        return [path for value in cell for path in list_paths(value)]
    text = "" if cell is None else str(cell).strip()
    return [text] if text else []


def find_extra_image_columns(header: Iterable[str], image: str, rows: Iterable[Cells]) -> list[str]:
    """The columns of further images of a row: by their names, or as lists of a JSON table."""
    list_columns = {
        name
        for row in rows
        for name, cell in row.items()
        if isinstance(cell, list) and name.lower() in LIST_NAMES
    }
    return [
        name
        for name in header
        if name != image
        and (
            name.lower() in EXTRA_IMAGE_NAMES
            or name in list_columns
            or NUMBERED_IMAGE.fullmatch(name.lower())
        )
    ]


def shorten_category_paths(name: str, values: Iterable[str | None]) -> tuple[dict[str, str], str]:
    """({cell: category}, a remark) of a column of category paths.

    In another column only whole numbers are joined: "7.0" is the category "7" where both occur, or
    where all cells are whole numbers.
    A path's category is its last part, with the part before where the last is not unique. Of
    several paths in a cell the longest counts, the first of equally long ones.
    """
    cells = collections.Counter(value for value in values if value)
    if name.lower() not in PATH_CATEGORY_NAMES and not (
        cells and all(" > " in cell for cell in cells)
    ):
        floats = {cell: re.fullmatch(r"(0|[1-9]\d*)\.0+", cell) for cell in cells}
        is_whole = all(match or cell.isdecimal() for cell, match in floats.items())
        integers = {cell: m[1] for cell, m in floats.items() if m and (is_whole or m[1] in cells)}
        example = next((f"{cell!r} is the category {n!r}" for cell, n in integers.items()), "")
        return integers, example
    # In these columns a cell is one path, and a comma belongs to a name.
    is_single = "categories" not in name.lower()
    paths = {cell: _longest_path(cell, is_single) for cell in cells}
    paths = {cell: path for cell, path in paths.items() if path}
    if all(path == [cell] for cell, path in paths.items()):
        return {}, ""
    parents = collections.defaultdict(set)
    for path in paths.values():
        parents[path[-1]].add(path[-2] if len(path) > 1 else "")
    categories = {
        cell: path[-1] if len(parents[path[-1]]) == 1 or len(path) == 1 else " > ".join(path[-2:])
        for cell, path in paths.items()
    }
    cell, category = max(categories.items(), key=lambda item: item[0] != item[1])
    return categories, f"the last part of the longest path: {category!r} of {cell!r}"


def _longest_path(cell: str, is_single: bool) -> list[str]:
    """The parts of the longest path in a cell such as "Clothing > Hats, Sale"."""
    mark = ">" if ">" in cell else "/"
    is_list = not is_single and (mark in cell or "," in cell)
    pieces = re.split(r"[,|;](?=\s*\S)", cell) if is_list else [cell]
    # A comma can belong to a name ("Bags, Cases > Wallets"): then a piece is no path of its own.
    paths = [[part.strip() for part in piece.split(mark) if part.strip()] for piece in pieces]
    paths = [[p for p in path if p.lower() not in UNINFORMATIVE_VALUES] for path in paths]
    return max((path for path in paths if path), key=len, default=[])


def _fill_down(rows: list[Row], handle: str) -> list[Row]:
    """Each row with the product's cells that it leaves empty, from the product's first row."""
    first_rows: dict[str, Cells] = {}
    filled_rows = []
    for row in rows:
        product = _read_key(row.cells.get(handle))
        if row.problem or not product:
            filled_rows.append(row)
            continue
        first = first_rows.setdefault(product, row.cells)
        cells = {
            name: first.get(name, "")
            if not cell and not ROW_COLUMNS.fullmatch(name.lower())
            else cell
            for name, cell in row.cells.items()
        }
        filled_rows.append(dataclasses.replace(row, cells=cells))
    return filled_rows


def _join_parents(rows: list[Row], parent: str, sku: str, number: str) -> list[Row]:
    """Each variation with its parent's cells where its own are empty; a parent is its own parent.

    A variation names its parent's SKU, or its number as in "id:12". parent, sku, number: columns.
    """
    by_sku: dict[str, Cells] = {}
    for row in rows:
        by_sku.setdefault(_read_key(row.cells.get(sku)), row.cells)
        by_sku.setdefault(f"id:{_read_key(row.cells.get(number))}", row.cells)
    by_sku.pop("", None)
    parents = {_read_key(row.cells.get(parent)) for row in rows} - {""}
    rows_of_products = []
    for row in rows:
        cells, own_parent = row.cells, read_cell(row.cells.get(parent))
        first = by_sku.get(_read_key(cells.get(parent)))
        if first is not None:
            parent_cells = {
                name: first.get(name, "")
                for name, cell in cells.items()
                if not cell and not name.lower().startswith(("image", "attribute"))
            }
            cells = {**cells, **parent_cells, parent: read_cell(first.get(sku)) or own_parent}
        elif {_read_key(cells.get(sku)), f"id:{_read_key(cells.get(number))}"} & parents:
            cells = {**cells, parent: read_cell(cells.get(sku)) or f"id:{cells.get(number)}"}
        rows_of_products.append(dataclasses.replace(row, cells=cells))
    return rows_of_products


def _read_key(cell: Any) -> str:
    """The key of the identifier in a cell, "" without one. "id:12.0" is "id:12"."""
    return make_identifier_key(read_cell(cell) or "")


def _find_pairs(by_name: Mapping[str, str]) -> list[tuple[str, str]]:
    """(column of the name, column of the value) of every pair in a table."""
    pairs = []
    for pattern, value_name in PAIRS:
        for lower_name, name in by_name.items():
            match = pattern.fullmatch(lower_name)
            value = by_name.get(value_name.format(match[1])) if match else None
            if value:
                pairs.append((name, value))
    return pairs


def _resolve_pairs(cells: Cells, pairs: list[tuple[str, str]]) -> Cells:
    """The cells with a column for each name of a pair. A name that is a column already is kept."""
    paired_names = {name for pair in pairs for name in pair}
    result = {name: cell for name, cell in cells.items() if name not in paired_names}
    for name_column, value_column in pairs:
        name, value = read_cell(cells.get(name_column)), read_cell(cells.get(value_column))
        if name and value and value.lower() not in UNINFORMATIVE_VALUES:
            result.setdefault(name, value)
    return result
