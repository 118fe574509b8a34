"""The ways a command can end, one class an exit code.

Every error a user can cause is one of these: it says what is wrong, and what to type next. The
entry points print it as the last line and exit with its code (docs/configs.md lists the codes).
`Refused` alone ends nothing: one picture of many is left out, and said to be.
"""

from __future__ import annotations


class ProdgenError(Exception):
    """A named failure: `what` is wrong, `next` is the step that mends it."""

    code = 70
    name = "internal"

    def __init__(self, what: str, next: str = ""):
        super().__init__(what)
        self.what = what
        self.next = next
        self.safe = ""  # what survives, e.g. the last good checkpoint; filled in by the trainer

    def line(self) -> str:
        parts = [f"prodgen: ERROR {self.name}: {self.what}"]
        parts += [self.safe] if self.safe else []
        parts += [f"next: {self.next}"] if self.next else []
        return " | ".join(part.replace("\n", " ") for part in parts)


class UsageError(ProdgenError):
    """A flag or a config field is wrong."""

    code, name = 2, "usage"


class BadData(ProdgenError):
    """The pictures or the table cannot be trained on."""

    code, name = 65, "bad-data"


class Diverged(ProdgenError):
    """Training produced non-finite numbers step after step."""

    code, name = 65, "diverged"


class BadCheckpoint(ProdgenError):
    """No checkpoint of the run passes verification."""

    code, name = 65, "bad-checkpoint"


class MissingInput(ProdgenError):
    """A file or folder that was named does not exist."""

    code, name = 66, "missing-input"


class SelfTestFailed(ProdgenError):
    """The numerics of this installation are wrong."""

    code, name = 70, "self-test"


class WorkdirError(ProdgenError):
    """The run's folder cannot be written, or another run holds it."""

    code, name = 73, "workdir"


class StorageError(ProdgenError):
    """Reading or writing failed: disk full, device error."""

    code, name = 74, "storage"

    @staticmethod
    def of(error: OSError, next: str = "") -> StorageError:
        """What the system reported, with the file where it named one."""
        where = f" ({error.filename})" if error.filename else ""
        return StorageError(f"{error.strerror or error}{where}", next)


class Stopped(ProdgenError):
    """Stopped on request with everything saved: start the same command again."""

    code, name = 75, "stopped"


class Refused(Exception):
    """One picture cannot be used; the message is the reason, in words for a report."""
