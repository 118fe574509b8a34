"""The copies of reference images: the result of likeness.py, mostly from small images.

The mean squared difference of area means is at most that of the images, so a copy is still a copy
when reduced, at the same move. The move of reduced images is wrong by up to half a reduced pixel,
where the tangent's error is bounded by `_tangent_error`. By the triangle inequality, the root of a
mean squared difference is then at most that of the images plus this error. A pair beyond what the
threshold allows is no copy, and is not compared in full.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from prodgen.metrics import likeness
from prodgen.metrics.likeness import COARSE_SIDE, NOISE_LEVELS, Matches, Pairs

NUM_CANDIDATES, NUM_FINALISTS = 32, 6  # twice those of likeness.py: few are compared in full
MIDDLE_SIDE = 32  # pixels, between COARSE_SIDE and FINE_SIDE
BOUND_MARGIN = 1.1  # of the bound: the tangent's error is measured at four corners only


class Screen:
    """Reference images, uint8 [M, H, W, C], prepared for comparisons.

    An image is prepared, once, when a first other image comes near to it.
    """

    def __init__(self, references: np.ndarray):
        self._references = references
        self._small = likeness.shrink(references, COARSE_SIDE)
        self._rows = likeness.search_rows(self._small)
        self._small_variances = likeness.variance(self._small)
        sides = np.minimum(references.shape[1:3], MIDDLE_SIDE)
        self._middle = np.empty((len(references), *sides, references.shape[3]), np.float16)
        self._variances = np.full(len(references), np.nan)

    def __call__(self, images: np.ndarray, threshold: float) -> Matches:
        """The most similar reference for each of `images` uint8 [N, H, W, C].

        A distance below `threshold` is that of likeness.py. Any other may be that of reduced
        images, often a little less, but never below the threshold. ValueError where the shapes
        differ.
        """
        return likeness.match_in_blocks(
            images, self._references, lambda block, start: self._match_block(block, threshold)
        )

    def _match_block(self, images: np.ndarray, threshold: float) -> Matches:
        soft, small = likeness.soften(images), likeness.shrink(images, COARSE_SIDE)
        pairs = self._select_finalists(small, soft)
        max_root, side = np.sqrt(threshold * pairs.scale), min(soft.shape[1:3])
        is_near, near_pairs = np.ones(max_root.shape, bool), pairs
        # Small images rule pairs out, unless they are as large as the images, and not softened.
        if side >= 2 * COARSE_SIDE:
            noise = NOISE_LEVELS * COARSE_SIDE / side
            bound = BOUND_MARGIN * (max_root + _tangent_error(small)[:, None]) + noise
            is_near = np.sqrt(pairs.square) <= bound
        # So do images of middle size.
        if side > MIDDLE_SIDE:
            middle = likeness.shrink(soft, MIDDLE_SIDE)
            near_pairs = likeness.refine_pairs(
                pairs,
                is_near,
                middle,
                lambda position: self._middle[pairs.partner[position]].astype(np.float32),
            )
            bound = BOUND_MARGIN * (max_root + _tangent_error(middle)[:, None])
            is_near &= np.sqrt(near_pairs.square) <= bound
            near_pairs = dataclasses.replace(near_pairs, move=pairs.move)
        # The pairs left are compared in full.
        near_pairs = likeness.refine_pairs(
            near_pairs,
            is_near,
            soft,
            lambda position: likeness.soften(self._references[pairs.partner[position]]),
        )
        return likeness.select_best(near_pairs, images.shape[1:3])

    def _select_finalists(self, small: np.ndarray, soft: np.ndarray) -> Pairs:
        """The pairs that are nearest when small; their scale is that of the softened images."""
        index = likeness.select_candidates(small, self._rows, NUM_CANDIDATES)
        scale = likeness.difference_scale(likeness.variance(small), self._small_variances[index])
        pairs = likeness.select_finalists(small, self._small[index], index, scale, NUM_FINALISTS)
        # References that are partners for the first time are softened.
        partner_variances = self._variances[pairs.partner]
        new = np.unique(pairs.partner[np.isnan(partner_variances)])
        if len(new):
            soft_references = likeness.soften(self._references[new])
            self._middle[new] = likeness.shrink(soft_references, MIDDLE_SIDE)
            self._variances[new] = likeness.variance(soft_references)
        scale = likeness.difference_scale(likeness.variance(soft), self._variances[pairs.partner])
        return dataclasses.replace(pairs, scale=scale)


def _tangent_error(images: np.ndarray) -> np.ndarray:
    """float32 [N], in levels: the root mean square error of the tangent for images [N, h, w, C]
    moved by half a pixel, towards the worst of the four corners."""
    padded_images = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    height, width = images.shape[1:3]
    slopes = np.gradient(images, axis=(1, 2))
    errors = []
    for down, right in itertools.product((-1, 1), (-1, 1)):
        half_shift = sum(
            padded_images[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width] / 4
            for y, x in itertools.product((0, down), (0, right))
        )
        error = half_shift - images - (down * slopes[0] + right * slopes[1]) / 2
        errors.append(np.sqrt(np.square(error).mean((1, 2, 3))))
    return np.max(errors, axis=0)
