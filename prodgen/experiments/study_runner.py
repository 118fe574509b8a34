"""Training what is missing of a study: one process for each run, several side by side.

A run is a child process with the command that a user would type, so that a run that fails or is
killed stops no other. Its folder's claim keeps two runners, also of two machines on one shared
folder, from the same run. A runner that is killed loses nothing: the next one continues each run at
its last checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from prodgen.core.errors import StoppedError
from prodgen.core.files import write_atomically
from prodgen.core.signals import handle_signals
from prodgen.experiments import results
from prodgen.experiments.environment import describe_code, describe_hardware
from prodgen.experiments.study import PlannedRun, evaluation_command, evaluation_file
from prodgen.experiments.study_folder import LOG_FILE, OUTCOME_FILE, StudyFolder, claim
from prodgen.report.clock import format_duration

POLL_S = 0.05
WAIT_S = 1.0  # between two tries of a run that another process has
STOP_GRACE_S = 120.0  # for a run to save its checkpoint after SIGTERM
PRIOR_FILE = "prior.npz"  # of --mode=fit_prior
PROGRAMS = {
    "run_train.py": "prodgen.programs.training",
    "run_sample.py": "prodgen.programs.sampling",
}
MAX_LOG_TAIL_BYTES = 4096
STOPPED_CLEANLY = 75  # the exit code of a run that can be continued
Say = Callable[[str], None]


@dataclasses.dataclass
class Job:
    """A run in work: its commands that remain, and the process of the present one."""

    run: PlannedRun
    path: Path
    cores: tuple[int, ...]
    claim: TextIO
    log: TextIO
    commands: list[list[str]]
    start_s: float
    process: subprocess.Popen | None = None


class Runner:
    """Runs the jobs of a study. jobs: how many side by side; deadline_s: in time.monotonic()."""

    def __init__(
        self, folder: StudyFolder, jobs: int, deadline_s: float | None, total: int, say: Say
    ):
        self.folder, self.deadline_s, self.total, self.say = folder, deadline_s, total, say
        num_cores = max(1, len(list_cores()) // jobs)
        self.free_cores = [choose_cores(num_cores, i * num_cores) for i in range(jobs)]
        self.active: list[Job] = []
        self.num_done = self.num_failed = 0
        self.stop_reason = self.last_text = ""
        self.code = describe_code()

    def run(self, pending_runs: Sequence[PlannedRun], num_done: int) -> None:
        """Run all; StoppedError where a signal or the budget ended it before.

        num_done: the runs of the study that are done already, for the console.
        """
        self.num_done, queue, waiting = num_done, list(pending_runs), []
        with handle_signals(self._request_stop):
            while queue or waiting or self.active:
                self._check_deadline()
                while queue and self.free_cores and not self.stop_reason:
                    run = queue.pop(0)
                    if not self._start(run):
                        waiting.append(run)
                self._poll()
                if self.stop_reason:
                    self._stop_all()
                    raise StoppedError(
                        f"{self.stop_reason}; {self.num_done} of {self.total} runs are done",
                        "give the same command again to continue",
                    )
                # Runs in work elsewhere are tried again: their process may be killed.
                if waiting and not self.active and not queue:
                    self._say_once(f"waiting for {len(waiting)} runs of another process")
                    time.sleep(WAIT_S)
                    queue, waiting = waiting, []
                time.sleep(POLL_S)

    def _say_once(self, text: str) -> None:
        if text != self.last_text:
            self.last_text = text
            self.say(text)

    def _request_stop(self, number: int, frame: Any) -> None:
        self.stop_reason = f"stopped by {signal.Signals(number).name}"

    def _check_deadline(self) -> None:
        if self.deadline_s is not None and time.monotonic() > self.deadline_s:
            self.stop_reason = self.stop_reason or "the budget is spent"

    def _start(self, run: PlannedRun) -> bool:
        """Claim a run and start its first command; False where another process has it."""
        path = self.folder.run_path(run)
        file = claim(path)
        if file is None:
            return False
        if self.folder.result_file(run).is_file():  # another process has finished it
            file.close()
            self.num_done += 1
            return True
        log = open(path / LOG_FILE, "a", encoding="utf-8")  # noqa: SIM115
        job = Job(
            run, path, self.free_cores.pop(), file, log, list_commands(run, path), time.time()
        )
        self.active.append(job)
        self._next_command(job)
        return True

    def _next_command(self, job: Job) -> None:
        """Start the job's next command, pinned to its cores and holding the claim."""
        command = job.commands.pop(0)
        job.log.write(f"$ {' '.join(command)}\n")
        job.log.flush()
        with pin_cores(job.cores):
            job.process = subprocess.Popen(
                [sys.executable, *find_program(command)],
                stdin=subprocess.DEVNULL, stdout=job.log, stderr=job.log,
                pass_fds=[job.claim.fileno()],
            )  # fmt: skip

    def _poll(self) -> None:
        """Go on with every job whose command has ended."""
        for job in list(self.active):
            code = job.process.poll()
            if code is None:
                continue
            if code == 0 and job.commands and not self.stop_reason:
                self._next_command(job)
                continue
            self._finish(job, code)

    def _finish(self, job: Job, code: int) -> None:
        """Write the outcome of a job and, where it succeeded, its line of results."""
        self.active.remove(job)
        self.free_cores.append(job.cores)
        job.log.close()
        outcome = {
            "exit_code": code if code >= 0 else 128 - code,
            "last_line": read_last_line(job.path / LOG_FILE),
            "seconds": add_seconds(job.path, time.time() - job.start_s),
            "hardware": describe_hardware(job.cores),
            "code": self.code,
        }
        is_done = code == 0 and not job.commands
        if is_done:
            try:
                line = results.build_line(job.run, job.path, outcome)
            except (OSError, KeyError, ValueError) as error:
                is_done = False
                outcome |= {"exit_code": 74, "last_line": f"no line of results: {error!r}"}
        write_atomically(job.path / OUTCOME_FILE, json.dumps(outcome).encode())
        if is_done:
            file = self.folder.result_file(job.run)
            file.parent.mkdir(exist_ok=True)
            results.write_lines(file, [line])
        job.claim.close()
        self._report(job, outcome, is_done)

    def _report(self, job: Job, outcome: Mapping[str, Any], is_done: bool) -> None:
        run, seconds = job.run, format_duration(time.time() - job.start_s)
        name = f"run {run.index}  {run.cell.name}, seed {run.seed}"
        if is_done:
            self.num_done += 1
            self.say(f"{self.num_done}/{self.total} done  {name}  {seconds}")
        elif outcome["exit_code"] != STOPPED_CLEANLY:
            self.num_failed += 1
            self.say(f"FAILED  {name}  exit code {outcome['exit_code']}: {outcome['last_line']}")

    def _stop_all(self) -> None:
        """Let every run save its checkpoint and end."""
        for job in self.active:
            job.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_GRACE_S
        while self.active and time.monotonic() < end:
            self._poll()
            time.sleep(POLL_S)
        for job in list(self.active):
            job.process.kill()
            job.process.wait()
            self._finish(job, STOPPED_CLEANLY)


def list_cores() -> list[int]:
    """The cores that this process may use; all where the system cannot pin processes to some."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def choose_cores(number: int, start: int = 0) -> tuple[int, ...]:
    """This process's cores from the place `start` on; with fewer than needed, from the first."""
    cores = list_cores()
    return tuple(cores[(start + k) % len(cores)] for k in range(min(number, len(cores))))


@contextlib.contextmanager
def pin_cores(cores: Sequence[int]) -> Iterator[None]:
    """Within the context, processes that are started run on these cores alone, on Linux."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    own_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own_cores)


def list_commands(run: PlannedRun, path: Path) -> list[list[str]]:
    """The commands that a run still needs.

    Another cell may have the same training, with another evaluation: its line shows that the
    training is complete.
    """
    is_complete = any((path / "results").glob("*.json"))
    commands = [] if is_complete else [run.command(path)]
    needs_prior = any(flags.get("prior") == "fitted" for flags in run.evaluations)
    if needs_prior and not (path / PRIOR_FILE).is_file():
        commands.append(["run_sample.py", "--mode=fit_prior", f"--workdir={path}"])
    commands += [
        evaluation_command(path, flags)
        for flags in run.evaluations
        if not evaluation_file(path, flags).is_file()
    ]
    return commands


def find_program(command: Sequence[str]) -> list[str]:
    """What follows the interpreter: the script in the current folder, else prodgen's own module.

    command: a script with its arguments. An installed package has no scripts.
    """
    script, *arguments = command
    if Path(script).is_file() or script not in PROGRAMS:
        return [script, *arguments]
    return ["-m", PROGRAMS[script], *arguments]


def add_seconds(path: Path, seconds: float) -> float:
    """The wall time of all processes in a run's folder so far, those of other evaluations too."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return seconds + json.loads((path / OUTCOME_FILE).read_text(encoding="utf-8"))["seconds"]
    return seconds


def read_last_line(file: Path) -> str:
    """The last line of a log that is not empty."""
    with open(file, "rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - MAX_LOG_TAIL_BYTES))
        lines = log.read().decode("utf-8", "replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "")


def order_runs(runs: Sequence[PlannedRun]) -> Iterator[PlannedRun]:
    """All cells of the first seed, then of the second: a part of a study compares all cells."""
    positions: dict[int, int] = {}
    for run in runs:
        positions.setdefault(run.seed, len(positions))
    yield from sorted(runs, key=lambda run: (positions[run.seed], run.cell.index))
