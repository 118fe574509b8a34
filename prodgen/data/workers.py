"""Tasks spread over spawned processes, where the death of one costs the task it was working on.

The standard pools either wait for ever when a process is killed (multiprocessing) or give up all
that is under way without saying whose fault it was (concurrent.futures). Here every process has a
pipe of its own, so a closed pipe names the task.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

DIED = object()  # the result of a task whose process died


class CannotStart(Exception):
    """No process comes up: the main module has no `__main__` guard, or there is no memory."""


def run(
    function: Callable[[Any, Any], Any], common: Any, tasks: Sequence[Any], count: int
) -> Iterator[tuple[Any, Any]]:
    """(task, function(common, task)) of every task, as they finish, from `count` processes.

    `function` lives in a module, `common` is pickled once a process. The result is DIED where the
    process died; an exception of `function` is raised here. CannotStart: tasks may be left.
    """
    waiting = collections.deque(tasks)
    crew: dict[Connection, list[Any]] = {}  # [process, the task it works on, ready]
    try:
        for _ in range(min(count, len(tasks))):
            _hire(crew, function, common)
        while crew:
            for connection in wait(list(crew)):
                process, task, ready = crew[connection]
                kind, value = _receive(connection)
                if kind == "error":
                    raise value
                if kind == "died":
                    _dismiss(crew, connection)
                    if ready and (waiting or task is not None):
                        _hire(crew, function, common)
                else:
                    crew[connection] = [process, None, True]
                    _assign(crew, connection, waiting)
                if task is not None:
                    yield task, DIED if kind == "died" else value
    finally:
        for connection in list(crew):
            _dismiss(crew, connection)
    if waiting:
        raise CannotStart


def _hire(crew: dict, function: Callable, common: Any) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_loop, args=(theirs, function, common), daemon=True)
    process.start()
    theirs.close()  # or its end would stay open here when the process dies
    crew[ours] = [process, None, False]


def _dismiss(crew: dict, connection: Connection) -> None:
    process, *_ = crew.pop(connection)
    connection.close()
    process.kill()
    process.join()


def _receive(connection: Connection) -> tuple[str, Any]:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return "died", None


def _assign(crew: dict, connection: Connection, waiting: collections.deque) -> None:
    """Give a ready process the next task, or send it home."""
    if not waiting:
        return _dismiss(crew, connection)
    crew[connection][1] = task = waiting.popleft()
    with contextlib.suppress(OSError):  # it died in between: the next _receive will say so
        connection.send(task)


def _loop(connection: Connection, function: Callable, common: Any) -> None:
    """What a process does: say that it is ready, then one task after the other."""
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


def _sendable(error: BaseException) -> BaseException:
    """The error itself where it can be rebuilt from its arguments on the other side."""
    try:
        return copy.copy(error)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
