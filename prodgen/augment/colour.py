"""Brightness, saturation and contrast, as in DiffAugment (Zhao et al. 2020).

Pictures are float [B, H, W, C] around [-1, 1]; results may leave that range and are not clipped,
so that gradients survive. Each picture has an amount of its own, arrays [B]; at the amount of rest
(brightness 0, the others 1) a picture comes back exactly as it was.
"""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.core.types import Array


def brighten(image: Array, amount: Array) -> Array:
    """Add `amount` to every value: hue stays."""
    return image + _spread(amount, image)


def saturate(image: Array, factor: Array) -> Array:
    """Scale each pixel's distance to the mean of its channels; grey stays as it is."""
    return _stretch(image, jnp.mean(image, axis=3, keepdims=True), factor)


def contrast(image: Array, factor: Array) -> Array:
    """Scale each value's distance to the mean of the whole picture."""
    return _stretch(image, jnp.mean(image, axis=(1, 2, 3), keepdims=True), factor)


def _stretch(image: Array, centre: Array, factor: Array) -> Array:
    """centre + factor * (image - centre), written so that a factor of 1 leaves no rounding."""
    return image + (_spread(factor, image) - 1) * (image - centre)


def _spread(amount: Array, image: Array) -> Array:
    return amount[:, None, None, None].astype(image.dtype)
