"""What the clock says of a run: speed, and seconds by what they were spent on."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator


class Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.total: dict[str, float] = {}
        self.start(0)

    def start(self, step: int) -> None:
        """Begin counting the rate here: compiling and restoring are over."""
        self._mark, self._at = (step, dict(self.total)), time.monotonic()
        self._begun = getattr(self, "_begun", self._at)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.total[name] = self.total.get(name, 0.0) + time.monotonic() - begun

    def rates(self, step: int, batch_size: int) -> dict[str, float]:
        """Speed since the last call, and the share of that time spent waiting for data."""
        (mark, before), seconds = self._mark, max(time.monotonic() - self._at, 1e-9)
        spent = {name: value - before.get(name, 0.0) for name, value in self.total.items()}
        rate = (step - mark) / max(seconds - spent.get("evaluate", 0) - spent.get("sheet", 0), 1e-9)
        self.start(step)
        return {
            "steps_per_s": rate,
            "images_per_s": rate * batch_size,
            "data_share": spent.get("data", 0.0) / seconds,
        }

    def ledger(self) -> dict[str, float]:
        """Everything spent so far, in seconds, and the peak of host memory in MB."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = {f"seconds/{name}": value for name, value in self.total.items()}
        return {**seconds, "seconds/loop": time.monotonic() - self._begun, "peak_host_mb": peak}


def words(seconds: float) -> str:
    """As in 4:05, or 1:04:05 from an hour on."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
