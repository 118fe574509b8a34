"""The cut-out for backgrounds that are not flat: GrabCut (Rother et al. 2004), by OpenCV.

Colours of product and background are learnt from a first guess and the cheapest cut between them
found, in turn. It needs a product whose colours are not the background's.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from prodgen.core.errors import MissingInput
from prodgen.photo import plain, silhouette
from prodgen.photo.guess import Cutter, Guess, resized, within

SIDE = 400  # pixels: the cut's cost grows faster than their number, the edge is refined later
ROUNDS = 5
MARGIN = 0.06  # of each side: where nothing is known, the product is taken to lie within
PLAUSIBLE = (0.03, 0.7)  # shares of the frame of a silhouette that is worth starting from


def cutter(model: str = "") -> Cutter:
    """The method; MissingInput without OpenCV."""
    library = _opencv()
    return lambda picture: cut(picture, library)


def cut(picture: np.ndarray, library: ModuleType) -> Guess:
    """The product in a picture uint8 [h, w, 3]."""
    shape = within(picture.shape[:2], SIDE)
    small = np.ascontiguousarray(resized(picture, shape)[..., ::-1])  # OpenCV counts from blue
    start = _start(small[..., ::-1])
    mask = _solve(small, start, library)
    soft = library.blur(mask.astype(np.float32), (3, 3))  # or the cells' corners would show
    cell = max(picture.shape) / max(shape)
    return Guess(resized(soft, picture.shape[:2]), max(cell, 1.0))


def _start(small: np.ndarray) -> np.ndarray:
    """GrabCut's labels uint8 [h, w]: the silhouette where plausible, else a rectangle.

    0 background for sure, 2 probably background, 3 probably product.
    """
    height, width = small.shape[:2]
    guess = plain.cut(np.ascontiguousarray(small))
    start = np.zeros((height, width), np.uint8)
    top, left = max(1, round(MARGIN * height)), max(1, round(MARGIN * width))
    if guess.doubt < 0.5 and PLAUSIBLE[0] < guess.mask.mean() < PLAUSIBLE[1]:
        mask = guess.mask > 0.5
        near = silhouette.dilate(mask, max(2, round(0.03 * max(height, width))))
        start[near], start[mask] = 2, 3
        return start
    start[top : height - top, left : width - left] = 3
    return start


def _solve(small: np.ndarray, start: np.ndarray, library: ModuleType) -> np.ndarray:
    """bool [h, w]; the start itself where there is nothing to tell apart."""
    if not (start == 3).any() or (start == 3).all():
        return start == 3
    models = np.zeros((2, 1, 65))
    library.setRNGSeed(0)  # its clustering draws at random
    labels = start.copy()
    mode = library.GC_INIT_WITH_MASK
    try:
        library.grabCut(small, labels, None, models[0], models[1], ROUNDS, mode)
    except library.error:  # a picture of one colour has no clusters
        return start == 3
    return (labels == 1) | (labels == 3)


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError:
        raise MissingInput(
            "the cut-out grabcut needs OpenCV, which is not installed",
            "pip install opencv-python-headless, or choose plain",
        ) from None
    cv2.setNumThreads(1)  # prepare has a process a core; and sums keep their order
    return cv2
