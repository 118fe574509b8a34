"""The table of results: one JSON line for each finished run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Observation:
    """One finished run of a cell, with one sampling seed."""

    index: int
    cell: int
    seed: int
    sampling_seed: int
    metrics: Mapping[str, float]
    specs: Mapping[str, Mapping[str, Any]]
    intervals: Mapping[str, tuple[float, float]]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    seconds: float
    device_hours: float
    folder: str
    command: str
