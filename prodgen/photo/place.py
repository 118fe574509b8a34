"""The product in the middle of a square, as large in it as packshots are."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.photo.cutout import Cutout
from prodgen.photo.silhouette import box_of

FILL = 0.86  # of the square's side: the middle of what marketplaces ask for


@dataclasses.dataclass(frozen=True)
class Square:
    """A square of `side` pixels with a product in its middle, and where it lies over the photo: row
    r of the photo is row r + down of the square, column c is column c + across."""

    side: int
    down: int
    across: int

    @staticmethod
    def around(alpha: np.ndarray, fill: float = FILL) -> Square:
        """The square whose side the product's box, alpha uint8 [H, W], fills to `fill`."""
        seen = alpha > 127 if (alpha > 127).any() else alpha > 0
        top, left, bottom, right = box_of(seen)
        side = max(1, round(max(bottom - top, right - left) / fill))
        return Square(side, (side - (bottom + top)) // 2, (side - (right + left)) // 2)

    def cut(self, values: np.ndarray) -> np.ndarray:
        """Its part [side, side(, C)] of a photo [H, W(, C)], zeros outside the photo."""
        return _moved(values, (self.side, self.side), self.down, self.across)

    def back(self, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Values [side, side(, C)] where they lie in a photo of `shape`, zeros outside."""
        return _moved(values, shape, -self.down, -self.across)


def centred(cutout: Cutout, fill: float = FILL) -> Cutout:
    """The product's box in the middle of a transparent square whose side it fills to `fill`.

    Pixels are moved, never resampled. `verdict` stays that of the photo.
    """
    square = Square.around(cutout.alpha, fill)
    return Cutout(square.cut(cutout.colour), square.cut(cutout.alpha), cutout.verdict)


def _moved(values: np.ndarray, shape: tuple[int, int], down: int, across: int) -> np.ndarray:
    """A frame of `shape` with the values moved by so many pixels, zeros where there are none."""
    height, width = values.shape[:2]
    out = np.zeros((*shape, *values.shape[2:]), values.dtype)
    rows = slice(max(0, -down), min(height, shape[0] - down))
    columns = slice(max(0, -across), min(width, shape[1] - across))
    if rows.start < rows.stop and columns.start < columns.stop:
        out[
            rows.start + down : rows.stop + down, columns.start + across : columns.stop + across
        ] = values[rows, columns]
    return out
