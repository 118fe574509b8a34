"""The attribute that a column of a table holds: a number with its unit, an angle, or categories."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Mapping, Sequence

from prodgen.core.types import Attribute
from prodgen.data import numerals
from prodgen.data.source import ColumnDescription, Value
from prodgen.data.table_reader import Cells, read_cell

ID_PATTERN = re.compile(r"(.*[_ -])?(id|ids|uuid|guid|sku|ean|gtin|upc|asin|index)$|unnamed: \d+$")
UNIT_PATTERN = re.compile(r"^(.+?)\s*[(\[]([^)\]]+)[)\]]$")  # as in "height (cm)"
LEADING_ZERO = re.compile(r"[+-]?0\d")
BOOLEANS = {"true", "false"}
DEGREES = ("deg", "degree", "degrees", "°")
DECIMALS = {"number_point": ".", "number_comma": ","}  # of a kind in config.data.columns
MAX_CATEGORIES = 64  # of an attribute; with more values it is free text or an identifier
MAX_INTEGER_CATEGORIES = 10  # whole numbers with more distinct values are a number
MAX_LISTED_VALUES = 6
MAX_NAME_CHARACTERS = 200  # of a column; longer ones are broken tables


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that holds an attribute. values: {cell: its value}, of every cell that has one."""

    header: str
    attribute: Attribute
    values: Mapping[str, Value]

    def value(self, row: Cells) -> Value:
        """The row's value: a category as text, a number or angle as float, None if unknown."""
        return self.values.get(read_cell(row.get(self.header)) or "")


def infer_attribute(
    name: str, cells: Sequence[str | None], kind: str, hint: str
) -> tuple[Column | None, ColumnDescription]:
    """(the attribute that a column holds, or None, and what was decided).

    kind: as config.data.columns gives it, or "". hint: the table's usual decimal mark.
    """
    counts = collections.Counter(cell for cell in cells if cell is not None)
    problem = ""
    if kind == "ignore":
        problem = "config.data.columns says so"
    elif len(name) > MAX_NAME_CHARACTERS:
        problem = f"its name has {len(name)} characters"
    elif not counts:
        problem = "it is empty"
    elif not kind and ID_PATTERN.match(name.strip().lower()):
        problem = "its name is that of an identifier"
    if problem:
        return None, ColumnDescription(name, "ignored", reason=problem)
    if kind == "categorical":
        return _make_categorical(name, counts, {}, "", is_free=True)
    rule, reason = numerals.find_rule(counts, hint, DECIMALS.get(kind, ""), has_texts=bool(kind))
    numbers = {text: rule.read(text) for text in counts} if rule else {}
    numbers = {text: number for text, number in numbers.items() if number is not None}
    is_plain = not kind and rule is not None and not rule.unit
    if is_plain and _numbers_rows([numbers.get(cell) for cell in cells]):
        return None, ColumnDescription(name, "ignored", reason="it numbers the rows")
    # A few whole numbers without a unit are categories, such as a number of pieces.
    is_whole = all(number.is_integer() for number in numbers.values())
    is_few = len(set(numbers.values())) <= MAX_INTEGER_CATEGORIES
    # Where "007" and "7" both occur, they are codes.
    is_code = is_plain and is_whole and _has_codes(numbers)
    if rule and numbers and not is_code and (kind or rule.unit or not is_whole or not is_few):
        return _make_number(name, kind, rule.unit, numbers, reason)
    if kind:
        reason = f"config.data.columns says {kind}, but {reason or 'no cell is a number'}"
        return None, ColumnDescription(name, "ignored", reason=reason)
    # A column without a rule says which kinds would read most of its cells.
    num_numerals = sum(n for text, n in counts.items() if numerals.parse_numeral(text))
    ways = []
    for each in ("number", *DECIMALS) if not rule and 2 * num_numerals > counts.total() else ():
        rule_of_kind, _ = numerals.find_rule(counts, hint, DECIMALS.get(each, ""), has_texts=True)
        texts = [text for text in counts if rule_of_kind and rule_of_kind.read(text) is not None]
        if (
            2 * sum(counts[text] for text in texts) > counts.total()
            and f"{name}=number" not in ways
        ):
            ways.append(f"{name}={each}")
    if ways:
        reason += f"; config.data.columns={' or '.join(ways)} reads the numbers"
    return _make_categorical(name, counts, numbers, reason, is_free=False)


def _has_codes(numbers: Mapping[str, float]) -> bool:
    """Whether whole numbers are written both with leading zeros and without."""
    return any(
        LEADING_ZERO.match(text) and str(int(number)) in numbers for text, number in numbers.items()
    )


def _numbers_rows(numbers: Sequence[float | None]) -> bool:
    """Whether a column counts the rows: 1, 2, 3, ..., from 0 or 1 on."""
    if len(numbers) <= MAX_INTEGER_CATEGORIES or None in numbers or numbers[0] not in (0, 1):
        return False
    return all(b - a == 1 for a, b in zip(numbers, numbers[1:], strict=False))


def _make_number(
    name: str, kind: str, unit: str, numbers: Mapping[str, float], remark: str
) -> tuple[Column, ColumnDescription]:
    """A number or an angle; its unit is that of the cells, or of a name like "height (cm)"."""
    match = UNIT_PATTERN.match(name)
    unit = unit or (match.group(2).strip() if match else "")
    is_angle = kind == "angle" or unit.lower() in DEGREES or name.lower().endswith("_deg")
    unit = unit or ("deg" if is_angle else "")
    attribute = Attribute(name, "angle" if is_angle else "number", unit=unit)
    content = f"from {min(numbers.values()):g} to {max(numbers.values()):g}"
    description = ColumnDescription(name, attribute.kind, unit, content, remark)
    return Column(name, attribute, numbers), description


def _make_categorical(
    name: str, counts: Mapping[str, int], numbers: Mapping[str, float], reason: str, is_free: bool
) -> tuple[Column | None, ColumnDescription]:
    """Categories; left out where there are too many, or where they look like numbers.

    counts: of each cell. numbers: {cell: number} where all are numbers. reason: why they are none.
    """
    # "38.0" is the category "38", "True" is "true"; "007" is a code, which "7" is not.
    values = {
        text: str(int(numbers[text])) if text in numbers and not LEADING_ZERO.match(text) else text
        for text in counts
    }
    if {text.lower() for text in counts} <= BOOLEANS:
        values = {text: text.lower() for text in counts}
    order = {values[text]: number for text, number in numbers.items()}
    categories = tuple(sorted(set(values.values()), key=lambda text: (order.get(text, 0), text)))
    num_numeric = 0 if numbers else sum(map(numerals.looks_like_number, categories))
    problem, remark = "", ""
    if num_numeric > MAX_INTEGER_CATEGORIES:
        problem = f"{num_numeric} values look like numbers, but {reason}; "
        problem += f"config.data.columns={name}=categorical makes them categories"
    elif len(categories) > MAX_CATEGORIES:
        problem = f"{len(categories)} different values, at most {MAX_CATEGORIES} make a category"
    elif 2 * num_numeric > len(categories):
        remark = f"values look like numbers, but {reason}"
    if problem and not is_free:
        return None, ColumnDescription(name, "ignored", reason=problem)
    column = Column(name, Attribute(name, "categorical", categories), values)
    content = describe_counts(map_counts(counts, values))
    return column, ColumnDescription(name, "categorical", "", content, remark)


def map_counts(counts: Mapping[str, int], values: Mapping[str, str]) -> dict[str, int]:
    """The counts of cells as counts of their values, {cell: value}; other cells stay."""
    result: dict[str, int] = collections.Counter()
    for text, count in counts.items():
        result[values.get(text, text)] += count
    return result


def describe_counts(counts: Mapping[str, int]) -> str:
    """ "3 values: Hat (30), Skirt (30), Pants (30)", the most frequent first."""
    most_frequent = collections.Counter(counts).most_common(MAX_LISTED_VALUES)
    more = ", ..." if len(counts) > MAX_LISTED_VALUES else ""
    noun = "value" if len(counts) == 1 else "values"
    return f"{len(counts)} {noun}: {', '.join(f'{v} ({n})' for v, n in most_frequent)}{more}"
