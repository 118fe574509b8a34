"""Near duplicates: images that look the same without being equal, whose difference hashes differ
in a few bits, and whose cells differ by a few grey levels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from prodgen.data.fit import set_channels

MAX_DISTANCE = 3  # bits of 64 in which two hashes may differ
MAX_COMPARISONS = 1_000_000_000  # after which the search of a huge set stops
MAX_PAIRS = 100_000
BLOCK_SIZE = 2048  # rows compared at a time
MIN_BRIGHTNESS_STEP = 1.0  # grey levels; a flat background has no direction
# Near duplicates differ by at most so many grey levels, over their 64 cells on average and at most.
# Above, a print or a pocket may be another one.
MAX_MEAN_DIFFERENCE = 5.0
MAX_CELL_DIFFERENCE = 32


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """Pairs of near duplicates among N images.

    pairs: int64 [p, 2], sorted rows, the left one smaller; difference: float64 [p], the mean
    difference of their cells in grey levels; complete: whether the search saw all images.
    """

    pairs: np.ndarray
    difference: np.ndarray
    complete: bool

    def restrict(self, is_selected: np.ndarray) -> NearDuplicates:
        """The pairs of the selected images, bool [N], with rows counted among these."""
        is_kept = is_selected[self.pairs].all(axis=1)
        pairs = (np.cumsum(is_selected) - 1)[self.pairs[is_kept]]
        return NearDuplicates(pairs, self.difference[is_kept], self.complete)


def find_near_duplicates(
    difference_hash: np.ndarray, cells: np.ndarray, content_hash: np.ndarray
) -> NearDuplicates:
    """The near duplicates of images: hashes uint64 [N], cells uint8 [N, c], content uint8 [N, 32].

    Images of equal content are exact copies, and no near duplicates.
    """

    def is_pair(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        mean, largest = compare_cells(cells, left, right)
        is_equal = (content_hash[left] == content_hash[right]).all(axis=1)
        return (mean <= MAX_MEAN_DIFFERENCE) & (largest <= MAX_CELL_DIFFERENCE) & ~is_equal

    pairs, complete = find_near_pairs(difference_hash, is_pair)
    return NearDuplicates(pairs, compare_cells(cells, *pairs.T)[0], complete)


def compare_cells(
    cells: np.ndarray, left: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the largest difference [p] between the cells of rows `left` and `right` [p]."""
    mean, largest = np.zeros(len(left)), np.zeros(len(left))
    # In parts, because equal-looking images make millions of pairs.
    for start in range(0, len(left), MAX_PAIRS):
        part = slice(start, start + MAX_PAIRS)
        difference = np.abs(cells[left[part]].astype(np.int16) - cells[right[part]])
        mean[part], largest[part] = difference.mean(axis=1), difference.max(axis=1)
    return mean, largest


def compute_cells(images: np.ndarray) -> np.ndarray:
    """uint8 [n, 192]: the mean colours of 8 x 8 cells of images uint8 [n, R, R, C]."""
    means = average_cells(average_cells(set_channels(images, 3), 8, axis=1), 8, axis=2)
    return means.round().astype(np.uint8).reshape(len(images), 192)


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
