"""Tasks in worker processes, where the death of a process costs only the task it was working on.

The standard pools either wait for ever when a process is killed (multiprocessing), or fail all
pending tasks without naming the one that caused it (concurrent.futures). Here every process has a
connection of its own, so a closed connection identifies the task.

A worker never imports the main module. So scripts without a `__main__` guard, `python -c`, programs
on standard input and notebooks can all use workers. Its sys.path is that of the parent.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import spawn
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

PROCESS_DEATH = object()  # the result of a task whose process died
# A worker's program. Only `sys`, which is built in, is imported before sys.path is the parent's.
PROGRAM = "import sys; sys.path[:] = {path!a}; from {module} import serve; serve({descriptor})"


class CannotStart(Exception):
    """No worker starts: the system starts no process, or `common` is of the main module."""


@dataclasses.dataclass
class Worker:
    """A process and its current task, if any; ready once it has received `common`."""

    process: subprocess.Popen
    task: Any = None
    is_ready: bool = False


Pool = dict[Connection, Worker]


def run(
    function: Callable[[Any, Any], Any], common: Any, tasks: Sequence[Any], count: int
) -> Iterator[tuple[Any, Any]]:
    """(task, function(common, task)) of every task, as they finish, from `count` processes.

    `function` must be in a module; `common` is pickled once a process. The result is PROCESS_DEATH
    where the process died; an exception of `function` is raised here. CannotStart: some tasks may
    have no result.
    """
    waiting = collections.deque(tasks)
    pool: Pool = {}
    try:
        for _ in range(min(count, len(tasks))):
            _spawn(pool, function, common)
        while pool:
            for connection in wait(list(pool)):
                worker = pool[connection]
                kind, value = _receive(connection)
                if kind == "error":
                    raise value
                task, worker.task = worker.task, None
                if kind == "died":
                    _terminate(pool, connection)
                    if worker.is_ready and waiting:
                        _spawn(pool, function, common)
                else:
                    # The worker gets the next task, or ends where there is none.
                    worker.is_ready = True
                    if waiting:
                        worker.task = waiting.popleft()
                        with contextlib.suppress(OSError):  # died: the next _receive reports it
                            connection.send(worker.task)
                    else:
                        _terminate(pool, connection)
                if task is not None:
                    yield task, PROCESS_DEATH if kind == "died" else value
    finally:
        for connection in list(pool):
            _terminate(pool, connection)
    if waiting:
        raise CannotStart("no worker process could be started")


def _spawn(pool: Pool, function: Callable, common: Any) -> None:
    """Add a worker to the pool; none where the system starts no process."""
    parent_end, worker_end = multiprocessing.Pipe()
    with worker_end:  # the parent's copy would keep the connection open when the worker dies
        try:
            # Nothing is written to standard input; it closes when the parent ends.
            descriptor = worker_end.fileno()
            process = subprocess.Popen(
                _make_command(descriptor), stdin=subprocess.PIPE, pass_fds=[descriptor]
            )
        except OSError:
            return parent_end.close()
    pool[parent_end] = Worker(process)
    with contextlib.suppress(OSError):  # it died already: the next _receive reports it
        parent_end.send((function, common))


def _make_command(descriptor: int) -> list[str | bytes]:
    """The command of a worker on connection `descriptor`, with this interpreter's own flags."""
    # This package's folder comes last, for relative entries of sys.path after a change of folder.
    path = [*filter(lambda entry: isinstance(entry, str), sys.path), str(Path(__file__).parents[2])]
    program = PROGRAM.format(path=path, module=__name__, descriptor=descriptor)
    executable = spawn.get_executable()
    if not executable:
        raise FileNotFoundError("sys.executable is not set")
    return [executable, *subprocess._args_from_interpreter_flags(), "-c", program]


def _terminate(pool: Pool, connection: Connection) -> None:
    process = pool.pop(connection).process
    connection.close()
    process.kill()
    process.wait()
    process.stdin.close()


def _receive(connection: Connection) -> tuple[str, Any]:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return "died", None


def serve(descriptor: int) -> None:
    """A worker's main loop: report that it is ready, then answer one task after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends its workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    connection = Connection(descriptor)
    try:
        function, common = connection.recv()
    except Exception:  # `common` is of the main module: the worker is never ready
        return
    connection.send(("ready", None))
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            answer = ("done", function(common, task))
        except BaseException as error:
            answer = ("error", _make_sendable(error))
        connection.send(answer)


def _exit_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _make_sendable(error: BaseException) -> BaseException:
    """The error itself where the parent can rebuild it from its arguments, else a RuntimeError."""
    try:
        return copy.copy(error)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
