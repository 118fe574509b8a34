"""A table of batch requests, one a row: what to make, checked before anything is computed.

Columns: category, or photo (a path from the table's folder) with edit: vary (strength, keep),
views, recolour (colour, method) or background; attributes, as in colour=red;azimuth=30; seed;
count; size, pixels of the longer side; background, a colour or an image (a path like photo's);
name, of the files. Every cell may be empty. A category of the run, and a word as a name, are what
they are, also NA or null.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import html
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.config import registry
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.core.file_names import check_file_name, format_name
from prodgen.core.files import hash_file
from prodgen.core.pairs import PAIR_EXAMPLE, parse_pairs
from prodgen.core.spelling import compose, find_spelling
from prodgen.data.cells import join_pairs, read_name, read_rows, unwrap_cell
from prodgen.data.conditions import Conditions
from prodgen.data.image_paths import NO_FILE, ImagePaths
from prodgen.data.numerals import parse_number
from prodgen.data.shop_exports import list_paths
from prodgen.data.table_reader import ENTITY, read_cell
from prodgen.editing import STRENGTH

COLUMNS = (
    "name", "category", "photo", "attributes", "seed", "count", "size", "background", "edit",
    "strength", "keep", "colour", "method",
)  # fmt: skip
PATH_COLUMNS = ("photo", "background")
COLUMNS_WITHOUT_EFFECT = {  # by edit; "" is a row without a photo
    "": ("colour", "method"),
    "vary": ("colour", "method"),
    "views": ("strength", "keep", "colour", "method"),
    "recolour": ("category", "attributes", "strength", "keep"),
    "background": ("category", "attributes", "strength", "keep", "colour", "method"),
}
SINGLE_IMAGE_EDITS = ("recolour", "background")  # one image, at the photo's own resolution
RECOLOUR_METHODS = ("classical", "generated")  # the first by default
MAX_TABLE_BYTES, MAX_COUNT, MAX_SIZE_PX, MAX_NAME_BYTES = 50_000_000, 10_000, 4096, 200
MAX_CAUTIONS = 8  # that are printed
OPTIONAL_KEY_COLUMNS = ("colour", "method")  # not in a key where empty: so older keys still hold


@dataclasses.dataclass(frozen=True)
class BatchRequest:
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
    def needs_inversion(self) -> bool:
        """Whether its photo is inverted into the run."""
        return self.edit in ("vary", "views") or self.method == "generated"

    @property
    def needs_guard(self) -> bool:
        """Whether copies of training images are refused: views and edits are a user's own."""
        return self.edit in ("", "vary")

    @property
    def needs_cutout(self) -> bool:
        """Whether a product is cut out for its images."""
        return self.edit in SINGLE_IMAGE_EDITS or bool(self.background)

    @property
    def background_file(self) -> str:
        """The file of its background, "" for a colour."""
        return self.background if Path(self.background).suffix else ""

    def file_names(self) -> list[str]:
        """The names of its images."""
        return [f"{self.name}_{k:03d}.png" for k in range(self.count)]

    def input_hashes(self, folder: Path) -> dict[str, str]:
        """The sha256 of each file that it names."""
        files = (self.photo, self.background_file)
        return {file: hash_file(folder / file) for file in files if file}

    def key(self, origin: str) -> str:
        """A hash of everything that its images follow from: the row and, as `origin`, the run."""
        row = dataclasses.asdict(self) | {"line": 0, "origin": origin}
        row = {
            name: value for name, value in row.items() if value or name not in OPTIONAL_KEY_COLUMNS
        }
        return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class RequestTable:
    """rows: (line, cells by the names of COLUMNS, "" where empty). problems: (line, reason) of the
    rows that cannot be read. notes: what was guessed when the table was read."""

    rows: tuple[tuple[int, Mapping[str, str]], ...]
    problems: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]


def read_requests(path: Path, categories: Collection[str] = ()) -> RequestTable:
    """The rows of a table of requests. categories: of the run.

    MissingInput, BadData or UsageError, each with the next step, for a file that is no such table.
    """
    if path.is_dir():
        raise UsageError(f"--table={path} is a folder", "name a .csv file in it")
    if not path.is_file():
        raise MissingInput(f"--table={path} does not exist", "name a .csv file")
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise BadData(f"--table={path} has more than {MAX_TABLE_BYTES} bytes", "split it")
    table = read_rows(path)
    names = {name: find_spelling(name.lower().replace(" ", "_"), COLUMNS) for name in table.header}
    unknown = [name for name, column in names.items() if column not in COLUMNS]
    if unknown:
        raise UsageError(
            f"--table={path}: column {unknown[0]!r} is not known",
            f"the columns are {', '.join(COLUMNS)}",
        )
    if len(set(names.values())) < len(names):
        raise UsageError(f"--table={path} has a column twice: {', '.join(names)}", "leave one out")
    rows, problems = [], []
    for row in table.rows:
        cells = dict.fromkeys(COLUMNS, "")
        try:
            if row.problem:
                raise RejectedItem(row.problem)
            cells |= {names[n]: _read_text(names[n], c, categories) for n, c in row.cells.items()}
        except RejectedItem as problem:
            problems.append((row.line, str(problem)))
            continue
        if any(cells.values()):
            rows.append((row.line, cells))
    if not rows and not problems:
        raise BadData(f"--table={path} holds no rows", "add a row for each request")
    return RequestTable(tuple(rows), tuple(problems), table.notes)


def _read_text(column: str, cell: Any, categories: Collection[str]) -> str:
    """The text of a cell, "" where it is missing; RejectedItem where it is a list or an object that
    cannot be meant."""
    if column in PATH_COLUMNS:
        # A path may have entities of HTML in its own name; other cells are read as text.
        files = list_paths(cell)
        if len(files) > 1:
            raise RejectedItem(f"{column} has {len(files)} files; write a row for each")
        if cell and isinstance(cell, (list, dict)) and not files:
            raise RejectedItem(f"{column} is a JSON value without a path")
        return files[0] if files else ""
    if column == "attributes":
        text = join_pairs(column, cell)
        return text if read_cell(text) else ""  # its entities are decoded value by value
    if column == "keep" and isinstance(cell, list):
        cell = " ".join(str(unwrap_cell(column, word)) for word in cell)
    cell = unwrap_cell(column, cell)
    if column == "category":
        text = "" if cell is None else str(cell)
        for name in (text, compose(text), compose(text).strip()):
            if name in categories:
                return name
    return read_name(cell) if column == "name" else read_cell(cell) or ""


def list_files(row: Mapping[str, str]) -> list[str]:
    """The paths of the files that a row names: its photo, and a background that is no colour."""
    return [path for column in PATH_COLUMNS for path in [row[column]] if is_file(column, path)]


def is_file(column: str, cell: str) -> bool:
    """Whether a cell of PATH_COLUMNS names a file; a background can be a colour."""
    return bool(cell) and (column == "photo" or bool(Path(cell).suffix))


def parse_request(
    line: int, row: Mapping[str, str], conditions: Conditions, paths: ImagePaths
) -> BatchRequest:
    """The request of one row; UsageError says what is wrong. paths: of the table's folder."""
    name = row["name"]
    problem = name and check_file_name(name, MAX_NAME_BYTES)
    if problem:
        raise UsageError(f"name {format_name(name)!r} {problem}")
    edit = find_spelling(row["edit"], COLUMNS_WITHOUT_EFFECT)
    keep = row["keep"].replace("|", " ").replace(",", " ").split()
    request = BatchRequest(
        line, name or f"line{line:05d}", row["category"], _find_file(row, "photo", paths),
        _parse_attributes(row["attributes"]),
        _parse_number(row, "seed", int, 0, 2**31 - 2, 0),
        _parse_number(row, "count", int, 1, MAX_COUNT, 1),
        _parse_number(row, "size", int, 16, MAX_SIZE_PX, 0),
        _find_file(row, "background", paths), edit,
        _parse_number(row, "strength", float, 0, 1, STRENGTH),
        tuple(find_spelling(word, registry.KEEP_CHOICES) for word in keep) or ("category",),
        row["colour"], row["method"] or (RECOLOUR_METHODS[0] if edit == "recolour" else ""),
    )  # fmt: skip
    _check_edit(request, row)
    for word in request.keep:
        if word not in registry.KEEP_CHOICES:
            raise UsageError(
                f"keep {word!r} is not known; known: {', '.join(registry.KEEP_CHOICES)}"
            )
    # Raises for an unknown category or attribute.
    conditions.pick(0, np.arange(1), request.category, dict(request.attributes))
    return request


def describe_cautions(requests: Sequence[BatchRequest], conditions: Conditions) -> list[str]:
    """Sentences on requests that can be fulfilled and that are probably not meant, the first ones:
    numbers outside of the training images' range, categories that differ by spaces alone, and rows
    that make the same images."""
    sentences = []
    for request in requests:
        row = conditions.describe_extrapolation(dict(request.attributes))
        for name in conditions.spec.classes:
            if name.strip() == request.category.strip() and name != request.category:
                row.append(f"category {request.category!r} is taken, not {name!r}")
        sentences += [f"line {request.line}: {sentence}" for sentence in row]
    more = len(sentences) - MAX_CAUTIONS
    sentences[MAX_CAUTIONS:] = [f"{more} more cautions of these kinds"] * (more > 0)
    # The k-th sample, or variation, follows from these fields and from k.
    lines = collections.defaultdict(list)
    for request in requests:
        if request.edit in ("", "vary"):
            count = 1 if request.edit == "" else request.count
            key = dataclasses.replace(request, line=0, name="", count=count)
            lines[key].append(request.line)
    groups = [group for group in lines.values() if len(group) > 1]
    if groups:
        listed_lines = ", ".join(map(str, groups[0][:MAX_CAUTIONS]))
        more_lines = ", ..." * (len(groups[0]) > MAX_CAUTIONS)
        more_groups = f", and {len(groups) - 1} more such groups of lines" * (len(groups) > 1)
        sentences.append(
            f"lines {listed_lines}{more_lines} make the same images, as only their names or counts "
            f"differ{more_groups}; give each row its own seed"
        )
    return sentences


def _parse_attributes(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a cell, separated by ";" or ","; that of an entity of HTML separates none."""
    for entity in ENTITY.finditer(text):
        if html.unescape(entity[0]) != entity[0]:
            text = text.replace(entity[0], entity[0][:-1] + "\0")
    try:
        pairs = parse_pairs(text, ";,")
    except ValueError as error:
        raise UsageError(
            f"attributes: {error}; write it {PAIR_EXAMPLE}".replace("\0", ";")
        ) from None
    return tuple((name.replace("\0", ";"), value.replace("\0", ";")) for name, value in pairs)


def _parse_number(row: Mapping[str, str], name: str, kind: type, low: float, high: float, default):
    """The number in a cell, within low and high; the default where it is empty."""
    if not row[name]:
        return default
    number = parse_number(row[name])
    if number is None or (kind is int and not number.is_integer()):
        kind_name = "a number" if number is None else "a whole number"
        raise UsageError(f"{name} {row[name]!r} is not {kind_name}")
    value = kind(number)
    if not low <= value <= high:
        raise UsageError(f"{name} {value} is not from {low} to {high}")
    return value


def _check_edit(request: BatchRequest, row: Mapping[str, str]) -> None:
    """UsageError for an edit that is unknown, or that does not go with the other columns."""
    edit = request.edit
    if edit not in COLUMNS_WITHOUT_EFFECT:
        choices = ", ".join(filter(None, COLUMNS_WITHOUT_EFFECT))
        raise UsageError(f"edit {edit!r} is not known; known: {choices}")
    if bool(edit) != bool(request.photo):
        problem = "names no photo" if edit else "names no edit, such as vary"
        raise UsageError(f"it {problem}")
    for column in COLUMNS_WITHOUT_EFFECT[edit]:
        if row[column]:
            condition = f"with edit {edit}" if edit else "in a row without an edit"
            raise UsageError(f"{column} has no effect {condition}")
    if edit in SINGLE_IMAGE_EDITS and request.count > 1:
        raise UsageError(f"count {request.count}: edit {edit} makes one image of a photo")
    if edit == "recolour" and not request.colour:
        raise UsageError("edit recolour needs a colour, as in teal or #203a5f")
    if edit == "recolour" and request.method not in RECOLOUR_METHODS:
        choices = ", ".join(RECOLOUR_METHODS)
        raise UsageError(f"method {request.method!r} is not known; known: {choices}")


def _find_file(row: Mapping[str, str], column: str, paths: ImagePaths) -> str:
    """The path of a photo, or of a background that is a file, from the table's folder.

    UsageError for a file outside the folder, or for one that cannot be read.
    """
    file = row[column]
    if not is_file(column, file):
        return file
    real_path, reason = paths.find(file)
    if reason.startswith("outside"):
        raise UsageError(f"{column} {file!r} lies outside the table's folder")
    if reason:
        # "missing: no such file; ..." or, of several files, "missing: it could be ...; ..."
        reason = reason.replace(NO_FILE, " does not exist").removeprefix("missing")
        raise UsageError(f"{column} {file!r}{reason}")
    if not os.access(real_path, os.R_OK):
        raise UsageError(f"{column} {file!r} cannot be read")
    # The path as it was written, where it leads to the file.
    is_path = os.path.isfile(paths.root / file)
    return file if is_path else os.path.relpath(real_path, paths.real_root)
