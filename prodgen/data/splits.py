"""Which split each image belongs to: a function of its content, or of the product that it shows.

By image, exact copies stay together. By product, all images of a product do, and so do products
that are joined (product_groups.py). An official split of the source is never changed.

From MIN_SIZE_FOR_THRESHOLDS on, a split follows from one hash alone, and adding images moves none.
A smaller set is ranked by hash and cut at the requested fractions, so that every split has images
from ten distinct ones on. There an added image may move a few others.

The requested fractions are of distinct images. By product, an image's split follows from the hash
of one product of its joined group. A product stays in training where it alone has more images than
a held-out split, or where no other product in training has its category.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.data.duplicates import NearDuplicates
from prodgen.data.product_groups import Products, find_products, join_products

TRAIN, VALIDATION, TEST = 0, 1, 2
LEFT_OUT = 255  # the content is also in another split
MIN_SIZE_FOR_THRESHOLDS = 1000  # distinct images, or joined groups of products
MIN_SIZE_FOR_ALL_SPLITS = 10  # from here on, no requested split is empty
SOURCES_BY_PRODUCT = ("folder", "table")  # the others are split by image


@dataclasses.dataclass(frozen=True)
class Splits:
    """The splits of N images, and how they came about.

    index: uint8 [N], TRAIN, VALIDATION, TEST or LEFT_OUT; is_own: bool [N], false where the split
    is the source's; official: the source's splits; split_by: "product" or "image"; shares: the
    requested fractions; num_only_products: joined groups that are the only ones of a category.
    """

    index: np.ndarray
    is_own: np.ndarray
    products: Products
    official: tuple[str, ...]
    split_by: str
    shares: dict[str, float]
    num_only_products: int = 0

    @property
    def is_stored(self) -> np.ndarray:
        """bool [N], false for left-out images."""
        return self.index != LEFT_OUT

    @property
    def is_by_product(self) -> bool:
        """Whether products decided every split: none is held out by the source."""
        return self.split_by == "product" and not {"validation", "test"} & set(self.official)

    def restrict_to_stored(self) -> Splits:
        rows = self.is_stored
        index, is_own, products = self.index[rows], self.is_own[rows], self.products.restrict(rows)
        return dataclasses.replace(self, index=index, is_own=is_own, products=products)


def get_split_unit(data: ConfigDict) -> str:
    """What config.data splits by: "product" or "image"."""
    return data.get("split_by", "image") if data.source in SOURCES_BY_PRODUCT else "image"


def decide_splits(
    items: Sequence[dict[str, Any]],
    hashes: np.ndarray,
    label: np.ndarray,
    near: NearDuplicates,
    data: ConfigDict,
) -> Splits:
    """The splits of N images: metadata [N], content hashes uint8 [N, 32], classes int32 [N]."""
    official = [item["split"] for item in items]
    index, is_own = _keep_official(hashes, official)
    shares = {"validation": data.validation, "test": data.test}
    names = tuple(name for name in ("train", "validation", "test") if name in official)
    own_shares = {name: 0.0 if name in names else share for name, share in shares.items()}
    products = find_products(hashes, [item["group"] for item in items])
    splits = Splits(index, is_own, products, names, get_split_unit(data), shares)
    if splits.split_by == "image":
        index = assign_splits(hashes, official, **shares)
        return dataclasses.replace(splits, index=index)
    products = join_products(products, hashes, near, is_own)
    index[is_own], num_only_products = assign_by_product(
        hashes[is_own], label[is_own], products.restrict(is_own), **own_shares
    )
    return dataclasses.replace(
        splits, index=index, products=products, num_only_products=num_only_products
    )


def assign_splits(
    hashes: np.ndarray, official: Sequence[str | None], validation: float, test: float
) -> np.ndarray:
    """uint8 [N]: TRAIN, VALIDATION, TEST or LEFT_OUT for each content hash, uint8 [N, 32].

    official: the source's split of each image, or None. Official test and validation images stay
    where they are. An image of another split with the same content is left out, so that no held-out
    image is ever trained on. A split that the source does not have is drawn from the remaining
    images by hash; `validation` and `test` are its fraction.
    """
    split, is_own = _keep_official(hashes, official)
    validation = 0.0 if "validation" in official else validation
    test = 0.0 if "test" in official else test
    if is_own.any():
        split[is_own] = _split_by_hash(hashes[is_own], validation, test)
    return split


def _keep_official(
    hashes: np.ndarray, official: Sequence[str | None]
) -> tuple[np.ndarray, np.ndarray]:
    """The split uint8 [N] of official held-out images and their copies; bool [N], the others."""
    keys = np.ascontiguousarray(hashes).view("V32").reshape(-1)
    names = np.array([name or "" for name in official], dtype="U10")
    split = np.full(len(keys), TRAIN, np.uint8)
    is_assigned = np.zeros(len(keys), bool)
    for name, index in (("test", TEST), ("validation", VALIDATION)):
        members = (names == name) & ~is_assigned
        member_keys = set(keys[members].tolist())
        is_copy = np.fromiter((key in member_keys for key in keys.tolist()), bool, len(keys))
        copies = (names != name) & ~is_assigned & is_copy
        split[members], split[copies] = index, LEFT_OUT
        is_assigned |= members | copies
    return split, ~is_assigned


def _split_by_hash(hashes: np.ndarray, validation: float, test: float) -> np.ndarray:
    """uint8 [N]: the split of each hash, by threshold or, in a small set, by rank."""
    unique, inverse = np.unique(hashes, axis=0, return_inverse=True)
    count = len(unique)
    if count >= MIN_SIZE_FOR_THRESHOLDS:
        # The first 8 bytes as a number in [0, 1).
        prefix = np.ascontiguousarray(unique[:, :8]).view(">u8").reshape(-1)
        position = prefix.astype(np.float64) / 2.0**64
        cuts = (test, test + validation)
    else:
        # np.unique sorts: the rank of a hash is its index.
        position = np.arange(count, dtype=np.float64)
        test_count = _split_size(count, count, test)
        cuts = (test_count, test_count + _split_size(count, count, validation))
    split = np.where(position < cuts[0], TEST, np.where(position < cuts[1], VALIDATION, TRAIN))
    return split.astype(np.uint8)[inverse.reshape(-1)]


def _split_size(num_images: int, count: int, fraction: float) -> int:
    """A split's distinct images, in a set of `count` that may be held out: at least one of ten,
    none of fewer than four."""
    if fraction <= 0 or count < 4:
        return 0
    return max(round(num_images * fraction), 1 if count >= MIN_SIZE_FOR_ALL_SPLITS else 0)


def assign_by_product(
    hashes: np.ndarray, label: np.ndarray, products: Products, validation: float, test: float
) -> tuple[np.ndarray, int]:
    """(uint8 [N], the split of each image; the number of groups that are a category's only ones).

    label: int32 [N], -1 where unknown. A picture of more products than can be joined may come into
    several splits. It then stays in the first of training, validation and test, and its other
    copies are left out.
    """
    if not len(hashes):
        return np.zeros(0, np.uint8), 0
    names, cluster = np.unique(products.cluster, return_inverse=True)
    cluster = cluster.reshape(-1)
    _, content = np.unique(hashes, axis=0, return_inverse=True)
    content = content.reshape(-1)
    # Distinct images and categories of each group.
    weight = np.bincount(np.unique(np.stack([cluster, content], axis=1), axis=0)[:, 0])
    categories: list[list[int]] = [[] for _ in names]
    for row, category in np.unique(np.stack([cluster, label], axis=1), axis=0).tolist():
        if category >= 0:
            categories[row].append(category)
    counts = Counter(category for group in categories for category in group)
    num_only = sum(any(counts[category] == 1 for category in group) for group in categories)
    key = _choose_keys(cluster, products)
    split = _split_groups(key, weight, categories, validation, test)[cluster]
    first_split = np.full(content.max() + 1, TEST, np.uint8)
    np.minimum.at(first_split, content, split)
    return np.where(split > first_split[content], LEFT_OUT, split).astype(np.uint8), num_only


def _choose_keys(cluster: np.ndarray, products: Products) -> np.ndarray:
    """uint64 [G, 4]: of each joined group, the hash of one product.

    It has the smallest second word. The first word is therefore as evenly distributed as that of a
    single product, and seldom changes where a product joins.
    """
    words = np.ascontiguousarray(products.key).view(">u8").astype(np.uint64)[products.number]
    order = np.lexsort((words[:, 0], words[:, 1]))
    _, first = np.unique(cluster[order], return_index=True)
    return words[order[first]]


def _split_groups(
    key: np.ndarray,
    weight: np.ndarray,
    categories: Sequence[Sequence[int]],
    validation: float,
    test: float,
) -> np.ndarray:
    """uint8 [G]: the split of joined groups: hash [G, 4], distinct images [G], categories [G]."""
    count, num_images = len(weight), int(weight.sum())
    is_large = count >= MIN_SIZE_FOR_THRESHOLDS
    position = key[:, 0].astype(np.float64) / 2.0**64
    order = np.lexsort(key.T[::-1]).tolist()
    num_training = Counter(category for group in categories for category in group)
    split = np.full(count, TRAIN, np.uint8)

    def may_be_held_out(group: int) -> bool:
        has_others = all(num_training[category] > 1 for category in categories[group])
        return split[group] == TRAIN and has_others

    # An uneven set of few groups leaves at least half of the training share to training.
    num_left, min_left = num_images, (1 - validation - test) * num_images / 2
    low = 0.0
    for index, share in ((TEST, test), (VALIDATION, validation)):
        size, total = _split_size(num_images, count, share), 0
        # By threshold in a large set; by rank in a small one, until the split is full.
        for group in order:
            if is_large:
                is_member = low <= position[group] < low + share and weight[group] <= size
            else:
                is_member = total + weight[group] / 2 <= size
            is_member = is_member and num_left - weight[group] >= min_left
            if is_member and may_be_held_out(group):
                split[group], total = index, total + weight[group]
                num_left -= weight[group]
                num_training.subtract(categories[group])
        # No split is empty where a group can be held out at all: the smallest one.
        others = [group for group in order if may_be_held_out(group)] if not total else []
        if size and others and count >= MIN_SIZE_FOR_ALL_SPLITS:
            group = min(others, key=lambda group: weight[group])
            split[group] = index
            num_left -= weight[group]
            num_training.subtract(categories[group])
        low += share
    return split
