"""Which doubts about a cut-out concern a recolouring that is shown in the photo itself.

Two pieces that are alike in size and colours, as shoes are, are one product: both change.

What the cut-out lost or added does not show there, unless it has the colour that changes: a lost
part would keep that colour, and an added part of the background would change with it. Where the
colour is nowhere outside the cut-out, neither has happened.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from prodgen.photo import colorimetry
from prodgen.photo.cutout_quality import MIN_SECOND_PRODUCT, CutoutQuality
from prodgen.photo.mask_estimate import Finding, limit_shape, resize
from prodgen.photo.morphology import dilate, label_components

SIDE = 192  # pixels: of the copy in which colours are counted
RIM = 2  # pixels of it on both sides of an edge, whose colours are mixed
CELL_SIZE = 6.0  # Lab: colours in one cell, or in two that touch, are alike
CELL_STEPS = np.array([1_000_000, 1000, 1])  # between the numbers of neighbouring cells
MIN_CELL_FRACTION = 0.005  # of the changed area: a rarer colour is noise
MAX_OUTSIDE_SHARE = (
    0.02  # of the changed area; of parts that were right it was up to 0.014, of others from 0.05
)
MAX_DISPUTED_FRACTION = 0.2  # of the product: with more, another area may be the dominant one
MIN_PAIR_RATIO = 0.6  # of the areas of two pieces: a shoe seen from another side
MIN_PAIR_OVERLAP = 0.5  # of their histograms: five pairs of shoes had from 0.63 to 0.96
PAIR_CELL_SIZE = 15.0  # Lab, of these histograms
# Findings about a part. The others question which object the product is.
FINDINGS_ABOUT_PARTS = ("encloses_background", "hairline", "methods_differ")


@dataclasses.dataclass(frozen=True)
class CutoutRelevance:
    """outside_share: the pixels outside a product that have a colour of the part that changes, as a
    share of it. is_pair: the product is two pieces that are alike."""

    outside_share: float = float("inf")
    is_pair: bool = False


def measure_relevance(image: np.ndarray, mask: np.ndarray, opacity: np.ndarray) -> CutoutRelevance:
    """Of a change in an image uint8 [H, W, 3]; mask and opacity float [H, W] in [0, 1]."""
    shape = limit_shape(mask.shape, SIDE)
    small, alpha, change = (
        resize(np.ascontiguousarray(x), shape)
        for x in (image, mask.astype(np.float32), opacity.astype(np.float32))
    )
    lab = colorimetry.srgb_to_lab(small)
    return CutoutRelevance(_measure_outside_share(lab, alpha, change), _is_pair(lab, alpha > 0.5))


def _measure_outside_share(lab: np.ndarray, alpha: np.ndarray, change: np.ndarray) -> float:
    """CutoutRelevance.outside_share; inf where the part is too thin to tell its colour."""
    inside = ~dilate(~((change > 0.5) & (alpha > 0.5)), RIM)
    outside = ~dilate(alpha > 0.02, RIM)
    if not inside.any():
        return float("inf")
    # A number for each cell; those of the neighbours differ by fixed steps.
    cells = np.floor(lab / CELL_SIZE).astype(np.int64) + 100
    numbers = cells @ CELL_STEPS
    values, counts = np.unique(numbers[inside], return_counts=True)
    frequent = values[counts >= MIN_CELL_FRACTION * inside.sum()]
    steps = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3) @ CELL_STEPS
    is_alike = np.isin(numbers[outside], frequent[:, None] + steps)
    return float(is_alike.sum() / inside.sum())


def _is_pair(lab: np.ndarray, product: np.ndarray) -> bool:
    """Whether a mask bool [h, w] is two pieces of similar size and colours, Lab [h, w, 3]."""
    labels, areas = label_components(product)
    order = np.argsort(areas)[::-1]
    if len(areas) < 2 or areas[order[1]] < MIN_PAIR_RATIO * areas[order[0]]:
        return False
    if len(areas) > 2 and areas[order[2]] >= MIN_SECOND_PRODUCT * areas[order[0]]:
        return False
    numbers = (np.floor(lab / PAIR_CELL_SIZE).astype(np.int64) + 100) @ CELL_STEPS
    pieces = [numbers[labels == piece] for piece in order[:2]]
    values = np.unique(np.concatenate(pieces))
    shares = [(piece[:, None] == values).mean(axis=0) for piece in pieces]
    return bool(np.minimum(*shares).sum() >= MIN_PAIR_OVERLAP)


def split_cutout_doubts(
    quality: CutoutQuality, relevance: CutoutRelevance
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(doubts, notes) about a cut-out in words; notes do not concern the recolouring."""
    is_apart = relevance.outside_share <= MAX_OUTSIDE_SHARE
    is_note = [
        relevance.is_pair if finding.key == "several" else is_apart and _is_small_part(finding)
        for finding in quality.doubts
    ]
    pairs = list(zip(map(str, quality.doubts), is_note, strict=True))
    return (
        tuple(words for words, is_set in pairs if not is_set),
        tuple(words for words, is_set in pairs if is_set),
    )


def _is_small_part(finding: Finding) -> bool:
    """Whether it is about a part that is small beside the product; not where its size is not
    stated."""
    if finding.key not in FINDINGS_ABOUT_PARTS:
        return False
    share = re.search(r"(\d+)% of the product", finding.words)
    if share is None:
        return finding.key == "hairline"
    return int(share[1]) <= 100 * MAX_DISPUTED_FRACTION
