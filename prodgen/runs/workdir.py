"""A run's folder: its lock, config.json, and the checks before a run continues. Needs no JAX."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import compute_fingerprint, find_differences, renames
from prodgen.core import tensor_files
from prodgen.core.errors import BadCheckpoint, MissingInput, ProdgenError, UsageError, WorkdirError
from prodgen.core.files import lock_file, write_atomically
from prodgen.core.mirror import describe_place

CONFIG_FILE = "config.json"
METRICS_FILE, TIMING_FILE = "metrics.jsonl", "timing.jsonl"
FITNESS_FILE = "fitness.json"
EXPORT_FILE, MODEL_FILE = "export.json", "model.safetensors"  # of --mode=export


@contextlib.contextmanager
def lock_workdir(path: Path) -> Iterator[Path]:
    """Create the folder and hold its lock until the context ends.

    WorkdirError if another process holds the lock, the folder is not writable, or is a file. The
    operating system releases the lock when a process is killed. Where the file system has no
    locks, a warning is printed.
    """
    make_workdir(path)
    try:
        # Mode a+ keeps the content, which names the holder, until this process has the lock.
        lock = open(path / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise _make_write_error(path, error) from None
    with lock:
        try:
            if not lock_file(lock):
                print(
                    f"prodgen: WARNING: the file system of {path} has no locks: see to it that "
                    "no other run uses this folder",
                    file=sys.stderr,
                    flush=True,
                )
        except BlockingIOError:
            # The file names the process that holds the lock.
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise WorkdirError(
                f"workdir {describe_place(path)} is in use by {holder}", "wait for it or stop it"
            ) from None
        except OSError as error:
            raise _make_write_error(path, error) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{describe_process()}\n")
        lock.flush()
        yield path


def describe_process() -> str:
    """This process as the holder of a lock: pid, host and the present time."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"pid {os.getpid()} on host {socket.gethostname()} since {since}"


def make_workdir(path: Path) -> None:
    """Create the folder where it is absent; WorkdirError where that is impossible."""
    if path.is_file():
        raise WorkdirError(f"workdir {path} is a file", "name a folder with --workdir=FOLDER")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _make_write_error(path, error) from None


def _make_write_error(path: Path, error: Exception) -> WorkdirError:
    reason = getattr(error, "strerror", None) or str(error)
    return WorkdirError(
        f"workdir {path} is not writable ({reason})",
        "make it writable, or start another run with --workdir=FOLDER",
    )


def check_config(path: Path, config: ConfigDict) -> None:
    """UsageError with every difference if the folder holds a run with another config."""
    if not (path / CONFIG_FILE).exists():
        return
    differences = find_differences(read_record(path)["config"], config)
    if differences:
        raise UsageError(
            f"{describe_place(path)} holds a run with another config: " + "; ".join(differences),
            "give the first config again, or another --workdir",
        )


def check_origin(path: Path, init_from: Path | None) -> None:
    """UsageError if the folder's run did not start from the weights of the run `init_from`."""
    if not (path / CONFIG_FILE).exists():
        return
    present_origin = read_record(path)["init_from"].get("fingerprint", "")
    requested_origin = read_record(init_from)["fingerprint"] if init_from else ""
    if present_origin != requested_origin:

        def describe(fingerprint: str) -> str:
            return f"those of run {fingerprint}" if fingerprint else "random weights"

        raise UsageError(
            f"{describe_place(path)} holds a run that began with {describe(present_origin)}, "
            f"not with {describe(requested_origin)}",
            "give the same --init_from as at first, or another --workdir",
        )


def check_data(path: Path, digest: str) -> None:
    """UsageError if the folder's run was trained on images with another digest."""
    place = describe_place(path)
    if (path / CONFIG_FILE).exists() and read_record(path)["data"]["digest"] != digest:
        raise UsageError(
            f"{place} was trained on other images than the config names now",
            f"put the original images back; or train a new run on the present ones with another "
            f"--workdir, from random weights or with --init_from={place} from this run's",
        )


@contextlib.contextmanager
def advise_on_moved_images(
    path: Path, field: str | None, kind: type[ProdgenError] = MissingInput
) -> Iterator[None]:
    """Within the context, an error of one kind says how the folder's run goes on with moved images.

    field: of config.data, it says where the images are. The folder that a config names by default
    depends on it, so that the command names both.
    """
    try:
        yield
    except kind as error:
        if field and (path / CONFIG_FILE).exists():
            error.next_step = (
                "put the images back, or add, for the folder or table where they are now, "
                f"--workdir={describe_place(path)} --config.data.{field}=FOLDER_OR_TABLE"
            )
        raise


def write_record(
    path: Path, config: ConfigDict, data: dict[str, Any], origin: dict[str, Any]
) -> None:
    """Write config.json: config, fingerprint, data, origin of the first weights, versions."""
    record = {
        "config": config.to_dict(),
        "fingerprint": compute_fingerprint(config),
        "data": data,
        "init_from": origin,
        "versions": collect_versions(),
    }
    write_atomically(path / CONFIG_FILE, json.dumps(record, indent=2).encode())


def update_config(path: Path, config: ConfigDict) -> None:
    """Write a continued run's config, with today's field names, into config.json."""
    record = read_record(path) | {"config": config.to_dict()}
    if record != json.loads((path / CONFIG_FILE).read_text(encoding="utf-8")):
        record["versions"] = collect_versions()
        write_atomically(path / CONFIG_FILE, json.dumps(record, indent=2).encode())


def record_devices(path: Path, step: int, devices: dict[str, Any]) -> dict[str, Any]:
    """Note in config.json the devices that the run has from `step` on, if they are new to it.

    devices: their number, kind and processes. Returns those of before, {} for a new run.
    """
    record = read_record(path)
    history = record.get("devices", [])
    before = (
        {name: value for name, value in history[-1].items() if name != "step"} if history else {}
    )
    if before != devices:
        history = [*history, {"step": step, **devices}]
        content = json.dumps(record | {"devices": history}, indent=2)
        write_atomically(path / CONFIG_FILE, content.encode())
    return before


def add_to_record(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Store `entry`, which describes something that the run used, in config.json under `name`."""
    record = read_record(path)
    if record.get(name) != entry:
        write_atomically(path / CONFIG_FILE, json.dumps(record | {name: entry}, indent=2).encode())


def read_record(path: Path) -> dict[str, Any]:
    """The content of config.json, with today's field names (config/renames.py).

    `path` may be a safetensors file of --mode=export, which holds the record in its metadata.
    MissingInput if the folder holds no run, WorkdirError if the file is damaged.
    """
    file = Path(path) / CONFIG_FILE
    if Path(path).is_file():
        if Path(path).suffix == tensor_files.SUFFIX:
            return read_exported_record(Path(path))
        raise MissingInput(
            f"{path} is a file, and a run is a folder", "name a folder that run_train.py made"
        )
    if not file.is_file():
        raise MissingInput(
            f"{describe_place(path)} holds no run (no {CONFIG_FILE})",
            "name a folder that run_train.py made",
        )
    try:
        return renames.update_record(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise WorkdirError(
            f"{file} is damaged ({error})", "restore it, or start another run"
        ) from None


def read_exported_record(file: Path) -> dict[str, Any]:
    """The record in the metadata of a model's safetensors file, with the errors of its reader."""
    try:
        record = json.loads(tensor_files.read_metadata(file)["record"])
    except (KeyError, ValueError):
        raise BadCheckpoint(
            f"{file} holds no record of a run", f"name {MODEL_FILE} of an exported folder"
        ) from None
    return renames.update_record(record)


def collect_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a run's numbers."""
    from importlib.metadata import PackageNotFoundError, version

    from prodgen import __version__

    versions = {"prodgen": __version__, "python": platform.python_version()}
    for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
