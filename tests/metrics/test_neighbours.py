"""Distances among rows against their definition, and at the places where digits cancel."""

import numpy as np
import pytest

from prodgen.core.errors import BadData
from prodgen.metrics import neighbours


def rows_of(n, f=12, seed=0):
    return np.random.default_rng(seed).normal(size=(n, f))


def direct(rows, others):
    return np.square(rows[:, None] - others[None]).sum(-1)


def all_blocks(rows, others, size=None):
    return np.concatenate([block for _, block in neighbours.distance_blocks(rows, others, size)])


def test_distances_are_those_of_the_definition_whatever_the_blocks():
    rows, others = rows_of(37), rows_of(23, seed=1)
    for size in (None, 1, 10, 37, 100):
        np.testing.assert_allclose(all_blocks(rows, others, size), direct(rows, others), rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_a_copy_lies_at_zero_and_a_near_copy_keeps_its_digits(offset):
    others = rows_of(50) * np.geomspace(1, 100, 50)[:, None] + offset
    rows = others.copy()
    rows[::2, 3] += np.geomspace(1e-7, 1e-1, 25)
    result, expected = all_blocks(rows, others, 8), direct(rows, others)
    assert (result[np.arange(1, 50, 2), np.arange(1, 50, 2)] == 0).all()
    np.testing.assert_allclose(result, expected, rtol=1e-9 if not offset else 1e-3, atol=1e-20)


def test_rows_in_tight_heaps_within_heaps_keep_their_digits():
    """All pairs are close: the heaps' members a thousandth, their copies a billionth apart."""
    heaps, members, copies = rows_of(4) + 3, 1e-3 * rows_of(5, seed=1), 1e-9 * rows_of(3, seed=2)
    rows = (heaps[:, None, None] + members[:, None] + copies).reshape(-1, 12)
    result, expected = all_blocks(rows, rows, 7), direct(rows, rows)
    assert (np.diagonal(result) == 0).all()
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    far = expected > 1e-8
    np.testing.assert_allclose(result[far], expected[far], rtol=1e-11)


def test_many_copies_of_one_row_are_no_trouble():
    rows = np.tile(rows_of(1), (500, 1))
    assert (all_blocks(rows, rows) == 0).all()
    assert (neighbours.squared_radii(rows, 5) == 0).all()


def test_radii_by_hand():
    """On a line at 0, 1, 3, 7: the nearest and the second nearest of each."""
    rows = np.array([[0.0], [1.0], [3.0], [7.0]])
    np.testing.assert_allclose(neighbours.squared_radii(rows, 1), [1, 1, 4, 16])
    np.testing.assert_allclose(neighbours.squared_radii(rows, 2, 3), [9, 4, 9, 36])


def test_nearest_by_hand():
    others = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [10.0, 0.0]])
    index, distance = neighbours.find_nearest(
        np.array([[3.0, 4.0], [0.0, 1.0], [9.0, 0.0]]), others
    )
    assert index.tolist() == [1, 0, 3]  # the first of two copies
    assert distance.tolist() == [0, pytest.approx(1), pytest.approx(1)]
    index, distance = neighbours.find_nearest(others)
    assert index.tolist() == [1, 2, 1, 1]
    np.testing.assert_allclose(distance, [5, 0, 0, np.sqrt(65)])


def test_nearest_agrees_with_the_definition_whatever_the_blocks():
    rows, others = rows_of(60).astype(np.float32), rows_of(45, seed=1).astype(np.float32)
    table = direct(rows.astype(np.float64), others.astype(np.float64))
    for size in (None, 1, 7):
        index, distance = neighbours.find_nearest(rows, others, size)
        np.testing.assert_array_equal(index, table.argmin(1))
        np.testing.assert_allclose(distance, np.sqrt(table.min(1)), rtol=1e-12)


def test_memory_holds_a_block_not_the_table(monkeypatch):
    monkeypatch.setattr(neighbours, "MAX_BLOCK_DISTANCES", 100)
    rows = rows_of(40)
    shapes = [block.shape for _, block in neighbours.distance_blocks(rows, rows)]
    assert shapes == [(2, 40)] * 20


def test_invalid_rows_are_rejected():
    with pytest.raises(BadData, match="at least 2 rows are needed, not 1"):
        neighbours.find_nearest(rows_of(1))
    with pytest.raises(BadData, match="at least 1 rows are needed, not 0"):
        neighbours.find_nearest(rows_of(1), rows_of(0))
    broken = rows_of(5)
    broken[2, 1] = np.inf
    with pytest.raises(BadData, match="features of 1 of 5 rows are not finite"):
        neighbours.find_nearest(broken)
    with pytest.raises(ValueError, match=r"rows \[N, F\], not \(3,\)"):
        neighbours.find_nearest(np.zeros(3))
    index, distance = neighbours.find_nearest(rows_of(0), rows_of(3))
    assert index.shape == distance.shape == (0,)
