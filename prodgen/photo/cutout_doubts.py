"""The findings of combined cut-out methods: what a person must look at, and where it is."""

from __future__ import annotations

import numpy as np

from prodgen.photo import morphology
from prodgen.photo.background_evidence import BackgroundEvidence, measure_typicality
from prodgen.photo.mask_estimate import Finding

MIN_DISPUTED_FRACTION = 0.04  # of the product's area, in one piece
MIN_UNDECIDED_FRACTION = 0.08  # of the product's area
MIN_MISSING_FRACTION = 0.07  # of the product's area: smaller parts are mostly shadow
MIN_STRIPE_PROBABILITY = 0.5  # of stripes, the network's mean
MIN_LIT_FRACTION = 0.5  # of stripes, that differs from the background and from shadows beside it
MIN_SURROUNDINGS, MAX_SURROUNDINGS = 4, 14  # pixels from the product at 256 pixels a side
SHADOW_PERCENTILE = 75  # of the surroundings' distance from the background: a shadow covers more
MIN_HOLE_FRACTION = 0.05  # of the product's area: smaller holes change its coverage little
MIN_TYPICALITY = 0.15  # of a hole's colours, beside those of the background near to it
MIN_CLEAR_FRACTION = 0.65  # of the product's core that looks like the dimmed background


def describe_place(region: np.ndarray) -> str:
    """The centre of a region bool [h, w] in words, as in "lower left"."""
    rows, columns = np.nonzero(region)
    vertical = ("upper", "", "lower")[int(3 * (rows.mean() + 0.5) / region.shape[0])]
    horizontal = ("left", "", "right")[int(3 * (columns.mean() + 0.5) / region.shape[1])]
    return " ".join(word for word in (vertical, horizontal) if word) or "centre"


def find_dispute(key: str, words: str, region: np.ndarray, product: np.ndarray,
                 min_fraction: float = MIN_DISPUTED_FRACTION) -> list[Finding]:  # fmt: skip
    """A finding where the largest piece of a region [h, w] is large beside the product."""
    labels, areas = morphology.label_components(region)
    fraction = areas.max(initial=0) / max(1, product.sum())
    if fraction < min_fraction:
        return []
    place = describe_place(labels == areas.argmax())
    return [Finding(key, f"{words}, {fraction:.0%} of the product, {place}")]


def find_foreign_holes(image: np.ndarray, product: np.ndarray, holes: np.ndarray) -> list[Finding]:
    """`hole?` where a large hole [h, w] of the product does not look like the background near it.

    The background is seen through a real hole. A dark lens, a screen or a mirror that a network
    takes for a hole has colours that are rare in the background near to it.
    image: uint8 [h, w, 3]; product: bool [h, w], without its holes.
    """
    margin = max(2, round(max(product.shape) / 64))
    outside = ~morphology.dilate(product | holes, margin)
    labels, areas = morphology.label_components(holes)
    foreign = np.zeros_like(holes)
    for label in np.flatnonzero(areas >= MIN_HOLE_FRACTION * product.sum()):
        region = labels == label
        if areas[label] and measure_typicality(image, region, outside) < MIN_TYPICALITY:
            foreign |= region
    words = "a hole does not look like the background beside it and may be product"
    return find_dispute("hole?", words, foreign, product, MIN_HOLE_FRACTION)


def find_uncertain_stripes(
    stripes: np.ndarray, product: np.ndarray, probability: np.ndarray, evidence: BackgroundEvidence
) -> list[Finding]:
    """`encloses_background` where bands [h, w] that are kept as stripes may be gaps.

    They are stripes where both methods agree. The network sees product in them, and most of their
    pixels have another colour than the background: its light falls on folds and on another
    material. A gap has the background's own colour, or that of a shadow, which is then beside the
    product, too.
    """
    if not stripes.any():
        return []
    unit = max(product.shape) / 256
    inside = ~morphology.dilate(~(stripes & (evidence.distance <= evidence.product_levels)), 1)
    bands = inside if inside.any() else stripes
    ring = morphology.dilate(product, round(MAX_SURROUNDINGS * unit))
    ring &= ~morphology.dilate(product, round(MIN_SURROUNDINGS * unit))
    levels = evidence.match_levels
    if ring.any():
        levels = max(levels, np.percentile(evidence.distance[ring], SHADOW_PERCENTILE))
    is_lit = (evidence.distance[bands] > levels).mean() > MIN_LIT_FRACTION
    if is_lit and probability[stripes].mean() > MIN_STRIPE_PROBABILITY:
        return []
    words = f"bands of the background's colour are kept as stripes, {describe_place(stripes)}"
    return [Finding("encloses_background", words)]


def find_transparency(product: np.ndarray, evidence: BackgroundEvidence) -> list[Finding]:
    """`transparent?` where most of the product's inside is the evenly dimmed background."""
    margin = max(2, round(max(product.shape) / 40))
    core = ~morphology.dilate(~product, margin)
    if core.sum() < 0.3 * product.sum():
        return []
    light = evidence.difference[core]
    # A pane dims the background evenly: most of the core lies near one difference, without a tint.
    middle = np.median(light, axis=0)
    is_pane = np.abs(light - middle).max(axis=-1) <= 2 * evidence.match_levels
    is_neutral = np.ptp(middle) < 6 and np.abs(middle).max() < 0.2 * 255
    # The rim of glass refracts: it differs more from the background than the inside.
    rim = product & ~core & ~morphology.dilate(~product, 1)
    rim_contrast = np.median(evidence.distance[rim]) if rim.any() else 0.0
    has_rim = rim_contrast > max(2.5 * np.abs(middle).max(), 3 * evidence.match_levels)
    if is_neutral and has_rim and is_pane.mean() > MIN_CLEAR_FRACTION:
        words = f"{is_pane.mean():.0%} of its inside looks like the dimmed background"
        return [Finding("transparent?", words)]
    return []
