"""Pictures that are nearly the same: difference hashes, and pairs of them a few bits apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from prodgen.data.fit import set_channels

DISTANCE = 3  # bits of 64 in which two hashes may differ
BUDGET = 1_000_000_000  # comparisons after which the search of a huge set stops
BLOCK = 2048


def compute_difference_hashes(pictures: np.ndarray) -> np.ndarray:
    """uint64 [n] of pictures uint8 [n, R, R, C]: whether brightness falls between 9 x 8 cells.

    After N. Krawetz, "Kind of Like That" (2013), with the cells' means instead of a resize.
    """
    grey = set_channels(pictures, 1)[..., 0].astype(np.float32)
    means = average_cells(average_cells(grey, 8, axis=1), 9, axis=2)
    falls = means[:, :, :-1] > means[:, :, 1:] + 1.0  # a flat background has no direction
    packed = np.packbits(falls.reshape(len(pictures), 64), axis=1)
    return np.ascontiguousarray(packed).view(">u8").reshape(-1).astype(np.uint64)


def average_cells(values: np.ndarray, count: int, axis: int) -> np.ndarray:
    """Means over `count` nearly equal parts of an axis."""
    edges = np.linspace(0, values.shape[axis], count + 1).round().astype(int)
    parts = [
        np.take(values, range(start, stop), axis=axis).mean(axis=axis, keepdims=True)
        for start, stop in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.concatenate(parts, axis=axis)


def find_near_pairs(
    hashes: np.ndarray, same: Callable[[np.ndarray, np.ndarray], np.ndarray], most: int = 100_000
) -> tuple[np.ndarray, bool]:
    """Pairs of rows whose difference hashes, uint64 [n], are at most DISTANCE bits apart.

    Two such hashes agree in at least one of four bands of 16 bits, so only rows that share a band
    are compared. same(left, right): bool, the last word on candidate rows. Returns int64 [p, 2]
    with left < right, sorted, and whether the search was complete.
    """
    found: list[np.ndarray] = []
    budget, total, complete = BUDGET, 0, True
    for left, right, cost in _candidates(hashes):
        budget -= cost
        if len(left):
            keep = same(left, right)
            found.append(np.stack([left[keep], right[keep]], axis=1))
            total += int(keep.sum())
        if budget < 0 or total > most:
            complete = False
            break
    pairs = np.concatenate(found) if found else np.zeros((0, 2), np.int64)
    return np.unique(pairs, axis=0), complete


def _candidates(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """(left rows, right rows, comparisons made) block by block, each pair once."""
    for band in range(4):
        shift = np.uint64(16 * band)
        key = (hashes >> shift) & np.uint64(0xFFFF)
        order = np.argsort(key, kind="stable")
        bounds = np.flatnonzero(np.diff(key[order], prepend=key[order[:1]] + np.uint64(1)))
        for start, stop in zip(bounds, np.append(bounds[1:], len(order)), strict=True):
            rows = order[start:stop]
            blocks = [rows[low : low + BLOCK] for low in range(0, len(rows), BLOCK)]
            for number, block in enumerate(blocks if len(rows) > 1 else []):
                for other in blocks[number:]:
                    yield _compare(hashes, block, other, band)


def _compare(
    hashes: np.ndarray, a: np.ndarray, b: np.ndarray, band: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Close pairs between rows `a` and `b` that share `band` and no earlier one."""
    different = hashes[a][:, None] ^ hashes[b][None]
    close = np.bitwise_count(different) <= DISTANCE
    for earlier in range(band):
        close &= (different >> np.uint64(16 * earlier)) & np.uint64(0xFFFF) != 0
    left, right = np.nonzero(close)
    left, right = a[left], b[right]
    forward = left < right
    return left[forward], right[forward], different.size
