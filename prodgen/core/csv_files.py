"""CSV files for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from prodgen.core.file_names import decode_name

FORMULA_STARTS = "=+-@\t\r"


def format_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file's content: a header line, then one line a row.

    The encoding is UTF-8 with a byte order mark, by which spreadsheets recognise UTF-8. A text that
    they would take for a formula gets an apostrophe before it; numbers stay as they are.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(map(_format_cell, columns))
    writer.writerows(map(_format_cell, row) for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _format_cell(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    return decode_name(f"'{cell}" if cell[:1] in tuple(FORMULA_STARTS) else cell)
