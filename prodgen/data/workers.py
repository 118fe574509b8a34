"""Tasks spread over worker processes, where the death of one costs the task it was working on.

The standard pools either wait for ever when a process is killed (multiprocessing) or give up all
that is under way without saying whose fault it was (concurrent.futures). Here every process has a
connection of its own, so a closed connection names the task.

A worker never imports the main module: scripts without a `__main__` guard, `python -c`, programs on
standard input and notebooks can all use workers. Its sys.path is that of the parent.
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

DIED = object()  # the result of a task whose process died
# What a worker runs. Only `sys`, which is built in, is imported before sys.path is the parent's.
PROGRAM = "import sys; sys.path[:] = {path!a}; from {module} import serve; serve({descriptor})"


class CannotStart(Exception):
    """No worker comes up: the system starts no process, or `common` is of the main module."""


@dataclasses.dataclass
class Worker:
    """A process and the task it is working on, if any; ready once it has received `common`."""

    process: subprocess.Popen
    task: Any = None
    is_ready: bool = False


Pool = dict[Connection, Worker]


def run(
    function: Callable[[Any, Any], Any], common: Any, tasks: Sequence[Any], count: int
) -> Iterator[tuple[Any, Any]]:
    """(task, function(common, task)) of every task, as they finish, from `count` processes.

    `function` lives in a module, `common` is pickled once a process. The result is DIED where the
    process died; an exception of `function` is raised here. CannotStart: tasks may be left.
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
                    worker.is_ready = True
                    _assign(pool, connection, waiting)
                if task is not None:
                    yield task, DIED if kind == "died" else value
    finally:
        for connection in list(pool):
            _terminate(pool, connection)
    if waiting:
        raise CannotStart("no worker process could be started")


def _spawn(pool: Pool, function: Callable, common: Any) -> None:
    """Add a worker to the pool; none where the system starts no process."""
    ours, theirs = multiprocessing.Pipe()
    with theirs:  # the parent's copy would keep the connection open when the worker dies
        try:
            # Standard input is never written: its end tells the worker that the parent is gone.
            process = subprocess.Popen(
                _command(theirs.fileno()), stdin=subprocess.PIPE, pass_fds=[theirs.fileno()]
            )
        except OSError:
            return ours.close()
    pool[ours] = Worker(process)
    with contextlib.suppress(OSError):  # it died already: the next _receive will say so
        ours.send((function, common))


def _command(descriptor: int) -> list[str | bytes]:
    """The command of a worker that talks over `descriptor`, with this interpreter's own flags."""
    # The folder of this package is last: it serves where sys.path is relative to a former folder.
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


def _assign(pool: Pool, connection: Connection, waiting: collections.deque) -> None:
    """Give a ready worker the next task, or end it."""
    if not waiting:
        return _terminate(pool, connection)
    pool[connection].task = task = waiting.popleft()
    with contextlib.suppress(OSError):  # it died in between: the next _receive will say so
        connection.send(task)


def serve(descriptor: int) -> None:
    """The life of a worker: say that it is ready, then answer one task after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    connection = Connection(descriptor)
    try:
        function, common = connection.recv()
    except Exception:  # it is of the main module, which is not here: never ready, so CannotStart
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
            answer = ("error", _sendable(error))
        connection.send(answer)


def _exit_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _sendable(error: BaseException) -> BaseException:
    """The error itself where it can be rebuilt from its arguments on the other side."""
    try:
        return copy.copy(error)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
