"""Runs a training command again until it is done: run_train.py --max_restarts=N.

The command runs as a child process. A run that stopped cleanly (75), was killed by a signal, or met
an error of the disk (74) or an internal one (70) is started again after a pause. Other exit codes
end the supervision: the same command would end in the same way. Needs no JAX.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prodgen.core.errors import ProdgenError, StoppedError, StorageError, UsageError
from prodgen.core.parent_death import follow_parent
from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.runs.checkpoint_files import list_steps
from prodgen.runs.workdir import METRICS_FILE

RESTART_CODES = {ProdgenError.code, StorageError.code, StoppedError.code}
MAX_ENDS_AT_A_STEP = 3  # a run that ends so often without progress is in a crash loop
PAUSES_S = (1, 5, 20, 60)  # before a restart, by the number of ends at the same step
TAIL_BYTES = 2**16  # of a metrics file, more than its last line


class CrashLoopError(ProdgenError):
    """A run ended again and again; the exit code is the run's last one where it has one."""

    name = "crash-loop"


def supervise_training(arguments: Sequence[str], workdir: Path, max_restarts: int) -> None:
    """Run the command `arguments` of run_train.py until it is done, with restarts.

    Exits with the code of a run that is not started again. UsageError for a negative number.
    """
    if max_restarts < 0:
        raise UsageError(
            f"--max_restarts={max_restarts} is below 0", "give --max_restarts=N, N from 0"
        )
    # The last of two equal flags is in effect: the child supervises nothing.
    command = [sys.executable, *arguments, "--max_restarts=0"]
    code = supervise(command, workdir, max_restarts, print_note)
    if code:
        sys.exit(code)


def print_note(text: str) -> None:
    """One line on standard error, between the lines of the runs."""
    print(f"prodgen: {text}", file=sys.stderr, flush=True)


def supervise(
    command: Sequence[str],
    workdir: Path,
    max_restarts: int,
    say: Callable[[str], None],
    pauses_s: Sequence[float] = PAUSES_S,
) -> int:
    """Run `command` until it is done, and return its exit code, 128 + n for signal n.

    SIGTERM and Ctrl-C go on to the child, and it is not started again. CrashLoopError where three
    ends in a row leave the run at the same step, or the restarts are used up after a crash.
    """
    num_ends, last_progress = 0, None  # ends in a row without progress
    for num_restarts in range(max_restarts + 1):
        end, is_stopping = run_child(command)
        code = end if end >= 0 else 128 - end
        if is_stopping or (end >= 0 and end not in RESTART_CODES):
            return code

        # What a restart can use: the last checkpoint, and how far the run came.
        progress = read_progress(workdir)
        num_ends = num_ends + 1 if progress == last_progress else 1
        last_progress = progress
        reason = f"exit code {end}" if end >= 0 else signal.Signals(-end).name
        place = f"step {progress[1]}, last checkpoint {progress[0]}"
        if num_ends == MAX_ENDS_AT_A_STEP:
            raise make_crash_loop_error(
                f"the run ended {num_ends} times in a row at {place}; the last time by {reason}",
                end,
            )
        if num_restarts == max_restarts:
            if end == StoppedError.code:
                return code
            raise make_crash_loop_error(
                f"all {max_restarts} restarts are used up; the last run ended by {reason} at "
                f"{place}",
                end,
            )
        pause_s = pauses_s[min(num_ends, len(pauses_s)) - 1]
        say(
            f"the run ended by {reason} at {place}; restart {num_restarts + 1} of {max_restarts} "
            f"in {pause_s:g} s"
        )
        with handle_signals(stop_at_once):
            time.sleep(pause_s)
    raise AssertionError("the loop returns or raises")


def make_crash_loop_error(message: str, end: int) -> CrashLoopError:
    """The error of a run that is not started again. end: as `run_child` returns it."""
    error = CrashLoopError(message, "read the run's last error above, and remove its cause")
    error.code = end if end > 0 and end != StoppedError.code else ProdgenError.code
    return error


def run_child(command: Sequence[str]) -> tuple[int, bool]:
    """Run a command; (its exit code, minus n for signal n; whether it was told to stop).

    SIGTERM and SIGINT go on to the child, which has a session of its own: Ctrl-C in a terminal
    arrives once. On Linux the child gets SIGTERM when this process is killed.
    """
    numbers: list[int] = []  # of the signals that arrived
    children: list[subprocess.Popen] = []

    def pass_on(number: int, frame: Any) -> None:
        numbers.append(number)
        for child in children:
            child.send_signal(number)

    with handle_signals(pass_on):
        child = subprocess.Popen(follow_parent(command), start_new_session=True)
        children.append(child)
        for number in list(numbers):  # that arrived before there was a child
            child.send_signal(number)
        return child.wait(), bool(numbers)


def read_progress(workdir: Path) -> tuple[int, int]:
    """(step of the last finished checkpoint, last logged step) of a run; 0 where there is none."""
    return max(list_steps(workdir), default=0), max(read_logged_steps(workdir), default=0)


def read_logged_steps(workdir: Path) -> Iterator[int]:
    """The steps of the last lines of a run's metrics; an incomplete line is left out."""
    try:
        with open(workdir / METRICS_FILE, "rb") as file:
            file.seek(-min(TAIL_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            yield int(json.loads(line)["step"])
