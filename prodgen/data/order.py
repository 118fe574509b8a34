"""Which examples form batch t: a pure function of (seed, t).

The permutations of all epochs form one endless sequence; batch t is its positions tB to
(t+1)B - 1. Each id comes once an epoch. The number of hosts, a restart or the length of the run
does not change batch t. NumPy only.
"""

from __future__ import annotations

import functools

import numpy as np

from prodgen.core.errors import BadData


@functools.lru_cache(maxsize=4)
def permute_epoch(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order of one epoch, int64 [size].

    Sorting raw Philox bits is fixed by that algorithm's definition; NumPy's own `permutation` may
    change between its versions.
    """
    bits = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(size)
    order = np.argsort(bits, kind="stable")
    order.setflags(write=False)
    return order


def check_batch_size(size: int, batch_size: int) -> None:
    """Raise BadData where a set is smaller than a batch, which would then repeat images."""
    if size < batch_size:
        raise BadData(
            f"{size} training images are fewer than config.train.batch_size={batch_size}",
            f"add images; or set config.train.batch_size={2 ** int(np.log2(max(size, 1)))}",
        )


def select_batch(seed: int, t: int, size: int, batch_size: int) -> np.ndarray:
    """Indices in 0..size-1 of batch t, int64 [batch_size]; a batch may span two epochs.

    Raises BadData as `check_batch_size` does.
    """
    check_batch_size(size, batch_size)
    positions = np.arange(t * batch_size, (t + 1) * batch_size)
    epochs, offsets = positions // size, positions % size
    indices = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        in_epoch = epochs == epoch
        indices[in_epoch] = permute_epoch(seed, int(epoch), size)[offsets[in_epoch]]
    return indices
