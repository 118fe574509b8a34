"""Close-ups told from main images: the product fills the frame and goes on beyond its borders.

A close-up is no fault of a photo. It is an additional image, and never a listing's main one.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from prodgen.metrics.product import Measures, to_luma

MIN_SIDE_CONTACT = 0.35  # of a side: less is a sleeve, or a whole product in a tight frame
MIN_SIDES, MIN_AREA = 2, 0.6  # sides that the product touches; its share of the frame
MAX_EVENNESS = 8.0  # levels by which the rest varies: clutter is no background of a close-up
MAX_CENTRE = 0.2  # share of the frame's middle that differs from the border's surface
MIN_TEXTURE = 2.5  # levels: paper and walls have less, cloth and leather more
MIN_WHITE_DISTANCE = 24.0  # levels: nearer to white, the surface is a background
MAX_SURFACE_DIFFERENCE = 15.0  # levels between the middle and the border of one surface
TEXTURE_SIDE = 512  # pixels of the longest side: the texture is measured in a copy of this size


def is_close_up(image: np.ndarray, measures: Measures) -> bool:
    """Whether an image uint8 [H, W, 1 | 3] with these measures is a close-up.

    Either the product touches at least MIN_SIDES sides and takes MIN_AREA of the frame, before an
    even background: a cluttered photo says nothing, and is no close-up here. Or the
    frame's border is the product, so that it was measured as the background: then one textured
    surface, which is not white, fills the border and the middle.
    """
    num_sides = sum(share >= MIN_SIDE_CONTACT for share in measures.contact)
    if num_sides >= MIN_SIDES and measures.area >= MIN_AREA:
        return measures.evenness <= MAX_EVENNESS
    if measures.centre > MAX_CENTRE or 255 - min(measures.background) < MIN_WHITE_DISTANCE:
        return False
    middle = _crop_middle(image)
    colour = np.median(middle.reshape(-1, image.shape[-1]), axis=0)
    if np.abs(colour - measures.background).max() > MAX_SURFACE_DIFFERENCE:
        return False
    return measure_texture(image) >= MIN_TEXTURE


def measure_texture(image: np.ndarray) -> float:
    """The median over 8 x 8 parts of the standard deviation, levels, of an image's fine detail.

    Fine is what a Gaussian blur of 3 pixels removes, in a copy of TEXTURE_SIDE pixels.
    """
    factor = -(-max(image.shape[:2]) // TEXTURE_SIDE)
    luma = Image.fromarray(np.uint8(np.rint(to_luma(image)))).reduce(factor)
    blurred_luma = luma.filter(ImageFilter.GaussianBlur(3))
    detail = np.asarray(luma, np.float32) - np.asarray(blurred_luma, np.float32)
    parts = [part for rows in np.array_split(detail, 8) for part in np.array_split(rows, 8, axis=1)]
    return float(np.median([part.std() for part in parts]))


def _crop_middle(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return image[height // 3 : -(height // 3), width // 3 : -(width // 3)]
