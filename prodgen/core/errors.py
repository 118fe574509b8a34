"""The ways in which a command can end with an error, one class for each kind.

Every error that a user can cause is a ProdgenError: it says what is wrong and what to do next. The
entry points print it as the last line and exit with its code (docs/configs.md lists the codes).
`RejectedItem` alone does not end a command: one item of many is left out and reported.
"""

from __future__ import annotations

import errno

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


class ProdgenError(Exception):
    """A failure with a name and an exit code: `message` says what is wrong, `next_step` helps."""

    code = 70
    name = "internal"

    def __init__(self, message: str, next_step: str = ""):
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.saved_state = ""  # e.g. the last good checkpoint; set by the trainer

    def format_line(self) -> str:
        """The error as one line of text."""
        parts = [f"prodgen: ERROR {self.name}: {self.message}"]
        parts += [self.saved_state] if self.saved_state else []
        parts += [f"next: {self.next_step}"] if self.next_step else []
        return " | ".join(part.replace("\n", " ") for part in parts)


class UsageError(ProdgenError):
    """A flag or a config field is wrong."""

    code, name = 2, "usage"


class BadData(ProdgenError):
    """The images or the table cannot be trained on."""

    code, name = 65, "bad-data"


class TooFewImages(BadData):
    """Hardly any image can be used, for example because a table's files were moved."""


class DivergenceError(ProdgenError):
    """Training produced non-finite numbers step after step."""

    code, name = 65, "diverged"


class BadCheckpoint(ProdgenError):
    """No checkpoint of the run passes verification."""

    code, name = 65, "bad-checkpoint"


class MissingInput(ProdgenError):
    """A file or folder that a flag or a field names does not exist."""

    code, name = 66, "missing-input"


class MissingRunData(MissingInput):
    """The images that a run was trained on are not where its config says, or have changed.

    The next step names DATA_PATH_CALL, in whose place a program writes its own flag.
    """

    DATA_PATH_CALL = "prodgen.load(workdir, data_path=FOLDER_OR_TABLE)"


class SelfTestError(ProdgenError):
    """The numerics of this installation are wrong."""

    code, name = 70, "self-test"


class WorkdirError(ProdgenError):
    """The run's folder cannot be written, or another run holds its lock."""

    code, name = 73, "workdir"


class StorageError(ProdgenError):
    """Reading or writing failed: disk full, device error."""

    code, name = 74, "storage"

    @staticmethod
    def from_os_error(error: OSError, next_step: str = "") -> StorageError:
        """The system's message, with the file's name if the error has one."""
        file = f" ({error.filename})" if error.filename else ""
        return StorageError(
            f"{error.strerror or error}{file}", next_step or advise_on_os_error(error)
        )


class StoppedError(ProdgenError):
    """Training stopped on request and everything is saved: the same command continues it."""

    code, name = 75, "stopped"


class PeerError(ProdgenError):
    """Another process of the run is gone, stuck or has never come: the same command continues."""

    code, name = 75, "peer"


class RejectedItem(Exception):
    """One item of many (an image, a table row) cannot be used; the message is the reason."""


def advise_on_os_error(error: OSError) -> str:
    """What to do about an error of the system; the same advice holds in every program.

    An error with a URI as its file is one of an object store.
    """
    if "://" in str(error.filename):
        return "check the bucket, its permissions and the network, then give the same command again"
    if error.errno in NO_SPACE:
        return "free disk space, then give the same command again"
    if error.errno in NO_PERMISSION:
        return "make the file and its folder readable and writable, or name another"
    if error.errno in NO_FILE:
        return "check that the path is right, then give the same command again"
    return "check the disk, then give the same command again"
