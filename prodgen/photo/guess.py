"""What every way of cutting out answers with, before the edge is refined."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Guess:
    """Where a method sees the product in a picture [h, w, 3].

    mask: float32 [h, w] in [0, 1], the probability that a pixel is product. cell: pixels of the
    picture that one pixel of the method's own grid covers, at least 1: the edge is known no better
    than that. doubt: in [0, 1], how unsure the method is of the whole; above 0.5 nobody should
    take the mask without looking.
    """

    mask: np.ndarray
    cell: float = 1.0
    doubt: float = 0.0


Cutter = Callable[[np.ndarray], Guess]  # of a picture uint8 [h, w, 3]


def resized(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """float32 or uint8 [h, w(, 3)] at another size (rows, columns): smooth up, averaged down."""
    if values.shape[:2] == tuple(shape):
        return values
    image = Image.fromarray(values)
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR))


def within(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """The shape (rows, columns), reduced so that no side is longer than `longest` pixels."""
    scale = min(1.0, longest / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
