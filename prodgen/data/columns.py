"""The roles of a product table's columns: images, category, group, caption, split, attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from prodgen.core.spelling import find_variants
from prodgen.data import identifiers, image_columns, numerals, shop_exports, split_column
from prodgen.data.attribute_columns import (
    MAX_CATEGORIES,
    MAX_LISTED_VALUES,
    Column,
    describe_counts,
    infer_attribute,
    map_counts,
)
from prodgen.data.column_cells import ColumnCells, read_columns
from prodgen.data.column_kinds import KINDS, merge_kinds
from prodgen.data.source import ColumnDescription
from prodgen.data.split_column import SplitColumn
from prodgen.data.table_reader import Cells, TableText, read_cell

CATEGORY_NAMES = (
    "category", "label", "class", "articletype", "article_type", "article type",
    "product_type", "product type", "product_category", "product category", "categories",
    "category_name", "category name", "google_product_category", "google product category", "type",
    "subcategory", "mastercategory", "master_category", "kategorie", "categoría", "catégorie",
)  # fmt: skip
CAPTION_NAMES = (
    "caption", "description", "title", "name", "product_name", "product name",
    "productdisplayname", "product_title",
)  # fmt: skip
GROUP_NAMES = (
    "item_group_id", "item group id", "parent", "parent_sku", "parent sku", "handle", "style",
    "style_id", "style id", "styleid", "style_code", "style code", "product_id", "product id",
    "productid", "product_code", "product code", "product", "model", "model_id", "article",
    "article_id", "article id", "sku", "variant sku", "asin", "ean", "gtin", "id",
)  # fmt: skip
IDENTIFIER_WORDS = ("id", "sku", "code", "handle", "parent", "asin", "ean", "gtin")
MAX_GROUP_ROWS = 20.0  # rows of a product, on average: a column of larger groups is a category
MAX_FEW_GROUP_ROWS = 6.0  # the same where so few values could also be a category, such as a style


@dataclasses.dataclass(frozen=True)
class Roles:
    """The column of each role; None where the table has none.

    images: the columns with paths, the main one first. categories: {cell: category} where the
    cells are paths of categories. groups: {cell: product}. descriptions: one of each column, in the
    table's order. notes: remarks for the report.
    """

    images: tuple[str, ...]
    category: str | None
    categories: dict[str, str]
    caption: str | None
    split: SplitColumn | None
    group: str | None
    groups: dict[str, str]
    attributes: tuple[Column, ...]
    descriptions: tuple[ColumnDescription, ...]
    notes: tuple[str, ...]

    def read_category(self, row: Cells) -> str | None:
        """The category of a row."""
        cell = read_cell(row.get(self.category)) if self.category else None
        return self.categories.get(cell, cell)

    def read_group(self, row: Cells) -> str | None:
        """The product that a row shows, in one spelling."""
        cell = read_cell(row.get(self.group)) if self.group else None
        return self.groups.get(cell, cell)


def find_roles(
    table: TableText, image: str = "", category: str = "", kinds: dict[str, str] | None = None,
    is_file: Callable[[str], bool] = lambda path: False,
) -> Roles:  # fmt: skip
    """The roles of a table's columns, from their names and cells.

    image, category: the columns that the config names, or "". kinds: of single columns, as
    `parse_kinds` gives them. is_file(path) says whether a cell names a file. UsageError where a
    column does not exist, or none has images.
    """
    header = table.header
    kinds = merge_kinds(kinds or {}, header, image, category)
    rows = [row.cells for row in table.rows if not row.problem]
    columns = read_columns(table)
    cells = {name: column.texts for name, column in columns.items()}
    by_kind = {kind: [name for name in kinds if kinds[name] == kind] for kind in KINDS}
    rest = [name for name in header if name not in kinds]

    trials = image_columns.PathTrials(rest, rows, is_file)
    images = by_kind["image"] or [image_columns.find_image_column(rest, trials)]
    rest = [name for name in rest if name not in images]
    extra_images = (
        [] if by_kind["image"] else shop_exports.find_extra_image_columns(rest, images[0], rows)
    )
    rest = [name for name in rest if name not in extra_images]
    # Other columns of paths are no attributes. Neither is a column of the split that holds none.
    left_out = image_columns.find_unused_images(rest, trials, images[0])
    rest = [name for name in rest if name not in left_out]
    category = (by_kind["category"] or [_first_match(rest, CATEGORY_NAMES)])[0]
    categories, category_remark = {}, ""
    if category:
        categories, category_remark = shop_exports.shorten_category_paths(category, cells[category])
    split_name = (by_kind["split"] or [_first_match(rest, split_column.COLUMN_NAMES)])[0]
    split, split_remark = split_column.read_split_column(
        split_name, cells.get(split_name, ()), is_explicit=bool(by_kind["split"])
    )
    left_out |= {split_name: split_remark} if split_remark and not split else {}
    group = (by_kind["group"] or [_find_group_column(rest, cells, len(rows))])[0]
    groups = identifiers.unify_identifiers(cells[group]) if group else {}
    caption = (by_kind["caption"] or [_first_match(rest, CAPTION_NAMES)])[0]

    roles = {name: "image" for name in (*images, *extra_images)}
    roles |= {category: "category", group: "group", caption: "caption"}
    roles |= {split_name: "split"} if split else {}
    reasons = {category: category_remark, split_name: split_remark}
    reasons |= {group: "" if by_kind["group"] else "found by its name and its repeated values"}
    reasons |= dict.fromkeys(extra_images, "further images of the row")
    left_out |= {
        name: f"{columns[name].describe_nested()}; write one value in each cell"
        for name in header
        if columns[name].is_nested and name in rest and name not in roles
    }
    hint = numerals.find_decimal_mark(columns[name].counts for name in rest)
    hint = hint or ("," if table.delimiter == ";" else "")
    attributes, descriptions, notes = [], [], []
    for name in header:
        if name in roles:
            values = {category: categories, group: groups}.get(name, {})
            counts = map_counts(columns[name].counts, values)
            description = _describe_role(name, roles[name], counts, reasons.get(name))
        elif name in left_out:
            description = ColumnDescription(name, "ignored", reason=left_out[name])
        else:
            column, description = infer_attribute(name, cells[name], kinds.get(name, ""), hint)
            attributes += [column] if column else []
        descriptions.append(_add_missing_words(description, columns[name]))
        notes += _remark_on_column(description, columns[name])
    if group:
        notes += identifiers.describe_unified(group, groups)
    return Roles(
        tuple(images + extra_images), category, categories, caption, split, group, groups,
        tuple(attributes), tuple(descriptions), tuple(notes),
    )  # fmt: skip


def _describe_role(
    name: str, role: str, counts: Mapping[str, int], reason: str | None
) -> ColumnDescription:
    """What was decided for a column with a role. counts: how often each of its values occurs."""
    content = f"{len(counts)} products" if role == "group" else ""
    if role in ("category", "split"):
        content = describe_counts(counts)
    return ColumnDescription(name, role, "", content, reason or "")


def _add_missing_words(description: ColumnDescription, column: ColumnCells) -> ColumnDescription:
    """The description with the words that are read as missing, of a column in use."""
    words = column.describe_missing_words()
    if not words or description.kind == "ignored":
        return description
    reason = "; ".join(filter(None, (description.reason, f"read as missing: {words}")))
    return dataclasses.replace(description, reason=reason)


def _remark_on_column(description: ColumnDescription, column: ColumnCells) -> list[str]:
    """Remarks on a column: why it is ignored, or which of its cells need attention."""
    name, kind = description.name, description.kind
    if kind == "ignored":
        return [f"column {name!r} is not used: {description.reason}"]
    remarks = []
    if kind != "image" and column.num_nested:
        remarks.append(f"column {name!r}: {column.describe_nested()}; they count as missing")
    if kind == "split" and description.reason:
        remarks.append(f"column {name!r}: {description.reason}")
    words = column.describe_missing_words()
    if kind == "category" and words:
        remarks.append(
            f"column {name!r}: {words} is read as missing, and these images have no category; "
            "rename it in the table if it is a category"
        )
    if kind == "categorical":  # the report remarks on categories itself
        counts = column.counts
        remarks += [
            f"column {name!r}: {rare!r} ({counts[rare]}) and {frequent!r} ({counts[frequent]}) "
            "may be the same"
            for rare, frequent in find_variants(counts)[:MAX_LISTED_VALUES]
        ]
    if kind in ("category", "categorical", "group"):
        remarks += identifiers.describe_zero_variants(name, column.counts)
    return remarks


def _first_match(header: Sequence[str], usual_names: Sequence[str]) -> str | None:
    by_lower_name = {name.lower(): name for name in reversed(header)}
    return next((by_lower_name[name] for name in usual_names if name in by_lower_name), None)


def _find_group_column(
    header: Sequence[str], cells: Mapping[str, Sequence[str | None]], num_rows: int
) -> str | None:
    """The column that says which product a row shows: the one with the largest groups."""
    names = {name.lower() for name in header} & set(GROUP_NAMES)
    sizes = {}
    for name in (name for name in header if name.lower() in names):
        values = [value for value in cells[name] if value]
        num_groups = len(set(map(identifiers.make_identifier_key, values)))
        size = len(values) / max(1, num_groups)
        is_identifier = any(word in name.lower() for word in IDENTIFIER_WORDS)
        is_certain = is_identifier or num_groups > MAX_CATEGORIES
        limit = MAX_GROUP_ROWS if is_certain else MAX_FEW_GROUP_ROWS
        if 1 < size <= limit and 2 * len(values) >= num_rows:
            sizes[name] = size
    return max(sizes, key=lambda name: sizes[name], default=None)
