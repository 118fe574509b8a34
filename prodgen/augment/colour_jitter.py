"""Colour jitter: brightness, saturation and contrast, as in DiffAugment (Zhao et al. 2020).

Images are float [B, H, W, C] around [-1, 1]. Results may leave that range and are not clipped, so
that gradients survive. Each image has a strength of its own, arrays [B]. At the neutral strength
(brightness 0, the others 1) an image comes back exactly as it was.
"""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.core.types import Array


def adjust_brightness(image: Array, amount: Array) -> Array:
    """Add `amount` to every value: hue stays."""
    return image + _per_image(amount, image)


def adjust_saturation(image: Array, factor: Array) -> Array:
    """Scale each pixel's distance to the mean of its channels; grey stays as it is."""
    return _scale_about(image, jnp.mean(image, axis=3, keepdims=True), factor)


def adjust_contrast(image: Array, factor: Array) -> Array:
    """Scale each value's distance to the mean of the whole image."""
    return _scale_about(image, jnp.mean(image, axis=(1, 2, 3), keepdims=True), factor)


def _scale_about(image: Array, centre: Array, factor: Array) -> Array:
    """centre + factor * (image - centre), written so that a factor of 1 leaves no rounding."""
    return image + (_per_image(factor, image) - 1) * (image - centre)


def _per_image(values: Array, image: Array) -> Array:
    """One value for each image, [B] -> [B, 1, 1, 1], in the type of the image."""
    return values[:, None, None, None].astype(image.dtype)
