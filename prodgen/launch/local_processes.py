"""local: start a program in several processes on this machine.

Each process gets --coordinator=127.0.0.1:PORT --processes=N --process=I. The output of process 0 is
shown, that of the others is kept in files. SIGTERM and Ctrl-C are passed on to all. If one fails,
or the launcher is killed, the others are stopped. The exit code is that of the first failure, and
75 if all were stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prodgen.cli.options import option
from prodgen.core.errors import MissingInput, ProdgenError, StoppedError, StorageError, UsageError
from prodgen.core.parent_death import follow_parent
from prodgen.core.signals import handle_signals
from prodgen.launch.program_words import MAX_PORT, check_program
from prodgen.launch.script_output import to_exit_code

POLL_S = 0.05
STOPPED_CLEANLY = 75
HOST_DEVICE_FLAG = re.compile(r"\s*--xla_force_host_platform_device_count=\S*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Of the command local."""

    processes: int = option(2, "How many processes.", low=1, high=256)
    devices_per_process: int = option(
        0, "Virtual devices of each process, on the processor; 0: the real devices.", low=0, high=64
    )
    gpus_per_process: int = option(
        0, "Process I sees only the GPUs from I times this on; 0: each sees all.", low=0, high=64
    )
    port: int = option(0, "Port of the coordinator; 0: one that is free.", low=0, high=MAX_PORT)
    logs: str = option("", "Folder of the other processes' output; default: a temporary one.")
    grace: float = option(
        150.0, "Seconds from the first failure until the others are killed.", low=0.0, high=86_400.0
    )


@dataclasses.dataclass
class Worker:
    """One process; log: the file with its output, None for process 0."""

    index: int
    process: subprocess.Popen
    log: Path | None

    def describe_end(self) -> str:
        """How it ended, with the last line of its output."""
        code = to_exit_code(self.process.returncode)
        line = read_last_line(self.log) if self.log else ""
        return f"process {self.index} ended with exit code {code}" + (f": {line}" if line else "")


def run(options: Options, words: Sequence[str]) -> None:
    """Start the processes and wait until all have ended; an error unless all ended with 0."""
    check_program(words)
    if words[0] != "-m" and not Path(words[0]).is_file():
        raise MissingInput(f"{words[0]} is not a file", "give the command in the program's folder")
    if options.devices_per_process and options.gpus_per_process:
        raise UsageError(
            "--devices_per_process and --gpus_per_process exclude each other", "leave one out"
        )
    folder = make_log_folder(options.logs) if options.processes > 1 else None
    port = options.port or find_free_port()
    workers: list[Worker] = []
    ends: list[Worker] = []
    with handle_signals(lambda number, frame: pass_on(workers, number)):
        try:
            for index in range(options.processes):
                workers.append(start(options, words, port, index, folder))
            if folder:
                print(f"launch: output of the other processes: {folder}/")
                sys.stdout.flush()
            ends = wait(workers, options.grace)
        finally:
            for worker in workers:
                if worker.process.poll() is None:
                    worker.process.kill()
                    worker.process.wait()
    raise_worst(ends)


def start(
    options: Options, words: Sequence[str], port: int, index: int, folder: Path | None
) -> Worker:
    """Start one process, in a session of its own: Ctrl-C reaches it through the launcher only."""
    numbers = [
        f"--coordinator=127.0.0.1:{port}",
        f"--processes={options.processes}",
        f"--process={index}",
    ]
    log = folder / f"process_{index}.log" if folder and index else None
    with open(log, "wb") if log else contextlib.nullcontext() as file:
        process = subprocess.Popen(
            follow_parent([sys.executable, *words, *numbers]),
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT if file else None,
            start_new_session=True, env=make_environment(options, index, os.environ),
        )  # fmt: skip
    return Worker(index, process, log)


def make_environment(options: Options, index: int, environment: Mapping[str, str]) -> dict:
    """The environment of process `index`, with its devices."""
    values = dict(environment)
    if options.devices_per_process:
        # JAX refuses two settings of the number of virtual devices.
        values["XLA_FLAGS"] = HOST_DEVICE_FLAG.sub("", values.get("XLA_FLAGS", "")).strip()
        values |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(options.devices_per_process)}
    if options.gpus_per_process:
        first = index * options.gpus_per_process
        gpus = range(first, first + options.gpus_per_process)
        values["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))
    return values


def wait(workers: Sequence[Worker], grace_s: float) -> list[Worker]:
    """All workers, in the order in which they ended.

    The first failure stops the others with SIGTERM. The first that does not end with 0 begins the
    grace, after which those that remain are killed.
    """
    ends: list[Worker] = []
    deadline_s, is_failure = float("inf"), False
    while len(ends) < len(workers):
        for worker in iterate_new_ends(workers, ends):
            code = worker.process.returncode
            if code:
                deadline_s = min(deadline_s, time.monotonic() + grace_s)
            if code not in (0, STOPPED_CLEANLY) and not is_failure:
                is_failure = True
                print(f"launch: {worker.describe_end()}; the others are stopped", file=sys.stderr)
                pass_on(workers, signal.SIGTERM)
        if time.monotonic() > deadline_s:
            pass_on(workers, signal.SIGKILL)
        time.sleep(POLL_S)
    return ends


def iterate_new_ends(workers: Sequence[Worker], ends: list[Worker]) -> Iterator[Worker]:
    """The workers that have ended since the last call; they are appended to `ends`."""
    for worker in workers:
        if worker not in ends and worker.process.poll() is not None:
            ends.append(worker)
            yield worker


def pass_on(workers: Sequence[Worker], number: int) -> None:
    """Send a signal to each process that has not ended."""
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.send_signal(number)


def raise_worst(ends: Sequence[Worker]) -> None:
    """Raise what the end of all processes means; nothing where all ended with 0.

    ends: in the order of their end. The first failure is the cause of the later ones.
    """
    failure = next((w for w in ends if w.process.returncode not in (0, STOPPED_CLEANLY)), None)
    if failure is not None:
        error = ProdgenError(
            failure.describe_end(),
            f"read {failure.log}" if failure.log else "read its output above",
        )
        error.code, error.name = to_exit_code(failure.process.returncode), "process"
        raise error
    if any(worker.process.returncode for worker in ends):
        raise StoppedError("the processes were stopped", "give the same command again to continue")


def find_free_port() -> int:
    """A port of 127.0.0.1 on which no process listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_log_folder(text: str) -> Path:
    """The folder of logs; StorageError where it cannot be made."""
    if not text:
        return Path(tempfile.mkdtemp(prefix="prodgen-launch-"))
    try:
        folder = Path(text).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError.from_os_error(error, "name another folder with --logs") from None
    return folder


def read_last_line(file: Path) -> str:
    """The last line of a file that is not empty; "" where there is none."""
    with contextlib.suppress(OSError):
        lines = file.read_bytes().decode("utf-8", "replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""
