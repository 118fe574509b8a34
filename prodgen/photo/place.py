"""The product in the middle of a square, as large in it as packshots are."""

from __future__ import annotations

import numpy as np

from prodgen.photo.cutout import Cutout
from prodgen.photo.silhouette import box_of

FILL = 0.86  # of the square's side: the middle of what marketplaces ask for


def centred(cutout: Cutout, fill: float = FILL) -> Cutout:
    """The product's box in the middle of a transparent square whose side it fills to `fill`.

    Pixels are moved, never resampled. `verdict` stays that of the photo.
    """
    alpha = cutout.alpha
    seen = alpha > 127 if (alpha > 127).any() else alpha > 0
    top, left, bottom, right = box_of(seen)
    side = max(1, round(max(bottom - top, right - left) / fill))
    down, across = (side - (bottom + top)) // 2, (side - (right + left)) // 2
    return Cutout(
        _moved(cutout.colour, side, down, across), _moved(alpha, side, down, across), cutout.verdict
    )


def _moved(values: np.ndarray, side: int, down: int, across: int) -> np.ndarray:
    """[side, side(, C)]: the values moved by so many pixels, zeros where there are none."""
    height, width = values.shape[:2]
    rows = slice(max(0, -down), min(height, side - down))
    columns = slice(max(0, -across), min(width, side - across))
    out = np.zeros((side, side, *values.shape[2:]), np.uint8)
    out[rows.start + down : rows.stop + down, columns.start + across : columns.stop + across] = (
        values[rows, columns]
    )
    return out
