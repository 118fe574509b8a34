"""Faults of two processes that train one run over gloo: deaths, signals, wrong addresses."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import _fault_cases as cases
from benchmarks import _fault_runs as runs
from prodgen.core.failpoints import FAILPOINTS

NUM_PROCESSES = 2
MAX_PEER_S = 130  # until a process ends whose peer is gone
START_S = 60  # until both have joined, at most
FLAG_NAMES = ("coordinator", "processes", "process")
PEER_PLACES = ("save.before_commit:2", "save.mid_write:2", "compile.start:1", "evaluate.midway:2")


def find_obstacle() -> str:
    """Why the section cannot run here; "" where it can."""
    text = (runs.ROOT / "run_train.py").read_text(encoding="utf-8")
    missing = [name for name in FLAG_NAMES if f'"{name}"' not in text]
    return f"run_train.py has no --{missing[0]}" if missing else ""


def find_port() -> int:
    """A port of this machine that is free."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def start_pair(
    base: cases.Base, workdir: Path, failpoints: tuple[str, str] = ("", "")
) -> list[subprocess.Popen]:
    """Both processes of a run; `failpoints` are those of each."""
    port = find_port()
    return [
        base.start(
            workdir, f"--coordinator=localhost:{port}", f"--processes={NUM_PROCESSES}",
            f"--process={rank}", failpoint=failpoints[rank],
        )
        for rank in range(NUM_PROCESSES)
    ]  # fmt: skip


def finish_pair(processes: list[subprocess.Popen], limit_s: float) -> list[int]:
    """The exit codes of both. FaultError after `limit_s` seconds; both are then killed."""
    deadline = time.monotonic() + limit_s
    try:
        return [runs.finish(p, max(deadline - time.monotonic(), 0.1)).code for p in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


def prepare_pair(base: cases.Base) -> tuple[int, dict[str, str], bytes]:
    """The result of an uninterrupted run of two processes."""
    workdir = base.folder / "pair"
    if not workdir.exists():
        codes = finish_pair(start_pair(base, workdir), runs.TIMEOUT_S)
        runs.check(codes == [0, 0], f"the uninterrupted pair ends with {codes}")
    return runs.read_result(workdir)


def finish_run(base: cases.Base, workdir: Path) -> None:
    """Continue a run to its end by two processes, and compare it with the uninterrupted one."""
    codes = finish_pair(start_pair(base, workdir), runs.TIMEOUT_S)
    runs.check(codes == [0, 0], f"the continued pair ends with {codes}")
    runs.check_result(workdir, prepare_pair(base))


def kill_one(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """M1, M2: SIGKILL of either process; the other ends, and the pair is started again."""
    for number in range(tries):

        def attempt(rank: int = number % NUM_PROCESSES) -> int:
            prepare_pair(base)
            workdir = base.make_workdir()
            processes = start_pair(base, workdir)
            runs.wait_for_line(processes[0], workdir, rng.randint(1, cases.MAX_LINES))
            time.sleep(rng.random() * 0.1)
            processes[rank].kill()
            codes = finish_pair(processes, MAX_PEER_S)
            other_code = codes[1 - rank]
            runs.check(other_code in (75, 0), f"the other process ends with {other_code}")
            lost_steps = runs.count_lost_steps(workdir)
            finish_run(base, workdir)
            return lost_steps

        yield cases.try_case(attempt)


def kill_at_failpoints(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """M6: SIGKILL of the first process at every failpoint."""
    for name in list(FAILPOINTS)[:tries]:

        def attempt(name: str = name) -> int:
            prepare_pair(base)
            workdir = base.make_workdir()
            if name == "restore.after_verify":  # a run that has something to restore
                first = start_pair(base, workdir, ("save.mid_write:3:term", ""))
                finish_pair(first, runs.TIMEOUT_S)
            point = f"{name}:{cases.HITS.get(name, 1)}:kill"
            codes = finish_pair(start_pair(base, workdir, (point, "")), START_S + MAX_PEER_S)
            runs.check(codes[0] == -signal.SIGKILL, f"exit codes {codes}")
            lost_steps = runs.count_lost_steps(workdir)
            finish_run(base, workdir)
            return lost_steps

        yield cases.try_case(attempt)


def terminate_one(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """M5: SIGTERM of either process; both leave with 75 at the same step, and nothing is lost."""
    for number in range(tries):

        def attempt(number: int = number) -> int:
            prepare_pair(base)
            workdir, rank = base.make_workdir(), number % NUM_PROCESSES
            if number < len(PEER_PLACES):
                points = ["", ""]
                points[rank] = f"{PEER_PLACES[number]}:term"
                processes = start_pair(base, workdir, (points[0], points[1]))
            else:
                processes = start_pair(base, workdir)
                runs.wait_for_line(processes[0], workdir, rng.randint(1, cases.MAX_LINES))
                processes[rank].send_signal(signal.SIGTERM)
            codes = finish_pair(processes, START_S + MAX_PEER_S)
            # A process may never pass a place that only the first one passes.
            runs.check(codes in ([75, 75], [0, 0]), f"exit codes {codes}")
            lost_steps = runs.count_lost_steps(workdir)
            runs.check(lost_steps == 0, f"{lost_steps} steps are lost")
            finish_run(base, workdir)
            return lost_steps

        yield cases.try_case(attempt)


def stall_one(base: cases.Base, tries: int, rng: random.Random) -> Iterator[cases.Trial]:
    """M3: a process that hangs in an evaluation; both end within the bound."""

    def attempt() -> int:
        workdir = base.make_workdir()
        processes = start_pair(base, workdir, ("", "evaluate.midway:2:sleep:1000"))
        codes = finish_pair(processes, START_S + MAX_PEER_S)
        runs.check(0 not in codes, f"exit codes {codes}")
        lost_steps = runs.count_lost_steps(workdir)
        finish_run(base, workdir)
        return lost_steps

    for _ in range(tries):
        yield cases.try_case(attempt)


CASES = {  # name: (the case, tries, tries with --quick)
    "SIGKILL of one of two": (kill_one, 40, 2),
    "SIGKILL of the first at failpoints": (kill_at_failpoints, len(FAILPOINTS), 2),
    "SIGTERM of one of two": (terminate_one, 15, 2),
    "one of two hangs": (stall_one, 1, 1),
}
