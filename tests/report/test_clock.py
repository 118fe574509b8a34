"""Seconds by activity, and rates."""

import time

import pytest

from prodgen.report import clock


def test_the_rate_leaves_evaluation_out_and_the_totals_include_it(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    timer = clock.Clock()
    timer.start(0)
    for name, seconds in (("step", 6.0), ("data", 2.0), ("evaluate", 12.0)):
        with timer(name):
            now[0] += seconds
    rates = timer.rates(16, 64)
    assert rates["steps_per_s"] == pytest.approx(2.0)  # 16 in the 8 seconds of steps and data
    assert rates["images_per_s"] == pytest.approx(128.0)
    assert rates["data_share"] == pytest.approx(2.0 / 20.0)
    totals = timer.totals()
    assert totals["seconds/evaluate"] == 12.0 and totals["seconds/loop"] == 20.0
    assert totals["peak_host_mb"] > 1


def test_durations_are_formatted_as_minutes_and_seconds():
    durations = [clock.format_duration(s) for s in (5, 245, 3845)]
    assert durations == ["0:05", "4:05", "1:04:05"]
