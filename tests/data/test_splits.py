"""Splits by content: copies stay together, shares are kept, official splits stay whole."""

import numpy as np
import pytest

from prodgen.data import splits


def hashes(count):
    return np.random.default_rng(0).integers(0, 256, (count, 32), dtype=np.uint8)


def test_copies_never_straddle_and_shares_are_kept():
    once = hashes(3000)
    twice = np.concatenate([once, once[::2]])
    found = splits.assign_splits(twice, [None] * len(twice), 0.1, 0.2)
    np.testing.assert_array_equal(found[3000:], found[:3000:2])
    shares = np.bincount(found[:3000], minlength=3) / 3000
    np.testing.assert_allclose(shares, (0.7, 0.1, 0.2), atol=0.03)


def test_adding_pictures_to_a_large_set_moves_none():
    many = hashes(2500)
    before = splits.assign_splits(many[:1500], [None] * 1500, 0.1, 0.1)
    np.testing.assert_array_equal(
        splits.assign_splits(many, [None] * 2500, 0.1, 0.1)[:1500], before
    )


@pytest.mark.parametrize("count", [10, 11, 50, 999])
def test_small_sets_have_every_split(count):
    found = splits.assign_splits(hashes(count), [None] * count, 0.01, 0.1)
    counts = np.bincount(found, minlength=3)
    assert counts.min() >= 1 and counts[2] == max(1, round(count * 0.1))


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_tiny_sets_are_trained_on(count):
    assert (
        splits.assign_splits(hashes(count), [None] * count, 0.1, 0.1) == splits.TRAIN
    ).sum() >= count - 2


def test_official_test_stays_whole_and_its_copies_leave_train():
    many = hashes(40)
    many[5] = many[35]
    official = ["train"] * 30 + ["test"] * 10
    found = splits.assign_splits(many, official, 0.2, 0.5)
    assert (found[30:] == splits.TEST).all() and found[5] == splits.LEFT_OUT
    assert (found[:30] == splits.VALIDATION).sum() == round(0.2 * 29)
    assert not (found[:30] == splits.TEST).any()
