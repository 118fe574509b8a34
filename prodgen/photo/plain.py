"""The cut-out method for flat or smoothly lit backgrounds: NumPy and SciPy, no model.

The silhouette separates the product from the background. It still includes the product's soft
shadow and the background seen through its holes; both are removed here.
"""

from __future__ import annotations

import numpy as np

from prodgen.photo import morphology
from prodgen.photo.mask_estimate import Finding, MaskEstimate, Segmenter
from prodgen.photo.silhouette import (
    CLUTTER_NOISE,
    MIN_PIECE_AREA,
    MIN_PIECE_FRACTION,
    Silhouette,
    choose_tolerance,
    find_silhouette,
    flood,
    measure_difference,
)

MIN_SHADOW_LIGHT = 0.35  # share of the background's light that a soft shadow leaves
MAX_TINT = 4.0  # levels by which a shadow's colour may differ from the dimmed background's
MIN_EDGE_SLOPE = 8.0  # levels a pixel at 256 pixels a side: a soft shadow is flatter
MAX_SHADOW_FRACTION = 0.8  # of the silhouette: a larger "shadow" is a grey product
MAX_HOLE_DIFFERENCE = 2.5  # levels from the background, on average, inside a hole
TOLERANCE_CHANGES = -5.0, 6.0  # levels
MAX_CHANGE_FRACTION = 0.11  # of the silhouette's area, between tolerances
MIN_HOLE_RIM = 30.0  # levels: the rim of a hole is an edge, that of a highlight fades


def make_segmenter(model: str = "") -> Segmenter:
    """The method; it needs no model file."""
    return segment


def segment(image: np.ndarray) -> MaskEstimate:
    """The product in an image uint8 [h, w, 3] of at least 16 pixels a side."""
    silhouette = find_silhouette(image)
    difference = measure_difference(image, silhouette.background)
    findings = _check_stability(silhouette, difference)
    mask = silhouette.mask & ~_find_shadow(image, silhouette)
    mask &= ~_find_holes(mask, difference)
    labels, areas = morphology.label_components(mask)
    mask = (areas >= max(MIN_PIECE_FRACTION * areas.sum(), MIN_PIECE_AREA))[labels]
    uncertainty = min(1.0, silhouette.noise / CLUTTER_NOISE)
    return MaskEstimate(mask.astype(np.float32), 1.0, uncertainty, findings)


def _check_stability(silhouette: Silhouette, difference: np.ndarray) -> tuple[Finding, ...]:
    """`ragged` where another tolerance gives another silhouette: parts have the background's
    colour. difference: float32 [h, w], levels from the background."""
    area = max(1, silhouette.mask.sum())
    tolerance = choose_tolerance(silhouette.noise)
    masks = [flood(difference, tolerance + change) for change in TOLERANCE_CHANGES]
    change = max((mask ^ silhouette.mask).sum() / area for mask in masks)
    if change <= MAX_CHANGE_FRACTION:
        return ()
    words = f"parts have the background's colour: another tolerance changes {change:.0%} of it"
    return (Finding("ragged", words),)


def _find_shadow(image: np.ndarray, silhouette: Silhouette) -> np.ndarray:
    """bool [h, w]: the dimmed background that fades in from the open background.

    Flooded from outside over pixels that have the background's tint and a low slope. The steep
    edge of a product stops the flood, and a gap of a few pixels in that edge does not let it in.
    """
    light = image.astype(np.float32) / np.maximum(silhouette.background, 1)
    level = light.mean(axis=-1)
    tint = np.abs(light - level[..., None]).max(axis=-1) * silhouette.background.max(axis=-1)
    # The slope: levels a pixel, the larger of both directions over two pixels.
    grey = image.mean(axis=-1, dtype=np.float32)
    slope = np.zeros_like(grey)
    slope[1:-1] = np.abs(grey[2:] - grey[:-2]) / 2
    horizontal_slope = np.abs(grey[:, 2:] - grey[:, :-2]) / 2
    slope[:, 1:-1] = np.maximum(slope[:, 1:-1], horizontal_slope)
    min_slope = MIN_EDGE_SLOPE * (256 / max(level.shape)) ** 0.5
    is_steep = slope > max(MIN_EDGE_SLOPE / 2, min_slope)
    is_dim = (level > MIN_SHADOW_LIGHT) & (level < 1.05)
    is_dim &= (tint < MAX_TINT + 2 * silhouette.noise) & ~is_steep
    # Flood with an eroded mask, so that the flood does not pass through narrow gaps.
    open_space = is_dim | ~silhouette.mask
    gap = max(1, round(0.006 * max(level.shape)))
    flood = morphology.select_border_components(~morphology.dilate(~open_space, gap))
    # The erosion removed a rim: restore it where the pixels are dim, or next to the flood and flat.
    rim = morphology.dilate(flood, 1) & ~is_steep
    shadow = morphology.dilate(flood, gap + 1) & silhouette.mask & (is_dim | rim)
    if shadow.sum() > MAX_SHADOW_FRACTION * silhouette.mask.sum():
        return np.zeros_like(shadow)
    return shadow


def _find_holes(mask: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """bool [h, w]: enclosed regions of the mask that show the background.

    A hole has the background's colour, unlike most white prints. It has a sharp rim, unlike a
    highlight, and is smaller than the product around it, unlike the inside of a white product.
    difference: levels from the background, [h, w].
    """
    labels, areas = morphology.label_components(mask & (difference <= 3 * MAX_HOLE_DIFFERENCE))
    total = mask.sum()
    candidates = np.flatnonzero((areas >= max(0.001 * total, 12)) & (areas < 0.5 * total))
    holes = np.zeros_like(mask)
    for label in candidates:
        region = labels == label
        inner = ~morphology.dilate(~region, 1)
        rim = morphology.dilate(region, 3) & ~morphology.dilate(region, 2) & mask
        if not (inner.any() and rim.any()):
            continue
        is_background = difference[inner].mean() <= MAX_HOLE_DIFFERENCE
        if is_background and np.median(difference[rim]) >= MIN_HOLE_RIM:
            holes |= morphology.dilate(region, 1)
    return holes
