"""Which transforms a picture may meet, how strong, and in which order.

A policy is applied to real and generated pictures alike, in every step of both networks, so that
the generator never sees a reason to copy it (Zhao et al. 2020; Karras et al. 2020). Its randomness
comes in from outside, as uniform numbers: the same numbers make the same pictures.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

import jax.numpy as jnp

from prodgen.augment import colour, cutout, geometry
from prodgen.config import registry
from prodgen.core.types import Array

SHIFT = 0.125  # of the side, at most
ZOOM = 1.25  # the product is at most so much larger or smaller
TURN = math.radians(10)
BRIGHTNESS = 0.05


class Policy(Protocol):
    """An augmentation, affine in the picture: gradients of any order pass through it."""

    numbers: int  # uniform numbers that each picture consumes

    def __call__(self, image: Array, uniforms: Array, p: Array, background: Array) -> Array:
        """Pictures float [B, H, W, C] in [-1, 1], augmented; colours may leave that range.

        Each transform fires for each picture on its own with probability p, a scalar in [0, 1];
        a picture for which none fires comes back as it was, to the bit. Row i of `uniforms`
        [B, numbers] in [0, 1) decides all about picture i. `background` float [C] in [-1, 1] is
        what moves in from outside and what a cut-out box shows.
        """


def make(name: str, flip: bool) -> Policy:
    """The policy config.augment.policy; `flip` allows mirror images: no text, no left or right."""
    policy = registry.resolve(registry.AUGMENTS, name, "config.augment.policy")
    return policy() if policy is Nothing else policy(flip)


@dataclasses.dataclass(frozen=True)
class Nothing:
    """The picture as it is, whatever p."""

    numbers = 0

    def __call__(self, image: Array, uniforms: Array, p: Array, background: Array) -> Array:
        return image


@dataclasses.dataclass(frozen=True)
class DiffAugment:
    """Colour, translation and cutout as in Zhao et al. 2020, and mirror images where allowed.

    Where the paper fills with mid-grey this fills with the background; and it changes the colours
    last, not first, so that what was filled in changes with them and no seam shows.
    """

    flip: bool
    numbers = 13

    def __call__(self, image: Array, uniforms: Array, p: Array, background: Array) -> Array:
        numbers = _columns(self, image, uniforms)
        mirror, moves, down, right, cuts, row, column = numbers[:7]
        brightens, brightness, saturates, saturation, contrasts, contrast = numbers[7:]
        height, width = image.shape[1:3]
        mirrors = _mirrors(self.flip, mirror, p)
        moves, cuts = moves < p, cuts < p

        def place(picture: Array) -> Array:
            rows = geometry.interpolation(
                height, jnp.ones_like(down), jnp.where(moves, _pixels(height, down), 0.0)
            )
            columns = geometry.interpolation(
                width,
                jnp.where(mirrors, -1.0, 1.0),
                jnp.where(moves, _pixels(width, right), 0.0),
            )
            return cutout.cut(geometry.move(picture, rows, columns), cuts, row, column)

        image = _on_background(place, image, mirrors | moves | cuts, background)
        image = colour.brighten(image, jnp.where(brightens < p, brightness - 0.5, 0.0))
        image = colour.saturate(image, jnp.where(saturates < p, 2 * saturation, 1.0))
        return colour.contrast(image, jnp.where(contrasts < p, contrast + 0.5, 1.0))


@dataclasses.dataclass(frozen=True)
class Product:
    """For pictures of products on a plain background: mild, and every product keeps its colour.

    Whole and fractional shifts by up to an eighth of the side, scale 0.8 to 1.25, rotation by up
    to 10 degrees, brightness by up to 0.05, and cutout, which takes more away than the others, at
    half the probability. Mirror images only where allowed; neither hue nor contrast changes.
    """

    flip: bool
    numbers = 16

    def __call__(self, image: Array, uniforms: Array, p: Array, background: Array) -> Array:
        numbers = _columns(self, image, uniforms)
        mirror, jumps, down, right, slides, lower, further, zooms, zoom = numbers[:9]
        turns, turn, cuts, row, column, brightens, brightness = numbers[9:]
        height, width = image.shape[1:3]
        mirrors = _mirrors(self.flip, mirror, p)
        jumps, slides, zooms, turns, cuts = (
            jumps < p, slides < p, zooms < p, turns < p, cuts < p / 2
        )  # fmt: skip
        scale = jnp.where(zooms, ZOOM ** _sided(zoom), 1.0)
        angle = jnp.where(turns, TURN * _sided(turn), 0.0)

        def shift(size: int, whole: Array, fraction: Array) -> Array:
            jump = jnp.where(jumps, _pixels(size, whole), 0.0)
            return jump + jnp.where(slides, SHIFT * size * _sided(fraction), 0.0)

        def place(picture: Array) -> Array:
            rows = geometry.interpolation(height, scale, shift(height, down, lower))
            columns = geometry.interpolation(
                width, jnp.where(mirrors, -scale, scale), shift(width, right, further)
            )
            picture = geometry.move(geometry.rotate(picture, angle, TURN), rows, columns)
            return cutout.cut(picture, cuts, row, column)

        fires = mirrors | jumps | slides | zooms | turns | cuts
        image = _on_background(place, image, fires, background)
        return colour.brighten(
            image, jnp.where(brightens < p, BRIGHTNESS * _sided(brightness), 0.0)
        )


def _columns(policy: Policy, image: Array, uniforms: Array) -> tuple[Array, ...]:
    """The uniform numbers one by one, each [B]."""
    if uniforms.shape != (len(image), policy.numbers):
        raise ValueError(f"{policy} takes [{len(image)}, {policy.numbers}], not {uniforms.shape}")
    return jnp.unstack(uniforms, axis=1)


def _on_background(
    place: Callable[[Array], Array], image: Array, fires: Array, background: Array
) -> Array:
    """`place` in the picture relative to its background, where 0 is outside, if `fires` [B].

    The choice is made for the whole picture: taking the background away and adding it again
    rounds.
    """
    background = jnp.asarray(background, image.dtype)
    placed = place(image - background) + background
    return jnp.where(fires[:, None, None, None], placed, image)


def _mirrors(allowed: bool, number: Array, p: Array) -> Array:
    """Which pictures are mirrored, bool [B]: with p / 2, so that at p = 1 half of them are."""
    return (number < p / 2) & allowed


def _pixels(size: int, number: Array) -> Array:
    """A whole shift, each from -12.5 % to 12.5 % of `size` as likely."""
    most = int(size * SHIFT + 0.5)
    return jnp.floor(number * (2 * most + 1)) - most


def _sided(number: Array) -> Array:
    """From [0, 1) to [-1, 1)."""
    return 2 * number - 1
