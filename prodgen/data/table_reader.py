"""Reading of tables: the column names and the rows of a CSV, TSV or JSONL file, as text.

Training tables, batch requests and histories are all read here. What had to be guessed (encoding,
delimiter, lines above the column names) stands in `notes`; a row that cannot be read has a problem
and stops no other.
"""

from __future__ import annotations

import codecs
import collections
import contextlib
import csv
import dataclasses
import html
import io
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prodgen.core import decode
from prodgen.core.errors import BadData, RejectedItem

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (".csv", ".tsv", ".txt", *JSON_SUFFIXES)
DELIMITERS = ",;\t|"  # of equally good ones the first is taken
MAX_TITLE_LINES = 20  # lines above the column names
MAX_SAMPLE_ROWS = 60  # rows from which the delimiter and the column names are found
MAX_LISTED_LINES = 12  # lines that a note lists
MISSING_VALUES = (
    "", "nan", "na", "n/a", "n.a.", "null", "<na>", "-", "--", "\u2013", "\u2014",
    "#n/a", "#na", "#value!", "#ref!", "#div/0!", "#name?", "#null!", "#num!",
)  # fmt: skip
BYTE_ORDER_MARKS = {  # the longer ones first: UTF-32's begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

ENTITY = re.compile(r"&(#\d{1,7}|#x[0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

Cells = dict[str, Any]  # by column name; text, but a JSON table also has numbers and lists


@dataclasses.dataclass(frozen=True)
class Row:
    """A row: `line` is its first line in the file; `problem` the reason why it has no cells."""

    line: int
    cells: Cells
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class TableText:
    """header: the column names, each once. delimiter: "" for JSON. notes: what was guessed, and
    what was left out."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    delimiter: str
    notes: tuple[str, ...]


def read_table(path: Path) -> TableText:
    """The table in a file. BadData where it cannot be read, or has no rows."""
    try:
        content = decode.read_regular(path)
    except RejectedItem as refusal:
        reason = str(refusal).split(": ", 1)[-1]
        raise BadData(f"the table {path} cannot be read: {reason}", "name a file of text") from None
    text, notes = decode_text(content)
    if path.suffix.lower() in JSON_SUFFIXES:
        table = _parse_json(text, notes)
    else:
        table = _parse_csv(text, notes, path.suffix.lower() == ".tsv")
    if not table.header or not table.rows:
        raise BadData(f"the table {path} has no rows", "its first line must name the columns")
    return table


def read_cell(value: Any) -> str | None:
    """The text of a cell, None where it is missing.

    Entities of HTML are decoded, spaces at its ends removed, and Unicode is composed (NFC). Of a
    list of one item, the item counts; a longer list and an object have no text.
    """
    value = _unwrap_list(value)
    if value is None or isinstance(value, (list, dict)):
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = ENTITY.sub(lambda match: html.unescape(match[0]), text)
    text = unicodedata.normalize("NFC", text).strip().strip("\ufeff\u200b")
    return None if text.lower() in MISSING_VALUES else text


def has_several_values(value: Any) -> bool:
    """Whether a cell of a JSON table is a list of several items, or an object: it has no text."""
    value = _unwrap_list(value)
    return isinstance(value, (list, dict)) and bool(value)


def _unwrap_list(value: Any) -> Any:
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def decode_text(content: bytes) -> tuple[str, list[str]]:
    """(the text of a file, notes on a guess): Unicode by its mark or by its zeros, UTF-8, or
    Windows-1252, of which Latin-1 is a part."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace"), []
    # ASCII in UTF-16 has a zero in every second byte.
    sample = content[:4096]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = sample[first::2].count(0)
        if zeros > 0.3 * len(sample[first::2]) and sample[1 - first :: 2].count(0) < 0.1 * zeros:
            return content.decode(encoding, "replace"), [f"read as {encoding.upper()}"]
    with contextlib.suppress(UnicodeDecodeError):
        return content.decode("utf-8"), []
    # Lines of two encodings occur where exports were joined: each line is read by itself.
    lines, num_guesses, num_unicode, example = [], 0, 0, ""
    for line in content.splitlines(keepends=True):
        try:
            text = line.decode("utf-8")
            num_unicode += not line.isascii()
        except UnicodeDecodeError:
            text = line.decode("cp1252", "replace")
            num_guesses += 1
            example = example or _find_foreign_word(text)
        lines.append(text)
    which = f"{num_guesses} of its lines are" if num_unicode else "it is"
    guess = f"not in UTF-8 and {'are' if num_unicode else 'is'} read as Windows-1252 (Latin-1)"
    advice = "if that is wrong, save the table in UTF-8"
    return "".join(lines), [f"{which} {guess}, as in {example!r}; {advice}"]


def _find_foreign_word(text: str) -> str:
    """The first word with a letter that is not ASCII, of at most 40 characters."""
    start = next((number for number, c in enumerate(text) if not c.isascii()), 0)
    before = re.search(r"\w{0,20}$", text[max(0, start - 20) : start])[0]
    return before + re.match(r".\w{0,19}", text[start:] or " ")[0]


def _parse_csv(text: str, notes: list[str], is_tsv: bool) -> TableText:
    lines = list(io.StringIO(text.replace("\0", ""), newline=""))
    start, delimiter = 0, ""
    # Excel's first line "sep=;" names the delimiter.
    match = re.fullmatch(r'"?sep=(.)"?,*;*\s*', lines[0], re.IGNORECASE) if lines else None
    if match:
        start, delimiter = 1, match.group(1)
    sample = [line for line in lines[start:] if line.strip()][: MAX_SAMPLE_ROWS + MAX_TITLE_LINES]
    delimiter = delimiter or _find_delimiter(sample, "\t" if is_tsv else "")
    records = _read_records(lines, start, delimiter)
    title_lines, first_record = _find_header([r for r in records if r[1]])
    if first_record is None:
        return TableText((), (), delimiter, tuple(notes))
    if title_lines:
        notes.append(
            f"{_list_lines(title_lines)} above the column names "
            f"{'is' if len(title_lines) == 1 else 'are'} not used"
        )
    names = [_clean_name(cell) for cell in first_record[1]]
    header = tuple(dict.fromkeys(name for name in names if name))
    repeated_names = [name for name, n in collections.Counter(filter(None, names)).items() if n > 1]
    if repeated_names:
        listed_names = ", ".join(map(repr, repeated_names))
        notes.append(f"more than one column is called {listed_names}: the first one is used")
    rows, short_lines, header_lines = [], [], []
    for line, cells, problem in records:
        if line <= first_record[0] or (not cells and not problem):
            continue
        if problem:
            rows.append(Row(line, {}, problem))
        elif [_clean_name(cell) for cell in cells] == names:
            header_lines.append(line)
        # More cells than columns: an unquoted delimiter has shifted the cells.
        elif any(cell.strip() for cell in cells[len(names) :]):
            sizes = f"{len(cells)} cells under {len(names)} column names"
            rows.append(Row(line, {}, f"bad row: {sizes}; quote cells that contain {delimiter!r}"))
        else:
            if len(cells) < len(names):
                short_lines.append(line)
            row: Cells = {}
            for name, cell in itertools.zip_longest(names, cells[: len(names)], fillvalue=""):
                if name:
                    row.setdefault(name, cell.strip())
            rows.append(Row(line, row))
    if short_lines:
        short = f"{_list_lines(short_lines)}: fewer cells than columns"
        notes.append(f"{short}; the missing ones count as empty")
    if header_lines:
        notes.append(f"{_list_lines(header_lines)}: the column names again; not used")
    return TableText(header, tuple(rows), delimiter, tuple(notes))


Record = tuple[int, list[str], str]  # first line, cells (none where all are blank), problem


def _read_records(lines: Sequence[str], start: int, delimiter: str) -> list[Record]:
    """Every record of the lines from `start` on. One that is broken costs its own line only."""
    records: list[Record] = []
    while start < len(lines):
        rest = (lines[number] for number in range(start, len(lines)))
        reader = csv.reader(rest, delimiter=delimiter, strict=True)
        position = 0
        try:
            for cells in reader:
                blank = not any(cell.strip() for cell in cells)
                records.append((start + position + 1, [] if blank else cells, ""))
                position = reader.line_num
            return records
        except csv.Error as error:
            line = start + position + 1
            records.append(_repair_record(lines[line - 1], line, delimiter, error))
            start = line
    return records


def _repair_record(text: str, line: int, delimiter: str, error: csv.Error) -> Record:
    """The record of one broken line: with quotes inside a cell, as in 12" screen, or refused."""
    if "expected after" in str(error):
        with contextlib.suppress(csv.Error, StopIteration):
            cells = next(csv.reader([text], delimiter=delimiter))
            if len(cells) == text.count(delimiter) + 1:  # no delimiter is inside a cell
                return line, cells, ""
    is_quote = "unexpected end" in str(error) or "expected after" in str(error)
    reason = "a quote is not closed, or is not doubled inside a cell" if is_quote else str(error)
    return line, [], f"bad row: {reason}"


def _find_delimiter(lines: Sequence[str], default: str) -> str:
    """The delimiter with which most of the rows have one number of cells, of two or more."""
    scores = {}
    for delimiter in dict.fromkeys([*default, *DELIMITERS]):
        sizes = [len(cells) for _, cells, _ in _read_records(lines, 0, delimiter) if cells]
        counts = collections.Counter(size for size in sizes if size > 1)
        # Of equal shares the larger number of cells: "3,5;2" has two cells with either mark.
        size, count = max(counts.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        scores[delimiter] = (count, size)
    return max(scores, key=lambda delimiter: scores[delimiter])


def _find_header(records: Sequence[Record]) -> tuple[list[int], Record | None]:
    """(the lines above the column names, their record): the first row that is as wide as most."""
    widths = [sum(bool(cell.strip()) for cell in cells) for _, cells, _ in records]
    if not widths:
        return [], None
    # The usual width is that of rows with several cells, unless these are the exception.
    sample = widths[:MAX_SAMPLE_ROWS]
    wide = [width for width in sample if width > 1]
    wide = wide if 2 * len(wide) >= len(sample) else sample
    usual_width = collections.Counter(wide).most_common(1)[0][0]
    for number, width in enumerate(widths[: MAX_TITLE_LINES + 1]):
        if width >= max(1, 0.5 * usual_width) and (width > 1 or usual_width == 1):
            return [line for line, _, _ in records[:number]], records[number]
    return [], records[0]


def _clean_name(cell: str) -> str:
    return " ".join((read_cell(cell) or "").split())


def _list_lines(lines: Sequence[int]) -> str:
    """ "line 3" or "lines 3, 4, ..." """
    more = ", ..." if len(lines) > MAX_LISTED_LINES else ""
    numbers = ", ".join(map(str, lines[:MAX_LISTED_LINES]))
    return f"line{'s' if len(lines) > 1 else ''} {numbers}{more}"


def _parse_json(text: str, notes: list[str]) -> TableText:
    """One JSON object in each line, or a single array of objects."""
    header: dict[str, None] = {}
    rows = []
    for line, value, problem in _read_json_values(text):
        if not problem and not isinstance(value, dict):
            problem = "bad row: not a JSON object"
        if problem:
            rows.append(Row(line, {}, problem))
            continue
        cells = {_clean_name(name): cell for name, cell in value.items() if _clean_name(name)}
        header |= dict.fromkeys(cells)
        # Booleans as in CSV tables; lists and objects stay as they are.
        cells = {n: str(c).lower() if isinstance(c, bool) else c for n, c in cells.items()}
        rows.append(Row(line, cells))
    return TableText(tuple(header), tuple(rows), "", tuple(notes))


def _read_json_values(text: str) -> Iterator[tuple[int, Any, str]]:
    """(line or number in the array, value, problem) of every row."""
    if text.lstrip()[:1] == "[":
        with contextlib.suppress(ValueError, RecursionError):  # else each line is refused
            yield from ((n, value, "") for n, value in enumerate(json.loads(text), start=1))
            return
    for line, content in enumerate(io.StringIO(text), start=1):
        if content.strip():
            try:
                yield line, json.loads(content), ""
            except (ValueError, RecursionError):
                yield line, None, "bad row: not JSON"
