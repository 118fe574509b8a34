"""The official split of a table: a column of train, validation and test, perhaps with other values.

Rows of another value are left out, so that a held-out image is not trained on.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from prodgen.core.errors import UsageError
from prodgen.data.layout import SPLIT_NAMES
from prodgen.data.source import SplitName
from prodgen.data.table_reader import Cells, read_cell

COLUMN_NAMES = ("split", "partition", "subset")
ALLOWED_NAMES = ", ".join(dict.fromkeys(SPLIT_NAMES.values()))
MAX_LISTED_VALUES = 6


@dataclasses.dataclass(frozen=True)
class SplitColumn:
    """A column with an official split. is_required: whether a row without a split is refused."""

    header: str
    is_required: bool

    def read(self, row: Cells) -> SplitName | None:
        """The split of a row; None where it has none."""
        return SPLIT_NAMES.get((read_cell(row.get(self.header)) or "").lower())

    def find_problem(self, row: Cells) -> str:
        """Why a row is refused, "" where it is not."""
        cell = read_cell(row.get(self.header))
        if (cell or "").lower() in SPLIT_NAMES or (cell is None and not self.is_required):
            return ""
        return (
            f"split: {'an empty cell' if cell is None else repr(cell)} is none of {ALLOWED_NAMES}"
        )


def read_split_column(
    name: str | None, cells: Sequence[str | None], is_explicit: bool
) -> tuple[SplitColumn | None, str]:
    """(the official split in a column, what was left out) or (None, why it holds none, "" without
    a column).

    Rows of other values are left out where training rows exist, and held-out ones or a majority of
    training rows: an official test image is never trained on. is_explicit: whether the config says
    that the column is the split; it then raises UsageError where it is none.
    """
    if name is None:
        return None, ""
    counts = collections.Counter(cell for cell in cells if cell is not None)
    unknown = {cell: n for cell, n in counts.items() if cell.lower() not in SPLIT_NAMES}
    splits = {SPLIT_NAMES[cell.lower()] for cell in counts if cell not in unknown}
    num_known = sum(counts.values()) - sum(unknown.values())
    num_empty = len(cells) - sum(counts.values())
    is_mostly_known = 2 * num_known > len(cells)
    is_complete = "train" in splits and (len(splits) > 1 or (bool(unknown) and is_mostly_known))
    if splits and (is_complete or not unknown):
        remarks = [f"rows of {_list_counts(unknown)} are left out"] if unknown else []
        if num_empty:
            fate = "are left out" if is_complete else "count as training images"
            remarks.append(f"{num_empty} rows without a split {fate}")
        return SplitColumn(name, is_complete), "; ".join(remarks)
    problem = (
        f"{_list_counts(unknown)} {'are' if len(unknown) > 1 else 'is'} none of {ALLOWED_NAMES}"
    )
    if not unknown:
        problem = "it is empty"
    elif splits:
        rows = f"only {num_known} of {len(cells)} rows have one of them"
        problem += f", and {rows if len(splits) > 1 else 'the others are all ' + min(splits)}"
    if is_explicit:
        raise UsageError(
            f"config.data.columns: {name}=split, but {problem}",
            f"write {ALLOWED_NAMES} in the table; or set config.data.columns={name}=ignore",
        )
    return None, f"{problem}; the splits are chosen at random"


def _list_counts(counts: Mapping[str, int]) -> str:
    """ "'eval' (20), 'holdout' (3)", the most frequent first."""
    most_frequent = collections.Counter(counts).most_common(MAX_LISTED_VALUES)
    more = ", ..." if len(counts) > MAX_LISTED_VALUES else ""
    return ", ".join(f"{value!r} ({n})" for value, n in most_frequent) + more
