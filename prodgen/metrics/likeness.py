"""How alike two pictures are, whether or not one is mirrored, moved a little or recompressed.

The distance of two pictures is their mean squared difference over the part that overlaps, in units
of their variances: E(a - b)^2 / (var a + var b + 2 GRAIN^2). It is one minus the concordance
correlation of Lin 1989 ("A Concordance Correlation Coefficient to Evaluate Reproducibility",
Biometrics 45) but for GRAIN, the noise under which differences say nothing. The likeness is one
minus the distance: 1 for the same picture, about 0 for two that have nothing in common. Units of
variance let a pale product on white be as far from another pale one as two black ones are. Moves
are allowed for as in alignment.py.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable

import numpy as np

from prodgen.metrics.alignment import align
from prodgen.metrics.product import LUMA_WEIGHTS

NOISE_LEVELS = 6.0  # levels of 255: about what strong JPEG compression leaves
MAX_SHIFT_SHARE = 0.1  # of the side: how far a copy may have moved
FINE_SIDE, COARSE_SIDE = (
    64,
    16,
)  # pixels a side at which pairs are compared, and at which they are aligned
NUM_CANDIDATES, NUM_FINALISTS = (
    16,
    3,
)  # partners by small pictures, and pairs that are compared when fine
LUMA_BLUR_STD, CHROMA_BLUR_STD = (
    0.7,
    1.7,
)  # pixels: JPEG keeps colour at half the resolution of brightness
MID_GREY_LEVEL = (
    128.0  # levels, from which rows are counted: of smaller numbers more digits are left
)
BLOCK_IMAGES, BLOCK_ROWS, BLOCK_VALUES = (
    32,
    1024,
    10**5,
)  # pictures, rows, numbers at a time: they fit a cache


@dataclasses.dataclass(frozen=True)
class Matches:
    """The most alike partner of each of N pictures.

    `index` int [N] of the partner; `distance` float64 [N], 0 for the same picture; `mirrored` bool
    [N]; `shift` int [N, 2], the pixels (down, right) by which the picture, mirrored back where it
    is mirrored, has moved against its partner.
    """

    index: np.ndarray
    distance: np.ndarray
    mirrored: np.ndarray
    shift: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pairs:
    """F pairs for each of N pictures.

    `partner` int [N, F]; `mirrored` bool [N, F]; `square`, the mean squared difference, and
    `spread`, its unit, float [N, F] in squared levels; `move` float [N, F, 2] in sides.
    """

    partner: np.ndarray
    mirrored: np.ndarray
    square: np.ndarray
    spread: np.ndarray
    move: np.ndarray


def find_matches(
    pictures: np.ndarray, others: np.ndarray, hints: np.ndarray, *, same: bool = False
) -> Matches:
    """The most alike of `others` uint8 [M, H, W, C] for each of `pictures` uint8 [N, H, W, C].

    Compared in full are the partners whose small pictures are nearest, mirrored and moved ones
    included, and those that `hints` int [N, k] names, neighbours by features for instance: a copy
    is found where either of the two leads to it. `same` says that both sets are one, in which a
    picture is no partner of itself. ValueError where the shapes differ.
    """
    if pictures.shape[1:] != others.shape[1:]:
        raise ValueError(f"pictures of {pictures.shape[1:]} against {others.shape[1:]}")
    reference = shrink(others, COARSE_SIDE)
    rows, variances = search_rows(reference), variance(reference)
    parts = []
    for start in range(0, len(pictures), BLOCK_IMAGES):
        block = pictures[start : start + BLOCK_IMAGES]
        small = shrink(block, COARSE_SIDE)
        own = np.arange(start, start + len(block)) if same else None
        index = select_candidates(small, rows, NUM_CANDIDATES, own)
        index = np.concatenate([index, hints[start : start + BLOCK_IMAGES]], axis=1)
        spread = variance(small)[:, None] + variances[index] + 2 * NOISE_LEVELS**2
        pairs = select_finalists(small, reference[index], index, spread, NUM_FINALISTS)
        parts.append(select_best(_in_full(pairs, soften(block), others), pictures.shape[1:3]))
    return concatenate_matches(parts)


def _in_full(pairs: Pairs, soft: np.ndarray, others: np.ndarray) -> Pairs:
    """All pairs of `softened` pictures [N, h, w, C] and of others uint8 [M, H, W, C], when fine."""
    theirs = soften(others[pairs.partner.reshape(-1)])
    theirs = theirs.reshape(*pairs.partner.shape, *theirs.shape[1:])
    spread = variance(soft)[:, None] + variance(theirs) + 2 * NOISE_LEVELS**2
    found = refine_pairs(pairs, np.ones(spread.shape, bool), soft, theirs.__getitem__)
    return dataclasses.replace(found, spread=spread)


def concatenate_matches(parts: list[Matches]) -> Matches:
    """The matches of all parts, one after the other."""
    columns = zip(*(dataclasses.astuple(part) for part in parts), strict=True)
    return Matches(*(np.concatenate(column) for column in columns))


def shrink(pictures: np.ndarray, side: int) -> np.ndarray:
    """Means over areas: [N, H, W, C] -> float32 [N, min(side, H), min(side, W), C]."""
    height, width, channels = pictures.shape[1:]
    if side >= max(height, width):
        return pictures.astype(np.float32)
    rows, columns = (_area_weights(length, min(side, length)) for length in (height, width))
    columns = np.kron(columns.T, np.eye(channels, dtype=np.float32))
    parts = [
        pictures[start : start + BLOCK_IMAGES] for start in range(0, len(pictures), BLOCK_IMAGES)
    ]
    return np.concatenate(
        [_apply_windows(part.astype(np.float32), rows, columns) for part in parts]
    )


def _apply_windows(pictures: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> [N, Y, X, C]: sums with the weights [Y, H] of rows, and [W C, X C] of columns
    and channels."""
    count, height, _, channels = pictures.shape
    found = rows @ (pictures.reshape(count * height, -1) @ columns).reshape(count, height, -1)
    return found.reshape(count, len(rows), -1, channels)


def _area_weights(length: int, side: int) -> np.ndarray:
    """float32 [side, length]: the share that each pixel has in each of `side` equal parts."""
    edges = np.linspace(0, length, side + 1)
    start, stop = edges[:-1, None], edges[1:, None]
    pixel = np.arange(length)
    overlap = np.minimum(stop, pixel + 1) - np.maximum(start, pixel)
    return (np.maximum(overlap, 0) * side / length).astype(np.float32)


def search_rows(small: np.ndarray) -> np.ndarray:
    """float32 [N, D + 2] of small pictures, for `candidates`: means over squares of two pixels, so
    that half a pixel's move is little, their sum of squares, and 1."""
    rows = shrink(small, COARSE_SIDE // 2).reshape(len(small), -1) - MID_GREY_LEVEL
    return np.column_stack([rows, np.square(rows).sum(1), np.ones(len(rows), np.float32)])


def select_candidates(
    small: np.ndarray, rows: np.ndarray, count: int, own: np.ndarray | None = None
) -> np.ndarray:
    """int [N, count] of the nearest of M `searchable` rows, or of all if there are fewer: small
    pictures are moved by a pixel and mirrored. None is its `own` [N]."""
    padded = np.pad(small, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    height, width = small.shape[1:3]
    places = itertools.product((1, -1), (0, 1, 2), (0, 1, 2))
    moved = [padded[:, y : y + height, x : x + width][:, :, ::turn] for turn, y, x in places]
    query = search_rows(np.concatenate(moved))
    query = np.column_stack([-2 * query[:, :-2], query[:, -1], query[:, -2]])
    nearest = np.empty((len(small), len(rows)), np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        distance = (query @ rows[start : start + BLOCK_ROWS].T).reshape(len(moved), len(small), -1)
        distance.min(0, out=nearest[:, start : start + BLOCK_ROWS])
    if own is not None:
        nearest[np.arange(len(small)), own] = np.inf
    count = min(count, len(rows) - (own is not None))
    return np.argpartition(nearest, count - 1, axis=1)[:, :count]


def select_finalists(
    small: np.ndarray, others: np.ndarray, index: np.ndarray, spread: np.ndarray, count: int
) -> Pairs:
    """The `count` nearest of pairs of small pictures [N, h, w, C] and `others` [N, K, h, w, C],
    as they are and mirrored; `index` and `spread` [N, K] are those of the others."""
    sides = np.array(small.shape[1:3])
    reach = np.tile(_max_shift(sides), (len(small), 1))
    square, move = align(np.stack([small, small[:, :, ::-1]], 1), others, -reach, reach)
    here = np.arange(len(small))[:, None]
    distance = (square / spread[:, None]).swapaxes(1, 2).reshape(len(small), -1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :count]
    partner, mirrored = np.divmod(order, 2)
    return Pairs(
        index[here, partner],
        mirrored == 1,
        square[here, mirrored, partner],
        spread[here, partner],
        move[here, mirrored, partner] / sides,
    )


def refine_pairs(
    pairs: Pairs,
    chosen: np.ndarray,
    pictures: np.ndarray,
    partners: Callable[[tuple[np.ndarray, np.ndarray]], np.ndarray],
) -> Pairs:
    """The pairs, those `chosen` bool [N, F] compared as larger `pictures` [N, h, w, C], near where
    they lie when small. `partners` gives such pictures of the partners at places (n, f)."""
    sides = np.array(pictures.shape[1:3])
    apart = sides / np.minimum(sides, COARSE_SIDE) / 2 + 1e-6  # half a small pixel
    reach = _max_shift(sides)
    square, move = pairs.square.copy(), pairs.move.copy()
    places, count = np.argwhere(chosen), BLOCK_VALUES // pictures[0].size + 1
    for start in range(0, len(places), count):
        place = tuple(places[start : start + count].T)
        a, turned = pictures[place[0]], pairs.mirrored[place]
        a[turned] = a[turned, :, ::-1]
        centre = np.clip(pairs.move[place] * sides, -reach, reach)
        low = np.maximum(np.ceil(centre - apart), -reach).astype(int)
        high = np.minimum(np.floor(centre + apart), reach).astype(int)
        found, moves = align(a[:, None], partners(place)[:, None], low, high)
        square[place], move[place] = found[:, 0, 0], moves[:, 0, 0] / sides
    return dataclasses.replace(pairs, square=square, move=move)


def select_best(pairs: Pairs, sides: tuple[int, ...]) -> Matches:
    """The nearest pair of each picture of the sides (height, width)."""
    distance = pairs.square / pairs.spread
    place = np.arange(len(distance)), distance.argmin(1)
    shift = (pairs.move[place] * sides).round().astype(np.int64)
    return Matches(pairs.partner[place], distance[place], pairs.mirrored[place], shift)


def variance(pictures: np.ndarray) -> np.ndarray:
    """float64 [...] of pictures float32 [..., H, W, C]: over the places, mean over the channels."""
    rows = pictures.reshape(*pictures.shape[:-3], -1, pictures.shape[-1])
    middle = np.ones(rows.shape[-2], np.float32) @ rows / rows.shape[-2]
    rows = (rows - middle[..., None, :]).reshape(*rows.shape[:-2], -1)
    return np.vecdot(rows, rows).astype(np.float64) / rows.shape[-1]


def soften(pictures: np.ndarray) -> np.ndarray:
    """float32 [N, h, w, C], of FINE pixels a side at most, without what compression changes: fine
    detail a little, colour more.

    Soft edges also bend less under the tangent.
    """
    count = BLOCK_VALUES // pictures[0].size + 1
    parts = [shrink(pictures[i : i + count], FINE_SIDE) for i in range(0, len(pictures), count)]
    weights = _softening_windows(*parts[0].shape[1:])
    return np.concatenate([sum(_apply_windows(part, *kind) for kind in weights) for part in parts])


@functools.cache
def _softening_windows(
    height: int, width: int, channels: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Gaussian windows for `_weighted`, one for brightness and one for what is left of colour."""
    every = np.eye(channels, dtype=np.float32)
    kinds = [(LUMA_BLUR_STD, every)]
    if channels == 3:
        grey = np.outer(LUMA_WEIGHTS, np.ones_like(LUMA_WEIGHTS))
        kinds = [(LUMA_BLUR_STD, grey), (CHROMA_BLUR_STD, every - grey)]
    return [
        (_gaussian_window(height, deviation), np.kron(_gaussian_window(width, deviation).T, kind))
        for deviation, kind in kinds
    ]


def _gaussian_window(side: int, deviation: float) -> np.ndarray:
    """float32 [side, side]: the weights of every pixel of a row in each. Weights that round to
    nothing are 0: numbers too small for their type slow a product down twentyfold."""
    place = np.arange(side)
    window = np.exp(-np.square(place[:, None] - place) / (2 * deviation**2))
    window[window < 1e-9] = 0
    return (window / window.sum(1, keepdims=True)).astype(np.float32)


def _max_shift(sides: np.ndarray) -> np.ndarray:
    """int [2]: the pixels within which a picture of the sides may have moved."""
    return np.round(MAX_SHIFT_SHARE * sides).astype(int)
