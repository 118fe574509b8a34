"""Splits by content: copies stay together, fractions are met, official splits stay complete."""

import numpy as np
import pytest

from prodgen.data import splits


def make_hashes(count):
    return np.random.default_rng(0).integers(0, 256, (count, 32), dtype=np.uint8)


def test_copies_are_in_one_split_and_fractions_are_met():
    distinct = make_hashes(3000)
    with_copies = np.concatenate([distinct, distinct[::2]])
    split = splits.assign_splits(with_copies, [None] * len(with_copies), 0.1, 0.2)
    np.testing.assert_array_equal(split[3000:], split[:3000:2])
    shares = np.bincount(split[:3000], minlength=3) / 3000
    np.testing.assert_allclose(shares, (0.7, 0.1, 0.2), atol=0.03)


def test_adding_images_to_a_large_set_moves_none():
    many_hashes = make_hashes(2500)
    before = splits.assign_splits(many_hashes[:1500], [None] * 1500, 0.1, 0.1)
    np.testing.assert_array_equal(
        splits.assign_splits(many_hashes, [None] * 2500, 0.1, 0.1)[:1500], before
    )


@pytest.mark.parametrize("count", [10, 11, 50, 999])
def test_small_sets_have_every_split(count):
    split = splits.assign_splits(make_hashes(count), [None] * count, 0.01, 0.1)
    counts = np.bincount(split, minlength=3)
    assert counts.min() >= 1 and counts[2] == max(1, round(count * 0.1))


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_tiny_sets_are_mostly_training_images(count):
    assert (
        splits.assign_splits(make_hashes(count), [None] * count, 0.1, 0.1) == splits.TRAIN
    ).sum() >= count - 2


def test_an_official_test_split_stays_complete_and_its_copies_are_left_out():
    many_hashes = make_hashes(40)
    many_hashes[5] = many_hashes[35]
    official_splits = ["train"] * 30 + ["test"] * 10
    split = splits.assign_splits(many_hashes, official_splits, 0.2, 0.5)
    assert (split[30:] == splits.TEST).all() and split[5] == splits.LEFT_OUT
    assert (split[:30] == splits.VALIDATION).sum() == round(0.2 * 29)
    assert not (split[:30] == splits.TEST).any()
