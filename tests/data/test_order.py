"""Batch t is a function of (seed, t) alone, and holds each id once an epoch."""

import numpy as np
import pytest

from prodgen.core.errors import BadData
from prodgen.data import order


@pytest.mark.parametrize(("size", "batch"), [(10, 3), (12, 4), (7, 7), (5, 2)])
def test_each_id_comes_once_an_epoch(size, batch):
    sequence = np.concatenate([order.select_batch(1, t, size, batch) for t in range(4 * size)])
    for epoch in range(4 * batch):
        part = sequence[epoch * size : (epoch + 1) * size]
        assert sorted(part) == list(range(size))


def test_epochs_and_seeds_differ():
    assert not np.array_equal(order.permute_epoch(0, 0, 50), order.permute_epoch(0, 1, 50))
    assert not np.array_equal(order.permute_epoch(0, 0, 50), order.permute_epoch(1, 0, 50))


def test_a_batch_does_not_depend_on_the_batches_before_it():
    before = [order.select_batch(3, t, 11, 4) for t in range(9)]
    order.permute_epoch.cache_clear()
    np.testing.assert_array_equal(order.select_batch(3, 8, 11, 4), before[8])


def test_the_order_is_the_same_in_all_versions():
    """Golden values: a run that is continued with a later version must get the same batches."""
    np.testing.assert_array_equal(order.permute_epoch(0, 0, 8), [0, 2, 1, 5, 4, 3, 6, 7])


def test_a_set_smaller_than_a_batch_is_refused_with_both_sizes():
    with pytest.raises(BadData, match="50 training images are fewer .*batch_size=64") as error_info:
        order.select_batch(0, 0, 50, 64)
    assert "batch_size=32" in error_info.value.next_step
