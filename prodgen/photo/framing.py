"""A product in the frame of a listing: as large as the rules ask for, never enlarged.

A product that its photo cuts off stands on the frame's edge on that side, as models do; any other
stands in the middle.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image

from prodgen.photo.morphology import bounding_box

MIN_ALPHA = 16  # of 255: weaker pixels are noise and do not count as product


@dataclasses.dataclass(frozen=True)
class FrameRules:
    """fill: the share of the frame that the product's box takes where it has the pixels.

    max_side: pixels of the frame's longest side at most; min_side, min_short_side: pixels of the
    longest and the shortest side at least.
    """

    fill: float
    max_side: int
    min_side: int
    min_short_side: int = 0


@dataclasses.dataclass(frozen=True)
class TrimmedProduct:
    """A cut-out without its empty margin.

    pixels: uint8 [h, w, 4]. is_cut_off: whether the photo's (top, left, bottom, right) side cuts
    the product off.
    """

    pixels: np.ndarray
    is_cut_off: tuple[bool, bool, bool, bool]

    @staticmethod
    def of(rgba: np.ndarray) -> TrimmedProduct:
        """Of a cut-out uint8 [H, W, 4] with at least one pixel of MIN_ALPHA."""
        mask = rgba[..., 3] >= MIN_ALPHA
        top, left, bottom, right = bounding_box(mask)
        height, width = mask.shape
        is_cut_off = (top == 0, left == 0, bottom == height, right == width)
        return TrimmedProduct(rgba[top:bottom, left:right].copy(), is_cut_off)


def compute_frame(
    size: tuple[int, int], aspect: tuple[int, int], rules: FrameRules
) -> tuple[tuple[int, int], float]:
    """((height, width) of the frame, scale of the product, at most 1).

    size: (height, width) of the product, pixels. aspect: width and height in parts, as 4, 5. The
    frame grows around a small product until it has the pixels of the rules.
    """
    (height, width), (across, down) = size, aspect
    unit = max(width / across, height / down) / rules.fill  # pixels of one part of the aspect
    scale = min(1.0, rules.max_side / (unit * max(aspect)))
    unit *= scale
    unit = max(unit, rules.min_side / max(aspect), rules.min_short_side / min(aspect))
    # Whole pixels of a part: the aspect is exact.
    whole_unit = min(math.ceil(round(unit, 6)), max(1, rules.max_side // max(aspect)))
    return (whole_unit * down, whole_unit * across), scale


def place_product(
    product: TrimmedProduct, aspect: tuple[int, int], rules: FrameRules
) -> np.ndarray:
    """The product in its frame, uint8 [H, W, 4], transparent around it."""
    shape, scale = compute_frame(product.pixels.shape[:2], aspect, rules)
    pixels = _reduce(product.pixels, scale)
    # A side that is cut off lies on the frame's edge; of two opposite ones, both or the middle.
    top, left, bottom, right = product.is_cut_off
    down = _find_start(shape[0] - pixels.shape[0], top, bottom)
    across = _find_start(shape[1] - pixels.shape[1], left, right)
    out = np.zeros((*shape, 4), np.uint8)
    out[down : down + pixels.shape[0], across : across + pixels.shape[1]] = pixels
    return out


def crop_to_aspect(image: np.ndarray, aspect: tuple[int, int], max_side: int) -> np.ndarray:
    """The middle of an image uint8 [H, W, C] in an aspect, reduced to at most `max_side` pixels."""
    (height, width), (across, down) = image.shape[:2], aspect
    unit = min(width // across, height // down)
    rows, columns = unit * down, unit * across
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = np.ascontiguousarray(image[top : top + rows, left : left + columns])
    new_unit = min(unit, max_side // max(aspect))
    if new_unit == unit:
        return middle
    size = new_unit * across, new_unit * down
    pil_image = Image.fromarray(middle[..., 0] if middle.shape[-1] == 1 else middle)
    result = np.asarray(pil_image.resize(size, Image.Resampling.LANCZOS))
    return result.reshape(*result.shape[:2], -1)


def _find_start(room: int, is_first_cut: bool, is_last_cut: bool) -> int:
    """Where a product begins, pixels, with `room` pixels to spare."""
    if is_first_cut == is_last_cut:
        return room // 2
    return 0 if is_first_cut else room


def _reduce(rgba: np.ndarray, scale: float) -> np.ndarray:
    """RGBA uint8 by a scale below 1, colours weighted by their alpha; itself at scale 1."""
    if scale == 1:
        return rgba
    size = tuple(max(1, round(length * scale)) for length in (rgba.shape[1], rgba.shape[0]))
    pil_image = Image.fromarray(rgba).convert("RGBa")
    return np.asarray(pil_image.resize(size, Image.Resampling.LANCZOS).convert("RGBA"))
