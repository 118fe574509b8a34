"""Faults of two processes that train one run over gloo: deaths, signals, hangs, bad data."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import _fault_cases as cases
from benchmarks import _fault_runs as runs
from prodgen.core.failpoints import FAILPOINTS

NUM_PROCESSES = 2
START_S = 300  # until both have joined and compiled, at most
# The bound of the plan for the time from a fault to the end of all processes, with short limits
# and with those of the defaults.
LIMITS = {"parallel.heartbeat_timeout_s": 10.0, "parallel.watchdog_s": 20.0}
MAX_END_S, MAX_DEFAULT_END_S = 45, 130
MAX_STALL_S = 60  # for a process that is alive, with LIMITS
PAUSE_S = 30
FAULTS_PER_RUN = 4
MAX_PROGRESS = runs.NUM_STEPS // FAULTS_PER_RUN  # lines of metrics between two faults of a run
TERM_PLACES = ("save.before_commit:2", "save.mid_write:2", "compile.start:1", "evaluate.midway:2")
SAVE_PLACES = ("save.before_write:3", "save.mid_write:3", "save.mid_write:5", "evaluate.midway:2")
# (process, failpoint): places where a process hangs. Process 0 alone writes sheets and metrics.
STALLS = ((1, "evaluate.midway:2"), (0, "sheet.before_write:1"), (0, "metrics.mid_line:7"),
          (1, "save.before_write:2"))  # fmt: skip


def find_port() -> int:
    """A port of this machine that is free."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def start_pair(
    base: cases.Base,
    workdir: Path,
    failpoints: Sequence[str] = ("", ""),
    flags: Sequence[Sequence[str]] = ((), ()),
    has_limits: bool = True,
) -> list[subprocess.Popen]:
    """Both processes of a run. failpoints, flags: of each; has_limits: with LIMITS."""
    port = find_port()
    limits = [f"--config.{path}={value}" for path, value in LIMITS.items() if has_limits]
    return [
        base.start(
            workdir, f"--coordinator=localhost:{port}", f"--processes={NUM_PROCESSES}",
            f"--process={rank}", *limits, *flags[rank], failpoint=failpoints[rank],
        )
        for rank in range(NUM_PROCESSES)
    ]  # fmt: skip


def finish_pair(processes: list[subprocess.Popen], limit_s: float) -> list[runs.Outcome]:
    """The outcomes of both. FaultError after `limit_s` seconds; both are then killed."""
    deadline = time.monotonic() + limit_s
    try:
        return [runs.finish(p, max(deadline - time.monotonic(), 0.1)) for p in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


def wait_for_end(processes: list[subprocess.Popen], limit_s: float) -> tuple[list, float]:
    """(outcomes of both, seconds until both had ended). FaultError after `limit_s` seconds."""
    start = time.monotonic()
    outcomes = finish_pair(processes, limit_s)
    return outcomes, time.monotonic() - start


def prepare_pair(base: cases.Base) -> tuple[int, dict[str, str], bytes]:
    """The result of an uninterrupted run of two processes."""
    workdir = base.folder / "pair"
    if not workdir.exists():
        codes = [end.code for end in finish_pair(start_pair(base, workdir), runs.TIMEOUT_S)]
        runs.check(codes == [0, 0], f"the uninterrupted pair ends with {codes}")
        base.pair_reference = runs.read_result(workdir)
    return base.pair_reference


def choose_workdir(base: cases.Base, number: int) -> Path:
    """The folder for fault `number`: several faults, one after the other, disturb one run."""
    prepare_pair(base)
    is_first = number % FAULTS_PER_RUN == 0
    return base.make_workdir() if is_first else base.folder / f"run{base.num_folders}"


def is_last_of_run(number: int, tries: int) -> bool:
    """Whether a run is finished after fault `number` of `tries`."""
    return number % FAULTS_PER_RUN == FAULTS_PER_RUN - 1 or number == tries - 1


def wait_for_progress(processes: list, workdir: Path, rng: random.Random) -> None:
    """Until the run has logged some lines more."""
    metrics = workdir / "metrics.jsonl"
    num_lines = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
    runs.wait_for_line(processes[0], workdir, num_lines + rng.randint(1, MAX_PROGRESS))


def finish_run(base: cases.Base, workdir: Path) -> None:
    """Continue a run to its end by two processes, and compare it with the uninterrupted one."""
    outcomes = finish_pair(start_pair(base, workdir), runs.TIMEOUT_S)
    codes = [outcome.code for outcome in outcomes]
    runs.check(codes == [0, 0], f"the continued pair ends with {codes}: {outcomes[0].last_line}")
    runs.check_result(workdir, prepare_pair(base))


def read_last_line(workdir: Path, rank: int, outcomes: Sequence[runs.Outcome]) -> str:
    """The last line that a process has printed: the others than the first print into a file."""
    log = workdir / "logs" / f"rank_{rank}.log"
    if rank == 0 or not log.is_file():
        return outcomes[rank].last_line
    return (log.read_text(encoding="utf-8").strip().splitlines() or [""])[-1]


def check_peer(workdir: Path, rank: int, outcomes: Sequence[runs.Outcome]) -> None:
    """FaultError unless process `rank` ended with 75, and named the last good checkpoint."""
    code, line = outcomes[rank].code, read_last_line(workdir, rank, outcomes)
    runs.check(code == 75, f"process {rank} ends with {code}: {line}")
    runs.check("checkpoint" in line, f"process {rank} names no checkpoint: {line}")


def kill_one(
    base: cases.Base, tries: int, rng: random.Random, has_limits: bool = True
) -> Iterator[cases.Trial]:
    """M1, M2: SIGKILL of either process; the other ends, and the pair is started again."""
    for number in range(tries):

        def attempt(number: int = number) -> tuple[int, float]:
            workdir, rank = choose_workdir(base, number), number % NUM_PROCESSES
            processes = start_pair(base, workdir, has_limits=has_limits)
            wait_for_progress(processes, workdir, rng)
            time.sleep(rng.random() * 0.1)
            processes[rank].kill()
            limit_s = MAX_END_S if has_limits else MAX_DEFAULT_END_S
            outcomes, end_s = wait_for_end(processes, limit_s)
            lost_steps = runs.count_lost_steps(workdir)
            if outcomes[1 - rank].code:  # 0: the run was done before
                check_peer(workdir, 1 - rank, outcomes)
            if is_last_of_run(number, tries):
                finish_run(base, workdir)
            return lost_steps, end_s

        yield cases.try_case(attempt)


def kill_one_by_default(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """The same with the limits of the config's defaults."""
    return kill_one(base, tries, rng, has_limits=False)


def kill_at_failpoints(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """M6: SIGKILL of the first process at every failpoint, and of the second one while it saves."""
    points = [(0, f"{name}:{cases.HITS.get(name, 1)}") for name in FAILPOINTS]
    points += [(1, place) for place in SAVE_PLACES]
    for rank, point in points[:tries]:

        def attempt(rank: int = rank, point: str = point) -> tuple[int, float]:
            prepare_pair(base)
            workdir = base.make_workdir()
            if point.startswith("restore"):  # a run that has something to restore
                finish_pair(start_pair(base, workdir, ("save.mid_write:3:term", "")), START_S)
            failpoints = ["", ""]
            failpoints[rank] = f"{point}:kill"
            processes = start_pair(base, workdir, failpoints)
            processes[rank].wait(START_S)
            outcomes, end_s = wait_for_end(processes, MAX_END_S)
            runs.check(outcomes[rank].code == -signal.SIGKILL, f"{point}: it is not killed")
            check_peer(workdir, 1 - rank, outcomes)
            lost_steps = runs.count_lost_steps(workdir)
            finish_run(base, workdir)
            return lost_steps, end_s

        yield cases.try_case(attempt)


def terminate_one(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """M5: SIGTERM of either process; both leave with 75 at the same step, and nothing is lost."""
    for number in range(tries):

        def attempt(number: int = number) -> tuple[int, float]:
            workdir, rank = choose_workdir(base, number), number % NUM_PROCESSES
            if number < len(TERM_PLACES):
                points = ["", ""]
                points[rank] = f"{TERM_PLACES[number]}:term"
                processes = start_pair(base, workdir, points)
            else:
                processes = start_pair(base, workdir)
                wait_for_progress(processes, workdir, rng)
                processes[rank].send_signal(signal.SIGTERM)
            outcomes, end_s = wait_for_end(processes, START_S + MAX_END_S)
            codes = [outcome.code for outcome in outcomes]
            runs.check(codes in ([75, 75], [0, 0]), f"exit codes {codes}")
            steps = {
                read_last_line(workdir, process, outcomes).partition(" at step ")[2].split(" ")[0]
                for process in range(NUM_PROCESSES)
            }
            runs.check(codes == [0, 0] or len(steps) == 1, f"they stop at the steps {steps}")
            lost_steps = runs.count_lost_steps(workdir)
            runs.check(lost_steps == 0, f"{lost_steps} steps are lost")
            if is_last_of_run(number, tries):
                finish_run(base, workdir)
            return lost_steps, end_s if number >= len(TERM_PLACES) else 0.0

        yield cases.try_case(attempt)


def stall_one(
    base: cases.Base, tries: int, rng: random.Random, has_limits: bool = True
) -> Iterator[cases.Trial]:
    """M3: a process hangs; both end within the bound and print their stacks."""
    limit_s = MAX_STALL_S if has_limits else MAX_DEFAULT_END_S
    for rank, point in STALLS[:tries]:

        def attempt(rank: int = rank, point: str = point) -> tuple[int, float]:
            prepare_pair(base)
            workdir, failpoints = base.make_workdir(), ["", ""]
            failpoints[rank] = f"{point}:sleep:1000"
            processes = start_pair(base, workdir, failpoints, has_limits=has_limits)
            # From the last line of metrics on: the process hangs soon after.
            runs.wait_for_silence(processes[0], workdir, START_S)
            outcomes, end_s = wait_for_end(processes, limit_s)
            logs = outcomes[0].output, (workdir / "logs" / "rank_1.log").read_text("utf-8")
            for process, log in enumerate(logs):
                check_peer(workdir, process, outcomes)
                runs.check("most recent call first" in log, f"process {process} prints no stack")
            lost_steps = runs.count_lost_steps(workdir)
            finish_run(base, workdir)
            return lost_steps, end_s + runs.SILENCE_S

        yield cases.try_case(attempt)


def stall_one_by_default(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """The same with the limits of the config's defaults."""
    return stall_one(base, tries, rng, has_limits=False)


def pause_one(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """F6: one process is stopped for a while, with the default limits; both go on."""
    for rank in range(tries):

        def attempt(rank: int = rank % NUM_PROCESSES) -> int:
            prepare_pair(base)
            workdir = base.make_workdir()
            processes = start_pair(base, workdir, has_limits=False)
            runs.wait_for_line(processes[0], workdir, 5)
            processes[rank].send_signal(signal.SIGSTOP)
            time.sleep(PAUSE_S)
            processes[rank].send_signal(signal.SIGCONT)
            outcomes = finish_pair(processes, runs.TIMEOUT_S)
            codes = [outcome.code for outcome in outcomes]
            runs.check(codes == [0, 0], f"exit codes {codes}: {outcomes[0].last_line}")
            runs.check_result(workdir, prepare_pair(base))
            return 0

        yield cases.try_case(attempt)


def damage_data_of_one(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """M9: the images of one process are cut while it trains; both end with that error."""
    for number in range(tries):

        def attempt(number: int = number) -> tuple[int, float]:
            prepare_pair(base)
            workdir, rank = base.make_workdir(), number % NUM_PROCESSES
            caches = [base.folder / f"data{number}_{rank}" for rank in range(NUM_PROCESSES)]
            for cache in caches:
                shutil.copytree(base.cache, cache, ignore=shutil.ignore_patterns("xla"))
            flags = [
                ["--config.data.feed=tfdata", f"--config.data.cache_dir={cache}"]
                for cache in caches
            ]
            processes = start_pair(base, workdir, flags=flags)
            runs.wait_for_line(processes[0], workdir, 2)
            for shard in caches[rank].rglob("images-*.bin"):
                shard.write_bytes(b"")
            outcomes, end_s = wait_for_end(processes, MAX_END_S)
            codes = [outcome.code for outcome in outcomes]
            lines = [read_last_line(workdir, process, outcomes) for process in range(2)]
            runs.check(
                codes[0] == codes[1] and codes[0] in (65, 74), f"exit codes {codes}: {lines}"
            )
            runs.check("images-" in lines[0] and "images-" in lines[1], f"they end with {lines}")
            return runs.count_lost_steps(workdir), end_s

        yield cases.try_case(attempt)


CASES = {  # name: (the case, tries, tries with --quick)
    "SIGTERM of one of two": (terminate_one, 15, 2),
    "one of two hangs": (stall_one, len(STALLS), 1),
    "one of two hangs, default limits": (stall_one_by_default, 1, 1),
    "SIGSTOP and SIGCONT of one of two": (pause_one, 2, 1),
    "images of one of two are cut": (damage_data_of_one, 2, 1),
    "SIGKILL at failpoints": (kill_at_failpoints, len(FAILPOINTS) + len(SAVE_PLACES), 2),
    "SIGKILL of one, default limits": (kill_one_by_default, 2, 1),
    "SIGKILL of one of two": (kill_one, 40, 2),
}
