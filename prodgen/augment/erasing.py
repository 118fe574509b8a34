"""Random erasing of a box, the augmentation Cutout (DeVries and Taylor 2017)."""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.core.types import Array


def erase_box(image: Array, is_active: Array, row: Array, column: Array) -> Array:
    """Set a box of half the side to 0 in the images [B, H, W, C] where `is_active` bool [B].

    `row` and `column` [B] in [0, 1) give its centre, anywhere in the image: at the border part of
    the box falls outside, as in DiffAugment (Zhao et al. 2020).
    """
    height, width = image.shape[1:3]
    box = _box_interval(height, row)[:, :, None] & _box_interval(width, column)[:, None, :]
    visible = ~(box & is_active[:, None, None])
    return image * visible[..., None].astype(image.dtype)


def _box_interval(size: int, centre: Array) -> Array:
    """Which of `size` pixels along an axis lie in the box, bool [B, size]; centre [B] in [0, 1).

    A box of even length is centred on an edge between pixels, of which there is one more.
    """
    length = (size + 1) // 2
    start = jnp.floor(centre * (size + 1 - length % 2)) - length // 2
    pixel = jnp.arange(size) - start[:, None]
    return (pixel >= 0) & (pixel < length)
