"""The cells of each column of a table as text, and what could not be read as text."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

from prodgen.data.numerals import MAX_TEXT_FRACTION
from prodgen.data.table_reader import TableText, has_several_values, read_cell

MAX_EXAMPLE_CHARACTERS = 60
MAX_LISTED_WORDS = 4


@dataclasses.dataclass(frozen=True)
class ColumnCells:
    """The cells of a column, of all rows that could be read.

    texts: None where missing. missing_words: {"NA": 20}, what is written in missing cells.
    num_nested: cells of a JSON table with several values or an object. example: one of them.
    """

    texts: tuple[str | None, ...]
    missing_words: Mapping[str, int]
    num_nested: int
    example: str

    @functools.cached_property
    def counts(self) -> Mapping[str, int]:
        """How often each text occurs."""
        return collections.Counter(text for text in self.texts if text)

    @property
    def is_nested(self) -> bool:
        """Whether so many cells have several values or an object that the column has no meaning."""
        return self.num_nested > MAX_TEXT_FRACTION * len(self.texts)

    def describe_nested(self) -> str:
        """ "3 cells hold several values or an object, such as ["a", "b"] in line 5", or ""."""
        noun = "cell holds" if self.num_nested == 1 else "cells hold"
        sentence = f"{self.num_nested} {noun} several values or an object, such as {self.example}"
        return sentence if self.num_nested else ""

    def describe_missing_words(self) -> str:
        """ "'NA' (20), '-' (3)", what is written in missing cells, or ""."""
        words = collections.Counter(self.missing_words).most_common(MAX_LISTED_WORDS)
        more = ", ..." if len(self.missing_words) > MAX_LISTED_WORDS else ""
        return ", ".join(f"{word!r} ({n})" for word, n in words) + more


def read_columns(table: TableText) -> dict[str, ColumnCells]:
    """The cells of each column of a table, of the rows without a problem."""
    rows = [row for row in table.rows if not row.problem]
    columns = {}
    for name in table.header:
        texts = tuple(read_cell(row.cells.get(name)) for row in rows)
        words: dict[str, int] = collections.Counter()
        nested_cells = []
        for row, text in zip(rows, texts, strict=True):
            cell = row.cells.get(name)
            if has_several_values(cell):
                nested_cells.append((row.line, cell))
            elif text is None and isinstance(cell, str) and cell.strip():
                words[cell.strip()] += 1
        example = _describe_example(*nested_cells[0]) if nested_cells else ""
        columns[name] = ColumnCells(texts, words, len(nested_cells), example)
    return columns


def _describe_example(line: int, cell: Any) -> str:
    text = json.dumps(cell, ensure_ascii=False, default=str)
    is_long = len(text) > MAX_EXAMPLE_CHARACTERS
    return f"{text[:MAX_EXAMPLE_CHARACTERS]}{'...' if is_long else ''} in line {line}"
