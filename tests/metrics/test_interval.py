"""Intervals, by numbers from their tables."""

import math

import numpy as np
import pytest

from prodgen.metrics import interval


def test_student_interval_by_hand():
    assert interval.student_interval([1.0, 3.0]) == pytest.approx((2.0, 2 - 12.706, 2 + 12.706))
    mean, low, high = interval.student_interval([1.0, 2.0, 3.0])
    assert (mean, high - mean) == pytest.approx((2.0, 4.303 / math.sqrt(3)))
    assert interval.student_interval([5.0])[0] == 5.0 and math.isnan(
        interval.student_interval([5.0])[1]
    )


def test_normal_interval_by_hand():
    values = np.float32([0, 2] * 50)
    deviation = math.sqrt(100 / 99)
    assert interval.normal_interval(values) == pytest.approx(
        (1.0, 1 - 0.1959964 * deviation, 1 + 0.1959964 * deviation)
    )
    assert math.isnan(interval.normal_interval(values[:1])[2])


def test_wilson_interval_by_hand():
    assert interval.wilson_interval(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert interval.wilson_interval(0, 10)[0] == 0.0 and interval.wilson_interval(10, 10)[
        1
    ] == pytest.approx(1)
    assert interval.wilson_interval(10, 10)[0] == pytest.approx(0.722, abs=1e-3)
