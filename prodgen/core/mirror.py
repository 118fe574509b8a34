"""Local copies of remote folders: the program works in the copy, and transfers whole files.

The copy of gs://BUCKET/FOLDER is a private folder below ~/.cache/prodgen/remote, with a file that
names the URI. Functions that take the path of a run's folder take that of its copy. What is on the
store counts: a download replaces a local file that differs. Names that begin with a dot stay local.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

from prodgen.core.errors import WorkdirError
from prodgen.core.files import write_atomically
from prodgen.core.remote_files import RemoteFolder, is_remote, run_parallel

MARK = ".remote.json"  # the URI, and which version of each file was transferred last
LOCK = ".lock"  # of the copy, and of the remote folder
LARGE_FOLDERS = ("checkpoints",)  # that are read and written in place
UNREAD_FOLDERS = ("tensorboard", "logs")  # that no reader of a run needs


def find_uri(path: Path) -> str | None:
    """The URI of the folder whose copy is at `path`; None for any other folder."""
    try:
        return json.loads((Path(path) / MARK).read_text(encoding="utf-8"))["uri"]
    except OSError:
        return None


def describe_place(path: Path) -> str:
    """A folder as the user names it: the URI of a copy, or the path."""
    return find_uri(path) or str(path)


def locate(text: str | Path, purpose: str = "run") -> Path:
    """The path of a folder; of a URI, that of its copy, which is made where it is absent.

    purpose: a reader has another copy than a run that writes. Nothing is transferred.
    UsageError where the store cannot be reached from this installation.
    """
    if not is_remote(text):
        return Path(text)
    uri = str(text).rstrip("/")
    RemoteFolder(uri)
    # Hosts that share a home folder have copies of their own.
    digest = hashlib.sha256(f"{uri}\n{socket.gethostname()}\n{purpose}".encode()).hexdigest()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prodgen" / "remote"
    path = base / f"{uri.rpartition('/')[2][:40]}-{digest[:16]}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        if find_uri(path) != uri:
            write_atomically(path / MARK, json.dumps({"uri": uri, "files": {}}).encode())
    except OSError as error:
        raise WorkdirError(
            f"the local copy {path} of {uri} cannot be written ({error.strerror or error})",
            "name another folder in the environment variable XDG_CACHE_HOME",
        ) from None
    return path


def open_folder(text: str | Path) -> Path:
    """The path of a run's folder for reading; the files of a remote one are downloaded first."""
    path = locate(text, "reader")
    if is_remote(text):
        Mirror(path).download(is_complete=False)
    return path


class Mirror:
    """The copy of a remote folder; OSError where the store cannot be read or written."""

    def __init__(self, path: Path):
        self.path = path
        self.remote = RemoteFolder(find_uri(path))

    def download(self, is_complete: bool = True) -> None:
        """Fetch each file that differs from that of the store.

        is_complete: local files that the store does not have are deleted, and no folder is left
        out, as a run needs it that continues.
        """
        left_out = LARGE_FOLDERS + (() if is_complete else UNREAD_FOLDERS)
        versions = {
            name: version
            for name, version in self._list_remote_versions().items()
            if name.partition("/")[0] not in left_out
        }
        records = self._read_records()
        new_names = [
            name
            for name, version in versions.items()
            if records.get(name) != [version, *_describe_file(self.path / name)]
        ]
        run_parallel(lambda name: self.remote.download(name, self.path / name), new_names)
        if is_complete:
            for name in self._list_local_files():
                if name not in versions:
                    (self.path / name).unlink(missing_ok=True)
        self._write_records(versions)

    def upload(self, is_due: Callable[[str], bool] = lambda name: True) -> list[str]:
        """Write each local file that has changed since its last transfer; their names.

        is_due: whether a changed file is written, by its name.
        """
        records, new_records = self._read_records(), {}
        for name in filter(is_due, self._list_local_files()):
            # A file that grows meanwhile differs from this record, and is written again.
            record = _describe_file(self.path / name)
            if records.get(name, [None])[1:] != record:
                new_records[name] = record
        run_parallel(
            lambda name: self.remote.write(name, (self.path / name).read_bytes()), new_records
        )
        if new_records:
            versions = self._list_remote_versions()
            records |= {name: [versions.get(name), *record] for name, record in new_records.items()}
            self._save(records)
        return list(new_records)

    def _list_remote_versions(self) -> dict[str, str]:
        """Those of the store's files that have a copy. Checkpoints are not listed."""
        versions, folders = self.remote.list_entries()
        for folder in set(folders) - set(LARGE_FOLDERS):
            below = self.remote.list_versions(folder)
            versions |= {f"{folder}/{name}": version for name, version in below.items()}
        return {name: version for name, version in versions.items() if _has_copy(name)}

    def _list_local_files(self) -> list[str]:
        files = (path for path in sorted(self.path.rglob("*")) if path.is_file())
        return [name for file in files if _has_copy(name := file.relative_to(self.path).as_posix())]

    def _read_records(self) -> dict[str, list]:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return json.loads((self.path / MARK).read_text(encoding="utf-8"))["files"]
        return {}

    def _write_records(self, versions: dict[str, str]) -> None:
        self._save(
            {name: [version, *_describe_file(self.path / name)]
             for name, version in versions.items()}
        )  # fmt: skip

    def _save(self, records: dict[str, list]) -> None:
        content = {"uri": self.remote.uri, "files": records}
        write_atomically(self.path / MARK, json.dumps(content).encode())


def refresh(path: Path) -> None:
    """Fetch what another host has written, if `path` is a copy that no run on this host writes."""
    if find_uri(path) is None:
        return
    with open(path / LOCK, "a") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        Mirror(path).download(is_complete=False)


def publish(path: Path) -> None:
    """Write the changed files of a copy to the store; nothing for another folder."""
    if find_uri(path) is not None:
        Mirror(path).upload()


def describe_file(file: Path, folder: Path) -> str:
    """A file as the user finds it: its URI where `folder`, in which it lies, is a copy."""
    uri = find_uri(folder)
    if uri is None or not file.is_relative_to(folder):
        return str(file)
    return f"{uri}/{file.relative_to(folder).as_posix()}"


def _has_copy(name: str) -> bool:
    """Whether a file is transferred: no draft or lock, and none that is used in place."""
    parts = name.split("/")
    is_draft = any(part.startswith(".") for part in parts) or name.endswith(".draft")
    return not is_draft and parts[0] not in LARGE_FOLDERS


def _describe_file(path: Path) -> list:
    """[size, time of the last change]; [] where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
