"""Exact nearest neighbours among rows of features, block by block, in float64 on the host.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y is a matrix product and fast, but where x and y are close its
digits cancel, and a copy would not be at distance 0. Such pairs are computed again with one of
their own rows as the origin, where the lengths are no longer large beside the distance. Squared
distances then have a relative error of about 1e-12, as far as the rows' own rounding allows, and
are exactly 0 between identical rows. Memory is a few blocks of distances and a few copies of the
rows, even where a collapsed generator brings all pairs close together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from prodgen.core.errors import BadData

MAX_BLOCK_DISTANCES = 2**22  # distances held at once: 32 MiB
CANCELLATION_RATIO = 1e-3  # of |x|^2 + |y|^2: below, three digits are lost


def check_rows(rows: np.ndarray, min_rows: int, noun: str) -> np.ndarray:
    """The rows as float64 [N, F]; BadData of fewer than `min_rows` rows, or of rows not finite.

    `noun` is what the rows describe, in the plural, such as "generated images". ValueError
    for another number of axes.
    """
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"expected {noun} as rows [N, F], not {rows.shape}")
    if len(rows) < min_rows:
        raise BadData(
            f"at least {min_rows} {noun} are needed, not {len(rows)}", f"give more {noun}"
        )
    num_invalid = len(rows) - int(np.isfinite(rows).all(axis=1).sum())
    if num_invalid:
        raise BadData(
            f"the features of {num_invalid} of {len(rows)} {noun} are not finite",
            "look for nan or inf in these images, or in the feature network",
        )
    return rows


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [N, M] of rows [N, F] and others [M, F], float64."""
    lengths = np.square(rows).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    distances = rows @ others.T
    distances *= -2
    distances += lengths
    # Where digits cancel, compute again with the column's own row as the origin.
    close = distances < CANCELLATION_RATIO * lengths
    for column in np.flatnonzero(close.any(axis=0)):
        row_ids = np.flatnonzero(close[:, column])
        if not len(row_ids):  # computed together with an earlier column
            continue
        other_ids = np.flatnonzero(close[row_ids].any(axis=0))
        block, origin = np.ix_(row_ids, other_ids), others[column]
        distances[block] = squared_distances(rows[row_ids] - origin, others[other_ids] - origin)
        close[block] = False
    return distances


def distance_blocks(
    rows: np.ndarray, others: np.ndarray, size: int | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """(which rows, their squared distances [n, M] to all others), n <= size, until none is left.

    rows float64 [N, F], others float64 [M, F]. Without `size` a block holds about BLOCK distances.
    The caller may change a block.
    """
    size = size or max(1, MAX_BLOCK_DISTANCES // len(others))
    centre = others.mean(axis=0)  # shorter rows lose fewer digits
    others = others - centre
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        yield part, squared_distances(rows[part] - centre, others)


def squared_radii(rows: np.ndarray, k: int, size: int | None = None) -> np.ndarray:
    """Squared distance [N] of each row float64 [N, F], N > k, to its k-th nearest other row."""
    radii = np.empty(len(rows))
    for part, block in distance_blocks(rows, rows, size):
        block.partition(k, axis=1)  # column 0 is the row itself, or a copy of it
        radii[part] = block[:, k]
    return radii


def find_nearest(
    rows: np.ndarray, others: np.ndarray | None = None, size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The index int64 [N] and the Euclidean distance [N] of each row's nearest among the others.

    rows [N, F] and others [M, F] of any number type; without others, each row's nearest other row.
    Among copies the first is taken. `size` is the number of rows of a block. BadData where there
    is no neighbour or a row is not finite.
    """
    same_rows = others is None
    rows = check_rows(rows, 2 if same_rows else 0, "rows")
    others = rows if same_rows else check_rows(others, 1, "rows")
    index, distance = np.empty(len(rows), np.int64), np.empty(len(rows))
    for part, block in distance_blocks(rows, others, size):
        if same_rows:  # a row is no neighbour of itself
            block[np.arange(len(block)), np.arange(part.start, part.stop)] = np.inf
        index[part] = block.argmin(axis=1)
        distance[part] = np.sqrt(block.min(axis=1))
    return index, distance
