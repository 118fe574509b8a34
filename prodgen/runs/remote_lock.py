"""The lock of a folder on an object store, which has none: an object that its holder renews.

The object says who holds the folder. The holder writes it again every RENEW_S seconds. Another run
that finds it watches it: an object that changes has a holder that lives, and an object that does
not change for DEAD_S seconds has none. No clocks are compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prodgen.core.errors import WorkdirError
from prodgen.core.mirror import LOCK
from prodgen.core.remote_files import RemoteFolder
from prodgen.runs.workdir import describe_process

RENEW_S, DEAD_S = 20.0, 75.0
SETTLE_S = 2.0  # after which the last of two simultaneous writers sees that it is the last


class RemoteLock:
    """The lock of one folder, of this process. `acquire` first; `release` at the end."""

    def __init__(self, folder: RemoteFolder, renew_s: float = RENEW_S, dead_s: float = DEAD_S):
        self.folder, self.renew_s, self.dead_s = folder, renew_s, dead_s
        self._record = {"holder": describe_process(), "place": describe_machine(),
                        "pid": os.getpid(), "token": uuid.uuid4().hex, "count": 0}  # fmt: skip
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, say: Callable[[str], None]) -> None:
        """Write the object, and keep it new from now on.

        WorkdirError if another process holds it, or the folder cannot be written. Waits for at most
        `dead_s` for a holder that may be dead.
        """
        try:
            holder = self._read()
            if holder is None:
                self._create()
            else:
                if not is_dead_here(holder):
                    self._watch(holder, say)
                self._write()
                time.sleep(min(SETTLE_S, self.renew_s))
                self.check()
        except OSError as error:
            raise WorkdirError(
                f"workdir {self.folder} is not writable ({error.strerror or error})",
                "make it writable, or start another run with --workdir=FOLDER",
            ) from None
        self._thread = threading.Thread(target=self._renew, name="remote lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """WorkdirError if another process has taken the folder; OSError if it cannot be read."""
        record = self._read()
        if record is None or record["token"] != self._record["token"]:
            raise self._make_error(record)

    def release(self) -> None:
        """Delete the object, if it is still this process's."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with contextlib.suppress(OSError, WorkdirError):
            self.check()
            self.folder.delete(LOCK)

    def _watch(self, holder: dict[str, Any], say: Callable[[str], None]) -> None:
        """Wait until the object has a dead holder or none; WorkdirError where it changes."""
        say(
            f"{self.folder} has the lock of {holder['holder']}; waiting for at most "
            f"{self.dead_s:.0f} s to see whether it is renewed"
        )
        end = time.monotonic() + self.dead_s
        while time.monotonic() < end:
            time.sleep(self.renew_s / 10)
            present = self._read()
            if present is None:
                return
            if present != holder:
                raise self._make_error(present)

    def _create(self) -> None:
        """Write the object where there is none; WorkdirError if another process was faster."""
        try:
            self.folder.create(LOCK, self._encode())
        except FileExistsError:
            raise self._make_error(self._read()) from None

    def _renew(self) -> None:
        while not self._end.wait(self.renew_s):
            # A store that does not answer now may do so at the next time.
            with contextlib.suppress(OSError):
                try:
                    self.check()
                except WorkdirError:
                    return  # another process has it; the next checkpoint ends this run
                self._record["count"] += 1
                self._write()

    def _write(self) -> None:
        self.folder.write(LOCK, self._encode())

    def _encode(self) -> bytes:
        return json.dumps(self._record).encode()

    def _read(self) -> dict[str, Any] | None:
        try:
            return json.loads(self.folder.read(LOCK))
        except FileNotFoundError:
            return None
        except ValueError:
            return {"holder": "another process", "place": "", "pid": 0, "token": ""}

    def _make_error(self, record: dict[str, Any] | None) -> WorkdirError:
        holder = record["holder"] if record else "another process"
        return WorkdirError(
            f"workdir {self.folder} is in use by {holder}", "wait for it or stop it"
        )


def describe_machine() -> str:
    """What tells apart the machines, and the containers, in which a process's number means it."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def is_dead_here(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    if holder["place"] != describe_machine():
        return False
    if holder["pid"] == os.getpid():
        return True
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
