"""Near duplicates: difference hashes of images, and pairs of hashes that differ in a few bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from prodgen.data.fit import set_channels

MAX_DISTANCE = 3  # bits of 64 in which two hashes may differ
MAX_COMPARISONS = 1_000_000_000  # after which the search of a huge set stops
MAX_PAIRS = 100_000
BLOCK_SIZE = 2048  # rows compared at a time
MIN_BRIGHTNESS_STEP = 1.0  # grey levels; a flat background has no direction


def compute_difference_hashes(images: np.ndarray) -> np.ndarray:
    """uint64 [n] of images uint8 [n, R, R, C]: where brightness falls among 8 rows of 9 cells.

    After N. Krawetz, "Kind of Like That" (2013), with the cells' means instead of a resize.
    """
    grey = set_channels(images, 1)[..., 0].astype(np.float32)
    means = average_cells(average_cells(grey, 8, axis=1), 9, axis=2)
    falls = means[:, :, :-1] > means[:, :, 1:] + MIN_BRIGHTNESS_STEP
    bits = np.packbits(falls.reshape(len(images), 64), axis=1)
    return np.ascontiguousarray(bits).view(">u8").reshape(-1).astype(np.uint64)


def average_cells(values: np.ndarray, count: int, axis: int) -> np.ndarray:
    """Means over `count` nearly equal parts of an axis."""
    edges = np.linspace(0, values.shape[axis], count + 1).round().astype(int)
    parts = [
        np.take(values, range(start, stop), axis=axis).mean(axis=axis, keepdims=True)
        for start, stop in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.concatenate(parts, axis=axis)


def find_near_pairs(
    hashes: np.ndarray,
    is_pair: Callable[[np.ndarray, np.ndarray], np.ndarray],
    max_pairs: int = MAX_PAIRS,
) -> tuple[np.ndarray, bool]:
    """Pairs of rows whose difference hashes, uint64 [n], are at most MAX_DISTANCE bits apart.

    Two such hashes agree in at least one of four bands of 16 bits, so only rows that share a band
    are compared. is_pair(left, right) -> bool confirms candidate rows. Returns int64 [p, 2] with
    left < right, sorted, and whether the search was complete.
    """
    blocks: list[np.ndarray] = []
    comparisons, total, complete = 0, 0, True
    for left, right, cost in _find_candidates(hashes):
        comparisons += cost
        if len(left):
            mask = is_pair(left, right)
            blocks.append(np.stack([left[mask], right[mask]], axis=1))
            total += int(mask.sum())
        if comparisons > MAX_COMPARISONS or total > max_pairs:
            complete = False
            break
    pairs = np.concatenate(blocks) if blocks else np.zeros((0, 2), np.int64)
    return np.unique(pairs, axis=0), complete


def _find_candidates(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """(left rows, right rows, number of comparisons) block by block, each pair once."""
    for band in range(4):
        # Sorting by the band's 16 bits puts rows that share the band next to each other.
        shift = np.uint64(16 * band)
        key = (hashes >> shift) & np.uint64(0xFFFF)
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=key[order[:1]] + np.uint64(1)))
        for start, stop in zip(starts, np.append(starts[1:], len(order)), strict=True):
            rows = order[start:stop]
            # Each block with itself and the later ones: no comparison exceeds BLOCK_SIZE squared.
            blocks = [rows[low : low + BLOCK_SIZE] for low in range(0, len(rows), BLOCK_SIZE)]
            for number, block in enumerate(blocks if len(rows) > 1 else []):
                for other in blocks[number:]:
                    yield _compare(hashes, block, other, band)


def _compare(
    hashes: np.ndarray, a: np.ndarray, b: np.ndarray, band: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Near pairs between rows `a` and `b` that share `band` and no earlier band."""
    difference = hashes[a][:, None] ^ hashes[b][None]
    is_near = np.bitwise_count(difference) <= MAX_DISTANCE
    for earlier in range(band):
        is_near &= (difference >> np.uint64(16 * earlier)) & np.uint64(0xFFFF) != 0
    left, right = np.nonzero(is_near)
    left, right = a[left], b[right]
    forward = left < right
    return left[forward], right[forward], difference.size
