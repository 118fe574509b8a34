"""Which pictures are copies of known ones: the answer of likeness.py, mostly from small pictures.

Of area means the mean squared difference is at most that of the pictures: reduced, a copy is a copy
still, where the two lie as the pictures do. They lie up to half a reduced pixel off, where the
tangent misses by no more than how edges bend in between (`_bend`). So, by the triangle inequality,
the root of a mean squared difference is at most that of the pictures plus the bend. A pair that is
beyond what the line allows is no copy, and is not compared in full.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from prodgen.metrics import likeness
from prodgen.metrics.likeness import BLOCK_IMAGES, COARSE_SIDE, NOISE_LEVELS, Matches, Pairs

NUM_CANDIDATES, NUM_FINALISTS = 32, 6  # twice those of likeness.py, as few are compared in full
MIDDLE_SIDE = 32  # pixels a side, between COARSE and FINE
BOUND_MARGIN = 1.1  # of the bound: the bend is that towards four corners, of pictures on a grid


class Screen:
    """Known pictures, uint8 [M, H, W, C], ready to be compared with.

    Those that a first picture comes near to are prepared then, and kept.
    """

    def __init__(self, known: np.ndarray):
        self._known = known
        self._small = likeness.shrink(known, COARSE_SIDE)
        self._rows = likeness.search_rows(self._small)
        self._spread_small = likeness.variance(self._small)
        sides = np.minimum(known.shape[1:3], MIDDLE_SIDE)
        self._middle = np.empty((len(known), *sides, known.shape[3]), np.float16)
        self._spread = np.full(len(known), np.nan)

    def __call__(self, pictures: np.ndarray, line: float) -> Matches:
        """The most alike of the known for each of `pictures` uint8 [N, H, W, C].

        A distance below `line` is what likeness.py says. One that is not may be that of reduced
        pictures, often a little less, but not below the line either. ValueError where the shapes
        differ.
        """
        if pictures.shape[1:] != self._known.shape[1:]:
            raise ValueError(f"pictures of {pictures.shape[1:]} against {self._known.shape[1:]}")
        parts = [
            pictures[start : start + BLOCK_IMAGES]
            for start in range(0, len(pictures), BLOCK_IMAGES)
        ]
        return likeness.concatenate_matches([self._matched(part, line) for part in parts])

    def _matched(self, pictures: np.ndarray, line: float) -> Matches:
        soft, small = likeness.soften(pictures), likeness.shrink(pictures, COARSE_SIDE)
        pairs = self._finalists(small, soft)
        most, side = np.sqrt(line * pairs.spread), min(soft.shape[1:3])
        near, closer = np.ones(most.shape, bool), pairs
        if side >= 2 * COARSE_SIDE:  # or they are as large as the pictures, and not softened
            grain = NOISE_LEVELS * COARSE_SIDE / side
            near = (
                np.sqrt(pairs.square)
                <= BOUND_MARGIN * (most + _tangent_error(small)[:, None]) + grain
            )
        if side > MIDDLE_SIDE:
            middle = likeness.shrink(soft, MIDDLE_SIDE)
            partners = lambda place: self._middle[pairs.partner[place]].astype(np.float32)  # noqa: E731
            closer = likeness.refine_pairs(pairs, near, middle, partners)
            near &= np.sqrt(closer.square) <= BOUND_MARGIN * (
                most + _tangent_error(middle)[:, None]
            )
            closer = dataclasses.replace(closer, move=pairs.move)
        partners = lambda place: likeness.soften(self._known[pairs.partner[place]])  # noqa: E731
        found = likeness.refine_pairs(closer, near, soft, partners)
        return likeness.select_best(found, pictures.shape[1:3])

    def _finalists(self, small: np.ndarray, soft: np.ndarray) -> Pairs:
        """The pairs that are nearest when small; their spread is that of the softened pictures."""
        index = likeness.select_candidates(small, self._rows, NUM_CANDIDATES)
        spread = likeness.variance(small)[:, None] + self._spread_small[index] + 2 * NOISE_LEVELS**2
        pairs = likeness.select_finalists(small, self._small[index], index, spread, NUM_FINALISTS)
        self._prepare(pairs.partner)
        spread = (
            likeness.variance(soft)[:, None] + self._spread[pairs.partner] + 2 * NOISE_LEVELS**2
        )
        return dataclasses.replace(pairs, spread=spread)

    def _prepare(self, index: np.ndarray) -> None:
        new = np.unique(index[np.isnan(self._spread[index])])
        if len(new):
            soft = likeness.soften(self._known[new])
            self._middle[new] = likeness.shrink(soft, MIDDLE_SIDE)
            self._spread[new] = likeness.variance(soft)


def _tangent_error(pictures: np.ndarray) -> np.ndarray:
    """float32 [N], in levels: the root mean square by which the tangent misses pictures
    [N, h, w, C] moved by half a pixel, towards the worst of the four corners."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    height, width = pictures.shape[1:3]
    slopes = np.gradient(pictures, axis=(1, 2))
    missed = []
    for down, right in itertools.product((-1, 1), (-1, 1)):
        moved = sum(
            padded[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width] / 4
            for y, x in itertools.product((0, down), (0, right))
        )
        gap = moved - pictures - (down * slopes[0] + right * slopes[1]) / 2
        missed.append(np.sqrt(np.square(gap).mean((1, 2, 3))))
    return np.max(missed, axis=0)
