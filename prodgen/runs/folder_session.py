"""A run's folder from the first file to the last: the lock, and the transfers of a remote one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from prodgen.core.errors import ProdgenError, StorageError, WorkdirError
from prodgen.core.mirror import Mirror, find_uri, publish, refresh
from prodgen.core.remote_files import RemoteFolder
from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.runs.remote_lock import RemoteLock
from prodgen.runs.workdir import lock_workdir

_LOCKS: dict[Path, RemoteLock] = {}  # of the remote folders that this process holds, by their copy


@contextlib.contextmanager
def hold_workdir(path: Path) -> Iterator[Path]:
    """Hold the lock of a run's folder until the context ends.

    path: as `core.mirror.locate` gives it. A remote folder is downloaded first, and what has
    changed is uploaded at the end, after an error too. WorkdirError where the folder is in use or
    cannot be written; StorageError where the end of a finished run cannot be uploaded.
    """
    uri = find_uri(path)
    with lock_workdir(path):
        if uri is None:
            yield path
            return
        lock = RemoteLock(RemoteFolder(uri))
        with handle_signals(stop_at_once):
            print(
                f"{uri}: this storage has no locks; the object .lock stands for one. One run only "
                "may use this folder."
            )
            lock.acquire(print)
        _LOCKS[path] = lock
        try:
            with handle_signals(stop_at_once):
                _download(path, uri)
            with _upload_at_the_end(path):
                yield path
        finally:
            del _LOCKS[path]
            lock.release()


@contextlib.contextmanager
def follow_workdir(path: Path, index: int) -> Iterator[Path]:
    """The folder of a run for a process that does not hold its lock.

    Of a remote folder, the files are downloaded first, and the process's log is uploaded at the
    end. index: the number of the process.
    """
    refresh(path)
    try:
        yield path
    finally:
        sys.stdout.flush()
        if find_uri(path) is not None:
            with contextlib.suppress(OSError):
                Mirror(path).upload(lambda name: name == f"logs/rank_{index}.log")


def check_lock(path: Path) -> None:
    """WorkdirError if another process has taken over a remote folder that this one held."""
    if path in _LOCKS:
        _LOCKS[path].check()


def _download(path: Path, uri: str) -> None:
    try:
        Mirror(path).download()
    except OSError as error:
        raise WorkdirError(
            f"workdir {uri} cannot be read ({error.strerror or error})",
            "make it readable, or start another run with --workdir=FOLDER",
        ) from error


@contextlib.contextmanager
def _upload_at_the_end(path: Path) -> Iterator[None]:
    """Upload what has changed; after an error of the run, a failure to do so is a warning."""
    try:
        yield
    except BaseException:
        try:
            check_lock(path)
            publish(path)
        except (OSError, ProdgenError) as error:
            print(f"prodgen: WARNING: the last files were not uploaded: {error}", file=sys.stderr)
        raise
    try:
        check_lock(path)
        publish(path)
    except OSError as error:
        raise StorageError.from_os_error(error) from error
