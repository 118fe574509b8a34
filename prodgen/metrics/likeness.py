"""The likeness of two images, whether or not one is mirrored, moved a little or recompressed.

The distance of two images is their mean squared difference over the overlap, in units of their
variances: E(a - b)^2 / (var a + var b + 2 NOISE_LEVELS^2). Except for the noise term it is one
minus the concordance correlation of Lin 1989 ("A Concordance Correlation Coefficient to Evaluate
Reproducibility", Biometrics 45). The likeness is one minus the distance: 1 for the same image,
about 0 for two unrelated ones. In units of variance, two pale products on white are as far apart as
two black ones. alignment.py finds the move of one image against the other.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable

import numpy as np

from prodgen.metrics.alignment import align
from prodgen.metrics.product import LUMA_WEIGHTS

NOISE_LEVELS = 6.0  # standard deviation of strong JPEG compression's noise, levels of 255
MAX_SHIFT_SHARE = 0.1  # of the side: the largest move of a copy
FINE_SIDE, COARSE_SIDE = 64, 16  # pixels a side: compared in full, aligned first
NUM_CANDIDATES, NUM_FINALISTS = 16, 3  # partners by small images; pairs compared in full
LUMA_BLUR_STD, CHROMA_BLUR_STD = 0.7, 1.7  # pixels: JPEG stores colour at half the resolution
MID_GREY_LEVEL = 128.0  # subtracted from rows: smaller numbers keep more digits
BLOCK_IMAGES, BLOCK_ROWS, BLOCK_VALUES = 32, 1024, 10**5  # processed at a time: they fit the cache


@dataclasses.dataclass(frozen=True)
class Matches:
    """The partner of least distance of each of N images.

    `index` int [N] of the partner; `distance` float64 [N], 0 for the same image; `is_mirrored` bool
    [N]; `shift` int [N, 2], the pixels (down, right) by which the image, mirrored back where it
    is mirrored, has moved against its partner.
    """

    index: np.ndarray
    distance: np.ndarray
    is_mirrored: np.ndarray
    shift: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pairs:
    """F pairs for each of N images.

    `partner` int [N, F]; `is_mirrored` bool [N, F]; `square`, the mean squared difference, and
    `scale`, its unit, float [N, F] in squared levels; `move` float [N, F, 2] in sides.
    """

    partner: np.ndarray
    is_mirrored: np.ndarray
    square: np.ndarray
    scale: np.ndarray
    move: np.ndarray


def find_matches(
    images: np.ndarray, others: np.ndarray, hints: np.ndarray, *, same: bool = False
) -> Matches:
    """The most similar of `others` uint8 [M, H, W, C] for each of `images` uint8 [N, H, W, C].

    Compared in full are the partners whose small images are nearest, mirrored and moved ones
    included, and those in `hints` int [N, k], nearest by features for instance. A copy is found
    if either of the two contains it. `same` states that both sets are one, in which an image is no
    partner of itself. ValueError where the shapes differ.
    """
    small_others = shrink(others, COARSE_SIDE)
    rows, other_variances = search_rows(small_others), variance(small_others)

    def match_block(block: np.ndarray, start: int) -> Matches:
        small, soft = shrink(block, COARSE_SIDE), soften(block)
        # Candidates by small images, and the best of them by alignment.
        own = np.arange(start, start + len(block)) if same else None
        index = select_candidates(small, rows, NUM_CANDIDATES, own)
        index = np.concatenate([index, hints[start : start + len(block)]], axis=1)
        scale = difference_scale(variance(small), other_variances[index])
        pairs = select_finalists(small, small_others[index], index, scale, NUM_FINALISTS)
        # All finalists are compared in full.
        partners = soften(others[pairs.partner.reshape(-1)])
        partners = partners.reshape(*pairs.partner.shape, *partners.shape[1:])
        scale = difference_scale(variance(soft), variance(partners))
        pairs = refine_pairs(pairs, np.ones(scale.shape, bool), soft, partners.__getitem__)
        return select_best(dataclasses.replace(pairs, scale=scale), block.shape[1:3])

    return match_in_blocks(images, others, match_block)


def match_in_blocks(
    images: np.ndarray, others: np.ndarray, match_block: Callable[[np.ndarray, int], Matches]
) -> Matches:
    """The matches of all images, from `match_block(block, start)` of BLOCK_IMAGES at a time.

    ValueError where the shapes of images and others differ.
    """
    if images.shape[1:] != others.shape[1:]:
        raise ValueError(f"images of {images.shape[1:]} against {others.shape[1:]}")
    starts = range(0, len(images), BLOCK_IMAGES)
    parts = [match_block(images[start : start + BLOCK_IMAGES], start) for start in starts]
    columns = zip(*(dataclasses.astuple(part) for part in parts), strict=True)
    return Matches(*(np.concatenate(column) for column in columns))


def difference_scale(variances: np.ndarray, partner_variances: np.ndarray) -> np.ndarray:
    """The unit of squared differences [N, F] of images [N] and their partners [N, F]."""
    return variances[:, None] + partner_variances + 2 * NOISE_LEVELS**2


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Means over areas: [N, H, W, C] -> float32 [N, min(side, H), min(side, W), C]."""
    height, width, channels = images.shape[1:]
    if side >= max(height, width):
        return images.astype(np.float32)
    rows, columns = (_area_weights(length, min(side, length)) for length in (height, width))
    columns = np.kron(columns.T, np.eye(channels, dtype=np.float32))
    parts = [images[start : start + BLOCK_IMAGES] for start in range(0, len(images), BLOCK_IMAGES)]
    return np.concatenate(
        [_apply_windows(part.astype(np.float32), rows, columns) for part in parts]
    )


def _apply_windows(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> [N, Y, X, C]: sums with the weights [Y, H] of rows, and [W C, X C] of columns
    and channels."""
    count, height, _, channels = images.shape
    sums = rows @ (images.reshape(count * height, -1) @ columns).reshape(count, height, -1)
    return sums.reshape(count, len(rows), -1, channels)


def _area_weights(length: int, side: int) -> np.ndarray:
    """float32 [side, length]: the share that each pixel has in each of `side` equal parts."""
    edges = np.linspace(0, length, side + 1)
    start, stop = edges[:-1, None], edges[1:, None]
    pixel = np.arange(length)
    overlap = np.minimum(stop, pixel + 1) - np.maximum(start, pixel)
    return (np.maximum(overlap, 0) * side / length).astype(np.float32)


def search_rows(small: np.ndarray) -> np.ndarray:
    """float32 [N, D + 2] of small images, for `select_candidates`: means over squares of two
    pixels, which change little with half a pixel's move, their sum of squares, and 1."""
    rows = shrink(small, COARSE_SIDE // 2).reshape(len(small), -1) - MID_GREY_LEVEL
    return np.column_stack([rows, np.square(rows).sum(1), np.ones(len(rows), np.float32)])


def select_candidates(
    small: np.ndarray, rows: np.ndarray, count: int, own: np.ndarray | None = None
) -> np.ndarray:
    """int [N, count] of the nearest of M `search_rows`, or of all if there are fewer.

    Small images [N, h, w, C] are moved by a pixel and mirrored. None is its `own` [N].
    """
    # All moves by up to a pixel, of the image and of its mirror image.
    padded_images = np.pad(small, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    height, width = small.shape[1:3]
    variants = [
        padded_images[:, y : y + height, x : x + width][:, :, ::direction]
        for direction, y, x in itertools.product((1, -1), (0, 1, 2), (0, 1, 2))
    ]
    # |q|^2 - 2 q.r + |r|^2 as one matrix product, the least over the variants.
    query = search_rows(np.concatenate(variants))
    query = np.column_stack([-2 * query[:, :-2], query[:, -1], query[:, -2]])
    nearest = np.empty((len(small), len(rows)), np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        distance = (query @ rows[start : start + BLOCK_ROWS].T).reshape(
            len(variants), len(small), -1
        )
        distance.min(0, out=nearest[:, start : start + BLOCK_ROWS])
    if own is not None:
        nearest[np.arange(len(small)), own] = np.inf
    count = min(count, len(rows) - (own is not None))
    return np.argpartition(nearest, count - 1, axis=1)[:, :count]


def select_finalists(
    small: np.ndarray, others: np.ndarray, index: np.ndarray, scale: np.ndarray, count: int
) -> Pairs:
    """The `count` nearest of pairs of small images [N, h, w, C] and `others` [N, K, h, w, C],
    as they are and mirrored; `index` and `scale` [N, K] are those of the others."""
    sides = np.array(small.shape[1:3])
    max_shift = np.tile(_max_shift(sides), (len(small), 1))
    variants = np.stack([small, small[:, :, ::-1]], 1)
    square, move = align(variants, others, -max_shift, max_shift)
    image = np.arange(len(small))[:, None]
    distance = (square / scale[:, None]).swapaxes(1, 2).reshape(len(small), -1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :count]
    partner, is_mirrored = np.divmod(order, 2)
    return Pairs(
        index[image, partner],
        is_mirrored == 1,
        square[image, is_mirrored, partner],
        scale[image, partner],
        move[image, is_mirrored, partner] / sides,
    )


def refine_pairs(
    pairs: Pairs,
    selection: np.ndarray,
    images: np.ndarray,
    partners: Callable[[tuple[np.ndarray, np.ndarray]], np.ndarray],
) -> Pairs:
    """The pairs, those of the `selection` bool [N, F] compared as larger `images` [N, h, w, C].

    Only moves near those of the small images are tried. `partners` returns such images of the
    partners at the positions (n, f).
    """
    sides = np.array(images.shape[1:3])
    tolerance = sides / np.minimum(sides, COARSE_SIDE) / 2 + 1e-6  # half a small pixel
    max_shift = _max_shift(sides)
    square, move = pairs.square.copy(), pairs.move.copy()
    positions, count = np.argwhere(selection), BLOCK_VALUES // images[0].size + 1
    for start in range(0, len(positions), count):
        position = tuple(positions[start : start + count].T)
        block, is_mirrored = images[position[0]], pairs.is_mirrored[position]
        block[is_mirrored] = block[is_mirrored, :, ::-1]
        centre = np.clip(pairs.move[position] * sides, -max_shift, max_shift)
        low = np.maximum(np.ceil(centre - tolerance), -max_shift).astype(int)
        high = np.minimum(np.floor(centre + tolerance), max_shift).astype(int)
        squares, moves = align(block[:, None], partners(position)[:, None], low, high)
        square[position], move[position] = squares[:, 0, 0], moves[:, 0, 0] / sides
    return dataclasses.replace(pairs, square=square, move=move)


def select_best(pairs: Pairs, sides: tuple[int, ...]) -> Matches:
    """The nearest pair of each image of the sides (height, width)."""
    distance = pairs.square / pairs.scale
    position = np.arange(len(distance)), distance.argmin(1)
    shift = (pairs.move[position] * sides).round().astype(np.int64)
    return Matches(pairs.partner[position], distance[position], pairs.is_mirrored[position], shift)


def variance(images: np.ndarray) -> np.ndarray:
    """float64 [...] of images float32 [..., H, W, C]: over the pixels, mean over the channels."""
    rows = images.reshape(*images.shape[:-3], -1, images.shape[-1])
    mean = np.ones(rows.shape[-2], np.float32) @ rows / rows.shape[-2]
    rows = (rows - mean[..., None, :]).reshape(*rows.shape[:-2], -1)
    return np.vecdot(rows, rows).astype(np.float64) / rows.shape[-1]


def soften(images: np.ndarray) -> np.ndarray:
    """float32 [N, h, w, C], of FINE_SIDE pixels a side at most, with fine detail blurred a little
    and colour more, as compression changes them.

    The tangent is also more exact at soft edges.
    """
    count = BLOCK_VALUES // images[0].size + 1
    parts = [shrink(images[i : i + count], FINE_SIDE) for i in range(0, len(images), count)]
    windows = _softening_windows(*parts[0].shape[1:])
    return np.concatenate([sum(_apply_windows(part, *pair) for pair in windows) for part in parts])


@functools.cache
def _softening_windows(
    height: int, width: int, channels: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Gaussian windows for `_apply_windows`: one for luma, and one for the rest of the colour."""
    identity = np.eye(channels, dtype=np.float32)
    projections = [(LUMA_BLUR_STD, identity)]
    if channels == 3:
        grey = np.outer(LUMA_WEIGHTS, np.ones_like(LUMA_WEIGHTS))
        projections = [(LUMA_BLUR_STD, grey), (CHROMA_BLUR_STD, identity - grey)]
    return [
        (_gaussian_window(height, std), np.kron(_gaussian_window(width, std).T, projection))
        for std, projection in projections
    ]


def _gaussian_window(side: int, std: float) -> np.ndarray:
    """float32 [side, side]: the weights of every pixel of a row in each.

    Weights that round to nothing are 0: subnormal numbers slow a product down twentyfold.
    """
    position = np.arange(side)
    window = np.exp(-np.square(position[:, None] - position) / (2 * std**2))
    window[window < 1e-9] = 0
    return (window / window.sum(1, keepdims=True)).astype(np.float32)


def _max_shift(sides: np.ndarray) -> np.ndarray:
    """int [2]: the pixels by which an image of the sides may have moved."""
    return np.round(MAX_SHIFT_SHARE * sides).astype(int)
