"""Files of an object store (gs://, s3://): whole objects, no rename, no append, no lock.

Writing an object is atomic: a reader sees the old content or the new one. The packages that reach a
store are not among the requirements; `REMOTE_PACKAGES` names them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically

# Scheme -> (the protocols of fsspec, the package). TensorStore writes to these two stores.
REMOTE_PACKAGES = {
    "gs": (("gcs", "gs"), "gcsfs==2026.8.2"),
    "s3": (("s3",), "s3fs==2026.9.0"),
}
REFUSALS = ("forbidden", "permission", "unauthorized", "unauthenticated", "status 403")
PART_BYTES = 32 * 2**20  # that are read at once
NUM_THREADS = 8  # that transfer files at the same time


def is_remote(text: Any) -> bool:
    """Whether a text names a folder by a URI, as gs://BUCKET/FOLDER does."""
    return isinstance(text, str) and "://" in text


def open_file_system(uri: str) -> Any:
    """The fsspec file system of a URI; UsageError for another scheme or a missing package."""
    scheme = uri.partition("://")[0]
    if scheme not in REMOTE_PACKAGES:
        schemes = " and ".join(f"{name}://" for name in REMOTE_PACKAGES)
        raise UsageError(
            f"{uri}: checkpoints cannot be written to {scheme}://", f"{schemes} are known"
        )
    protocols, package = REMOTE_PACKAGES[scheme]
    import fsspec

    # A listing that is kept would hide what TensorStore and other hosts write.
    for protocol in protocols:
        fsspec.config.conf.setdefault(protocol, {})["use_listings_cache"] = False
    try:
        return fsspec.filesystem(protocols[0])
    except ImportError as error:
        raise UsageError(
            f"{uri} needs a package that is not installed ({error})", f"pip install {package}"
        ) from None


@contextlib.contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Every error of a store within the context becomes an OSError with the URI."""
    try:
        yield
    except UsageError:
        raise
    except (FileNotFoundError, FileExistsError) as error:
        number = errno.EEXIST if isinstance(error, FileExistsError) else errno.ENOENT
        raise OSError(number, "there is an object" if number == errno.EEXIST else
                      "there is no such object or bucket", uri) from error  # fmt: skip
    except Exception as error:
        text = " ".join((str(error) or repr(error)).split())[:300]
        number = errno.EACCES if is_refusal(error) else errno.EIO
        raise OSError(number, text, uri) from error


def is_refusal(error: Exception) -> bool:
    """Whether a store has refused what was asked of it, rather than failed."""
    text = str(error).lower()
    return isinstance(error, PermissionError) or any(word in text for word in REFUSALS)


def run_parallel(function: Callable[[str], Any], names: Iterable[str]) -> list[Any]:
    """The results of `function` for each name, in order; the first error is raised."""
    with concurrent.futures.ThreadPoolExecutor(NUM_THREADS) as executor:
        return list(executor.map(function, names))


class RemoteFolder:
    """A folder of an object store. Names are relative to it. Every failure is an OSError."""

    def __init__(self, uri: str):
        """UsageError where the store cannot be reached from this installation."""
        self.uri = uri.rstrip("/")
        self._files = open_file_system(uri)

    def __str__(self) -> str:
        return self.uri

    def locate(self, name: str) -> str:
        """The URI of a file or folder below."""
        return f"{self.uri}/{name}" if name else self.uri

    def below(self, name: str) -> RemoteFolder:
        """A folder below."""
        return RemoteFolder(self.locate(name))

    def list_versions(self, name: str = "") -> dict[str, str]:
        """A text that changes with the content, by the name of every file below `name`, sorted."""
        uri = self.locate(name)
        root = self._files._strip_protocol(uri).rstrip("/") + "/"
        with translate_errors(uri):
            entries = self._files.find(uri, detail=True)
        return {
            path[len(root) :]: _hash_entry(entry)
            for path, entry in sorted(entries.items())
            if path.startswith(root) and path != root
        }

    def list_entries(self) -> tuple[dict[str, str], list[str]]:
        """What lies directly in the folder: versions of the files by name; names of folders."""
        try:
            with translate_errors(self.uri):
                entries = self._files.ls(self.uri, detail=True)
        except FileNotFoundError:
            return {}, []
        versions, folders = {}, []
        for entry in entries:
            name = entry["name"].rstrip("/").rpartition("/")[2]
            if entry["type"] == "directory":
                folders.append(name)
            elif not entry["name"].endswith("/"):  # the mark of an empty folder
                versions[name] = _hash_entry(entry)
        return versions, folders

    def list_names(self) -> list[str]:
        """The names of what lies directly in the folder; [] where it is absent."""
        versions, folders = self.list_entries()
        return [*versions, *folders]

    def list_folders(self) -> list[str]:
        """The names of the folders directly in it."""
        return self.list_entries()[1]

    def hash(self, name: str) -> str:
        """sha256 of a file as it is read now, in hex."""
        total, uri = hashlib.sha256(), self.locate(name)
        with translate_errors(uri):
            size = self._files.info(uri)["size"]
            for start in range(0, size, PART_BYTES):
                stop = min(start + PART_BYTES, size)
                total.update(self._files.cat_file(uri, start=start, end=stop))
        return total.hexdigest()

    def hash_files(self, below: str) -> dict[str, str]:
        """sha256 of every file of the folder `below`, by its name relative to `below`."""
        names = list(self.list_versions(below))
        hashes = run_parallel(lambda name: self.hash(f"{below}/{name}"), names)
        return dict(zip(names, hashes, strict=True))

    def find_difference(self, below: str, hashes: dict[str, str]) -> str | None:
        """A description of the first file of `below` that is missing or has another hash.

        Every file is read. OSError where the store does not answer: that is no damage.
        """
        missing = sorted(hashes.keys() - self.list_versions(below).keys())
        if missing:
            return f"{below}/{missing[0]} is missing"
        present_hashes = run_parallel(lambda name: self.hash(f"{below}/{name}"), hashes)
        for (name, expected_hash), value in zip(hashes.items(), present_hashes, strict=True):
            if value != expected_hash:
                return f"{below}/{name}: sha256 mismatch"
        return None

    def read(self, name: str) -> bytes:
        """The content of a file."""
        uri = self.locate(name)
        with translate_errors(uri):
            return self._files.cat_file(uri)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file by one with `content`, whole or not at all."""
        uri = self.locate(name)
        with translate_errors(uri):
            self._files.pipe_file(uri, content)

    def create(self, name: str, content: bytes) -> None:
        """Write a file that must be new; FileExistsError where it is there already."""
        uri = self.locate(name)
        with translate_errors(uri):
            self._files.pipe_file(uri, content, mode="create")

    def download(self, name: str, path: Path) -> None:
        """Write a file's content into a local file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.read(name))

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        uri = self.locate(name)
        with contextlib.suppress(FileNotFoundError), translate_errors(uri):
            self._files.rm_file(uri)

    def delete_folder(self, name: str) -> None:
        """Delete all files of a folder."""
        run_parallel(lambda file: self.delete(f"{name}/{file}"), self.list_versions(name))

    def move_folder(self, name: str, new_name: str) -> None:
        """Copy a folder in the store and delete it; a folder of the new name is replaced."""
        self.delete_folder(new_name)

        def copy(file: str) -> None:
            source = self.locate(f"{name}/{file}")
            with translate_errors(source):
                self._files.cp_file(source, self.locate(f"{new_name}/{file}"))

        run_parallel(copy, self.list_versions(name))
        self.delete_folder(name)


def _hash_entry(entry: dict[str, Any]) -> str:
    text = json.dumps(entry, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
