"""The rim of a product, whose pixels are mixed with what is behind it.

Such a mixture looks like a colour of its own. By its colour alone it would keep the old colour as a
line around the recoloured product. It belongs to the area that it borders on inside.
"""

from __future__ import annotations

import numpy as np

from prodgen.photo import colorimetry
from prodgen.photo.morphology import dilate

RIM_FRACTION, MIN_RIM = 0.02, 2  # width of a rim: share of the product's longer side; pixels
MAX_MIXTURE_DISTANCE = 30.0  # Lab: a colour further from the area's is a trim, not a mixture


def extend_to_rim(
    membership: np.ndarray, image: np.ndarray, mask: np.ndarray, rgb: tuple[int, int, int]
) -> np.ndarray:
    """The membership float [H, W] of an area of colour `rgb`, raised on the rim of a mask.

    image uint8 [H, W, 3], mask float [H, W] in [0, 1]. A pixel of the rim gets the mean of its
    neighbours further inside, where its colour may be a mixture of the area's.
    """
    is_product = mask > 0
    rows, columns = np.nonzero(is_product)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    width = max(MIN_RIM, round(RIM_FRACTION * side))
    top, left = max(rows.min() - 1, 0), max(columns.min() - 1, 0)
    box = slice(top, rows.max() + 2), slice(left, columns.max() + 2)
    is_filled = ~dilate(~np.pad(is_product[box], width), width)[width:-width, width:-width]
    values = np.where(is_filled, membership[box], 0.0)
    # From inside to the border, a pixel at a time.
    for _ in range(2 * width):
        is_next = dilate(is_filled, 1) & is_product[box] & ~is_filled
        if not is_next.any():
            break
        total, count = (_sum_neighbours(x) for x in (values, is_filled.astype(values.dtype)))
        values[is_next] = (total / np.maximum(count, 1))[is_next]
        is_filled |= is_next
    result = membership.copy()
    part = result[box]
    is_candidate = is_product[box] & (values > part)
    lab = colorimetry.srgb_to_lab(image[box][is_candidate])
    distance = np.linalg.norm(lab - colorimetry.srgb_to_lab(np.asarray(rgb) / 255), axis=1)
    weight = np.clip(2 - 2 * distance / MAX_MIXTURE_DISTANCE, 0, 1)
    part[is_candidate] += weight * (values - part)[is_candidate]
    return result


def _sum_neighbours(values: np.ndarray) -> np.ndarray:
    """The sum [H, W] over the 3 x 3 pixels around each."""
    frame = np.pad(values, 1)
    rows = frame[:-2] + frame[1:-1] + frame[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
