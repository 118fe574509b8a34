"""95 % intervals: of a mean of few or many values, of a share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z_95 = 1.959964  # standard deviations to either side that hold 95 % of a normal distribution


def student_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high) of a few values by Student's t (Student 1908); nan of one value."""
    from scipy.special import stdtrit  # heavy: only where an interval is computed

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    # Three decimals, as in printed tables: intervals stay equal to those of earlier evaluations.
    t = round(float(stdtrit(len(values) - 1, 0.975)), 3)
    half_width = t * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half_width, mean + half_width


def normal_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high) of independent values [N], by the normal distribution; nan of one value."""
    mean = float(np.mean(values, dtype=np.float64))
    if len(values) < 2:
        return mean, math.nan, math.nan
    std = float(np.std(values, ddof=1, dtype=np.float64))
    half_width = Z_95 * std / math.sqrt(len(values))
    return mean, mean - half_width, mean + half_width


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """(low, high) of a share of `successes` in n (Wilson 1927), within 0 and 1 always."""
    share, z = successes / n, Z_95
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return max(centre - half_width, 0.0), min(centre + half_width, 1.0)
