"""Splits by content or product: copies and products stay together, fractions are met, official
splits stay complete, categories keep a training image."""

import numpy as np
import pytest

from prodgen.data import splits
from prodgen.data.product_groups import find_products


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


# --- by product ------------------------------------------------------------------------------


def split_products(hashes, groups, label=None, validation=0.1, test=0.1):
    label = np.full(len(hashes), -1) if label is None else np.array(label)
    products = find_products(hashes, groups)
    return splits.assign_by_product(hashes, label, products, validation, test)


def splits_of_groups(split, groups):
    """{group: the splits of its images}."""
    return {group: {int(s) for s, g in zip(split, groups, strict=True) if g == group}
            for group in set(groups)}  # fmt: skip


@pytest.mark.parametrize("count", [12, 40, 400, 4000])
def test_all_images_of_a_product_are_in_one_split_and_shares_are_met(count):
    sizes = np.random.default_rng(1).integers(1, 8, count)
    groups = [f"sku{number}" for number, size in enumerate(sizes) for _ in range(size)]
    split, _ = split_products(make_hashes(len(groups)), groups, validation=0.1, test=0.2)
    assert all(len(indices) == 1 for indices in splits_of_groups(split, groups).values())
    shares = np.bincount(split, minlength=3) / len(groups)
    assert shares.min() > 0
    np.testing.assert_allclose(shares, (0.7, 0.1, 0.2), atol=0.5 / count + 0.03)


@pytest.mark.parametrize("count", [11, 60, 1500])
def test_without_groups_a_split_by_product_is_one_by_image(count):
    hashes = make_hashes(count)
    hashes[: count // 10] = hashes[count // 10 : 2 * (count // 10)]
    split, _ = split_products(hashes, [None] * count)
    np.testing.assert_array_equal(
        split, splits.assign_splits(hashes, [None] * count, 0.1, 0.1)
    )  # fmt: skip


def test_an_added_image_moves_no_product_of_a_large_set():
    hashes = make_hashes(3000)
    groups = [f"sku{row % 1200}" for row in range(3000)]
    before, _ = split_products(hashes[:2000], groups[:2000])
    after, _ = split_products(hashes, groups)
    np.testing.assert_array_equal(before, after[:2000])


@pytest.mark.parametrize("count", [60, 2000])
def test_a_category_keeps_a_product_in_training(count):
    hashes = make_hashes(count)
    # Half of the categories have one product, the others have several.
    label = [row if row < count // 2 else count // 2 + row % 7 for row in range(count)]
    split, num_only = split_products(hashes, [None] * count, label)
    assert set(np.array(label)[split == splits.TRAIN]) == set(label)
    assert num_only == count // 2 and {splits.VALIDATION, splits.TEST} <= set(split.tolist())
    # Where every product is the only one of its category, none is held out.
    split, num_only = split_products(hashes, [None] * count, range(count))
    assert (split == splits.TRAIN).all() and num_only == count


@pytest.mark.parametrize("count", [30, 2000])
def test_a_product_with_more_images_than_a_held_out_split_stays_in_training(count):
    groups = ["large"] * count + [f"sku{row}" for row in range(count)]
    for seed in range(3):
        hashes = np.roll(make_hashes(2 * count), seed, axis=1)
        split, _ = split_products(hashes, groups)
        assert (split[:count] == splits.TRAIN).all()
        assert {splits.VALIDATION, splits.TEST} <= set(split.tolist())


def test_a_picture_that_many_products_share_is_never_in_two_splits():
    hashes = make_hashes(300)
    groups = [f"sku{row % 150}" for row in range(300)]
    hashes[150:] = hashes[150]  # the second picture of each of 150 products
    split, _ = split_products(hashes, groups)
    assert set(split[150:].tolist()) == {splits.TRAIN, splits.LEFT_OUT}
    left_out = split == splits.LEFT_OUT
    stored_groups = [group for group, is_left in zip(groups, left_out, strict=True) if not is_left]
    assert all(
        len(indices) == 1 for indices in splits_of_groups(split[~left_out], stored_groups).values()
    )


def test_an_uneven_set_of_few_products_keeps_training_images():
    groups = ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"]
    for seed in range(8):
        hashes = np.roll(make_hashes(31), seed, axis=1)
        split, _ = split_products(hashes, groups, validation=0.3, test=0.5)
        assert (split == splits.TRAIN).sum() >= 10
