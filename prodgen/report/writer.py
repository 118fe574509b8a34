"""The output of a running training: console, metrics.jsonl, timing.jsonl, TensorBoard, hook."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ml_collections import ConfigDict

from prodgen.config import flatten, renames
from prodgen.core.failpoints import failpoint
from prodgen.report.clock import format_duration
from prodgen.report.tracking_hook import TrackingHook
from prodgen.runs.workdir import METRICS_FILE, TIMING_FILE

CONSOLE_METRICS = ("loss", "nll", "kl", "g/loss", "d/loss", "d/real", "d/fake", "augment/p")


class Console:
    """One progress line that is replaced in a terminal; elsewhere, a line each time."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()
        self._progress_width = 0  # characters of the progress line
        self._has_progress_line = False

    def print_line(self, text: str) -> None:
        """Print a line that stays."""
        self._print("\n" if self._has_progress_line else "", text, "\n")
        self._has_progress_line, self._progress_width = False, 0

    def print_progress(self, text: str) -> None:
        """Print a line that the next progress line replaces in a terminal."""
        if not self.is_terminal:
            self._print(text, "\n")
            return
        text = text[: os.get_terminal_size().columns - 1]
        self._print("\r", text.ljust(self._progress_width))
        self._has_progress_line, self._progress_width = True, len(text)

    def print_step(
        self, step: int, num_steps: int, rates: Mapping[str, float], values: Mapping[str, float]
    ) -> None:
        """Print progress: the step, `Clock.rates`, the time left, the losses among `values`."""
        seconds_left = (num_steps - step) / max(rates["steps_per_s"], 1e-9)
        losses = (f"{name} {values[name]:.4g}" for name in CONSOLE_METRICS if name in values)
        self.print_progress(
            f"step {step:>6}/{num_steps}  {rates['steps_per_s']:.2f} steps/s  "
            f"{rates['images_per_s']:.0f} img/s  {format_duration(seconds_left)} left  "
            + "  ".join(losses)
        )

    def _print(self, *parts: str) -> None:
        """Print. When the reader has closed the pipe, as in `... | head`, the run goes on."""
        try:
            print(*parts, sep="", end="", flush=True)
        except BrokenPipeError:
            self.is_terminal = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def throttle_progress(self, interval_s: float = 10.0):
        """A function that prints progress: always in a terminal, elsewhere once an interval."""
        last_time = -interval_s

        def say(text: str) -> None:
            nonlocal last_time
            if self.is_terminal or time.monotonic() - last_time >= interval_s:
                last_time = time.monotonic()
                self.print_progress(text)

        return say


def truncate_after(path: Path, step: int) -> None:
    """Delete the lines after `step` and an incomplete last line, so that a run can continue."""
    if not path.exists():
        return
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if record["step"] <= step:
            lines.append(line)
    draft = path.with_suffix(".draft")
    draft.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    os.replace(draft, path)


def read_jsonl(path: Path) -> list[dict[str, float]]:
    """The records of a JSONL file with today's metric names, in order; [] if it is absent."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [renames.update_metrics(json.loads(line)) for line in lines]


class TensorBoardFile:
    """Scalars in an event file, written in the caller's thread: a failed write is its error.

    The thread of tensorboardX's SummaryWriter dies at a full disk, and the run then waits for it.
    TensorBoard hides the values of older files after `step`, at which the run continues.
    """

    def __init__(self, folder: Path, step: int):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(str(folder / "events"))
        start = SessionLog(status=SessionLog.START)
        self._file.write_event(Event(step=step + 1, file_version="brain.Event:2"))
        self._file.write_event(Event(step=step + 1, session_log=start))

    def write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of one step, and flush them."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in values.items():
            summary = scalar(name, value)
            self._file.write_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._file.flush()

    def write_hparams(self, hparams: Mapping[str, bool | float | str], metric: str) -> None:
        """Write a run's hyperparameters, and the name of the metric that they are compared by.

        The tab HParams then has a row for the run. The protocol wants the end of a run, too:
        without it the run would be shown as running for ever.
        """
        from tensorboardX import summary
        from tensorboardX.proto.event_pb2 import Event

        for part in summary.hparams(dict(hparams), {metric: None}):
            self._file.write_event(Event(wall_time=time.time(), step=0, summary=part))
        self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


class MetricsWriter:
    """Appends records to a run's JSONL files and to TensorBoard, and passes them to a hook.

    Records after `step`, at which the run continues, are deleted first.
    """

    def __init__(
        self, run: Path, step: int, use_tensorboard: bool, hook: TrackingHook | None = None
    ):
        names = METRICS_FILE, TIMING_FILE
        for name in names:
            truncate_after(run / name, step)
        self._files = {name: open(run / name, "a", encoding="utf-8") for name in names}  # noqa: SIM115
        self._tensorboard = TensorBoardFile(run / "tensorboard", step) if use_tensorboard else None
        self._hook = hook

    def write_hparams(self, hparams: Mapping[str, bool | float | str], metric: str) -> None:
        """Write the hyperparameters of a new run, and the metric that they are compared by."""
        if self._tensorboard:
            self._tensorboard.write_hparams(hparams, metric)

    def write_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Append computed values, which are the same on every machine that continues the run."""
        self._append(METRICS_FILE, step, values)

    def write_timing(self, step: int, values: Mapping[str, float]) -> None:
        """Append measured times and memory."""
        self._append(TIMING_FILE, step, values)

    def _append(self, name: str, step: int, values: Mapping[str, float]) -> None:
        values = {key: float(value) for key, value in values.items()}
        line, file = json.dumps({"step": step, **values}) + "\n", self._files[name]
        file.write(line[: len(line) // 2])
        failpoint("metrics.mid_line", file.flush)
        file.write(line[len(line) // 2 :])
        file.flush()
        if self._tensorboard:
            self._tensorboard.write_scalars(step, values)
        if self._hook:
            self._hook.write(step, values)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        if self._tensorboard:
            self._tensorboard.close()
        if self._hook:
            self._hook.close()


class NoWriter:
    """The writer of a process that writes no metrics: another one does."""

    def write_metrics(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def write_timing(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def close(self) -> None:
        pass


def open_writer(
    run: Path, step: int, config: ConfigDict, score_metric: str, say: Callable[[str], None]
) -> MetricsWriter:
    """The writer of a run that starts or, where `step` is above 0, continues.

    score_metric: the one that chooses the best checkpoint. say: prints the warning of a hook that
    failed. UsageError where config.train.hook names no function.
    """
    options = config.train
    hook = TrackingHook(options.hook, run, config.to_dict(), say) if options.hook else None
    writer = MetricsWriter(run, step, options.tensorboard, hook)
    if step == 0:
        writer.write_hparams(flatten(config), score_metric)
    return writer
