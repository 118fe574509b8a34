"""Which split each image belongs to: a function of its content, so duplicates stay together.

From MIN_SIZE_FOR_THRESHOLDS distinct images on, an image's split follows from its own hash alone,
and adding images moves none. A smaller set is ranked by hash and cut at the requested fractions, so
that every split has images from ten distinct ones on. There an added image may move a few others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
LEFT_OUT = 255  # the content is also in an official held-out split
MIN_SIZE_FOR_THRESHOLDS = 1000  # distinct images


def assign_splits(
    hashes: np.ndarray, official: Sequence[str | None], validation: float, test: float
) -> np.ndarray:
    """uint8 [N]: TRAIN, VALIDATION, TEST or LEFT_OUT for each content hash, uint8 [N, 32].

    official: the source's split of each image, or None. Official test and validation images stay
    where they are. An image of another split with the same content is left out, so that no held-out
    image is ever trained on. A split that the source does not have is drawn from the remaining
    images by hash; `validation` and `test` are its fraction.
    """
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
    validation = 0.0 if "validation" in names else validation
    test = 0.0 if "test" in names else test
    if not is_assigned.all():
        split[~is_assigned] = _split_by_hash(hashes[~is_assigned], validation, test)
    return split


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
        test_count = _split_size(count, test)
        cuts = (test_count, test_count + _split_size(count, validation))
    split = np.where(position < cuts[0], TEST, np.where(position < cuts[1], VALIDATION, TRAIN))
    return split.astype(np.uint8)[inverse.reshape(-1)]


def _split_size(count: int, fraction: float) -> int:
    """A split's size in a set of `count`: at least one of ten, none of fewer than four."""
    if fraction <= 0 or count < 4:
        return 0
    return max(round(count * fraction), 1 if count >= 10 else 0)
