"""Where the background's colour corrects a network's silhouette: gaps, missed parts, stripes.

Thresholds were chosen on the scenes of benchmarks/cutout.py with another seed than its default.
"""

from __future__ import annotations

import numpy as np

from prodgen.photo import morphology
from prodgen.photo.background_evidence import BackgroundEvidence

MIN_GAP_FRACTION = 0.002  # of the silhouette's area, of a gap that is looked at
MAX_MATCH_BIAS = 0.5, 0.4  # levels, and times the noise: the mean colour of a gap is exact
UNSURE_PROBABILITY = 0.9  # the network's mean in a gap: below, it doubts the region itself
MIN_RIM_CONTRAST = 2.3  # match levels: the rim's distance from the background, 20th percentile
MIN_SURE_GAP_FRACTION = 0.03  # of the silhouette: smaller gaps that the network denies stay
MIN_PART_FRACTION = 0.2  # of the silhouette: smaller parts beside it are mostly shadow
MIN_ENCLOSED_FRACTION = 0.01  # of the silhouette, of a part within it
MIN_UNDECIDED, MAX_UNDECIDED = 0.15, 0.85  # the network's probability between both
MIN_UNDECIDED_FRACTION = 0.03  # of the silhouette, of a part beside it
MIN_ENCLOSURE = 0.7  # share of a part's surroundings that is silhouette
MIN_TINT = 14.0  # levels between channels: a shadow has the background's own tint
MIN_BACKGROUND_LIKELIHOOD = 0.55  # of an area in the silhouette that is doubtful
MAX_PRODUCT_LIKELIHOOD = 0.25  # of the background, in a hole that is filled
HAIRLINE_FRACTION = 0.012  # of the longer side: a thicker line may be a strap
MIN_HAIRLINE_LENGTH = 0.08  # of the longer side
MIN_SEED_FRACTION = 0.3  # of a gap's area that has the background's colours
CLOSING_FRACTION = 0.025  # of the longer side: half the width of the widest stripe
MIN_STRIPES, MIN_STRIPES_FRACTION = 4, 0.08  # count, and share of the silhouette
MIN_STRIPE_FRACTION = 0.004  # of the silhouette, of each stripe
MIN_STRIPE_CONTRAST = 25.0  # levels from the background, the median of a stripe's rim


def find_holes(silhouette: np.ndarray) -> np.ndarray:
    """bool [h, w]: what the silhouette encloses."""
    return ~silhouette & ~morphology.select_border_components(~silhouette)


def grow_gaps(seeds: np.ndarray, product: np.ndarray, second_mask: np.ndarray) -> np.ndarray:
    """bool [h, w]: pieces of the product that a second method calls background, most of a seed's
    area each."""
    labels, areas = morphology.label_components(product & ~second_mask)
    overlap = np.bincount(labels[seeds].ravel(), minlength=len(areas))
    is_gap = (overlap > MIN_SEED_FRACTION * areas) & (areas > 0)
    return is_gap[labels]


def find_gaps(probability: np.ndarray, evidence: BackgroundEvidence) -> np.ndarray:
    """bool [h, w]: background within the silhouette, as between an arm and the body.

    A gap has the background's colour to a fraction of a level. The network doubts it, or a rim of
    clear contrast surrounds it.
    """
    silhouette = probability > 0.5
    labels, areas = morphology.label_components(
        silhouette & (evidence.distance <= evidence.match_levels)
    )
    gaps = np.zeros_like(silhouette)
    scale = max(1, round(max(silhouette.shape) / 256))
    max_bias = MAX_MATCH_BIAS[0] + MAX_MATCH_BIAS[1] * evidence.noise
    total = silhouette.sum()
    for label in np.flatnonzero(areas >= max(MIN_GAP_FRACTION * total, 12)):
        region = labels == label
        inner = ~morphology.dilate(~region, scale)
        core = inner if inner.any() else region
        if np.abs(evidence.difference[core].mean(axis=0)).max() > max_bias:
            continue
        near = morphology.dilate(region, 3 * scale)
        rim = near & ~morphology.dilate(region, scale) & silhouette
        if not rim.any():
            continue
        contrast = np.percentile(evidence.distance[rim], 20) / evidence.match_levels
        is_doubted = probability[region].mean() < UNSURE_PROBABILITY and contrast > 1
        is_clear = areas[label] > MIN_SURE_GAP_FRACTION * total and contrast > MIN_RIM_CONTRAST
        if is_doubted or is_clear:
            gaps |= morphology.dilate(region, scale)
    return gaps & silhouette


def find_missed_parts(
    silhouette: np.ndarray,
    plain_mask: np.ndarray,
    probability: np.ndarray,
    evidence: BackgroundEvidence,
) -> tuple[np.ndarray, np.ndarray]:
    """What differs from the background and is no shadow, but not in the silhouette.

    bool [h, w]: parts within the silhouette, and parts beside it.
    """
    differs = evidence.distance > evidence.product_levels
    candidates = (plain_mask | (probability > MIN_UNDECIDED)) & differs & ~silhouette
    labels, areas = morphology.label_components(candidates)
    total = silhouette.sum()
    inner_parts, outer_parts = np.zeros_like(silhouette), np.zeros_like(silhouette)
    near = morphology.dilate(silhouette, 2)
    tint = np.ptp(evidence.difference, axis=-1)
    at_border = morphology.select_border_components(candidates)
    for label in np.flatnonzero(areas >= MIN_ENCLOSED_FRACTION * total):
        region = labels == label
        if (region & at_border).any() or not (region & near).any():
            continue
        ring = morphology.dilate(region, 2) & ~region
        if silhouette[ring].mean() > MIN_ENCLOSURE:
            inner_parts |= region
            continue
        is_tinted = np.median(tint[region]) > MIN_TINT
        is_undecided = probability[region].mean() > MIN_UNDECIDED
        is_undecided &= areas[label] > MIN_UNDECIDED_FRACTION * total
        if is_tinted or is_undecided or areas[label] > MIN_PART_FRACTION * total:
            outer_parts |= region
    return inner_parts, outer_parts


def find_thin(region: np.ndarray, radius: int) -> np.ndarray:
    """bool [h, w]: what an opening by a disc of `radius` pixels removes from a region."""
    frame = np.pad(region, radius, mode="edge")
    opening = morphology.dilate(~morphology.dilate(~frame, radius), radius)
    return region & ~opening[radius:-radius, radius:-radius]


def measure_hairline_radius(shape: tuple[int, int]) -> int:
    """Half the width in pixels of the thickest hairline in an image of a shape."""
    return max(1, round(HAIRLINE_FRACTION * max(shape) / 2))


def find_hairlines(product: np.ndarray) -> np.ndarray:
    """bool [h, w]: long thin lines that end at the frame's border, as the edge of a table does."""
    thin = find_thin(product, measure_hairline_radius(product.shape))
    labels, areas = morphology.label_components(thin)
    at_border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    lines = np.zeros_like(product)
    for label in at_border[at_border > 0]:
        region = labels == label
        top, left, bottom, right = morphology.bounding_box(region)
        if max(bottom - top, right - left) > MIN_HAIRLINE_LENGTH * max(product.shape):
            lines |= region
    return lines


def find_undecided(probability: np.ndarray, radius: int) -> np.ndarray:
    """bool [h, w]: areas, wider than twice `radius` pixels, that the network is undecided about."""
    doubt = (probability > MIN_UNDECIDED) & (probability < MAX_UNDECIDED)
    return doubt & ~find_thin(doubt, radius)


def find_stripes(silhouette: np.ndarray, evidence: BackgroundEvidence) -> np.ndarray:
    """bool [h, w]: bands of the background's colour that divide a patterned product.

    Bands count between the parts of the silhouette, and within it where their rims are clear.
    """
    radius = max(2, round(CLOSING_FRACTION * max(silhouette.shape)))
    frame = np.pad(silhouette, radius)
    closing = ~morphology.dilate(~morphology.dilate(frame, radius), radius)
    closing = closing[radius:-radius, radius:-radius]
    bands = closing & (evidence.distance <= evidence.product_levels)
    labels, areas = morphology.label_components(bands)
    total = silhouette.sum()
    count, area = 0, 0
    for label in np.flatnonzero(areas >= max(MIN_STRIPE_FRACTION * total, 12)):
        region = labels == label
        rim = morphology.dilate(region, 3) & ~morphology.dilate(region, 1) & closing
        if rim.any() and np.median(evidence.distance[rim]) > MIN_STRIPE_CONTRAST:
            count, area = count + 1, area + areas[label]
    if count < MIN_STRIPES or area < MIN_STRIPES_FRACTION * total:
        return np.zeros_like(silhouette)
    return closing & (bands | ~silhouette)
