"""What the generator changes, carried onto the photo: masked, blended, the rest left alone.

The generator sees a small square with the product in its middle; the photo is larger. Its change,
after - before, is enlarged and added to the photo inside a mask, so that the photo keeps its own
detail where nothing changes; where the shape changes the generated pixels themselves are laid over.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from prodgen.photo.square import FILL_FRACTION, Square

FEATHER = 0.02  # of the square's side: how softly a replaced region ends


@dataclasses.dataclass(frozen=True)
class Carried:
    """picture uint8 [H, W, 3], the photo with the change; mask float [H, W] in [0, 1], where it
    may differ; resolution: the pixels that the generator had for the product's longer side."""

    picture: np.ndarray
    mask: np.ndarray
    resolution: int


def enlarged(values: np.ndarray, side: int) -> np.ndarray:
    """float [R, R, C] -> float32 [side, side, C], bicubic."""
    planes = [Image.fromarray(np.float32(values[..., c])) for c in range(values.shape[-1])]
    size, how = (side, side), Image.Resampling.BICUBIC
    return np.stack([np.asarray(plane.resize(size, how)) for plane in planes], axis=-1)


def reduced(values: np.ndarray, resolution: int) -> np.ndarray:
    """float [side, side, C] -> float32 [R, R, C], the mean of what each pixel covers."""
    planes = [Image.fromarray(np.float32(values[..., c])) for c in range(values.shape[-1])]
    size, how = (resolution, resolution), Image.Resampling.BOX
    return np.stack([np.asarray(plane.resize(size, how)) for plane in planes], axis=-1)


def added(
    photo: np.ndarray, alpha: np.ndarray, square: Square, before: np.ndarray, after: np.ndarray
) -> Carried:
    """The change from before to after [R, R, C], inside the product's alpha uint8 [H, W]."""
    change = square.paste_back(
        enlarged(after.astype(np.float32) - before, square.side), photo.shape[:2]
    )
    mask = alpha / np.float32(255)
    picture = photo.astype(np.float32) + mask[..., None] * change
    return Carried(levels(picture), mask, _resolution(before, square))


def replaced(photo: np.ndarray, region: np.ndarray, square: Square, after: np.ndarray) -> Carried:
    """The generated pixels uint8 [R, R, C] over the photo in a region float [H, W] in [0, 1], whose
    edge is softened inwards."""
    made = square.paste_back(enlarged(after.astype(np.float32), square.side), photo.shape[:2])
    inside = square.paste_back(np.ones((square.side, square.side, 1), np.float32), photo.shape[:2])
    mask = softened(region, max(1, round(FEATHER * square.side))) * inside[..., 0]
    picture = photo + mask[..., None] * (made - photo.astype(np.float32))
    return Carried(levels(picture), mask, _resolution(after, square))


def softened(region: np.ndarray, pixels: int) -> np.ndarray:
    """A region [H, W] whose edge rises from 0 within so many pixels, never beyond itself."""
    edge = np.pad(np.float32(region), pixels, mode="edge")
    for axis in (0, 1):
        sums = np.cumsum(np.insert(edge, 0, 0, axis=axis), axis=axis)
        width = 2 * pixels + 1
        first, last = (
            np.take(sums, range(i, sums.shape[axis] - width + i), axis) for i in (0, width)
        )
        edge = (last - first) / width
    return region * np.clip(2 * edge - 1, 0, 1)


def levels(values: np.ndarray) -> np.ndarray:
    """Rounded and clipped to uint8."""
    return np.uint8(np.rint(np.clip(values, 0, 255)))


def _resolution(picture: np.ndarray, square: Square) -> int:
    return round(len(picture) * FILL_FRACTION)
