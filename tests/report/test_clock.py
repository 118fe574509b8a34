"""Seconds by what they were spent on."""

import time

import pytest

from prodgen.report import clock


def test_the_rate_leaves_judging_out_and_the_ledger_keeps_it(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    found = clock.Clock()
    found.start(0)
    for name, seconds in (("step", 6.0), ("data", 2.0), ("evaluate", 12.0)):
        with found(name):
            now[0] += seconds
    rates = found.rates(16, 64)
    assert rates["steps_per_s"] == pytest.approx(2.0)  # 16 in the 8 seconds of steps and data
    assert rates["images_per_s"] == pytest.approx(128.0)
    assert rates["data_share"] == pytest.approx(2.0 / 20.0)
    ledger = found.ledger()
    assert ledger["seconds/evaluate"] == 12.0 and ledger["seconds/loop"] == 20.0
    assert ledger["peak_host_mb"] > 1


def test_words():
    assert [clock.words(s) for s in (5, 245, 3845)] == ["0:05", "4:05", "1:04:05"]
