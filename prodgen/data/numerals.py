"""Numbers in a column of text: one rule for all of its cells, with decimal mark and unit.

"1,000" is a thousand beside "975" and "12,500", and one beside "0,75": a cell alone does not say
which. A column whose cells contradict each other has no rule.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

CURRENCIES = {
    "€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "zł": "PLN", "kr": "kr",
    "us$": "USD", "r$": "BRL", "a$": "AUD", "c$": "CAD",
}  # fmt: skip
CURRENCY_CODES = {
    *("eur", "usd", "gbp", "jpy", "chf", "cad", "aud", "nzd", "sek", "nok", "dkk", "pln", "czk"),
    *("huf", "inr", "cny", "rmb", "brl", "mxn", "zar", "try", "rub", "krw", "sgd", "hkd"),
}
CURRENCY_NAMES = {*CURRENCIES.values(), *(code.upper() for code in CURRENCY_CODES)}
MAX_UNIT_CHARACTERS = 8
MAX_CHARACTERS = 60  # of a number with its unit
MAX_TEXT_FRACTION = 0.05  # of the cells: so few texts among numbers count as missing
DECIMAL_REMARK = {".": "decimal mark '.'", ",": "decimal mark ','"}
NUMBER = re.compile(
    r"(?P<open>\()?\s*(?P<before>[^\d\s.,'+\-\u2212()]{0,4})\s*(?P<sign>[+\-\u2212])?\s*"
    r"(?P<before_number>[^\d\s.,'+\-\u2212()]{0,4})\s*"
    r"(?P<digits>\d(?:[\d.,'\u2019\u00a0\u202f ]*\d)?|[.,]\d+)"
    r"(?P<exponent>[eE][+\-]?\d{1,3})?"
    r"(?:[.,]-+)?\s*(?P<after>[^\d\s()][^\d()]*)?\s*(?P<close>\))?"
)
GROUPS = re.compile(r"\d{1,3}(?:[ '\u2019\u00a0\u202f]\d{3})+(?=$|[.,])")


@dataclasses.dataclass(frozen=True)
class Numeral:
    """One cell, without its marks decided: digits with "." and "," as written, unit, sign."""

    digits: str
    unit: str
    is_negative: bool
    exponent: str

    @property
    def decimal(self) -> str:
        """The decimal mark that the cell proves: ".", ",", "none" without a mark, "" if unsure."""
        marks = [mark for mark in self.digits if mark in ".,"]
        if not marks:
            return "none"
        last, others = marks[-1], marks[:-1]
        if others:
            # The last of two different marks is the decimal one; a repeated one groups.
            return last if last not in others else _other(last)
        whole, fraction = self.digits.split(last)
        can_group = len(fraction) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0"
        if can_group and self.unit in CURRENCY_NAMES:
            return _other(last)  # no price has three decimals
        return "" if can_group else last

    def value(self, decimal: str) -> float | None:
        """The number with that decimal mark; None where the groups of the other are not of 3."""
        whole, _, fraction = self.digits.partition(decimal)
        groups = whole.split(_other(decimal))
        if len(groups) > 1 and (
            not 1 <= len(groups[0]) <= 3 or {len(g) for g in groups[1:]} != {3}
        ):
            return None
        if not (fraction or "0").isdigit() or not ("".join(groups) or "0").isdigit():
            return None
        number = float(f"{''.join(groups) or '0'}.{fraction or '0'}{self.exponent}")
        if not math.isfinite(number):
            return None
        return -number if self.is_negative else number


@dataclasses.dataclass(frozen=True)
class NumberRule:
    """How the cells of a column are read: the decimal mark, and the unit ("" without one)."""

    decimal: str
    unit: str

    def read(self, text: str) -> float | None:
        """The number in a cell; None where it is none by this rule."""
        numeral = parse_numeral(text)
        return None if numeral is None else numeral.value(self.decimal)


def parse_numeral(text: str) -> Numeral | None:
    """The number with a sign, a currency or a unit in a text; None where there is another text."""
    match = NUMBER.fullmatch(text.strip()) if len(text) <= MAX_CHARACTERS else None
    if match is None or bool(match["open"]) != bool(match["close"]):
        return None
    digits = match["digits"]
    # Spaces and apostrophes can only group thousands.
    if re.search(r"[ '\u2019\u00a0\u202f]", digits):
        groups = GROUPS.match(digits)
        if not groups:
            return None
        digits = re.sub(r"[ '\u2019\u00a0\u202f]", "", digits)
    units = [_name_unit(match[name] or "") for name in ("before", "before_number", "after")]
    if None in units:
        return None
    units = [unit for unit in units if unit]
    if len(units) > 1:
        return None
    before = match["before"] or match["before_number"]
    if before and units[0] not in CURRENCY_NAMES:
        return None  # "A12" and "Nr 5" are names
    is_negative = bool(match["open"]) or match["sign"] in ("-", "\u2212")
    return Numeral(digits, units[0] if units else "", is_negative, match["exponent"] or "")


def find_rule(
    counts: Mapping[str, int], hint: str = "", decimal: str = "", has_texts: bool = False
) -> tuple[NumberRule | None, str]:
    """(the rule of a column, a remark) or (None, why it has none).

    counts: of its cells that are not missing. hint: the table's usual decimal mark, or "", for a
    column of which no cell proves its own. decimal: the mark, where the user gives it. has_texts:
    whether any number of texts counts as missing, and not only a few.
    """
    numerals = {text: parse_numeral(text) for text in counts}
    texts = [text for text, numeral in numerals.items() if numeral is None]
    numerals = {text: numeral for text, numeral in numerals.items() if numeral is not None}
    # A few words among many numbers, such as "on request", count as missing.
    num_texts = sum(counts[text] for text in texts)
    is_text = num_texts > MAX_TEXT_FRACTION * sum(counts.values()) and not has_texts
    if not numerals or is_text:
        return None, f"{texts[0]!r} is not a number" if texts else "it is empty"
    remark = f"{num_texts} cells, such as {texts[0]!r}, count as missing" if texts else ""
    units = list(dict.fromkeys(numeral.unit for numeral in numerals.values() if numeral.unit))
    if len(units) > 1:
        return None, f"it has several units: {', '.join(units[:4])}"
    unit = units[0] if units else ""
    unitless = [text for text, numeral in numerals.items() if not numeral.unit]
    if unit == "%" and unitless:
        return None, f"some cells have % and others do not, such as {unitless[0]!r}"
    if unit and unitless:
        remark = "; ".join(filter(None, (remark, f"{unitless[0]!r} is taken as {unit}, too")))
    if decimal:
        return NumberRule(decimal, unit), "; ".join(filter(None, (DECIMAL_REMARK[decimal], remark)))
    by_mark = {numeral.decimal: text for text, numeral in numerals.items()}
    if "." in by_mark and "," in by_mark:
        example = f"{by_mark['.']!r} and {by_mark[',']!r}"
        return None, f"it has decimal points and decimal commas, as in {example}"
    is_proven = "." in by_mark or "," in by_mark
    decimal = next((mark for mark in ".," if mark in by_mark), "")
    unsure = by_mark.get("", "")
    if not is_proven:
        decimal = _guess_decimal(unsure, "none" in by_mark, hint)
        if not decimal:
            readings = [f"{numerals[unsure].value(mark):g}" for mark in ".,"]
            return None, f"{unsure!r} can be {' or '.join(readings)}"
    values = {text: numeral.value(decimal) for text, numeral in numerals.items()}
    wrong = [text for text, value in values.items() if value is None]
    if wrong:
        return None, f"{wrong[0]!r} is no number with the decimal mark {decimal!r} of the others"
    with_groups = [text for text, numeral in numerals.items() if _other(decimal) in numeral.digits]
    remarks = [DECIMAL_REMARK[","]] if decimal == "," and is_proven else []
    if unsure and not is_proven:
        remarks.append(f"taken as likely: {unsure!r} is {values[unsure]:g}")
    elif with_groups:
        remarks.append(f"thousands: {with_groups[0]!r} is {values[with_groups[0]]:g}")
    return NumberRule(decimal, unit), "; ".join([*remarks, remark] if remark else remarks)


def _guess_decimal(unsure: str, has_plain: bool, hint: str) -> str:
    """The decimal mark of a column in which no cell proves one; "" where it could be either.

    unsure: a cell such as "1,000" or "1.000", "" without one. has_plain: other cells are whole
    numbers without marks. hint: the table's usual decimal mark, or "".
    """
    if "," in unsure:
        # A comma groups where the table has decimal points, or beside whole numbers.
        return "." if hint == "." or (has_plain and not hint) else ""
    if "." in unsure:
        # Programs write decimal points; beside whole numbers a point may group, too.
        return hint or ("" if has_plain else ".")
    return hint or "."


def parse_number(text: str) -> float | None:
    """The number in a single cell: "0,5" and "0.5" are the same. None where it is none, or where
    it could be two, such as "1,000"."""
    rule, _ = find_rule({text: 1})
    is_certain = rule is not None and not rule.unit and parse_numeral(text).decimal != ""
    return rule.read(text) if is_certain else None


def find_decimal_mark(columns: Iterable[Mapping[str, int]]) -> str:
    """The decimal mark that the numeric columns of a table prove; "" where they prove none.

    columns: {cell: count} of each.
    """
    votes = {".": 0, ",": 0}
    for counts in columns:
        rule, _ = find_rule(counts)
        marks = {numeral.decimal for numeral in map(parse_numeral, counts) if numeral}
        if rule and rule.decimal in marks:
            votes[rule.decimal] += 1
    return "" if votes["."] == votes[","] else max(votes, key=lambda mark: votes[mark])


def looks_like_number(text: str) -> bool:
    """Whether most characters of a text are digits: a number, a date, a size. A code such as "t0"
    or "A12" begins with letters that are no currency."""
    characters = [c for c in text if not c.isspace()]
    prefix = re.match(r"\W*([^\W\d_]*)", text)[1].lower()
    is_code = bool(prefix) and prefix not in CURRENCY_CODES and prefix not in CURRENCIES
    return not is_code and 2 * sum(c.isdigit() for c in characters) >= max(1, len(characters))


def _name_unit(text: str) -> str | None:
    """A unit's name, "" without one; None for text that is no unit."""
    text = text.strip().rstrip(".")
    if text.lower() in CURRENCIES:
        return CURRENCIES[text.lower()]
    if text.lower() in CURRENCY_CODES:
        return text.upper()
    # A sign, a fraction or the k of thousands after a number is no unit.
    is_unit = not text or text[0].isalpha() or text[0] in "%°\"'"
    is_unit &= text.lower() != "k" and len(text) <= MAX_UNIT_CHARACTERS and " " not in text
    return text if is_unit else None


def _other(mark: str) -> str:
    return "," if mark == "." else "."
