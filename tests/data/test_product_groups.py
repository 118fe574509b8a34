"""Products: groups of the source, joined where pictures are equal or look the same."""

import numpy as np

from prodgen.data.duplicates import NearDuplicates
from prodgen.data.product_groups import MAX_JOINED_PRODUCTS, find_products, join_products


def make_hashes(count):
    return np.random.default_rng(0).integers(0, 256, (count, 32), dtype=np.uint8)


def make_near(pairs, difference=None):
    pairs = np.array(pairs, np.int64).reshape(-1, 2)
    difference = np.zeros(len(pairs)) if difference is None else np.array(difference, float)
    return NearDuplicates(pairs, difference, True)


def join(hashes, groups, pairs=(), difference=None, is_own=None):
    is_own = np.ones(len(hashes), bool) if is_own is None else np.array(is_own)
    near = make_near(pairs, difference)
    return join_products(find_products(hashes, groups), hashes, near, is_own)


def test_a_product_is_a_group_or_the_content_of_an_image_without_one():
    hashes = make_hashes(6)
    hashes[5] = hashes[4]
    number = find_products(hashes, ["a", "b", "a", "", None, None]).number
    assert number[0] == number[2] and number[4] == number[5]
    assert len(set(number.tolist())) == 4


def test_shared_pictures_and_near_duplicates_join_products():
    hashes = make_hashes(8)
    hashes[2] = hashes[0]  # of products a and b
    groups = ["a", "a", "b", "b", "c", "c", None, None]
    cluster = join(hashes, groups, [(3, 6)]).cluster
    assert len(set(cluster[[0, 1, 2, 3, 6]].tolist())) == 1
    assert len(set(cluster.tolist())) == 3 and cluster[4] == cluster[5] != cluster[7]
    # Rows of an official split join nothing.
    is_own = [True, True, False, True, True, True, False, True]
    products = join(hashes, groups, [(3, 6)], is_own=is_own)
    assert len(set(products.cluster.tolist())) == 5 and products.num_skipped_joins == 0


def test_a_chain_joins_at_most_twenty_products_and_the_most_alike_first():
    pairs = [(row, row + 1) for row in range(29)]
    difference = np.full(29, 2.0)
    difference[20:] = 1.0
    products = join(make_hashes(30), [None] * 30, pairs, difference)
    sizes = np.bincount(products.cluster)
    # Rows 20 to 29 join first; the others join among themselves, or to these up to twenty.
    assert sizes.max() <= MAX_JOINED_PRODUCTS and sizes.sum() == 30
    assert len(set(products.cluster[20:].tolist())) == 1
    assert np.count_nonzero(sizes) == 1 + products.num_skipped_joins


def test_a_picture_of_more_than_twenty_products_joins_none():
    hashes = make_hashes(60)
    hashes[:25] = hashes[0]  # such as a size chart: the first picture of 25 products
    groups = [f"p{row % 30}" for row in range(60)]
    products = join(hashes, groups)
    assert len(set(products.cluster.tolist())) == 30 and products.num_skipped_joins == 24
    hashes[20:25] = make_hashes(65)[60:]
    assert len(set(join(hashes, groups).cluster.tolist())) == 11  # twenty are joined


def test_the_order_of_the_files_does_not_matter():
    rng = np.random.default_rng(3)
    hashes, groups = make_hashes(80), [f"p{row // 2}" for row in range(80)]
    pairs = np.sort(rng.integers(0, 80, (200, 2)), axis=1)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    difference = rng.integers(0, 3, len(pairs))
    order = rng.permutation(80)
    position = np.argsort(order)
    new_pairs = np.sort(position[pairs], axis=1)
    a = join(hashes, groups, pairs, difference)
    b = join(hashes[order], [groups[row] for row in order], new_pairs, difference)
    np.testing.assert_array_equal(a.cluster[order], b.cluster)
    assert a.num_skipped_joins == b.num_skipped_joins > 0
