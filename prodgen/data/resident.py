"""The resident feed: the training split in device memory, batches gathered there.

The same bytes as the tf.data feed, without TensorFlow and without a host-to-device copy a step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from prodgen.core.types import Batch
from prodgen.data import order, packages
from prodgen.data.store import Store

MAX_MEMORY_FRACTION = 0.25  # of a device's memory, for the images
READ_SIZE = 4096  # images read from the store at a time


def choose_feed(feed: str, store: Store, mesh: Mesh) -> str:
    """The feed that config.data.feed names; "auto" is "resident" where the data fit.

    UsageError where it is "tfdata" and TensorFlow is not installed.
    """
    if feed == "tfdata":
        packages.check_tensorflow("config.data.feed=tfdata needs TensorFlow")
    if feed != "auto":
        return feed
    if fits_in_device_memory(store, mesh):
        return "resident"
    packages.check_tensorflow(
        f"the training images take more than {MAX_MEMORY_FRACTION:.0%} of a device's memory, so "
        "that config.data.feed=auto needs TensorFlow"
    )
    return "tfdata"


def fits_in_device_memory(store: Store, mesh: Mesh) -> bool:
    """Whether the training split takes at most a quarter of a device's memory."""
    num_bytes = len(store.ids("train")) * int(np.prod(store.spec.shape))
    return num_bytes <= MAX_MEMORY_FRACTION * _device_memory(mesh)


def _device_memory(mesh: Mesh) -> float:
    """Bytes of memory a device: its own, or its share of the host's where it has none."""
    device = mesh.local_devices[0]
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"]
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return host / len(mesh.local_devices)


def iterate_batches(
    store: Store,
    seed: int,
    batch_size: int,
    start: int,
    replicated_sharding: NamedSharding,
    batch_sharding: NamedSharding,
) -> Iterator[Batch]:
    """Global batches `start`, start+1, ... without end, on the devices.

    `replicated_sharding` copies the data to every device, `batch_sharding` divides a batch among
    them.
    """
    ids = store.ids("train")
    order.check_batch_size(len(ids), batch_size)
    parts = [store.fetch(ids[i : i + READ_SIZE]) for i in range(0, len(ids), READ_SIZE)]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if replicated_sharding.is_fully_addressable:
        data = jax.device_put(rows, replicated_sharding)
    else:
        data = {name: _to_global(values, replicated_sharding) for name, values in rows.items()}
    gather = jax.jit(
        lambda data, index: {k: jnp.take(v, index, axis=0, mode="clip") for k, v in data.items()},
        in_shardings=(replicated_sharding, batch_sharding),
        out_shardings=batch_sharding,
    )
    slot = _to_global(np.arange(batch_size, dtype=np.int32), batch_sharding)
    t = start
    while True:
        index = order.select_batch(seed, t, len(ids), batch_size).astype(np.int32)
        yield gather(data, _to_global(index, batch_sharding)) | {"slot": slot}
        t += 1


def _to_global(values: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """The same host array on every process -> one global array divided over the devices."""
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])
