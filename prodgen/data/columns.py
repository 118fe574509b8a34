"""What the columns of a product table are: picture, category, attributes, caption, split."""

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

IMAGE = ("path", "image", "file", "filename", "image_path", "file_name", "filepath", "picture",
         "photo", "img")  # fmt: skip
CATEGORY = ("category", "label", "class", "type")
CAPTION = ("caption", "description", "title")
IDENTIFIER = re.compile(r"(.*[_ -])?(id|ids|uuid|guid|sku|ean|gtin|upc|asin|index)$|unnamed: \d+$")
UNIT = re.compile(r"^(.+?)\s*[(\[]([^)\]]+)[)\]]$")
DEGREES = ("deg", "degree", "degrees", "°")
MISSING = ("", "nan", "na", "n/a", "null", "<na>")
BOOLEANS = {"true", "false"}
SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
MOST_VALUES = 64  # of a categorical attribute; beyond, it is free text or an identifier
FEW_NUMBERS = 10  # whole numbers with no more distinct values are categories


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that holds an attribute; fold: its values are compared in lower case (booleans)."""

    header: str
    attribute: Attribute
    fold: bool = False

    def value(self, row: dict[str, Any]) -> Value:
        """What the row says: a category as text, a number or angle as float, None if unknown."""
        text = read_cell(row.get(self.header))
        if text is None:
            return None
        if self.attribute.kind == "categorical":
            return text.lower() if self.fold else text
        return float(text)


@dataclasses.dataclass(frozen=True)
class Roles:
    """Which column is what; None where the table has no such column."""

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
    the columns where a named one does not exist or no column looks like the picture's path.
    """
    header = list(dict.fromkeys(name for name in header if name))
    picture = _named(header, image, IMAGE, "image_column")
    if picture is None:
        raise UsageError(
            f"no column of the table holds the pictures' paths; columns: {', '.join(header)}",
            "set --config.data.image_column to one of them",
        )
    rest = [name for name in header if name != picture]
    label = _named(rest, category, CATEGORY, "category_column")
    rest = [name for name in rest if name != label]
    caption = _first(rest, CAPTION)
    split = _split_column(rest, rows)
    attributes, notes = [], []
    for name in (name for name in rest if name not in (caption, split)):
        column, why = _attribute(name, [read_cell(row.get(name)) for row in rows])
        if column is None:
            notes.append(f"column {name!r} is not used: {why}")
        else:
            attributes.append(column)
    return Roles(picture, label, caption, split, tuple(attributes), tuple(notes))


def read_cell(value: Any) -> str | None:
    """The text of a cell, None where it is missing."""
    if value is None or isinstance(value, (list, dict)):
        return None
    text = str(value).strip()
    return None if text.lower() in MISSING else text


def to_cell(value: Any) -> Any:
    """A JSON value as a cell: booleans as text, lists and objects kept (they are never used)."""
    return str(value).lower() if isinstance(value, bool) else value


def normalise_decimal(cell: str) -> str:
    """ "3,5" as "3.5": tables with semicolons come from places with decimal commas."""
    return cell.replace(",", ".") if re.fullmatch(r"[+-]?\d+,\d+", cell) else cell


def _named(header: list[str], wanted: str, usual: tuple[str, ...], field: str) -> str | None:
    if not wanted:
        return _first(header, usual)
    if wanted not in header:
        hint = registry.nearest(wanted, header).replace("known:", "the table's columns:")
        raise UsageError(f"config.data.{field}={wanted!r} is no column of the table; {hint}")
    return wanted


def _first(header: list[str], usual: tuple[str, ...]) -> str | None:
    lower = {name.lower(): name for name in reversed(header)}
    return next((lower[name] for name in usual if name in lower), None)


def _split_column(header: list[str], rows: Sequence[dict[str, Any]]) -> str | None:
    """The column "split", where it says nothing but train, validation and test."""
    name = _first(header, ("split",))
    if name is None:
        return None
    values = {read_cell(row.get(name)) for row in rows} - {None}
    return name if values and {value.lower() for value in values} <= set(SPLIT_NAMES) else None


def _attribute(name: str, cells: list[str | None]) -> tuple[Column | None, str]:
    """The attribute that a column holds, or why it holds none."""
    values = [cell for cell in cells if cell is not None]
    distinct = sorted(set(values))
    if not values:
        return None, "it is empty"
    if IDENTIFIER.match(name.strip().lower()):
        return None, "its name says that it identifies products"
    numbers = [_finite(value) for value in distinct]
    if None not in numbers:
        whole = all(number.is_integer() for number in numbers)
        if whole and len(numbers) > FEW_NUMBERS and _counts_up(values):
            return None, "it numbers the rows"
        if not whole or len(numbers) > FEW_NUMBERS:
            return Column(name, _measured(name)), ""
        distinct = sorted(distinct, key=float)
    fold = {value.lower() for value in distinct} <= BOOLEANS
    if fold:
        distinct = sorted({value.lower() for value in distinct})
    if len(distinct) > MOST_VALUES:
        return None, f"{len(distinct)} different values, at most {MOST_VALUES} make a category"
    return Column(name, Attribute(name, "categorical", tuple(distinct)), fold), ""


def _measured(name: str) -> Attribute:
    """A number, its unit from a name like "height (cm)"; an angle where the unit is degrees."""
    match = UNIT.match(name)
    unit = match.group(2).strip() if match else ""
    angle = unit.lower() in DEGREES or name.lower().endswith("_deg")
    return Attribute(name, "angle" if angle else "number", unit=unit or ("deg" if angle else ""))


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _counts_up(values: list[str]) -> bool:
    """Whether every row is one more than the row before."""
    numbers = [float(value) for value in values]
    return all(b - a == 1 for a, b in zip(numbers, numbers[1:], strict=False))
