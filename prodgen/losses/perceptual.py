"""A perceptual distance without learned weights: how far apart two pictures' activations point."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from prodgen.core.types import Array
from prodgen.models.lpips import unit_normalise


def distance(taps: Sequence[Array], others: Sequence[Array]) -> Array:
    """The distance [B] of the activations [B, h, w, c] of two pictures, tap by tap; in [0, 4].

    With unit vectors y and y' along the channels (`normalised`) and L taps it is

        1/L sum_l 1/(h_l w_l) sum_hw |y_lhw - y'_lhw|^2,

    equation 1 of LPIPS (Zhang et al. 2018) with all w_l = L^(-1/2): twice the mean of one minus the
    cosine. 0 for equal pictures, 2 for orthogonal activations. ValueError where shapes differ.
    """
    shapes = [[tap.shape for tap in found] for found in (taps, others)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"shapes differ: {shapes[0]}, {shapes[1]}")
    squares = [
        jnp.sum(jnp.square(unit_normalise(a) - unit_normalise(b)), axis=-1)
        for a, b in zip(taps, others, strict=True)
    ]
    return sum(jnp.mean(square, axis=(1, 2)) for square in squares) / len(taps)
