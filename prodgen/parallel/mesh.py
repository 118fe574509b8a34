"""Starting JAX on the right devices, the device mesh, and which array lives where."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from prodgen.core.errors import UsageError, WorkdirError
from prodgen.core.types import Batch

AXIS = "data"
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # malloc.h


def start(config: ConfigDict) -> Mesh:
    """Set JAX up, check the platform, return the mesh over the devices."""
    keep_freed_memory()
    parallel = config.parallel
    if parallel.deterministic:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    use_compile_cache()
    _require(parallel.require_platform)
    return make_mesh(config)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, on Linux with glibc; elsewhere nothing happens.

    XLA's CPU backend takes a step's buffers anew each time. Handed back to the system in between,
    every page of them is faulted in again: an eighth of a small step.
    """
    with contextlib.suppress(OSError, AttributeError):
        options = ctypes.CDLL("libc.so.6").mallopt
        for option, value in (M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1):
            options(option, value)


def use_compile_cache() -> None:
    """Keep compiled programs between runs, in a private folder of this jaxlib's own.

    The cache is code that will be executed, so a folder that others may write to is refused.
    A folder that JAX_COMPILATION_CACHE_DIR names is used instead.
    """
    if jax.config.jax_compilation_cache_dir:
        return
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "prodgen" / f"xla-{jax.lib.__version__}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return  # no home: compile every time
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise WorkdirError(
            f"the compile cache {folder} is writable by others", f"chmod 700 {folder}"
        )
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _require(platform: str) -> None:
    try:
        found = jax.default_backend()
    except RuntimeError as error:
        raise UsageError(f"JAX found no usable device: {error}") from None
    if platform and platform != found:
        raise UsageError(
            f"config.parallel.require_platform={platform}, but JAX runs on {found}",
            f"install jax for {platform} (see README.md) or drop the field",
        )


def make_mesh(config: ConfigDict) -> Mesh:
    """A one-dimensional mesh over all devices, or the first `config.parallel.devices`.

    The batch must divide evenly: UsageError with the nearest sizes that do.
    """
    devices, wanted = jax.devices(), config.parallel.devices
    if wanted > len(devices):
        raise UsageError(f"config.parallel.devices={wanted}, but JAX sees {len(devices)}")
    devices = devices[: wanted or len(devices)]
    size, count = config.train.batch_size, len(devices)
    if size % count:
        low = max(size // count, 1) * count
        raise UsageError(
            f"config.train.batch_size={size} is not divisible by the {count} devices",
            f"use {low} or {low + count}",
        )
    # Auto axes: explicit ones refuse batch statistics and gradient penalties through convolutions.
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis is divided over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def local_slots(mesh: Mesh, size: int) -> np.ndarray:
    """The positions of the global batch that this process's devices hold, int32, ascending."""
    mine = [
        i
        for i, device in enumerate(mesh.devices.flat)
        if device.process_index == jax.process_index()
    ]
    share = size // mesh.size
    return np.concatenate([np.arange(i * share, (i + 1) * share, dtype=np.int32) for i in mine])


def place(mesh: Mesh, local: Batch) -> Batch:
    """This process's rows of a batch -> global arrays divided over all devices."""
    return {
        name: jax.make_array_from_process_local_data(split(mesh), np.asarray(rows))
        for name, rows in local.items()
    }


def ledger(mesh: Mesh) -> dict[str, float]:
    """The number of devices, and the peak of one's memory in MB where the device tells it."""
    stats = mesh.local_devices[0].memory_stats() or {}
    peak = stats.get("peak_bytes_in_use", 0) / 2**20
    return {"devices": mesh.size} | ({"peak_device_mb": peak} if peak else {})
