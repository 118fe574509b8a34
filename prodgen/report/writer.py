"""What a run says while it lives: the console line, metrics.jsonl, timing.jsonl, TensorBoard."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from prodgen.config import renames

METRICS, TIMING = "metrics.jsonl", "timing.jsonl"


class Console:
    """One live line in a terminal; elsewhere, a line each time."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self._width = 0
        self._open = False

    def say(self, text: str) -> None:
        """A line that stays."""
        self._print("\n" if self._open else "", text, "\n")
        self._open, self._width = False, 0

    def progress(self, text: str) -> None:
        """A line that the next progress line replaces, where the output is a terminal."""
        if not self.live:
            self._print(text, "\n")
            return
        text = text[: os.get_terminal_size().columns - 1]
        self._print("\r", text.ljust(self._width))
        self._open, self._width = True, len(text)

    def _print(self, *parts: str) -> None:
        """Print; once the reader has gone away, as in `... | head`, the run goes on in silence."""
        try:
            print(*parts, sep="", end="", flush=True)
        except BrokenPipeError:
            self.live = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def throttled(self, seconds: float = 10.0):
        """A progress function for fast callers: each call in a terminal, rarely elsewhere."""
        last = -seconds

        def say(text: str) -> None:
            nonlocal last
            if self.live or time.monotonic() - last >= seconds:
                last = time.monotonic()
                self.progress(text)

        return say


def truncate(path: Path, step: int) -> None:
    """Drop the lines after `step`, and a last line cut short: the run continues from there."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if record["step"] <= step:
            kept.append(line)
    draft = path.with_suffix(".draft")
    draft.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    os.replace(draft, path)


def read(path: Path) -> list[dict[str, float]]:
    """The records of a JSONL file under today's names, in order; [] where there is none."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [renames.update_metrics(json.loads(line)) for line in lines]


class Writer:
    """Appends records to the run's files, from `step` on (what came later is dropped first)."""

    def __init__(self, run: Path, step: int, tensorboard: bool):
        truncate(run / METRICS, step)
        truncate(run / TIMING, step)
        self._files = {name: open(run / name, "a", encoding="utf-8") for name in (METRICS, TIMING)}  # noqa: SIM115
        self._board = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """What the run computed: the same on every machine that continues it."""
        self._append(METRICS, step, values)

    def timing(self, step: int, values: Mapping[str, float]) -> None:
        """What the clock said."""
        self._append(TIMING, step, values)

    def _append(self, name: str, step: int, values: Mapping[str, float]) -> None:
        values = {key: float(value) for key, value in values.items()}
        self._files[name].write(json.dumps({"step": step, **values}) + "\n")
        self._files[name].flush()
        if self._board:
            for key, value in values.items():
                self._board.add_scalar(key, value, step)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        if self._board:
            self._board.close()
