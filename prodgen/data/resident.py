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

SHARE = 0.25  # of a device's memory that the pictures may take
CHUNK = 4096  # pictures read from the store at a time


def choose_feed(feed: str, store: Store, mesh: Mesh) -> str:
    """The feed that config.data.feed stands for: "auto" is "resident" where the data fit.

    UsageError where it is "tfdata" and TensorFlow is not installed.
    """
    if feed == "tfdata":
        packages.check_tensorflow("config.data.feed=tfdata needs TensorFlow")
    if feed != "auto":
        return feed
    if fits_in_device_memory(store, mesh):
        return "resident"
    packages.check_tensorflow(
        f"the training images take more than {SHARE:.0%} of a device's memory, so that "
        "config.data.feed=auto needs TensorFlow"
    )
    return "tfdata"


def fits_in_device_memory(store: Store, mesh: Mesh) -> bool:
    """Whether the training split takes at most a quarter of a device's memory."""
    pixels = len(store.ids("train")) * int(np.prod(store.spec.shape))
    return pixels <= SHARE * _memory(mesh)


def _memory(mesh: Mesh) -> float:
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
    whole: NamedSharding,
    rows: NamedSharding,
) -> Iterator[Batch]:
    """Global batches `start`, start+1, ... without end, on the devices.

    `whole` replicates the data over the devices, `rows` divides a batch among them.
    """
    ids = store.ids("train")
    order.check_batch_size(len(ids), batch_size)
    data = jax.device_put(_everything(store, ids), whole)
    gather = jax.jit(
        lambda data, index: {k: jnp.take(v, index, axis=0, mode="clip") for k, v in data.items()},
        in_shardings=(whole, rows),
        out_shardings=rows,
    )
    slot = _global(np.arange(batch_size, dtype=np.int32), rows)
    t = start
    while True:
        index = order.select_batch(seed, t, len(ids), batch_size).astype(np.int32)
        yield gather(data, _global(index, rows)) | {"slot": slot}
        t += 1


def _everything(store: Store, ids: np.ndarray) -> Batch:
    """All rows of the split, read in chunks."""
    parts = [store.fetch(ids[i : i + CHUNK]) for i in range(0, len(ids), CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _global(values: np.ndarray, rows: NamedSharding) -> jax.Array:
    """The same host array on every process -> one global array divided over the devices."""
    return jax.make_array_from_callback(values.shape, rows, lambda index: values[index])
