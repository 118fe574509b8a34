"""The products of a shop's table with their photos. No photo is guessed: the table names it.

A row that cannot be used is a problem with its reason, and so is a photo that no row names.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Sequence, Set
from pathlib import Path

from prodgen.apps.common.image_files import ImageFile
from prodgen.apps.common.sku_photos import assign_photos
from prodgen.core.errors import UsageError
from prodgen.core.file_names import add_hash, casefold_name, make_file_name
from prodgen.data import columns, image_columns, shop_exports
from prodgen.data.identifiers import make_identifier_key
from prodgen.data.image_paths import ImagePaths
from prodgen.data.table_reader import Cells, Row, TableText, read_cell, read_table

SKU_NAMES = (
    "sku", "variant sku", "item_sku", "item sku", "seller_sku", "seller-sku", "article number",
    "article_number", "article_id", "article id", "artikelnummer", "product_id", "product id",
    "productid", "product_code", "product code", "style_code", "style code", "asin", "ean", "gtin",
    "handle", "id",
)  # fmt: skip
TITLE_NAMES = (
    "title", "name", "product_name", "product name", "productdisplayname", "product_title",
    "product title", "item_name", "item name", "titel", "titre", "caption",
)  # fmt: skip
COLOUR_NAMES = (
    "colour", "color", "colour_name", "color_name", "base_colour", "base colour", "basecolour",
    "farbe", "couleur",
)  # fmt: skip
PHOTO_COLUMN = "photos named after the SKU"  # of a table that has no other column of photos
ADVICE = "name the column of the photos' paths image; or name each photo after its SKU"
MAX_STEM_BYTES = 120  # of an SKU in a file name: role, colour and shape follow
RESERVED_ENDINGS = ("_main", "_4x5", "_3x4")  # of file names here, beside _alt1 and colours


@dataclasses.dataclass(frozen=True)
class ListingProduct:
    """A product of the table. line: of its row; stem: begins its file names.

    photos: (path in the table, real path) of each, the main one first. title, category, colour: ""
    where unknown.
    """

    line: int
    sku: str
    stem: str
    title: str
    category: str
    colour: str
    photos: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class ListingProblem:
    """A row, or a photo, of which there is no listing. line: of the table; 0 for a photo alone.

    path: of the photo's file, "" where there is none.
    """

    line: int
    sku: str
    photo: str
    reason: str
    path: str = ""


@dataclasses.dataclass(frozen=True)
class ListingTable:
    """products and problems in the order of the table. notes: what was guessed, in words."""

    products: tuple[ListingProduct, ...]
    problems: tuple[ListingProblem, ...]
    notes: tuple[str, ...]


def read_products(
    table: Path,
    folders: Sequence[Path],
    sku_column: str = "",
    colourways: Sequence[str] = (),
    own_paths: Set[Path] = frozenset(),
    photos: Sequence[str] = (),
) -> ListingTable:
    """The products of a table.

    folders: where its paths may begin; that in which most of them are files is taken. colourways:
    names of colours, of which no SKU's stem may end. own_paths: what this mode wrote before.
    photos: the paths of the photos in the first folder; they are found by their SKU where the table
    has no paths (sku_photos.py). BadData or UsageError where the table as a whole cannot be used.
    """
    text = shop_exports.unfold(read_table(table))
    sku_column = _find_column(text.header, sku_column, SKU_NAMES, text.rows)
    try:
        paths, roles = _choose_folder(text, folders, sku_column)
    except UsageError:
        text = _add_photos(text, sku_column, photos)
        if PHOTO_COLUMN not in text.header:
            raise
        paths = ImagePaths(folders[0])
        roles = columns.find_roles(text, kinds={PHOTO_COLUMN: "image"}, is_file=paths.is_file)
    title_column, colour_column = (
        _match_name(text.header, names) for names in (TITLE_NAMES, COLOUR_NAMES)
    )
    names_of_rows = [
        (row, _list_paths(row.cells, roles.images, paths)) for row in text.rows if not row.problem
    ]
    paths.declare(path for _, names in names_of_rows for path in names)
    products: list[ListingProduct] = []
    problems = [ListingProblem(row.line, "", "", row.problem) for row in text.rows if row.problem]
    lines: dict[str, int] = {}  # of each SKU
    stems: dict[str, int] = {}  # of each file name's beginning
    for row, names in names_of_rows:
        sku = read_cell(row.cells.get(sku_column)) or ""
        stem = make_stem(sku, colourways)
        files, refusals = _find_photos(names, paths, own_paths)
        reason = _find_row_problem(row, sku, stem, names, refusals, lines, stems)
        if reason:
            problems.append(ListingProblem(row.line, sku, names[0] if names else "", reason))
            continue
        lines[make_identifier_key(sku)] = stems[casefold_name(stem)] = row.line
        problems += [ListingProblem(row.line, sku, name, why) for name, why in refusals.items()]
        cells = (read_cell(row.cells.get(name)) or "" for name in (title_column, colour_column))
        title, colour = cells
        category = roles.read_category(row.cells) or ""
        products.append(
            ListingProduct(row.line, sku, stem, title, category, colour, tuple(files.items()))
        )
    return ListingTable(tuple(products), tuple(problems), _collect_notes(text, paths))


def _add_photos(text: TableText, sku_column: str, photos: Sequence[str]) -> TableText:
    """The table with a column of the photos that are named after its SKUs, if there are any."""
    skus = [read_cell(row.cells.get(sku_column)) or "" for row in text.rows]
    photos_by_sku = assign_photos(photos, skus)
    if not photos_by_sku:
        return text
    rows = tuple(
        dataclasses.replace(row, cells=row.cells | {PHOTO_COLUMN: photos_by_sku.get(sku, [])})
        for row, sku in zip(text.rows, skus, strict=True)
    )
    note = f"it has no column of photos: {len(photos_by_sku)} products have photos with their SKU"
    return dataclasses.replace(
        text, header=(*text.header, PHOTO_COLUMN), rows=rows, notes=(*text.notes, note)
    )


def make_stem(sku: str, colourways: Sequence[str] = ()) -> str:
    """The beginning of a product's file names, valid on every system.

    An SKU that ends as a file name of another product could has a hash: A_teal, where teal is a
    colourway of A.
    """
    endings = (*RESERVED_ENDINGS, *(f"_{name.lstrip('#')}".casefold() for name in colourways))
    if sku and sku.casefold().endswith(endings):
        return add_hash(sku, max_bytes=MAX_STEM_BYTES)
    return make_file_name(sku, max_bytes=MAX_STEM_BYTES) if sku else ""


def list_unused_photos(
    files: Sequence[ImageFile], products: Sequence[ListingProduct], problems: Sequence
) -> list[ListingProblem]:
    """A problem for each image file that no row of the table names."""
    used_paths = {path for product in products for _, path in product.photos}
    problem_names = {os.path.basename(problem.photo) for problem in problems if problem.photo}
    problems_of_photos = []
    for file in files:
        if not file.is_image or os.path.realpath(file.path) in used_paths:
            continue
        hint = "; the row that names it has a problem" * (file.path.name in problem_names)
        problems_of_photos.append(
            ListingProblem(0, "", file.name, f"no_row: no row names this photo{hint}")
        )
    return problems_of_photos


def _choose_folder(
    text: TableText, folders: Sequence[Path], sku_column: str
) -> tuple[ImagePaths, columns.Roles]:
    """The folder in which most paths of the table are files, and the roles of its columns.

    UsageError where no column but that of the SKUs holds paths.
    """
    candidates, failure = [], None
    for folder in folders:
        paths = ImagePaths(folder)
        try:
            kinds = dict.fromkeys(_list_photo_columns(text, paths), "image")
            roles = columns.find_roles(text, kinds=kinds, is_file=paths.is_file)
            if sku_column in roles.images:  # files are called so: `sku_photos` looks for more
                names = ", ".join(text.header)
                raise UsageError(f"no column of the table holds paths; columns: {names}", ADVICE)
        except UsageError as error:
            failure = failure or error
            continue
        names = [name for row in text.rows for name in _list_paths(row.cells, roles.images, paths)]
        candidates.append((sum(map(paths.is_file, names)), paths, roles))
    if not candidates:
        raise UsageError(failure.message, ADVICE)
    _, paths, roles = max(candidates, key=lambda candidate: candidate[0])
    return paths, roles


def _list_photo_columns(text: TableText, paths: ImagePaths) -> list[str]:
    """The columns of photos by their usual names, the main one first; none without such a name.

    Which files are there plays no part: else a column of further photos, of which more are there,
    would hold the main ones.
    """
    rows = [row.cells for row in text.rows if not row.problem]
    trials = image_columns.PathTrials(text.header, rows, paths.is_file)
    main = _match_name(trials.path_columns, image_columns.IMAGE_NAMES)
    if not main:
        return []
    extra_columns = shop_exports.find_extra_image_columns(text.header, main, rows)
    return [main, *extra_columns]


def _find_column(
    header: Sequence[str], name: str, usual_names: Sequence[str], rows: Sequence[Row]
) -> str:
    """The column of the SKUs: `name`, or the first usual one that has values."""
    if name:
        column = _match_name(header, (name.lower(),))
        if not column:
            raise UsageError(
                f"the table has no column {name!r}; columns: {', '.join(header)}",
                "name one of them with --sku",
            )
        return column
    for usual_name in usual_names:
        column = _match_name(header, (usual_name,))
        if column and any(read_cell(row.cells.get(column)) for row in rows):
            return column
    raise UsageError(
        f"no column of the table holds the SKUs; columns: {', '.join(header)}",
        "name the column sku; or name it with --sku",
    )


def _match_name(header: Sequence[str], usual_names: Sequence[str]) -> str:
    by_lower_name = {name.lower(): name for name in reversed(header)}
    return next((by_lower_name[name] for name in usual_names if name in by_lower_name), "")


def _list_paths(cells: Cells, names: Sequence[str], paths: ImagePaths) -> list[str]:
    """The paths of a row's photos, each once, the main one first."""
    found_paths: dict[str, None] = {}
    for name in names:
        found_paths |= dict.fromkeys(
            shop_exports.split_images(name, cells.get(name), paths.is_whole_path)
        )
    return list(found_paths)


def _find_photos(
    names: Sequence[str], paths: ImagePaths, own_paths: Set[Path]
) -> tuple[dict[str, str], dict[str, str]]:
    """({path: file}, {path: why it has none}) of a row's photos."""
    files, refusals = {}, {}
    for name in names:
        file, reason = paths.find(name)
        if file and not own_paths.isdisjoint((Path(file), *Path(file).parents)):
            file, reason = "", "missing: only an image of an earlier listing has the name"
        (files if file else refusals)[name] = file or reason
    return files, refusals


def _find_row_problem(
    row: Row, sku: str, stem: str, names: Sequence[str], refusals: dict[str, str],
    lines: dict[str, int], stems: dict[str, int],
) -> str:  # fmt: skip
    """Why there is no listing of a row; "" where there is one."""
    if not sku:
        return "no_sku: the row has no SKU; write one"
    other_line = lines.get(make_identifier_key(sku))
    if other_line:
        advice = "give it another SKU, or add its photos to that row"
        return f"repeated_sku: line {other_line} has the SKU {sku!r} already; {advice}"
    if not names:
        return "no_photo: the row names no photo"
    if len(refusals) == len(names):
        return f"no_photo: {next(iter(refusals.values()))}"
    if names[0] in refusals:  # another photo must not become the main one by itself
        return f"no_main_photo: {names[0]}: {refusals[names[0]]}"
    if casefold_name(stem) in stems:
        return f"repeated_name: its file names would be those of line {stems[casefold_name(stem)]}"
    return ""


def _collect_notes(text: TableText, paths: ImagePaths) -> tuple[str, ...]:
    counts = collections.Counter(paths.matches)
    remarks = (f"{count} paths were matched {how}" for how, count in counts.most_common())
    return (*text.notes, *remarks)
