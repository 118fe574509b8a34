"""The tf.data feed: training batches gathered from the store by the host, ahead of the step.

A feed gathers ids and nothing else. Which ids is order.py's answer, so this feed and the resident
one deliver the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from prodgen.core.types import Batch
from prodgen.data import order
from prodgen.data.store import Store

PREFETCH = 4  # batches held ready


def iterate_batches(
    store: Store, seed: int, batch_size: int, slots: np.ndarray, start: int
) -> Iterator[Batch]:
    """Host batches `start`, start+1, ... without end: the rows `slots` of each global batch.

    Values are NumPy arrays as described in types.Batch.
    """
    ids = store.ids("train")
    order.check_batch_size(len(ids), batch_size)

    def gather(t: np.ndarray) -> tuple[np.ndarray, ...]:
        chosen = ids[order.select_batch(seed, int(t), len(ids), batch_size)[slots]]
        found = store.fetch(chosen) | {"slot": slots}
        return tuple(found[name] for name, _ in _layout(store))

    names = [name for name, _ in _layout(store)]
    for values in _pipeline(gather, [kind for _, kind in _layout(store)], start):
        yield dict(zip(names, values, strict=True))


def _layout(store: Store) -> list[tuple[str, type]]:
    return [
        ("image", np.uint8), ("label", np.int32), ("attributes", np.float32),
        ("known", np.bool_), ("id", np.int32), ("slot", np.int32),
    ]  # fmt: skip


def _pipeline(gather, kinds: list[type], start: int) -> Iterator[tuple[np.ndarray, ...]]:
    """A deterministic tf.data pipeline over batch numbers; TensorFlow sees no accelerator."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    numbers = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    gathered = numbers.map(
        lambda t: tf.numpy_function(gather, [t], kinds),
        num_parallel_calls=2,
        deterministic=True,
    )
    return gathered.prefetch(PREFETCH).as_numpy_iterator()
