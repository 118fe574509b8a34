"""Which split each picture belongs to: a function of its content, so duplicates stay together.

From RANKED_BELOW distinct pictures on, a picture's split follows from its own hash alone, and
adding pictures moves none. Smaller sets are ranked by hash and cut at the shares, so that every
split has its pictures from ten distinct ones on; there an added picture may move a few others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
LEFT_OUT = 255  # a picture of an official split whose content is also held out
RANKED_BELOW = 1000


def assign_splits(
    hashes: np.ndarray, official: Sequence[str | None], validation: float, test: float
) -> np.ndarray:
    """uint8 [N]: TRAIN, VALIDATION, TEST or LEFT_OUT for each content hash, uint8 [N, 32].

    official: the split that the source gives, or None. Official test and validation pictures stay
    where they are; a picture of another split with the same content is left out, so that nothing
    held out is ever trained on. Splits that are not given are hashed out of the rest.
    """
    keys = np.ascontiguousarray(hashes).view("V32").reshape(-1)
    given = np.array([name or "" for name in official], dtype="U10")
    split = np.full(len(keys), TRAIN, np.uint8)
    held = np.zeros(len(keys), bool)
    for name, index in (("test", TEST), ("validation", VALIDATION)):
        mine = (given == name) & ~held
        others = (given != name) & ~held & _among(keys, keys[mine])
        split[mine], split[others] = index, LEFT_OUT
        held |= mine | others
    free = ~held
    shares = (0.0 if "validation" in given else validation, 0.0 if "test" in given else test)
    if free.any():
        split[free] = _by_hash(hashes[free], *shares)
    return split


def _among(keys: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """bool [N]: whether each key is one of `chosen`."""
    known = set(chosen.tolist())
    return np.fromiter((key in known for key in keys.tolist()), bool, len(keys))


def _by_hash(hashes: np.ndarray, validation: float, test: float) -> np.ndarray:
    """uint8 [N]: the split of each hash, by threshold or, in a small set, by rank."""
    unique, inverse = np.unique(hashes, axis=0, return_inverse=True)
    count = len(unique)
    if count >= RANKED_BELOW:
        first = np.ascontiguousarray(unique[:, :8]).view(">u8").reshape(-1)
        place = first.astype(np.float64) / 2.0**64
        cuts = (test, test + validation)
    else:  # np.unique has sorted them: the rank is the position
        place = np.arange(count, dtype=np.float64)
        tests = _share(count, test)
        cuts = (tests, tests + _share(count, validation))
    split = np.where(place < cuts[0], TEST, np.where(place < cuts[1], VALIDATION, TRAIN))
    return split.astype(np.uint8)[inverse.reshape(-1)]


def _share(count: int, share: float) -> int:
    """How many of `count` a split gets: rounded, at least one of ten, none of fewer than four."""
    if share <= 0 or count < 4:
        return 0
    return max(round(count * share), 1 if count >= 10 else 0)
