"""Ends a process whose peers are gone, stuck or have failed, from a thread of its own.

A collective waits for ever for a process that is gone, and no Python runs in the meantime.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from prodgen.core.errors import PeerError

BEAT_KEY = "prodgen/beat/"
MAX_INTERVAL_S = 2.0
FOREIGN_GRACE_S = 5.0  # in which the main thread may end by itself after another's error
CONTACT_S = 3.0


class Watchdog:
    """Beats, and watches the beats and the steps of the others."""

    def __init__(self, peers: Any, client: Any, options: Any):
        self._peers, self._client = peers, client
        self._limit_s, self._beat_limit_s = options.watchdog_s, options.heartbeat_timeout_s
        self._interval_s = min(MAX_INTERVAL_S, self._limit_s / 10, self._beat_limit_s / 10)
        self.phase: tuple[str, bool] = ("starting", False)  # its name, and whether it is watched
        self._progress = 0
        self._records: dict[int, dict[str, Any]] = {}  # the last beat of each process
        self._ages_s: dict[int, float] = {}  # since the beat of a process changed
        self._stall_s, self._error_s, self._contact_s = 0.0, 0.0, 0.0
        self.is_ending = self.is_stopped = False
        faulthandler.register(signal.SIGUSR1)  # prints the stack of every thread
        self._handle_abort()
        self._thread = threading.Thread(target=self._run, daemon=True, name="watchdog")
        self._thread.start()

    def enter(self, name: str, is_watched: bool) -> None:
        """The process does something else from now on."""
        self.phase = (name, is_watched)
        self._progress += 1

    def report_progress(self) -> None:
        self._progress += 1

    def stop(self) -> None:
        """Every process has reached its end. Python must not end while the thread is in JAX."""
        self.is_stopped = True
        self._thread.join()

    def describe_peers(self) -> str:
        """What each other process does, as "process 0: preparing the data"."""
        return ", ".join(
            f"process {index}: {record['phase']}"
            for index, record in sorted(self._records.items())
            if index != self._peers.index
        )

    def _run(self) -> None:
        """Beat and look until the end. A pause of the whole process counts as one interval."""
        beat, last_progress, last_time = 0, -1, time.monotonic()
        while not self.is_stopped:
            time.sleep(self._interval_s)
            now = time.monotonic()
            seconds, last_time = min(now - last_time, 2 * self._interval_s), now
            beat += 1
            self._exchange(beat, seconds)
            if self.is_stopped or self.is_ending:
                continue
            has_progress = self._progress != last_progress or not self.phase[1]
            self._stall_s = 0.0 if has_progress else self._stall_s + seconds
            last_progress = self._progress
            self._check(seconds)

    def _exchange(self, beat: int, seconds: float) -> None:
        """Publish this process's beat and read those of the others."""
        name, is_watched = self.phase
        own = {"beat": beat, "phase": name, "is_watched": is_watched}
        try:
            key = f"{BEAT_KEY}{self._peers.index}"
            self._client.key_value_set(key, json.dumps(own), allow_overwrite=True)
            entries = self._client.key_value_dir_get(BEAT_KEY)
        except Exception:
            self._contact_s += seconds
            return
        self._contact_s = 0.0
        records = {int(key.rpartition("/")[2]): json.loads(text) for key, text in entries}
        for index in range(self._peers.count):
            is_new = records.get(index) != self._records.get(index)
            self._ages_s[index] = 0.0 if is_new else self._ages_s.get(index, 0.0) + seconds
        self._records = records

    def _check(self, seconds: float) -> None:
        """End the process if another has failed, is gone, or keeps it waiting."""
        from prodgen.parallel.peers import ForeignError

        peers = self._peers
        record = peers.read_error()
        if record is not None and record["process"] != peers.index:
            self._error_s += seconds
            if self._error_s > FOREIGN_GRACE_S:
                peers.end(ForeignError(record))
            return
        silent_peers = [
            i for i, age in self._ages_s.items() if i != peers.index and age > self._beat_limit_s
        ]
        if silent_peers or self._contact_s > self._beat_limit_s:
            who = f"process {silent_peers[0]}" if silent_peers else "process 0"
            self._end(f"{who} has given no sign of life for {self._beat_limit_s:.0f} s")
        has_busy_peer = any(
            not record["is_watched"] for i, record in self._records.items() if i != peers.index
        )
        if self._stall_s > self._limit_s and not has_busy_peer:
            self._end(
                f"process {peers.index} has made no progress for {self._stall_s:.0f} s "
                f"({self.phase[0]}); {self.describe_peers()}"
            )

    def _end(self, message: str) -> None:
        """Write every thread's stack, then end with 75."""
        print(f"watchdog: {message}; the stack of every thread:", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(all_threads=True)
        self._peers.end(PeerError(message, "give the same command again to continue"))

    def _handle_abort(self) -> None:
        """JAX aborts a process whose coordinator is gone: end with 75 instead, and say why.

        The handler is called in the aborting thread, outside of Python.
        """

        @ctypes.CFUNCTYPE(None, ctypes.c_int)
        def handle(number: int) -> None:
            if self.is_stopped or self.is_ending:
                os._exit(self._peers.final_code)
            if not self._has_contact():
                self._peers.end(
                    PeerError("process 0 is gone", "give the same command again to continue")
                )
            set_handler(number, 0)  # a defect: abort as usual

        library = ctypes.CDLL(None)
        set_handler = library.signal
        set_handler.restype, set_handler.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
        self._abort_handler = handle  # the library keeps no reference
        set_handler(signal.SIGABRT, ctypes.cast(handle, ctypes.c_void_p))

    def _has_contact(self) -> bool:
        """Whether the coordinator of this process's group can be reached."""
        from prodgen.parallel.start import split_address

        try:
            socket.create_connection(
                split_address(self._peers.group.coordinator), CONTACT_S
            ).close()
        except OSError:
            return False
        return True
