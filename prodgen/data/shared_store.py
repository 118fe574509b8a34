"""A prepared store in a cache on an object store: one host prepares it, the others fetch it.

The cache's local copy (core/mirror.py) holds the store that is read. meta.json is uploaded last and
makes the upload count.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from prodgen.core.errors import BadData
from prodgen.core.mirror import find_uri, locate
from prodgen.core.remote_files import RemoteFolder, is_remote, run_parallel
from prodgen.data.store import Store

META = "meta.json"


def locate_cache(cache_dir: str) -> Path:
    """The folder of config.data.cache_dir, or the local copy of a remote one."""
    return locate(cache_dir, "cache") if is_remote(cache_dir) else Path(cache_dir).expanduser()


def fetch(path: Path, say: Callable[[str], None]) -> bool:
    """Download the store `path` of a remote cache; False where there is none.

    Every file is verified: BadData names the URI of a damaged store. OSError where the cache
    cannot be read. The caller holds the cache's lock.
    """
    uri = find_uri(path.parent)
    if uri is None:
        return False
    remote = RemoteFolder(f"{uri}/{path.name}")
    names = list(remote.list_versions())
    if META not in names:
        return False
    say(f"fetching the prepared data from {remote}")
    folder = path.with_name(path.name + ".download")
    shutil.rmtree(folder, ignore_errors=True)
    run_parallel(lambda name: remote.download(name, folder / name), names)
    try:
        Store.open(folder).verify(full=True)
    except BadData as error:
        raise BadData(
            f"the prepared data in {remote} are damaged ({error.message})",
            f"delete {remote} and start again: they are prepared again",
        ) from error
    os.rename(folder, path)
    return True


def share(path: Path, say: Callable[[str], None]) -> None:
    """Upload a finished store of a remote cache, unless it is there. OSError as for `fetch`."""
    uri = find_uri(path.parent)
    if uri is None:
        return
    remote = RemoteFolder(f"{uri}/{path.name}")
    if META in remote.list_names():
        return
    say(f"sending the prepared data to {remote}")
    names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]

    def send(name: str) -> None:
        remote.write(name, (path / name).read_bytes())

    run_parallel(send, [name for name in names if name != META])
    send(META)
