"""Carries what the generator changes onto the photo: masked, blended, the rest unchanged.

The generator's image is a small square with the product in its middle; the photo is larger. The
change, after - before, is upscaled and added to the photo inside a mask, so that the photo keeps
its own detail. Where the shape changes, the generated pixels themselves are laid over the photo.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from prodgen.photo.square import FILL_FRACTION, Square

FEATHER_SHARE = 0.02  # of the square's side: width of the soft edge of a replaced region


@dataclasses.dataclass(frozen=True)
class Composite:
    """image uint8 [H, W, 3], the photo with the change; mask float [H, W] in [0, 1], where it may
    differ; resolution: the pixels that the generator had for the product's longer side."""

    image: np.ndarray
    mask: np.ndarray
    resolution: int


def upscale(values: np.ndarray, side: int) -> np.ndarray:
    """float [R, R, C] -> float32 [side, side, C], bicubic."""
    return _resize(values, side, Image.Resampling.BICUBIC)


def downscale(values: np.ndarray, resolution: int) -> np.ndarray:
    """float [side, side, C] -> float32 [R, R, C], the mean of what each pixel covers."""
    return _resize(values, resolution, Image.Resampling.BOX)


def _resize(values: np.ndarray, side: int, method: Image.Resampling) -> np.ndarray:
    channels = [Image.fromarray(np.float32(values[..., c])) for c in range(values.shape[-1])]
    return np.stack([np.asarray(c.resize((side, side), method)) for c in channels], axis=-1)


def add_change(
    photo: np.ndarray, alpha: np.ndarray, square: Square, before: np.ndarray, after: np.ndarray
) -> Composite:
    """The change from before to after [R, R, C], inside the product's alpha uint8 [H, W]."""
    change = square.paste_back(
        upscale(after.astype(np.float32) - before, square.side), photo.shape[:2]
    )
    mask = alpha / np.float32(255)
    image = photo.astype(np.float32) + mask[..., None] * change
    return Composite(to_uint8(image), mask, round(len(before) * FILL_FRACTION))


def replace_region(
    photo: np.ndarray, region: np.ndarray, square: Square, after: np.ndarray
) -> Composite:
    """The generated pixels uint8 [R, R, C] over the photo in a region float [H, W] in [0, 1], whose
    edge is softened inwards."""
    new_pixels = square.paste_back(upscale(after.astype(np.float32), square.side), photo.shape[:2])
    inside = square.paste_back(np.ones((square.side, square.side, 1), np.float32), photo.shape[:2])
    mask = feather(region, max(1, round(FEATHER_SHARE * square.side))) * inside[..., 0]
    image = photo + mask[..., None] * (new_pixels - photo.astype(np.float32))
    return Composite(to_uint8(image), mask, round(len(after) * FILL_FRACTION))


def feather(region: np.ndarray, pixels: int) -> np.ndarray:
    """A region [H, W] whose edge rises from 0 within so many pixels, never beyond itself."""
    smooth, width = np.pad(np.float32(region), pixels, mode="edge"), 2 * pixels + 1
    for axis in (0, 1):
        # A box filter, as differences of cumulative sums.
        sums = np.cumsum(np.insert(smooth, 0, 0, axis=axis), axis=axis)
        first, last = (
            np.take(sums, range(i, sums.shape[axis] - width + i), axis) for i in (0, width)
        )
        smooth = (last - first) / width
    # The mean is 1/2 at a straight edge, so that the feathered region starts from 0 there.
    return region * np.clip(2 * smooth - 1, 0, 1)


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Values in 0..255 rounded and clipped to uint8."""
    return np.uint8(np.rint(np.clip(values, 0, 255)))
