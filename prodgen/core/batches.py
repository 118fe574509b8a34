"""Batches of one fixed size: a compiled program gives the same bytes for any number of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from prodgen.core.types import Batch

BATCH_SIZE = 64  # rows of every batch that a finished run computes
ROW_KEYS = ("image", "region", "z", "label", "attributes", "known")


def split_padded(batch: Batch, size: int = BATCH_SIZE) -> Iterator[tuple[Batch, int]]:
    """Cut a batch into parts of `size` rows, each with its number of real rows.

    The last part is filled up with copies of its last row. Keys outside ROW_KEYS are left out.
    """
    rows = {name: np.asarray(value) for name, value in batch.items() if name in ROW_KEYS}
    total = len(rows["label"])
    for start in range(0, total, size):
        part = {name: value[start : start + size] for name, value in rows.items()}
        num_real = len(part["label"])
        padded_part = {
            name: np.concatenate([value, np.repeat(value[-1:], size - num_real, axis=0)])
            for name, value in part.items()
        }
        yield padded_part, num_real
