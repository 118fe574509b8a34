"""Failpoints: places where a test lets a process die, stall, or meet an error of the disk.

The environment variable PRODGEN_FAILPOINT holds one or several, separated by commas, each as
NAME:HIT:ACTION. The action happens when the process passes the place for the HIT-th time, counted
from 1, and once only. Without the variable no place does anything.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import time
from collections.abc import Callable, Mapping

from prodgen.core.errors import UsageError

VARIABLE = "PRODGEN_FAILPOINT"
FAILPOINTS = {  # every place, by name
    "restore.after_verify": "the files of a checkpoint match, and nothing is restored yet",
    "compile.start": "the first variant of the step is about to be compiled",
    "evaluate.midway": "one batch of an evaluation is done, and its sums are not",
    "sheet.before_write": "a sheet of images is drawn, and not written",
    "metrics.mid_line": "half of a line of a JSONL file is written",
    "save.before_write": "the state is copied, and orbax has not begun to write it",
    "save.mid_write": "orbax writes the arrays in the background",
    "save.before_hash": "orbax has committed the checkpoint, and no file is hashed",
    "save.before_commit": "all files are hashed, and the manifest is not written",
    "save.after_commit": "the manifest is written, and nothing is pruned",
    "prune.midway": "the manifest of an old checkpoint is deleted, and its folder is not",
}
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM}
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}


@dataclasses.dataclass
class Failpoint:
    """One action at one place."""

    hit: int  # the pass at which it acts, from 1
    action: str  # kill, term, raise or sleep
    argument: str  # the error's name, or the seconds
    num_passes: int = 0

    def act(self, prepare: Callable[[], object] | None) -> None:
        """Count a pass; at the right one call `prepare`, then send, raise or sleep."""
        self.num_passes += 1
        if self.num_passes != self.hit:
            return
        if prepare is not None:
            prepare()
        if self.action == "raise":
            number = ERRORS[self.argument]
            raise OSError(number, os.strerror(number))
        if self.action == "sleep":
            time.sleep(float(self.argument))
        else:
            os.kill(os.getpid(), SIGNALS[self.action])


_active: dict[str, Failpoint] = {}


def failpoint(name: str, prepare: Callable[[], object] | None = None) -> None:
    """The place `name`, a key of FAILPOINTS. `prepare` is called before an action happens.

    OSError where the action is raise:ENOSPC, raise:EIO or raise:EROFS.
    """
    active = _active.get(name)
    if active is not None:
        active.act(prepare)


def activate(environment: Mapping[str, str]) -> None:
    """Let the failpoints that the environment names act from now on, and no others.

    UsageError for an unknown name or action, or for a hit below 1.
    """
    texts = [text for text in environment.get(VARIABLE, "").split(",") if text]
    points = [parse_failpoint(text) for text in texts]
    _active.clear()
    _active.update(points)


def parse_failpoint(text: str) -> tuple[str, Failpoint]:
    """NAME:HIT:ACTION -> (name, failpoint); UsageError says what is wrong."""
    name, _, rest = text.partition(":")
    hit, _, action_text = rest.partition(":")
    action, _, argument = action_text.partition(":")
    if name not in FAILPOINTS:
        raise UsageError(
            f"{VARIABLE}={text}: there is no failpoint {name!r}", f"known: {', '.join(FAILPOINTS)}"
        )
    if not hit.isdecimal() or int(hit) < 1:
        raise UsageError(
            f"{VARIABLE}={text}: the hit {hit!r} is no whole number from 1", "write NAME:HIT:ACTION"
        )
    is_seconds = argument.replace(".", "", 1).isdecimal()
    is_valid = (
        (action in SIGNALS and not argument)
        or (action == "raise" and argument in ERRORS)
        or (action == "sleep" and is_seconds)
    )
    if not is_valid:
        errors = ", ".join(f"raise:{name}" for name in ERRORS)
        raise UsageError(
            f"{VARIABLE}={text}: there is no action {action_text!r}",
            f"known: {', '.join(SIGNALS)}, {errors}, sleep:SECONDS",
        )
    return name, Failpoint(int(hit), action, argument)
