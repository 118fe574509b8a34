"""95 % intervals: of a mean of few or many values, of a share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z_95 = 1.959964  # deviations to either side that hold 95 % of a normal distribution
STUDENT = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % points of Student's t, by degrees of freedom from 0 up."""


def student_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high) of up to ten values (Student 1908); nan of one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    reach = STUDENT[len(values) - 1] * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - reach, mean + reach


def normal_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high) of independent values [N], by the normal distribution; nan of one value."""
    mean = float(np.mean(values, dtype=np.float64))
    if len(values) < 2:
        return mean, math.nan, math.nan
    deviation = float(np.std(values, ddof=1, dtype=np.float64))
    reach = Z_95 * deviation / math.sqrt(len(values))
    return mean, mean - reach, mean + reach


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """(low, high) of a share of `right` in n (Wilson 1927), within 0 and 1 always."""
    share, z = right / n, Z_95
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return max(centre - reach, 0.0), min(centre + reach, 1.0)
