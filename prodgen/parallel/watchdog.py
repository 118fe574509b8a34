"""Ends a process whose peers are gone, stuck or have failed, from a thread of its own.

A collective waits for ever for a process that is gone, and no Python runs in the meantime.
"""

from __future__ import annotations

import ctypes
import dataclasses
import faulthandler
import json
import os
import signal
import socket
import threading
import time
from typing import Any

from prodgen.core.errors import PeerError
from prodgen.parallel.key_values import KeyValueStore, NoAnswer
from prodgen.parallel.start import split_address

BEAT_KEY = "prodgen/beat/"
MAX_INTERVAL_S = 2.0
FOREIGN_GRACE_S = 5.0  # in which the main thread may end by itself after another's error
CONTACT_S = 3.0
END_S = 30.0  # in which a process that has met an error has ended
NUM_SILENT_INTERVALS = 3  # without an answer of the coordinator, which is then taken to be gone


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a process does, and for how long it may do so without progress."""

    name: str
    limit_s: float


class Watchdog:
    """Beats, and watches the beats and the progress of the others."""

    def __init__(self, peers: Any, store: KeyValueStore, options: Any):
        self._peers, self._store = peers, store
        self._limit_s, self._beat_limit_s = options.watchdog_s, options.heartbeat_timeout_s
        self._slow_limit_s = max(options.compile_timeout_s, self._limit_s)
        self._interval_s = min(MAX_INTERVAL_S, self._limit_s / 10, self._beat_limit_s / 10)
        self.phase = Phase("starting", self._slow_limit_s)
        self._known_phases: set[str] = set()  # that have made progress, so that they are compiled
        self._progress = 0
        self._records: dict[int, dict[str, Any]] = {}  # the last beat of each process
        self._silences_s: dict[int, float] = {}  # since the last beat of each process
        self._stalls_s: dict[int, float] = {}  # since the last progress of each process
        self._error_s, self._contact_s, self._ending_s = 0.0, 0.0, 0.0
        self.is_ending = self.is_stopped = False
        faulthandler.register(signal.SIGUSR1)  # prints the stack of every thread
        self._handle_abort()
        self._thread = threading.Thread(target=self._run, daemon=True, name="watchdog")
        self._thread.start()

    # What the process itself says

    def enter(self, name: str, is_slow: bool = False) -> Phase:
        """The process does something else from now on; the phase in which it was before.

        is_slow: the phase may compile, unless it has made progress before.
        """
        previous = self.phase
        is_slow = is_slow and name not in self._known_phases
        self.phase = Phase(name, self._slow_limit_s if is_slow else self._limit_s)
        self._progress += 1
        return previous

    def leave(self, previous: Phase) -> None:
        """The phase is over; that before goes on."""
        self.report_progress()
        self.phase = previous

    def report_progress(self) -> None:
        """The phase has made progress: what it needs is compiled."""
        self._progress += 1
        name = self.phase.name
        if name not in self._known_phases:
            self._known_phases.add(name)
            self.phase = Phase(name, self._limit_s)

    def stop(self) -> None:
        """Every process has reached its end. Python must not end while the thread is in JAX."""
        self.is_stopped = True
        self._thread.join()

    # What is known of the others

    def describe_peers(self) -> str:
        """What each other process does, as "process 0: preparing the data"."""
        return self._describe(index for index in self._records if index != self._peers.index)

    def count_living_peers(self) -> int:
        """How many other processes have given a sign of life lately."""
        limit_s = self._beat_limit_s / 2
        indices = set(range(self._peers.count)) - {self._peers.index}
        return sum(self._silences_s.get(index, 0.0) <= limit_s for index in indices)

    def _describe(self, indices: Any) -> str:
        return ", ".join(f"process {i}: {self._records[i]['phase']}" for i in sorted(indices))

    # The thread

    def _run(self) -> None:
        """Beat and look until the end. A pause of the whole process counts as two intervals."""
        beat, last_time = 0, time.monotonic()
        while not self.is_stopped:
            time.sleep(self._interval_s)
            now = time.monotonic()
            seconds, last_time = min(now - last_time, 2 * self._interval_s), now
            beat += 1
            self._exchange(beat, seconds)
            if self.is_stopped:
                break
            if not self.is_ending:
                self._check(seconds)
                continue
            self._ending_s += seconds
            if self._ending_s > END_S:  # such as a message that nobody reads
                os._exit(self._peers.final_code)

    def _exchange(self, beat: int, seconds: float) -> None:
        """Publish this process's beat and read those of the others."""
        phase = self.phase
        own = {"beat": beat, "progress": self._progress}
        own |= {"phase": phase.name, "limit_s": phase.limit_s}
        try:
            self._store.set(f"{BEAT_KEY}{self._peers.index}", json.dumps(own), overwrite=True)
            entries = self._store.read_folder(BEAT_KEY)
        except NoAnswer:
            self._contact_s += seconds
            return
        self._contact_s = 0.0
        records = {int(index): json.loads(text) for index, text in entries.items()}
        for index in range(self._peers.count):
            record, previous = records.get(index, {}), self._records.get(index, {})
            is_silent = record.get("beat") == previous.get("beat")
            self._silences_s[index] = self._silences_s.get(index, 0.0) + seconds if is_silent else 0
            is_stuck = record.get("progress") == previous.get("progress")
            self._stalls_s[index] = self._stalls_s.get(index, 0.0) + seconds if is_stuck else 0.0
        self._records = records

    def _check(self, seconds: float) -> None:
        """End the process if another has failed or is gone, or if none makes progress."""
        from prodgen.parallel.peers import ForeignError

        peers = self._peers
        record = peers.read_error()
        if record is not None and record["process"] != peers.index:
            self._error_s += seconds
            if self._error_s > FOREIGN_GRACE_S:
                peers.end_process(ForeignError(record))
            return
        silent_peers = [
            index
            for index, silence_s in self._silences_s.items()
            if index != peers.index and silence_s > self._beat_limit_s
        ]
        if silent_peers or self._contact_s > self._beat_limit_s:
            who = f"process {silent_peers[0]}" if silent_peers else "process 0"
            self._end(f"{who} has given no sign of life for {self._beat_limit_s:.0f} s")
        # Those that wait have no progress of their own: one that has it is enough.
        is_stuck = len(self._records) == peers.count and all(
            self._stalls_s[index] > record["limit_s"] for index, record in self._records.items()
        )
        if is_stuck:
            self._end(
                f"no process has made progress for {min(self._stalls_s.values()):.0f} s: "
                + self._describe(self._records),
                "; or, if it needs more time, set config.parallel.watchdog_s=SECONDS",
            )

    def _end(self, message: str, advice: str = "") -> None:
        """Tell the others, and end with 75."""
        error = PeerError(message, f"give the same command again to continue{advice}")
        self._peers.end_process(*self._peers.share(error))

    # Aborts

    def _handle_abort(self) -> None:
        """JAX aborts a process whose coordinator is gone: end with 75 instead, and say why.

        The handler is called in the aborting thread, outside of Python.
        """

        @ctypes.CFUNCTYPE(None, ctypes.c_int)
        def handle(number: int) -> None:
            if self.is_stopped:
                os._exit(self._peers.final_code)
            if self._has_contact():
                set_handler(number, 0)  # a defect: abort as usual
                return
            # The main thread may be about to end with the error that this has caused there.
            deadline = time.monotonic() + FOREIGN_GRACE_S
            while self.is_ending and time.monotonic() < deadline:
                time.sleep(self._interval_s / 10)
            # The aborting thread holds locks of JAX, whose calls would never return.
            error = PeerError("process 0 is gone", "give the same command again to continue")
            self._peers.end_process(error, has_contact=False)

        library = ctypes.CDLL(None)
        set_handler = library.signal
        set_handler.restype, set_handler.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
        self._abort_handler = handle  # the library keeps no reference
        set_handler(signal.SIGABRT, ctypes.cast(handle, ctypes.c_void_p))

    def _has_contact(self) -> bool:
        """Whether the coordinator of this process's group answers."""
        if self._contact_s > NUM_SILENT_INTERVALS * self._interval_s:
            return False  # a stopped process still accepts connections
        try:
            socket.create_connection(
                split_address(self._peers.group.coordinator), CONTACT_S
            ).close()
        except OSError:
            return False
        return True
