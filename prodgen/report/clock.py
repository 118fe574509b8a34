"""Timing of a run: steps per second, and seconds by activity."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator


class Clock:
    """Seconds by activity: `with clock("data"):` adds to the seconds of "data"."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.start(0)

    def start(self, step: int) -> None:
        """Start a new interval for `rates` at `step`, e.g. after compiling or restoring."""
        self._interval_step, self._interval_start = step, time.monotonic()
        self._interval_seconds = dict(self.seconds)  # before the interval
        self._loop_start = getattr(self, "_loop_start", self._interval_start)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start

    def rates(self, step: int, batch_size: int) -> dict[str, float]:
        """Speed since the last call, and the share of that time spent waiting for data."""
        elapsed_s = max(time.monotonic() - self._interval_start, 1e-9)
        seconds = {
            name: value - self._interval_seconds.get(name, 0.0)
            for name, value in self.seconds.items()
        }
        # The rate leaves out evaluations and sheets.
        training_seconds = elapsed_s - seconds.get("evaluate", 0) - seconds.get("sheet", 0)
        rate = (step - self._interval_step) / max(training_seconds, 1e-9)
        self.start(step)
        return {
            "steps_per_s": rate,
            "images_per_s": rate * batch_size,
            "data_share": seconds.get("data", 0.0) / elapsed_s,
        }

    def totals(self) -> dict[str, float]:
        """All seconds so far by activity, and the peak of host memory in MB."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = {f"seconds/{name}": value for name, value in self.seconds.items()}
        return {
            **seconds,
            "seconds/loop": time.monotonic() - self._loop_start,
            "peak_host_mb": peak,
        }


def format_duration(seconds: float) -> str:
    """As in 4:05, or 1:04:05 from an hour on."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
