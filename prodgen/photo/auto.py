"""The cut-out method that combines the others, and says where they disagree.

With the model file, the network's silhouette decides where the product is, and the background's
colour decides about holes and missed parts inside and beside it. Without the file, plain and
grabcut are combined. In both cases the guided filter sets the edge.
"""

from __future__ import annotations

import dataclasses
from types import ModuleType

import numpy as np

from prodgen.photo import cutout_doubts, grabcut, mask_fusion, morphology, neural, plain
from prodgen.photo.background_evidence import (
    BackgroundEvidence,
    compare_surroundings,
    measure_background,
    measure_likelihood,
)
from prodgen.photo.guided_filter import snap_to_edges
from prodgen.photo.mask_estimate import Finding, MaskEstimate, Segmenter, limit_shape, resize

MAX_SIDE = 512  # pixels: regions are corrected in a copy of this size
MIN_COMMON_COLOURS = 0.33  # of the surroundings and the frame's border
PIXEL_EDGE = 0.3  # cell size of an edge that the guided filter has set


def make_segmenter(model: str = "") -> Segmenter:
    """The method; with a model file as `neural`, with its errors."""
    opencv = grabcut.find_opencv()
    if model:
        segment_neural = neural.make_segmenter(model)
        return lambda image: segment(image, segment_neural(image), opencv)
    return lambda image: segment_without_network(image, opencv)


def segment(
    image: np.ndarray, saliency: MaskEstimate, opencv: ModuleType | None = None
) -> MaskEstimate:
    """The product in an image uint8 [h, w, 3], from the network's estimate.

    opencv: decides, where it is installed, about gaps before patterned backgrounds.
    """
    shape = limit_shape(image.shape[:2], MAX_SIDE)
    small, mask = resize(image, shape), resize(saliency.mask, shape)
    evidence = measure_background(small, mask)
    if evidence is None:
        mask, findings = _correct_by_likelihood(small, mask, opencv)
    else:
        mask, findings = _correct_by_background(small, mask, evidence)
    scale = max(image.shape) / max(shape)
    radius = round(saliency.cell_size / scale) + 2
    doubt = mask_fusion.find_undecided(resize(saliency.mask, shape), radius)
    words = "the network is undecided about this part"
    findings += cutout_doubts.find_dispute(
        "undecided", words, doubt, mask > 0.5, cutout_doubts.MIN_UNDECIDED_FRACTION
    )
    mask, hairlines = drop_hairlines(mask)
    findings += hairlines
    mask = snap_to_edges(mask, small, radius, image)
    return MaskEstimate(mask, PIXEL_EDGE * scale, saliency.uncertainty, tuple(findings))


def _correct_by_likelihood(
    image: np.ndarray, probability: np.ndarray, opencv: ModuleType | None
) -> tuple[np.ndarray, list[Finding]]:
    """The mask with holes filled that have other colours than the background, and doubts."""
    likelihood = measure_likelihood(image, probability)
    product = probability > 0.5
    holes = mask_fusion.find_holes(product)
    labels, areas = morphology.label_components(holes)
    for label in np.flatnonzero(areas):
        region = labels == label
        if likelihood[region].mean() > mask_fusion.MAX_PRODUCT_LIKELIHOOD:
            holes &= ~region
    kept_holes = mask_fusion.find_holes(product) & ~holes
    side = max(product.shape)
    inside = ~morphology.dilate(~product, max(1, round(side / 85)))
    alike = inside & (likelihood > mask_fusion.MIN_BACKGROUND_LIKELIHOOD)
    words = "an area has the colours of the background"
    findings = cutout_doubts.find_dispute("encloses_background", words, alike, product)
    if findings and opencv is not None:
        # Gaps that grabcut sees, too, are cut out; the finding stays.
        gaps = mask_fusion.grow_gaps(alike, product, grabcut.segment(image, opencv).mask > 0.5)
        probability = np.where(gaps, np.float32(0), probability)
    if compare_surroundings(image, probability) < MIN_COMMON_COLOURS:
        words = "the frame's border has other colours than the surroundings of this part"
        findings.append(Finding("larger?", words))
    findings += cutout_doubts.find_foreign_holes(image, product | holes, kept_holes)
    return np.where(holes, np.float32(1), probability), findings


def _correct_by_background(
    image: np.ndarray, probability: np.ndarray, evidence: BackgroundEvidence
) -> tuple[np.ndarray, list[Finding]]:
    """The corrected mask float32 [h, w], and what remains in doubt."""
    plain_mask = plain.segment(image).mask > 0.5
    gaps = mask_fusion.find_gaps(probability, evidence)
    silhouette = (probability > 0.5) & ~gaps
    inner_parts, outer_parts = mask_fusion.find_missed_parts(
        silhouette, plain_mask, probability, evidence
    )
    parts = inner_parts | outer_parts
    stripes = mask_fusion.find_stripes(silhouette | parts, evidence)
    product = silhouette | parts | stripes
    findings = cutout_doubts.find_uncertain_stripes(stripes, product, probability, evidence)
    findings += cutout_doubts.find_dispute(
        "methods_differ", "only the background's colour shows this part", outer_parts, product
    )
    findings += cutout_doubts.find_dispute(
        "methods_differ", "the network sees product in this gap", gaps, product
    )
    near = morphology.dilate(product, max(2, round(max(product.shape) / 85)))
    is_missing = plain_mask & ~near & (evidence.distance > evidence.match_levels)
    words = "the network sees no product in this part"
    findings += cutout_doubts.find_dispute(
        "methods_differ", words, is_missing, product, cutout_doubts.MIN_MISSING_FRACTION
    )
    findings += cutout_doubts.find_transparency(product, evidence)
    mask = np.where(gaps, np.float32(0), np.where(parts | stripes, np.float32(1), probability))
    return mask, findings


def segment_without_network(image: np.ndarray, opencv: ModuleType | None) -> MaskEstimate:
    """The product in an image uint8 [h, w, 3]: by plain, or by grabcut where plain is unsure.

    opencv: grabcut needs it. Where both see another product, a finding says so.
    """
    estimate = plain.segment(image)
    findings = list(estimate.findings)
    if opencv is not None:
        second = grabcut.segment(image, opencv)
        masks = estimate.mask > 0.5, second.mask > 0.5
        if estimate.uncertainty > 0.5:
            estimate, findings = second, []
        difference = masks[0] ^ masks[1]
        difference &= ~mask_fusion.find_thin(difference, round(2 * second.cell_size) + 1)
        words = "plain and grabcut disagree about this part"
        product = estimate.mask > 0.5
        findings += cutout_doubts.find_dispute("methods_differ", words, difference, product)
    mask, hairlines = drop_hairlines(estimate.mask)
    estimate = dataclasses.replace(estimate, mask=mask, findings=(*findings, *hairlines))
    return estimate


def drop_hairlines(mask: np.ndarray) -> tuple[np.ndarray, list[Finding]]:
    """The mask float32 [h, w] without lines from the frame's border, and the finding `hairline`."""
    lines = mask_fusion.find_hairlines(mask > 0.5)
    if not lines.any():
        return mask, []
    width = 1 + 2 * mask_fusion.measure_hairline_radius(mask.shape)
    place = cutout_doubts.describe_place(lines)
    finding = Finding("hairline", f"a line thinner than {width} pixels is left out, {place}")
    return np.where(lines, np.float32(0), mask), [finding]
