"""How long a device does nothing: from the trace that jax.profiler writes, by the standard library.

The trace is gzipped JSON in the Trace Event Format: complete events ("ph": "X") have a start `ts`
and a duration `dur` in microseconds, on a thread `tid` of a process `pid`; metadata events ("M")
name processes and threads.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax

# The threads that hold the device's work: streams of a GPU, operations of a TPU, pools of a CPU.
DEVICE_THREADS = (("/device:", "Stream"), ("/device:", "XLA Ops"), ("/host:CPU", "tf_XLA"))


def trace(run: Callable[[], Any], folder: Path) -> list[dict[str, Any]]:
    """The events of the newest trace in a folder, after `run` has run under the profiler."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python's calls are not of interest, and slow the loop
    jax.profiler.start_trace(folder, profiler_options=options)
    try:
        run()
    finally:
        jax.profiler.stop_trace()
    files = sorted(folder.glob("**/*.trace.json.gz"), key=lambda file: file.stat().st_mtime)
    if not files:
        return []
    with gzip.open(files[-1], "rt", encoding="utf-8") as file:
        return json.load(file)["traceEvents"]


def find_device_intervals(events: Iterable[dict[str, Any]]) -> list[tuple[float, float]]:
    """(start, end) in microseconds of everything that the first device does; [] if it is unknown.

    A device whose name says that it is a stream comes before the processor's thread pools.
    """
    events = list(events)
    processes, threads = {}, {}
    for event in events:
        if event.get("ph") == "M" and event["name"] == "process_name":
            processes[event["pid"]] = event["args"]["name"]
        elif event.get("ph") == "M" and event["name"] == "thread_name":
            threads[event["pid"], event["tid"]] = event["args"]["name"]
    for process_prefix, thread_prefix in DEVICE_THREADS:
        device_ids = sorted(
            pid for pid, name in processes.items() if name.startswith(process_prefix)
        )
        for device_id in device_ids:
            intervals = [
                (event["ts"], event["ts"] + event.get("dur", 0))
                for event in events
                if event.get("ph") == "X"
                and event["pid"] == device_id
                and threads.get((device_id, event.get("tid")), "").startswith(thread_prefix)
            ]
            if intervals:
                return intervals
    return []


def summarise_intervals(intervals: Iterable[tuple[float, float]]) -> dict[str, float]:
    """Shares of the time from the first start to the last end in which no interval is open.

    idle_share: all of it; largest_gap_share: the longest stretch; span_ms: the whole time.
    ValueError without intervals.
    """
    intervals = sorted(intervals)
    if not intervals:
        raise ValueError("the trace has no event of a device")
    (first, end), gaps = intervals[0], [0.0]
    for start, stop in intervals:
        gaps.append(max(start - end, 0.0))
        end = max(end, stop)
    span = max(end - first, 1e-9)
    return {
        "idle_share": sum(gaps) / span,
        "largest_gap_share": max(gaps) / span,
        "largest_gap_us": max(gaps),
        "span_ms": span / 1000,
    }
