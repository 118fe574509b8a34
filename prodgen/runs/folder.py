"""A run's folder: claimed by one process, bound to one config. No JAX: refusals come at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import compute_fingerprint, find_differences, renames
from prodgen.core.errors import MissingInput, UsageError, WorkdirError
from prodgen.core.files import write_atomically

CONFIG = "config.json"


@contextlib.contextmanager
def claim(path: Path) -> Iterator[Path]:
    """Create the folder and hold its lock; WorkdirError where another run holds it or where
    nothing can be written. The lock is the operating system's: a killed run leaves none."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WorkdirError(
            f"workdir {path} is not writable ({reason})", "choose another --workdir"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise WorkdirError(
                f"workdir {path} is in use by {holder}", "wait for it or stop it"
            ) from None
        lock.seek(0)
        lock.truncate()
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        lock.write(f"pid {os.getpid()} on host {socket.gethostname()} since {since}\n")
        lock.flush()
        yield path


def check_config(path: Path, config: ConfigDict) -> None:
    """Refuse to continue the folder's run with another config, naming every difference."""
    if not (path / CONFIG).exists():
        return
    found = find_differences(read(path)["config"], config)
    if found:
        raise UsageError(
            f"{path} holds a run with another config: " + "; ".join(found),
            "give the first config again, or another --workdir",
        )


def check_origin(path: Path, init_from: Path | None) -> None:
    """Refuse to continue a run whose first weights came from elsewhere than `init_from` says."""
    if not (path / CONFIG).exists():
        return
    began = read(path)["init_from"].get("fingerprint", "")
    given = read(init_from)["fingerprint"] if init_from else ""
    if began != given:
        words = {"": "random weights"}
        raise UsageError(
            f"{path} holds a run that began with {words.get(began, f'those of run {began}')}, "
            f"not with {words.get(given, f'those of run {given}')}",
            "give the same --init_from as at first, or another --workdir",
        )


def check_data(path: Path, digest: str) -> None:
    """Refuse to continue on other pictures than the run began with."""
    if (path / CONFIG).exists() and read(path)["data"]["digest"] != digest:
        raise UsageError(
            f"{path} was trained on other pictures than the config now names",
            "give the first data again, or another --workdir",
        )


def write(path: Path, config: ConfigDict, data: dict[str, Any], origin: dict[str, Any]) -> None:
    """Write config.json: config, fingerprint, the data's identity, weights' origin, versions."""
    record = {
        "config": config.to_dict(),
        "fingerprint": compute_fingerprint(config),
        "data": data,
        "init_from": origin,
        "versions": versions(),
    }
    write_atomically(path / CONFIG, json.dumps(record, indent=2).encode())


def update(path: Path, config: ConfigDict) -> None:
    """Note in config.json what a continued run changed of what it may change, and new names."""
    record = read(path) | {"config": config.to_dict()}
    if record != json.loads((path / CONFIG).read_text(encoding="utf-8")):
        record["versions"] = versions()
        write_atomically(path / CONFIG, json.dumps(record, indent=2).encode())


def note(path: Path, name: str, facts: dict[str, Any]) -> None:
    """Keep `facts` about something the run used in config.json, under `name`."""
    record = read(path)
    if record.get(name) != facts:
        write_atomically(path / CONFIG, json.dumps(record | {name: facts}, indent=2).encode())


def read(path: Path) -> dict[str, Any]:
    """The content of config.json under today's names (config/renames.py); MissingInput where the
    folder holds no run."""
    file = Path(path) / CONFIG
    if not file.is_file():
        raise MissingInput(
            f"{path} holds no run (no {CONFIG})", "name a folder that run_train.py made"
        )
    try:
        return renames.update_record(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise WorkdirError(
            f"{file} is damaged ({error})", "restore it, or start another run"
        ) from None


def versions() -> dict[str, str]:
    """What computed a run: Python and the packages whose version changes numbers."""
    from importlib.metadata import PackageNotFoundError, version

    from prodgen import __version__

    found = {"prodgen": __version__, "python": platform.python_version()}
    for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
