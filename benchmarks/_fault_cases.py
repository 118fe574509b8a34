"""Faults of one process: death at any moment, signals, errors of the disk, damaged checkpoints.

A case is a function (base, tries, rng) -> trials, one for each fault that was injected. `Base` has
the uninterrupted run that all others are compared with.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import _fault_runs as runs
from prodgen.core.failpoints import FAILPOINTS
from prodgen.runs.checkpoint_files import list_steps

KILLS_PER_RUN = 4
MAX_LINES = runs.NUM_STEPS - 4  # of metrics, before a signal arrives
PAUSE_S = 30  # for which a run is stopped
# The pass at which a failpoint acts, where the first one is before the first checkpoint.
HITS = {"save.before_commit": 3, "save.after_commit": 3, "save.mid_write": 3, "save.before_hash": 3}
HITS |= {"save.before_write": 3, "metrics.mid_line": 11, "evaluate.midway": 2}
DISK_ERRORS = {
    "save.before_write:3:raise:ENOSPC": "a checkpoint could not be written",
    "save.mid_write:3:raise:EIO": "a checkpoint could not be written",
    "save.before_hash:2:raise:ENOSPC": "a checkpoint could not be written",
    "save.before_commit:3:raise:EROFS": "a checkpoint could not be written",
    "metrics.mid_line:11:raise:ENOSPC": "No space left on device",
    "sheet.before_write:1:raise:ENOSPC": "No space left on device",
    "prune.midway:1:raise:EIO": "a checkpoint could not be written",
}
TERM_PLACES = ("compile.start:1", "evaluate.midway:2", "sheet.before_write:1", "save.mid_write:3")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One fault: whether the run survived it, how many steps it computed again, and its times."""

    is_survived: bool
    lost_steps: int = 0
    problem: str = ""
    end_s: float = 0.0  # from the fault until every process has ended; 0 where it is not measured


@dataclasses.dataclass
class Base:
    """A folder for runs, with a cache and an uninterrupted run."""

    folder: Path
    reference: tuple[int, dict[str, str], bytes] = (0, {}, b"")
    pair_reference: tuple[int, dict[str, str], bytes] = (0, {}, b"")  # of two processes
    num_folders: int = 0

    @property
    def cache(self) -> Path:
        """The folder of stores and compiled programs, which all runs share."""
        return self.folder / "cache"

    def prepare(self) -> None:
        """Train the run that nothing disturbs."""
        runs.expect_code(runs.start(self.folder / "reference", self.cache), 0)
        self.reference = runs.read_result(self.folder / "reference")

    def make_workdir(self) -> Path:
        """A new run's folder; that of the run before is deleted."""
        shutil.rmtree(self.folder / f"run{self.num_folders}", ignore_errors=True)
        self.num_folders += 1
        return self.folder / f"run{self.num_folders}"

    def start(self, workdir: Path, *flags: str, **options):
        """Start or continue the run in `workdir`."""
        return runs.start(workdir, self.cache, *flags, **options)

    def finish(self, workdir: Path) -> None:
        """Continue a run to its end, and compare it with the uninterrupted one."""
        runs.expect_code(self.start(workdir), 0)
        runs.check_result(workdir, self.reference)


def try_case(attempt: Callable[[], int | tuple[int, float]]) -> Trial:
    """The trial of a function that returns lost steps, and raises FaultError for a problem.

    It may return (lost steps, seconds until every process has ended).
    """
    try:
        result = attempt()
    except runs.FaultError as error:
        return Trial(False, problem=str(error))
    lost_steps, end_s = result if isinstance(result, tuple) else (result, 0.0)
    if lost_steps > runs.MAX_LOST_STEPS:
        return Trial(False, lost_steps, f"{lost_steps} steps are lost", end_s)
    return Trial(True, lost_steps, end_s=end_s)


def kill_at_random(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F1: SIGKILL at random moments, several in each run, which is then finished."""
    while tries > 0:
        workdir, losses = base.make_workdir(), []
        while len(losses) < min(tries, KILLS_PER_RUN):
            process = base.start(workdir)
            runs.wait_for_random_moment(process, workdir, rng)
            if not runs.kill(process):
                break  # it was done before
            losses.append(runs.count_lost_steps(workdir))
        end = try_case(lambda workdir=workdir: base.finish(workdir) or 0)
        tries -= len(losses)
        for lost_steps in losses:
            is_bounded = lost_steps <= runs.MAX_LOST_STEPS
            yield Trial(end.is_survived and is_bounded, lost_steps, end.problem)


def kill_at_failpoints(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F2: SIGKILL at every failpoint; `tries` limits their number."""
    for name in list(FAILPOINTS)[:tries]:

        def attempt(name: str = name) -> int:
            workdir = base.make_workdir()
            if name == "restore.after_verify":  # a run that has something to restore
                runs.expect_code(base.start(workdir, failpoint="save.mid_write:3:kill"), -9)
            runs.expect_code(base.start(workdir, failpoint=f"{name}:{HITS.get(name, 1)}:kill"), -9)
            lost_steps = runs.count_lost_steps(workdir)
            base.finish(workdir)
            return lost_steps

        yield try_case(attempt)


def kill_in_a_row(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F3: SIGKILL in one save twice, then in the restoring, then in the compilation."""
    places = ("save.before_commit:2", "save.before_commit:1", "restore.after_verify:1",
              "compile.start:1")  # fmt: skip

    def attempt() -> int:
        workdir, losses = base.make_workdir(), []
        for place in places:
            runs.expect_code(base.start(workdir, failpoint=f"{place}:kill"), -9)
            losses.append(runs.count_lost_steps(workdir))
        base.finish(workdir)
        return max(losses)

    for _ in range(tries):
        yield try_case(attempt)


def terminate(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F4: SIGTERM at random moments, and in a compilation, an evaluation, a sheet and a save."""
    for number in range(tries):

        def attempt(number: int = number) -> int:
            workdir = base.make_workdir()
            if number < len(TERM_PLACES):
                process = base.start(workdir, failpoint=f"{TERM_PLACES[number]}:term")
            else:
                process = base.start(workdir)
                runs.wait_for_line(process, workdir, rng.randint(1, MAX_LINES))
                process.send_signal(signal.SIGTERM)
            outcome = runs.expect_code(process, 75, 0)
            lost_steps = runs.count_lost_steps(workdir)
            runs.check(lost_steps == 0, f"{lost_steps} steps are lost: {outcome.last_line}")
            base.finish(workdir)
            return lost_steps

        yield try_case(attempt)


def interrupt(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F5: Ctrl-C stops a run as SIGTERM does."""

    def attempt() -> int:
        workdir = base.make_workdir()
        process = base.start(workdir)
        runs.wait_for_line(process, workdir, rng.randint(1, MAX_LINES))
        process.send_signal(signal.SIGINT)
        runs.expect_code(process, 75)
        lost_steps = runs.count_lost_steps(workdir)
        base.finish(workdir)
        return lost_steps

    for _ in range(tries):
        yield try_case(attempt)


def pause(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F6: a run that is stopped for a while goes on."""

    def attempt() -> int:
        workdir = base.make_workdir()
        process = base.start(workdir)
        runs.wait_for_line(process, workdir, 5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        process.send_signal(signal.SIGCONT)
        runs.expect_code(process, 0)
        runs.check_result(workdir, base.reference)
        return 0

    for _ in range(tries):
        yield try_case(attempt)


def meet_disk_errors(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F7, F14: the disk is full, read-only or broken where something is written."""
    for failpoint, message in list(DISK_ERRORS.items())[:tries]:

        def attempt(failpoint: str = failpoint, message: str = message) -> int:
            workdir = base.make_workdir()
            outcome = runs.expect_code(base.start(workdir, failpoint=failpoint), 74)
            runs.check(message in outcome.last_line, f"the last line is {outcome.last_line}")
            runs.check("checkpoint" in outcome.last_line, "it names no checkpoint")
            lost_steps = runs.count_lost_steps(workdir)
            base.finish(workdir)
            return lost_steps

        yield try_case(attempt)


def fill_the_disk(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F7: no file can grow beyond 256 kB, as on a full disk."""

    def attempt() -> int:
        workdir = base.make_workdir()
        process = base.start(workdir, prefix=("sh", "-c", 'ulimit -f 512; exec "$@"', "sh"))
        outcome = runs.expect_code(process, 74)
        runs.check("File too large" in outcome.last_line, outcome.last_line)
        lost_steps = runs.count_lost_steps(workdir)
        base.finish(workdir)
        return lost_steps

    for _ in range(tries):
        yield try_case(attempt)


def start_two(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """F16: of two runs in one folder, started together, one trains and the other ends with 73."""

    def attempt() -> int:
        workdir = base.make_workdir()
        processes = [base.start(workdir), base.start(workdir)]
        codes = sorted(runs.finish(process).code for process in processes)
        runs.check(codes == [0, 73], f"exit codes {codes}")
        runs.check_result(workdir, base.reference)
        return 0

    for _ in range(tries):
        yield try_case(attempt)


def supervise(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """run_train.py --max_restarts=5: killed in the middle of a line of metrics, it goes on."""

    def attempt() -> int:
        workdir = base.make_workdir()
        hit = rng.randint(34, 48)  # of about 58 lines: the rest has fewer
        failpoint = f"metrics.mid_line:{hit}:kill"
        outcome = runs.expect_code(base.start(workdir, "--max_restarts=5", failpoint=failpoint), 0)
        runs.check("restart 1 of 5" in outcome.output, "it was not restarted")
        runs.check_result(workdir, base.reference)
        return 0

    for _ in range(tries):
        yield try_case(attempt)


def give_up(base: Base, tries: int, rng: random.Random) -> Iterator[Trial]:
    """run_train.py --max_restarts=5 gives up on a run that dies at one step again and again."""

    def attempt() -> int:
        workdir = base.make_workdir()
        failpoint = "evaluate.midway:1:kill"
        outcome = runs.expect_code(base.start(workdir, "--max_restarts=9", failpoint=failpoint), 70)
        runs.check("3 times in a row at step" in outcome.last_line, outcome.last_line)
        runs.check(bool(list_steps(workdir)), "no checkpoint is left")
        base.finish(workdir)
        return 0

    for _ in range(tries):
        yield try_case(attempt)


CASES = {  # name: (the case, tries, tries with --quick)
    "SIGKILL at random": (kill_at_random, 40, 4),
    "SIGKILL at every failpoint": (kill_at_failpoints, len(FAILPOINTS), len(FAILPOINTS)),
    "SIGKILL four times in a row": (kill_in_a_row, 5, 1),
    "SIGTERM": (terminate, 15, 4),
    "Ctrl-C": (interrupt, 3, 1),
    "SIGSTOP and SIGCONT": (pause, 1, 1),
    "error of the disk at a failpoint": (meet_disk_errors, len(DISK_ERRORS), len(DISK_ERRORS)),
    "files cannot grow": (fill_the_disk, 1, 1),
    "two runs in one folder": (start_two, 10, 1),
    "--max_restarts after SIGKILL": (supervise, 3, 1),
    "--max_restarts in a crash loop": (give_up, 1, 1),
}
