"""The mask that a cut-out method returns, before its edge is refined, and resizing for methods."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Finding:
    """A finding's key, and the measure that it rests on in words.

    A note describes the photo and is no doubt about its cut-out.
    """

    key: str
    words: str
    is_note: bool = False

    def __str__(self) -> str:
        return f"{self.key}: {self.words}"


@dataclasses.dataclass(frozen=True)
class MaskEstimate:
    """Where a method sees the product in an image [h, w, 3].

    mask: float32 [h, w] in [0, 1], the probability that a pixel is product. cell_size: pixels of
    the image that one pixel of the method's own grid covers; the edge is known no more precisely.
    uncertainty: in [0, 1], of the whole mask; above 0.5 it should not be used unseen. findings:
    what the method itself remarks.
    """

    mask: np.ndarray
    cell_size: float = 1.0
    uncertainty: float = 0.0
    findings: tuple[Finding, ...] = ()


Segmenter = Callable[[np.ndarray], MaskEstimate]  # of an image uint8 [h, w, 3]


def resize(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """float32 [h, w(, C)] or uint8 [h, w(, 3)] at another size (rows, columns).

    Bilinear with antialiasing.
    """
    if values.shape[:2] == tuple(shape):
        return values
    # Pillow takes no float image of several channels: each is resized by itself.
    if values.ndim == 3 and values.dtype == np.float32:
        channels = np.moveaxis(values, -1, 0)
        return np.stack([resize(np.ascontiguousarray(c), shape) for c in channels], axis=-1)
    image = Image.fromarray(values)
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR))


def limit_shape(shape: tuple[int, int], max_side: int) -> tuple[int, int]:
    """The shape (rows, columns), reduced so that no side is longer than `max_side` pixels."""
    scale = min(1.0, max_side / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
