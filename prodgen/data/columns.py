"""The roles of a product table's columns: image, category, attribute, caption, split."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

from prodgen.config import registry
from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute
from prodgen.data.source import SplitName, Value

IMAGE_NAMES = ("path", "image", "file", "filename", "image_path", "file_name", "filepath",
               "picture", "photo", "img")  # fmt: skip
CATEGORY_NAMES = ("category", "label", "class", "type")
CAPTION_NAMES = ("caption", "description", "title")
ID_PATTERN = re.compile(r"(.*[_ -])?(id|ids|uuid|guid|sku|ean|gtin|upc|asin|index)$|unnamed: \d+$")
UNIT_PATTERN = re.compile(r"^(.+?)\s*[(\[]([^)\]]+)[)\]]$")  # as in "height (cm)"
DEGREES = ("deg", "degree", "degrees", "°")
MISSING_VALUES = ("", "nan", "na", "n/a", "null", "<na>")
BOOLEANS = {"true", "false"}
SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
MAX_CATEGORIES = 64  # of an attribute; with more values it is free text or an identifier
MAX_INTEGER_CATEGORIES = 10  # whole numbers with more distinct values are a number


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that holds an attribute; is_boolean: its values are compared in lower case."""

    header: str
    attribute: Attribute
    is_boolean: bool = False

    def value(self, row: dict[str, Any]) -> Value:
        """The row's value: a category as text, a number or angle as float, None if unknown."""
        text = read_cell(row.get(self.header))
        if text is None:
            return None
        if self.attribute.kind == "categorical":
            return text.lower() if self.is_boolean else text
        return float(text)


@dataclasses.dataclass(frozen=True)
class Roles:
    """The column of each role; None where the table has no such column. notes: unused columns."""

    image: str
    category: str | None
    caption: str | None
    split: str | None
    attributes: tuple[Column, ...]
    notes: tuple[str, ...]


def find_roles(
    header: Sequence[str], rows: Sequence[dict[str, Any]], image: str = "", category: str = ""
) -> Roles:
    """The roles of the columns `header`, from their names and the values in `rows`.

    image, category: the columns that the config names, or "". UsageError names the field and lists
    the columns where a column of the config does not exist or none has a usual name for images.
    """
    header = list(dict.fromkeys(name for name in header if name))
    image = _find_column(header, image, IMAGE_NAMES, "image_column")
    if image is None:
        raise UsageError(
            f"no column of the table holds the images' paths; columns: {', '.join(header)}",
            "name the column of the paths image; or set config.data.image_column=COLUMN",
        )
    rest = [name for name in header if name != image]
    category = _find_column(rest, category, CATEGORY_NAMES, "category_column")
    rest = [name for name in rest if name != category]
    caption = _first_match(rest, CAPTION_NAMES)
    # A column "split" counts where its only values are train, validation and test.
    split = _first_match(rest, ("split",))
    splits = {read_cell(row.get(split)) for row in rows} - {None} if split else set()
    if not splits or not {value.lower() for value in splits} <= set(SPLIT_NAMES):
        split = None
    attributes, notes = [], []
    for name in (name for name in rest if name not in (caption, split)):
        column, reason = _infer_attribute(name, [read_cell(row.get(name)) for row in rows])
        if column is None:
            notes.append(f"column {name!r} is not used: {reason}")
        else:
            attributes.append(column)
    return Roles(image, category, caption, split, tuple(attributes), tuple(notes))


def read_cell(value: Any) -> str | None:
    """The text of a cell, None where it is missing."""
    if value is None or isinstance(value, (list, dict)):
        return None
    text = str(value).strip()
    return None if text.lower() in MISSING_VALUES else text


def to_cell(value: Any) -> Any:
    """A JSON value as a cell: booleans as text, lists and objects unchanged (they are not used)."""
    return str(value).lower() if isinstance(value, bool) else value


def normalise_decimal(cell: str) -> str:
    """ "3,5" as "3.5": tables with semicolons usually have decimal commas."""
    return cell.replace(",", ".") if re.fullmatch(r"[+-]?\d+,\d+", cell) else cell


def _find_column(
    header: list[str], name: str, usual_names: tuple[str, ...], field: str
) -> str | None:
    """The column that config.data.`field` names, or without a name the first with a usual one."""
    if not name:
        return _first_match(header, usual_names)
    if name not in header:
        hint = registry.suggest_names(name, header).replace("known:", "the table's columns:")
        raise UsageError(
            f"config.data.{field}={name!r} is no column of the table; {hint}",
            f"give the table this column; or set config.data.{field}=COLUMN",
        )
    return name


def _first_match(header: list[str], usual_names: tuple[str, ...]) -> str | None:
    by_lower_name = {name.lower(): name for name in reversed(header)}
    return next((by_lower_name[name] for name in usual_names if name in by_lower_name), None)


def _infer_attribute(name: str, cells: list[str | None]) -> tuple[Column | None, str]:
    """(the attribute that a column holds, "") or (None, the reason why it holds none)."""
    values = [cell for cell in cells if cell is not None]
    categories = sorted(set(values))
    if not values:
        return None, "it is empty"
    if ID_PATTERN.match(name.strip().lower()):
        return None, "its name is that of an identifier"
    numbers = [_parse_finite(value) for value in categories]
    if None not in numbers:
        all_whole = all(number.is_integer() for number in numbers)
        if all_whole and len(numbers) > MAX_INTEGER_CATEGORIES:
            row_numbers = [float(value) for value in values]
            steps = zip(row_numbers, row_numbers[1:], strict=False)
            if all(after - before == 1 for before, after in steps):
                return None, "it numbers the rows"
        if not all_whole or len(numbers) > MAX_INTEGER_CATEGORIES:
            # The unit comes from a name like "height (cm)"; degrees make an angle.
            match = UNIT_PATTERN.match(name)
            unit = match.group(2).strip() if match else ""
            is_angle = unit.lower() in DEGREES or name.lower().endswith("_deg")
            kind = "angle" if is_angle else "number"
            unit = unit or ("deg" if is_angle else "")
            return Column(name, Attribute(name, kind, unit=unit)), ""
        categories = sorted(categories, key=float)
    is_boolean = {value.lower() for value in categories} <= BOOLEANS
    if is_boolean:
        categories = sorted({value.lower() for value in categories})
    if len(categories) > MAX_CATEGORIES:
        reason = f"{len(categories)} different values, at most {MAX_CATEGORIES} make a category"
        return None, reason
    return Column(name, Attribute(name, "categorical", tuple(categories)), is_boolean), ""


def _parse_finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
