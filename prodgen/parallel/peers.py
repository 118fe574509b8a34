"""What the processes of a run say to each other while they train: agreement, waiting, errors.

They speak through the key-value store and the barriers of JAX's coordination service, which need no
device. A run of one process calls the same methods, and they do nothing.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prodgen.core.errors import PeerError, ProdgenError, UsageError
from prodgen.parallel.key_values import KeyValueStore, NoAnswer, call_within
from prodgen.parallel.start import ProcessGroup
from prodgen.parallel.watchdog import Watchdog

POLL_S = 0.05
SAY_EVERY_S = 15.0
BARRIER_TIMEOUT_MS = 24 * 3600 * 1000  # the watchdog ends a process that waits in vain before
ACKNOWLEDGE_S = 10.0  # in which the others read an error, before the process that had it ends
FOREIGN_ERROR_S = 5.0  # in which an error of another process arrives after its connection broke
STATE_S = 10.0  # in which the last good checkpoint is found; a network folder may not answer
ERROR_KEY, FACTS_KEY, SEEN_KEY = "prodgen/error/", "prodgen/facts/", "prodgen/seen/"


class ForeignError(ProdgenError):
    """An error of another process, which ends this one, too, with the same code."""

    def __init__(self, record: Mapping[str, Any]):
        super().__init__(f"process {record['process']}: {record['message']}", record["next_step"])
        self.code, self.name = record["code"], record["name"]
        self.saved_state = record["saved_state"]


class Peers:
    """The processes of a run, seen from this one. With one process no method does anything."""

    def __init__(
        self,
        group: ProcessGroup = ProcessGroup(),  # noqa: B008
        options: Any = None,
        report_error: Callable[[BaseException], int] = lambda error: 70,
    ):
        """group: as `join_group` returns it; options: config.parallel.

        report_error: prints an error that ends this process, and returns the exit code.
        """
        self.group, self.index, self.count = group, group.index, group.count
        self.is_main, self.has_several = group.is_main, group.count > 1
        self.describe_state: Callable[[], str] = lambda: ""  # the last good checkpoint
        self.final_code = PeerError.code  # of the process, if JAX aborts it
        self._report_error = report_error
        self._num_barriers = 0
        self._end_lock = threading.Lock()  # held by the thread that ends the process
        self._watchdog: Watchdog | None = None
        if self.has_several:
            from jax._src import distributed

            self._client = distributed.global_state.client
            self._store = KeyValueStore(self._client)
            self._watchdog = Watchdog(self, self._store, options)

    # Waiting

    def wait_for_all(self, name: str, say: Callable[[str], None] = print) -> None:
        """Return when every process has called this; `say` gets a line in the meantime.

        ForeignError where another process ends with an error.
        """
        if not self.has_several:
            return
        self._num_barriers += 1
        barrier = f"prodgen/{self._num_barriers}/{name}"
        errors: list[Exception] = []

        def wait() -> None:
            try:
                self._client.wait_at_barrier(barrier, BARRIER_TIMEOUT_MS)
            except Exception as error:
                errors.append(error)

        # In a thread, so that this one still receives signals.
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        last_say = time.monotonic()
        with self.working(f"waiting: {name}"):
            while thread.is_alive():
                thread.join(POLL_S)
                if not thread.is_alive():
                    break
                self.raise_foreign_error()
                if time.monotonic() - last_say > SAY_EVERY_S:
                    last_say = time.monotonic()
                    say(f"waiting for the other processes: {self._watchdog.describe_peers()}")
        if errors:
            raise errors[0]

    @contextlib.contextmanager
    def main_first(
        self, name: str, say: Callable[[str], None] = print, is_slow: bool = False
    ) -> Iterator[None]:
        """The context is entered by process 0, and when it has left it by the others.

        is_slow: as for `working`.
        """
        if not self.is_main:
            self.wait_for_all(name, say)
        with self.working(name, is_slow):
            yield
        if self.is_main:
            self.wait_for_all(name, say)

    @contextlib.contextmanager
    def working(self, name: str, is_slow: bool = False) -> Iterator[None]:
        """Without progress in the context for `watchdog_s`, every process of the run ends.

        is_slow: it may compile or load something when it is entered for the first time: until
        `report_progress` is called or the context is left, the limit is `compile_timeout_s`.
        """
        if self._watchdog is None:
            yield
            return
        previous = self._watchdog.enter(name, is_slow)
        yield
        self._watchdog.leave(previous)

    def compiling(self, name: str) -> contextlib.AbstractContextManager:
        """`working`, where the first time compiles."""
        return self.working(name, is_slow=True)

    def watch_steps(self) -> None:
        """From now on `report_progress` is called at every step."""
        if self._watchdog is not None:
            self._watchdog.enter("training")

    def report_progress(self) -> None:
        """The loop has finished a step, or a part of what it does between steps."""
        if self._watchdog is not None:
            self._watchdog.report_progress()

    def watch(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """`say` as a function each of whose calls is progress."""

        def report(text: str) -> None:
            self.report_progress()
            say(text)

        return report

    # Agreement

    def require_equal(self, name: str, facts: Mapping[str, Any]) -> None:
        """UsageError, on every process, where a fact differs from process 0's."""
        if not self.has_several:
            return
        texts = {key: str(value) for key, value in facts.items()}
        folder = f"{FACTS_KEY}{name}/"
        self._store.set(f"{folder}{self.index}", json.dumps(texts))
        self.wait_for_all(f"compare {name}")
        entries = self._store.read_folder(folder)
        facts_of = {int(index): json.loads(text) for index, text in entries.items()}
        differences = describe_differences(facts_of)
        if differences:
            raise UsageError(
                "the processes of this run differ: " + "; ".join(differences[:8]),
                "start all of them with the same code, command, data and kind of machine",
            )

    # Errors

    @contextlib.contextmanager
    def share_errors(self) -> Iterator[None]:
        """An error in the context ends every process with the error's code."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            if self._watchdog is None or self._watchdog.is_stopped:
                raise
            self.end_process(*self.share(error))

    def leave(self, name: str, code: int = 0) -> None:
        """Wait for all at a place that every process reaches; what comes after is its own.

        code: the exit code of this process.
        """
        self.wait_for_all(name)
        if self._watchdog is not None:
            self.final_code = code
            self._watchdog.stop()

    def raise_foreign_error(self) -> None:
        """ForeignError if another process has ended with an error."""
        record = self.read_error()
        if record is not None and record["process"] != self.index:
            raise ForeignError(record)

    def read_error(self) -> dict[str, Any] | None:
        """The record of the first error of any process; None where there is none."""
        try:
            texts = list(self._store.read_folder(ERROR_KEY).values())
        except NoAnswer:  # the coordinator is gone
            return None
        return json.loads(texts[0]) if texts else None

    def share(self, error: BaseException) -> tuple[BaseException, bool]:
        """Publish an error, or find the error of another process that caused it.

        Returns the error that ends this process, and whether the others learn of it from here.
        """
        self._watchdog.is_ending = True
        # A collective fails where another process ends: its error is the cause.
        has_reason = isinstance(error, (ProdgenError, KeyboardInterrupt))
        reason = error.__cause__ or (None if has_reason else error)
        is_own = not _is_broken_connection(reason)
        deadline = time.monotonic() + (0 if is_own else FOREIGN_ERROR_S)
        while not isinstance(error, ForeignError):
            record = self.read_error()
            if record is not None and record["process"] != self.index:
                return (error if is_own else ForeignError(record)), False
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_S)
        else:
            return error, False
        if not is_own:
            text = str(reason).splitlines()[0][:200]
            error = PeerError(
                f"process {self.index} has lost the others: {text}",
                "give the same command again to continue",
            )
        record = {
            "process": self.index,
            "code": find_code(error),
            "name": getattr(error, "name", type(error).__name__),
            "message": str(error) or type(error).__name__,
            "next_step": getattr(error, "next_step", ""),
            "saved_state": getattr(error, "saved_state", ""),
        }
        with contextlib.suppress(NoAnswer):  # another process was first, or all are gone
            self._store.set(f"{ERROR_KEY}first", json.dumps(record))
        return error, True

    def _wait_for_readers(self) -> None:
        """Return when the other living processes have read an error, or after some seconds."""
        deadline = time.monotonic() + ACKNOWLEDGE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(NoAnswer):
                num_readers = len(self._store.read_folder(SEEN_KEY))
                if num_readers >= self._watchdog.count_living_peers():
                    break
            time.sleep(POLL_S)

    def _acknowledge(self) -> None:
        """Say that this process has read the error of another."""
        with contextlib.suppress(NoAnswer):
            self._store.set(f"{SEEN_KEY}{self.index}", "", overwrite=True)

    def end_process(
        self, error: BaseException, is_first: bool = False, has_contact: bool = True
    ) -> None:
        """Print an error's line and end the process at once, from any thread.

        Where another process is gone or stuck, the stack of every thread is printed before.

        is_first: the others are still to read the error. An ordinary end would wait for threads,
        and for processes that are gone. has_contact: false where no call of JAX may be made.
        """
        if not self._end_lock.acquire(blocking=False):
            time.sleep(ACKNOWLEDGE_S)  # another thread prints its error and ends the process
            os._exit(self.final_code)
        self.final_code = find_code(error)
        if isinstance(error, ProdgenError) and not error.saved_state:
            with contextlib.suppress(NoAnswer):
                error.saved_state = call_within(STATE_S, self.describe_state)
        if getattr(error, "name", "") == PeerError.name:
            print(f"{error}; the stack of every thread:", file=sys.stderr, flush=True)
            faulthandler.dump_traceback(all_threads=True)
        self._report_error(error)
        silence_output()
        if is_first and has_contact:
            self._wait_for_readers()
        elif has_contact:
            self._acknowledge()
        os._exit(self.final_code)


def find_code(error: BaseException) -> int:
    """The exit code of a process that an error ends."""
    return 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "code", 70)


def describe_differences(facts_of: Mapping[int, Mapping[str, str]]) -> list[str]:
    """The facts in which a process differs from process 0, "process 1: name 'a', not 'b'" each."""
    expected = facts_of[0]
    return [
        f"process {index}: {name} {facts.get(name)!r}, not {expected.get(name)!r}"
        for index, facts in sorted(facts_of.items())
        for name in sorted(facts.keys() | expected.keys())
        if facts.get(name) != expected.get(name)
    ]


def _is_broken_connection(error: BaseException | None) -> bool:
    """Whether an error of JAX says that a collective has lost its other end."""
    text = str(error).lower() if error is not None else ""
    words = ("gloo", "nccl", "connection", "unavailable", "coordination", "deadline", "barrier")
    return any(word in text for word in words)


def redirect_output(path: Path, index: int) -> None:
    """What this process prints from now on is appended to logs/rank_<index>.log in `path`."""
    folder = path / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    _print_into(folder / f"rank_{index}.log")


def silence_output() -> None:
    """What this process prints from now on goes nowhere: JAX's threads still write messages."""
    _print_into(Path(os.devnull))


def _print_into(path: Path) -> None:
    """Append what this process prints from now on, C++ included, to a file."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # a reader that has gone away
            stream.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)
