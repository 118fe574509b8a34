"""Augmentation policies: which transforms an image may receive, how strong, and in which order.

A policy is applied to real and generated images alike, in every step of both networks, so that
the generator has no reason to imitate it (Zhao et al. 2020; Karras et al. 2020). Its randomness
is an argument, uniform numbers: the same numbers make the same images.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

import jax.numpy as jnp

from prodgen.augment import colour_jitter, erasing, geometry
from prodgen.config import registry
from prodgen.core.types import Array

MAX_SHIFT = 0.125  # of the side
MAX_ZOOM = 1.25  # factor by which the product is enlarged or reduced
MAX_ROTATION = math.radians(10)
MAX_BRIGHTNESS = 0.05  # added to values in [-1, 1]


class Policy(Protocol):
    """An augmentation, affine in the image: gradients of any order pass through it."""

    num_uniforms: int  # uniform numbers that each image consumes

    def __call__(self, image: Array, uniforms: Array, p: Array, background: Array) -> Array:
        """Images float [B, H, W, C] in [-1, 1], augmented; colours may leave that range.

        Each transform is applied to each image independently with probability p, a scalar in
        [0, 1]. An image that receives none comes back as it was, to the bit. Row i of `uniforms`
        [B, num_uniforms] in [0, 1) decides everything about image i. `background` float [C] in
        [-1, 1] fills what moves in from outside, and an erased box.
        """


def make(name: str, flip: bool) -> Policy:
    """The policy config.augment.policy; `flip` allows mirror images: no text, no left or right."""
    policy = registry.resolve(registry.AUGMENTS, name, "config.augment.policy")
    return policy() if policy is NoAugmentation else policy(flip)


@dataclasses.dataclass(frozen=True)
class NoAugmentation:
    """The image as it is, whatever p."""

    num_uniforms = 0

    def __call__(self, image: Array, uniforms: Array, p: Array, background: Array) -> Array:
        return image


@dataclasses.dataclass(frozen=True)
class DiffAugment:
    """Colour, translation and cutout as in Zhao et al. 2020, and mirror images where allowed.

    Where the paper fills with mid-grey this fills with the background. It changes the colours
    last, not first, so that the filled parts change with them and no seam shows.
    """

    flip: bool
    num_uniforms = 13

    def __call__(self, image: Array, uniforms: Array, p: Array, background: Array) -> Array:
        uniform_columns = _split_uniforms(self, image, uniforms)
        flip_u, shift_u, down_u, right_u, erase_u, row_u, column_u = uniform_columns[:7]
        (
            brightness_u, brightness, saturation_u, saturation, contrast_u, contrast
        ) = uniform_columns[7:]  # fmt: skip
        height, width = image.shape[1:3]
        is_mirrored = _sample_mirrors(self.flip, flip_u, p)
        # Each transform is active with probability p, and each has strengths of its own.
        is_shifted, is_erased = shift_u < p, erase_u < p

        def transform(image: Array) -> Array:
            rows = geometry.interpolation_matrices(
                height,
                jnp.ones_like(down_u),
                jnp.where(is_shifted, _whole_shift(height, down_u), 0.0),
            )
            columns = geometry.interpolation_matrices(
                width,
                jnp.where(is_mirrored, -1.0, 1.0),
                jnp.where(is_shifted, _whole_shift(width, right_u), 0.0),
            )
            image = geometry.apply_matrices(image, rows, columns)
            return erasing.erase_box(image, is_erased, row_u, column_u)

        is_active = is_mirrored | is_shifted | is_erased
        image = _transform_foreground(transform, image, is_active, background)
        # Colours: each strength is neutral where its transform is not active.
        image = colour_jitter.adjust_brightness(
            image, jnp.where(brightness_u < p, brightness - 0.5, 0.0)
        )
        image = colour_jitter.adjust_saturation(
            image, jnp.where(saturation_u < p, 2 * saturation, 1.0)
        )
        return colour_jitter.adjust_contrast(image, jnp.where(contrast_u < p, contrast + 0.5, 1.0))


@dataclasses.dataclass(frozen=True)
class Product:
    """For images of products on a plain background: mild, and every product keeps its colour.

    Whole and fractional shifts by up to an eighth of the side, scale 0.8 to 1.25, rotation by up
    to 10 degrees, brightness by up to 0.05, and cutout, which removes more than the others, at
    half the probability. Mirror images only where allowed; neither hue nor contrast changes.
    """

    flip: bool
    num_uniforms = 16

    def __call__(self, image: Array, uniforms: Array, p: Array, background: Array) -> Array:
        uniform_columns = _split_uniforms(self, image, uniforms)
        (
            flip_u, whole_u, down_u, right_u, subpixel_u, subpixel_down_u, subpixel_right_u,
            zoom_u, zoom,
        ) = uniform_columns[:9]  # fmt: skip
        (
            rotation_u, rotation, erase_u, row_u, column_u, brightness_u, brightness
        ) = uniform_columns[9:]  # fmt: skip
        height, width = image.shape[1:3]
        is_mirrored = _sample_mirrors(self.flip, flip_u, p)
        has_whole_shift, has_subpixel_shift = whole_u < p, subpixel_u < p
        is_zoomed, is_rotated, is_erased = zoom_u < p, rotation_u < p, erase_u < p / 2
        # Strengths are neutral (scale 1, angle 0, shift 0) where a transform is not active.
        scale = jnp.where(is_zoomed, MAX_ZOOM ** _symmetric(zoom), 1.0)
        angle = jnp.where(is_rotated, MAX_ROTATION * _symmetric(rotation), 0.0)

        def total_shift(size: int, uniforms: Array, fraction: Array) -> Array:
            pixels = jnp.where(has_whole_shift, _whole_shift(size, uniforms), 0.0)
            subpixel = jnp.where(has_subpixel_shift, MAX_SHIFT * size * _symmetric(fraction), 0.0)
            return pixels + subpixel

        def transform(image: Array) -> Array:
            rows = geometry.interpolation_matrices(
                height, scale, total_shift(height, down_u, subpixel_down_u)
            )
            columns = geometry.interpolation_matrices(
                width,
                jnp.where(is_mirrored, -scale, scale),
                total_shift(width, right_u, subpixel_right_u),
            )
            image = geometry.rotate(image, angle, MAX_ROTATION)
            image = geometry.apply_matrices(image, rows, columns)
            return erasing.erase_box(image, is_erased, row_u, column_u)

        is_active = (
            is_mirrored | has_whole_shift | has_subpixel_shift | is_zoomed | is_rotated | is_erased
        )
        image = _transform_foreground(transform, image, is_active, background)
        amount = jnp.where(brightness_u < p, MAX_BRIGHTNESS * _symmetric(brightness), 0.0)
        return colour_jitter.adjust_brightness(image, amount)


def _split_uniforms(policy: Policy, image: Array, uniforms: Array) -> tuple[Array, ...]:
    """The columns of `uniforms`, each [B]."""
    expected_shape = (len(image), policy.num_uniforms)
    if uniforms.shape != expected_shape:
        raise ValueError(f"{policy} takes {list(expected_shape)}, not {uniforms.shape}")
    return jnp.unstack(uniforms, axis=1)


def _transform_foreground(
    transform: Callable[[Array], Array], image: Array, is_active: Array, background: Array
) -> Array:
    """`transform` of the image minus its background, so that 0 is outside, where `is_active` [B].

    The choice is made for the whole image: subtracting the background and adding it again rounds.
    """
    background = jnp.asarray(background, image.dtype)
    result = transform(image - background) + background
    return jnp.where(is_active[:, None, None, None], result, image)


def _sample_mirrors(is_allowed: bool, uniform: Array, p: Array) -> Array:
    """Which images are mirrored, bool [B]: with p / 2, so that at p = 1 half of them are."""
    return (uniform < p / 2) & is_allowed


def _whole_shift(size: int, uniform: Array) -> Array:
    """A whole number of pixels, uniform from -12.5 % to 12.5 % of `size`."""
    max_pixels = int(size * MAX_SHIFT + 0.5)
    return jnp.floor(uniform * (2 * max_pixels + 1)) - max_pixels


def _symmetric(uniform: Array) -> Array:
    """From [0, 1) to [-1, 1)."""
    return 2 * uniform - 1
