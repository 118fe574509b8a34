"""The cut-out method for backgrounds that are not flat: GrabCut (Rother et al. 2004), by OpenCV.

From a first mask on, two steps alternate: the colours of product and background are learnt, and
the cheapest cut between them is found. The product's colours must not be the background's.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from prodgen.core.errors import MissingInput
from prodgen.photo import morphology, plain
from prodgen.photo.mask_estimate import MaskEstimate, Segmenter, limit_shape, resize

MAX_SIDE = 400  # pixels: the cut's cost grows faster than their number; the edge is refined later
ITERATIONS = 5
MARGIN_FRACTION = 0.06  # of each side: without a first mask the product is assumed to lie within
MIN_COVERAGE, MAX_COVERAGE = 0.03, 0.7  # shares of the frame: plausible silhouettes to start from
BACKGROUND, PROBABLE_BACKGROUND, PROBABLE_PRODUCT = 0, 2, 3  # OpenCV's labels


def make_segmenter(model: str = "") -> Segmenter:
    """The method; MissingInput without OpenCV."""
    opencv = find_opencv()
    if opencv is None:
        raise MissingInput(
            "the cut-out grabcut needs OpenCV, which is not installed",
            "pip install opencv-python-headless, or choose plain",
        )
    return lambda image: segment(image, opencv)


def find_opencv() -> ModuleType | None:
    """OpenCV on one thread, or None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(1)  # prepare runs a process a core; and sums keep their order
    return cv2


def segment(image: np.ndarray, opencv: ModuleType) -> MaskEstimate:
    """The product in an image uint8 [h, w, 3]."""
    shape = limit_shape(image.shape[:2], MAX_SIDE)
    bgr = np.ascontiguousarray(resize(image, shape)[..., ::-1])
    labels = _initial_labels(bgr[..., ::-1])
    mask = labels == PROBABLE_PRODUCT
    if mask.any() and not mask.all():
        colour_models = np.zeros((2, 1, 65))
        opencv.setRNGSeed(0)  # its clustering is random
        mode = opencv.GC_INIT_WITH_MASK
        try:
            opencv.grabCut(bgr, labels, None, colour_models[0], colour_models[1], ITERATIONS, mode)
            mask = (labels == 1) | (labels == PROBABLE_PRODUCT)
        except opencv.error:  # an image of one colour has no clusters: the first mask stays
            pass
    soft_mask = opencv.blur(mask.astype(np.float32), (3, 3))  # hides the corners of the cells
    cell_size = max(image.shape) / max(shape)
    return MaskEstimate(resize(soft_mask, image.shape[:2]), max(cell_size, 1.0))


def _initial_labels(image: np.ndarray) -> np.ndarray:
    """GrabCut's labels uint8 [h, w]: from the silhouette where plausible, else a rectangle."""
    height, width = image.shape[:2]
    estimate = plain.segment(np.ascontiguousarray(image))
    labels = np.full((height, width), BACKGROUND, np.uint8)
    if estimate.uncertainty < 0.5 and MIN_COVERAGE < estimate.mask.mean() < MAX_COVERAGE:
        mask = estimate.mask > 0.5
        surroundings = morphology.dilate(mask, max(2, round(0.03 * max(height, width))))
        labels[surroundings], labels[mask] = PROBABLE_BACKGROUND, PROBABLE_PRODUCT
        return labels
    top, left = max(1, round(MARGIN_FRACTION * height)), max(1, round(MARGIN_FRACTION * width))
    labels[top : height - top, left : width - left] = PROBABLE_PRODUCT
    return labels
