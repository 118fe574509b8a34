"""The tf.data feed: training batches that the host gathers from the store, ahead of the step.

The feed only gathers ids, and order.py defines which. So it delivers the same bytes as the resident
feed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from prodgen.core.errors import ProdgenError
from prodgen.core.types import Batch
from prodgen.data import order
from prodgen.data.store import Store

PREFETCH_BATCHES = 4
DTYPES = {
    "image": np.uint8, "label": np.int32, "attributes": np.float32, "known": np.bool_,
    "id": np.int32, "slot": np.int32,
}  # fmt: skip


def iterate_batches(
    store: Store, seed: int, batch_size: int, slots: np.ndarray, start: int
) -> Iterator[Batch]:
    """Host batches `start`, start+1, ... without end: the rows `slots` of each global batch.

    Values are NumPy arrays as described in types.Batch. StorageError where the store has changed.
    """
    ids = store.ids("train")
    order.check_batch_size(len(ids), batch_size)

    errors: list[ProdgenError] = []  # TensorFlow raises one of its own in their place

    def gather(t: np.ndarray) -> tuple[np.ndarray, ...]:
        batch_ids = ids[order.select_batch(seed, int(t), len(ids), batch_size)[slots]]
        try:
            batch = store.fetch(batch_ids) | {"slot": slots}
        except ProdgenError as error:
            errors.append(error)
            raise
        return tuple(batch[name] for name in DTYPES)

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # the accelerators are JAX's
    # A deterministic pipeline over batch numbers.
    batches = tf.data.Dataset.range(start, np.iinfo(np.int64).max).map(
        lambda t: tf.numpy_function(gather, [t], list(DTYPES.values())),
        num_parallel_calls=2,
        deterministic=True,
    )
    iterator = batches.prefetch(PREFETCH_BATCHES).as_numpy_iterator()
    while True:
        try:
            values = next(iterator)
        except tf.errors.OpError:
            if errors:
                raise errors[0] from None
            raise
        yield dict(zip(DTYPES, values, strict=True))
