"""Arguments of the notebook's functions: a wrong one is a UsageError that names it."""

from __future__ import annotations

from typing import Any

import numpy as np

from prodgen.core.errors import UsageError


def check_count(name: str, value: Any, high: int, low: int = 0) -> None:
    """UsageError where an argument is no whole number in [low, high]."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or not low <= value <= high:
        raise UsageError(
            f"{name}={value!r} is no whole number of {low} to {high:,}", "give one in that range"
        )


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """UsageError where an argument is no number in [low, high]; NaN is none."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise UsageError(
            f"{name}={value!r} is no number of {low:g} to {high:g}", "give one in that range"
        )


def check_text(name: str, value: Any) -> None:
    """UsageError where an argument is no text."""
    if not isinstance(value, str):
        raise UsageError(f"{name}={value!r} is no text", "write it in quotation marks")


def check_point(name: str, value: Any) -> tuple[int, int]:
    """(x, y) of whole pixels, at least 0; UsageError for anything else."""
    point = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else ()
    is_whole = all(isinstance(x, (int, np.integer)) and not isinstance(x, bool) for x in point)
    if len(point) != 2 or not is_whole or min(point) < 0:
        raise UsageError(f"{name}={value!r} is no point (x, y)", "give two whole numbers of pixels")
    return int(point[0]), int(point[1])


def describe(values: np.ndarray) -> str:
    """An array's type and shape, as "float32 [64, 64, 3]"."""
    return f"{values.dtype} [{', '.join(map(str, values.shape))}]"
