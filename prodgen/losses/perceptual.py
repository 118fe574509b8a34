"""A perceptual distance without learned weights, between two images' activations."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from prodgen.core.types import Array
from prodgen.models.lpips import unit_normalise


def distance(features: Sequence[Array], other_features: Sequence[Array]) -> Array:
    """The distance [B] of two images' activations [B, h, w, c] of the same layers; in [0, 4].

    With unit vectors y and y' along the channels (`normalised`) and L layers it is

        1/L sum_l 1/(h_l w_l) sum_hw |y_lhw - y'_lhw|^2,

    equation 1 of LPIPS (Zhang et al. 2018) with all w_l = L^(-1/2): twice the mean of one minus the
    cosine. 0 for equal images, 2 for orthogonal activations. ValueError where shapes differ.
    """
    shapes, other_shapes = ([x.shape for x in layers] for layers in (features, other_features))
    if shapes != other_shapes:
        raise ValueError(f"shapes differ: {shapes}, {other_shapes}")
    # Squared differences of unit vectors, a map [B, h, w] a layer.
    squares = [
        jnp.sum(jnp.square(unit_normalise(a) - unit_normalise(b)), axis=-1)
        for a, b in zip(features, other_features, strict=True)
    ]
    return sum(jnp.mean(square, axis=(1, 2)) for square in squares) / len(features)
