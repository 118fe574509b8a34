"""The product in the middle of a square, as large in it as in packshots."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.photo.morphology import bounding_box

FILL_FRACTION = 0.86  # of the square's side: the middle of what marketplaces require


@dataclasses.dataclass(frozen=True)
class Square:
    """A square of `side` pixels with a product in its middle, and its position over the photo.

    Row r of the photo is row r + row_offset of the square, column c is column c + column_offset.
    """

    side: int
    row_offset: int
    column_offset: int

    @staticmethod
    def around(alpha: np.ndarray, fill: float = FILL_FRACTION) -> Square:
        """The square whose side the product's box, alpha uint8 [H, W], fills to `fill`."""
        mask = alpha > 127 if (alpha > 127).any() else alpha > 0
        top, left, bottom, right = bounding_box(mask)
        side = max(1, round(max(bottom - top, right - left) / fill))
        return Square(side, (side - (bottom + top)) // 2, (side - (right + left)) // 2)

    def crop(self, values: np.ndarray) -> np.ndarray:
        """The square's part [side, side(, C)] of a photo [H, W(, C)], zeros outside the photo."""
        return _translate(values, (self.side, self.side), self.row_offset, self.column_offset)

    def paste_back(self, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Values [side, side(, C)] at their place in a photo of `shape`, zeros outside."""
        return _translate(values, shape, -self.row_offset, -self.column_offset)


def _translate(values: np.ndarray, shape: tuple[int, int], dy: int, dx: int) -> np.ndarray:
    """A frame of `shape` with the values moved by dy rows and dx columns, zeros elsewhere."""
    height, width = values.shape[:2]
    out = np.zeros((*shape, *values.shape[2:]), values.dtype)
    rows = slice(max(0, -dy), min(height, shape[0] - dy))
    columns = slice(max(0, -dx), min(width, shape[1] - dx))
    if rows.start < rows.stop and columns.start < columns.stop:
        target_rows = slice(rows.start + dy, rows.stop + dy)
        target_columns = slice(columns.start + dx, columns.stop + dx)
        out[target_rows, target_columns] = values[rows, columns]
    return out
