"""Exact nearest neighbours among rows of features, block by block, in float64 on the host.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y is a matrix product and fast, but where x and y are close its
digits cancel, and a copy would not lie at distance 0. Such pairs are computed again around one of
their own rows, where they are no longer close beside their lengths: squared distances are right to
about 1e-12 relative, as far as the rows' own rounding allows, and 0 exactly between identical
rows. Memory is a few blocks of distances and a few copies of the rows, also where a collapsed
generator brings all pairs close together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from prodgen.core.errors import BadData

MAX_BLOCK_DISTANCES = 2**22  # distances held at once: 32 MiB
CANCELLATION_RATIO = (
    1e-3  # of |x|^2 + |y|^2: below, three digits are lost and the pair is computed again
)


def check_rows(rows: np.ndarray, least: int, what: str) -> np.ndarray:
    """The rows as float64 [N, F]; BadData of fewer than `least` rows, or of rows not finite.

    `what` says in the plural what the rows stand for, such as "generated pictures". ValueError
    for another number of axes.
    """
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"expected {what} as rows [N, F], not {rows.shape}")
    if len(rows) < least:
        raise BadData(f"{least} {what} are needed at least, not {len(rows)}", f"give more {what}")
    broken = len(rows) - int(np.isfinite(rows).all(axis=1).sum())
    if broken:
        raise BadData(
            f"the features of {broken} of {len(rows)} {what} are not finite",
            "look for nan or inf in these pictures, or in the feature network",
        )
    return rows


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [N, M] of rows [N, F] and others [M, F], float64."""
    lengths = np.square(rows).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    found = rows @ others.T
    found *= -2
    found += lengths
    close = found < CANCELLATION_RATIO * lengths
    for column in np.flatnonzero(close.any(axis=0)):
        mine = np.flatnonzero(close[:, column])
        if not len(mine):  # done beside an earlier column
            continue
        theirs = np.flatnonzero(close[mine].any(axis=0))
        centre = others[column]
        found[np.ix_(mine, theirs)] = squared_distances(
            rows[mine] - centre, others[theirs] - centre
        )
        close[np.ix_(mine, theirs)] = False
    return found


def distance_blocks(
    rows: np.ndarray, others: np.ndarray, size: int | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """(which rows, their squared distances [n, M] to all others), n <= size, until none is left.

    rows float64 [N, F], others float64 [M, F]. Without `size` a block holds about BLOCK distances.
    A block belongs to its receiver, who may change it.
    """
    size = size or max(1, MAX_BLOCK_DISTANCES // len(others))
    centre = others.mean(axis=0)  # shorter rows lose fewer digits
    others = others - centre
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        yield part, squared_distances(rows[part] - centre, others)


def squared_radii(rows: np.ndarray, k: int, size: int | None = None) -> np.ndarray:
    """Squared distance [N] of each row float64 [N, F], N > k, to its k-th nearest other row."""
    found = np.empty(len(rows))
    for part, block in distance_blocks(rows, rows, size):
        block.partition(k, axis=1)  # place 0 is the row itself, or a copy of it
        found[part] = block[:, k]
    return found


def find_nearest(
    rows: np.ndarray, others: np.ndarray | None = None, size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The index int64 [N] and the Euclidean distance [N] of each row's nearest among the others.

    rows [N, F] and others [M, F] of any number type; without others, each row's nearest other row.
    Among copies the first is taken. `size` is the number of rows of a block. BadData where there
    is no neighbour or a row is not finite.
    """
    alone = others is None
    rows = check_rows(rows, 2 if alone else 0, "rows")
    others = rows if alone else check_rows(others, 1, "rows")
    index, distance = np.empty(len(rows), np.int64), np.empty(len(rows))
    for part, block in distance_blocks(rows, others, size):
        if alone:
            block[np.arange(len(block)), np.arange(part.start, part.stop)] = np.inf
        index[part] = block.argmin(axis=1)
        distance[part] = np.sqrt(block.min(axis=1))
    return index, distance
