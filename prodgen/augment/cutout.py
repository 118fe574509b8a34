"""Cutout (DeVries and Taylor 2017): a box of the picture is taken away."""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.core.types import Array


def cut(image: Array, fires: Array, row: Array, column: Array) -> Array:
    """Set a box of half the side to 0 in the pictures [B, H, W, C] where `fires` bool [B] holds.

    `row` and `column` [B] in [0, 1) place its centre, anywhere in the picture: at the border part
    of the box falls outside, as in DiffAugment (Zhao et al. 2020).
    """
    height, width = image.shape[1:3]
    box = _inside(height, row)[:, :, None] & _inside(width, column)[:, None, :]
    kept = ~(box & fires[:, None, None])
    return image * kept[..., None].astype(image.dtype)


def _inside(size: int, place: Array) -> Array:
    """Which of `size` pixels lie under a box of half as many with its centre at `place`, [B, size].

    An even box is centred on an edge between pixels, of which there is one more.
    """
    length = (size + 1) // 2
    start = jnp.floor(place * (size + 1 - length % 2)) - length // 2
    pixel = jnp.arange(size) - start[:, None]
    return (pixel >= 0) & (pixel < length)
