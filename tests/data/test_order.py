"""Batch t is a function of (seed, t): each id once an epoch, whoever asks."""

import numpy as np
import pytest

from prodgen.core.errors import BadData
from prodgen.data import order


@pytest.mark.parametrize(("size", "batch"), [(10, 3), (12, 4), (7, 7), (5, 2)])
def test_each_id_comes_once_an_epoch(size, batch):
    line = np.concatenate([order.select_batch(1, t, size, batch) for t in range(4 * size)])
    for epoch in range(4 * batch):
        part = line[epoch * size : (epoch + 1) * size]
        assert sorted(part) == list(range(size))


def test_epochs_and_seeds_differ():
    assert not np.array_equal(order.permute_epoch(0, 0, 50), order.permute_epoch(0, 1, 50))
    assert not np.array_equal(order.permute_epoch(0, 0, 50), order.permute_epoch(1, 0, 50))


def test_any_batch_can_be_asked_for_alone():
    before = [order.select_batch(3, t, 11, 4) for t in range(9)]
    order.permute_epoch.cache_clear()
    np.testing.assert_array_equal(order.select_batch(3, 8, 11, 4), before[8])


def test_the_order_never_changes_between_versions():
    """Golden: a run begun today must see the same batches when it is continued in a year."""
    np.testing.assert_array_equal(order.permute_epoch(0, 0, 8), [0, 2, 1, 5, 4, 3, 6, 7])


def test_a_set_smaller_than_a_batch_is_refused_with_the_numbers():
    with pytest.raises(BadData, match="50 training pictures are fewer .*batch_size=64") as caught:
        order.select_batch(0, 0, 50, 64)
    assert "batch_size=32" in caught.value.next
