"""Damaged files go through the real preparing path for some seconds: benchmarks/hostile.py."""

import json
import subprocess
import sys

import pytest

from tests.tiny import ROOT


def run_campaign(*flags):
    process = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/hostile.py"), "--seconds=6", *flags],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    return process, json.loads(process.stdout or "{}")


@pytest.mark.slow
def test_damaged_images_are_read_or_refused_by_name():
    process, results = run_campaign("--images=1000", "--tables=0")
    result = results["images"]
    assert process.returncode == 0 and not process.stderr, process.stderr
    assert not result["problems"] and result["crashes"] == 0, result
    assert result["peak_memory_mb"]["sum"] < 2000 and result["files"] >= 500
    # Harmless damage is read with the same pixels; most lost ends are refused.
    assert result["append read, equal"] > 20 and result["lose_end_marker read, equal"] > 20
    assert result["truncate refused"] > result["truncate read, equal"]


@pytest.mark.slow
def test_damaged_tables_are_read_or_refused():
    process, results = run_campaign("--images=0", "--tables=300", "--seed=1")
    result = results["tables"]
    assert process.returncode == 0 and not process.stderr, process.stderr
    assert not result["problems"] and result["peak_memory_mb"]["sum"] < 2000, result
    assert result["products read"] > 100 and result["requests read"] > 2
