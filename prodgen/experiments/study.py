"""A study: a question, and the runs that answer it, expanded from one file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Cell:
    """One combination of the axes' levels.

    name: as in "beta=5, size=16/32". levels: {axis: short text of its level}. settings: {dotted
    field: value}.
    """

    index: int
    name: str
    levels: Mapping[str, str]
    settings: Mapping[str, Any]
