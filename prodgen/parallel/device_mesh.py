"""Initialising JAX, the device mesh, and which device holds which part of an array."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from prodgen.core.errors import UsageError, WorkdirError
from prodgen.core.types import Batch

DATA_AXIS = "data"
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # malloc.h


def initialise_jax(config: ConfigDict) -> Mesh:
    """Initialise JAX, check the platform, return the mesh over the devices.

    UsageError where JAX finds no device, or runs on another platform than the config requires.
    """
    keep_freed_memory()
    # XLA reads its flags once, when the backend starts.
    if config.parallel.deterministic:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    use_compile_cache()
    try:
        platform = jax.default_backend()
    except RuntimeError as error:
        raise UsageError(
            f"JAX found no usable device: {error}",
            "repair the driver, or run on the processor: JAX_PLATFORMS=cpu before the command",
        ) from None
    require_devices(config)
    required_platform = config.parallel.require_platform
    if required_platform and required_platform != platform:
        raise UsageError(
            f"config.parallel.require_platform={required_platform}, but JAX runs on {platform}",
            f"install jax for {required_platform} (see README.md); or leave config.parallel."
            "require_platform out",
        )
    return make_mesh(config)


def keep_freed_memory() -> None:
    """Let the C library keep memory that is freed, on Linux with glibc; elsewhere do nothing.

    XLA's CPU backend allocates a step's buffers in each step. If the system gets them back in
    between, each page causes a page fault again: an eighth of the time of a small step.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in (M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1):
            mallopt(option, value)


def use_compile_cache() -> None:
    """Keep compiled programs between runs, in a private folder for this version of jaxlib.

    The cache is code that will be executed, so a folder that others may write to is a WorkdirError.
    The environment variable JAX_COMPILATION_CACHE_DIR selects another folder. On a GPU the folder
    holds what XLA measured to choose the kernel of each fusion, too.
    """
    if jax.config.jax_compilation_cache_dir:
        return
    # A program of another jaxlib is of no use.
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "prodgen" / f"xla-{jax.lib.__version__}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return  # no home folder: compile every time
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise WorkdirError(
            f"the compile cache {folder} is writable by others", f"chmod 700 {folder}"
        )
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    jax.config.update(
        "jax_persistent_cache_enable_xla_caches", "xla_gpu_per_fusion_autotune_cache_dir"
    )


def make_mesh(config: ConfigDict) -> Mesh:
    """A one-dimensional mesh over all devices, or the first `config.parallel.devices`.

    The batch, or each of its `config.train.microbatches`, must divide evenly: UsageError with the
    nearest sizes that do.
    """
    # The number of devices in the config; 0 means all.
    devices, num_devices = jax.devices(), config.parallel.devices
    if num_devices > len(devices):
        raise UsageError(
            f"config.parallel.devices={num_devices}, but JAX sees {len(devices)}",
            f"set config.parallel.devices={len(devices)}",
        )
    devices = choose_devices(devices, num_devices or len(devices))
    check_batch_size(config, len(devices))
    # Auto axes: explicit ones refuse batch statistics and gradient penalties through convolutions.
    return Mesh(np.asarray(devices), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def require_devices(config: ConfigDict) -> None:
    """UsageError where JAX sees fewer devices than `config.parallel.require_devices`."""
    num_devices, min_devices = jax.device_count(), config.parallel.require_devices
    if num_devices < min_devices:
        raise UsageError(
            f"config.parallel.require_devices={min_devices}, but JAX sees {num_devices}",
            "start on more devices, or set config.parallel.require_devices to fewer",
        )


def choose_devices(devices: Sequence[jax.Device], count: int) -> list[jax.Device]:
    """The first `count` devices, as many of each process; UsageError where that is impossible."""
    num_processes = jax.process_count()
    if num_processes == 1:
        return list(devices[:count])
    if count % num_processes:
        raise UsageError(
            f"config.parallel.devices={count} is not divisible by the {num_processes} processes",
            f"set config.parallel.devices={max(count // num_processes, 1) * num_processes}",
        )
    devices_of: dict[int, list[jax.Device]] = {}
    for device in devices:
        devices_of.setdefault(device.process_index, []).append(device)
    parts = [devices_of[index][: count // num_processes] for index in sorted(devices_of)]
    return [device for part in parts for device in part]


def check_batch_size(config: ConfigDict, num_devices: int, owner: str = "") -> None:
    """UsageError with the nearest sizes where a batch does not divide evenly over the devices.

    Every device has equal rows in every part of the batch. owner: whose devices, as " of h200:8".
    """
    batch_size, num_parts = config.train.batch_size, config.train.microbatches
    multiple = num_devices * num_parts
    if batch_size % multiple:
        parts = f" times config.train.microbatches={num_parts}" if num_parts > 1 else ""
        lower_size = max(batch_size // multiple, 1) * multiple
        raise UsageError(
            f"config.train.batch_size={batch_size} is not divisible by the {num_devices} devices"
            f"{owner}{parts}",
            f"set config.train.batch_size={lower_size}; or set config.train.batch_size="
            f"{lower_size + multiple}",
        )


def replicated_sharding(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The first axis is divided over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def local_slots(mesh: Mesh, size: int) -> np.ndarray:
    """The slots of a global batch of `size` that this process's devices hold, int32, ascending."""
    local_devices = [
        i
        for i, device in enumerate(mesh.devices.flat)
        if device.process_index == jax.process_index()
    ]
    n = size // mesh.size
    return np.concatenate([np.arange(i * n, (i + 1) * n, dtype=np.int32) for i in local_devices])


def place(tree: Any, shardings: Any) -> Any:
    """Host values, equal on every process -> global arrays; `shardings` has one for each leaf."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)

    def place_leaf(leaf: Any, sharding: NamedSharding) -> jax.Array:
        values = np.asarray(leaf)
        return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

    return jax.tree.map(place_leaf, tree, shardings)


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Host values, equal on every process -> arrays that every device holds whole."""
    return place(tree, jax.tree.map(lambda leaf: replicated_sharding(mesh), tree))


def fetch_local(mesh: Mesh, tree: Any) -> Any:
    """Global arrays -> whole arrays of this process alone, on one of its devices.

    Every process calls it. Whole arrays of a run in one process stay as they are.
    """
    is_whole = all(leaf.is_fully_replicated for leaf in jax.tree.leaves(tree))
    if not is_whole:
        tree = jax.jit(lambda tree: tree, out_shardings=replicated_sharding(mesh))(tree)
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def to_global_arrays(mesh: Mesh, local_batch: Batch) -> Batch:
    """This process's rows of a batch -> global arrays divided over all devices."""
    return {
        name: jax.make_array_from_process_local_data(batch_sharding(mesh), np.asarray(rows))
        for name, rows in local_batch.items()
    }


def count_devices(mesh: Mesh) -> dict[str, Any]:
    """The devices of a run: their number, kind and processes."""
    devices = list(mesh.devices.flat)
    num_processes = len({device.process_index for device in devices})
    return {"devices": mesh.size, "kind": devices[0].device_kind, "processes": num_processes}


def describe_devices() -> str:
    """The devices of this process, as "4 x TPU v5 lite"."""
    return f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}"


def device_stats(mesh: Mesh) -> dict[str, float]:
    """The number of devices, and the peak memory of one in MB where the device reports it."""
    stats = mesh.local_devices[0].memory_stats() or {}
    peak_mb = stats.get("peak_bytes_in_use", 0) / 2**20
    return {"devices": mesh.size} | ({"peak_device_mb": peak_mb} if peak_mb else {})
