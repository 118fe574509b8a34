"""Gradient penalties: how steep a discriminator may be, and where.

A critic maps pictures [N, H, W, C] to logits [N] without mixing examples, so that the gradient of
the *sum* of its logits holds every example's own gradient: one reverse pass, differentiated once
more for the update. Squares are summed over the values of one picture, in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from prodgen.core.types import Array

Critic = Callable[[Array], Array]


def with_square(critic: Critic, pictures: Array) -> tuple[Array, Array]:
    """(logits, squared norms of their gradients to the pictures), [N] each."""

    def total(pictures: Array) -> tuple[Array, Array]:
        logits = critic(pictures)
        return jnp.sum(logits), logits

    gradient, logits = jax.grad(total, has_aux=True)(pictures)
    return logits, jnp.sum(jnp.square(gradient.astype(jnp.float32)), axis=(1, 2, 3))


def zero_centred(square: Array, gamma: Array | float) -> Array:
    """gamma / 2 * |grad D|^2, [N]: R1 at reals, R2 at fakes (Mescheder et al. 2018, eq. 9)."""
    return 0.5 * gamma * square


def one_centred(square: Array, gamma: Array | float) -> Array:
    """gamma * (|grad D| - 1)^2, [N], at points between (Gulrajani et al. 2017, eq. 3)."""
    return gamma * jnp.square(jnp.sqrt(square + 1e-12) - 1)


def between(real: Array, fake: Array, share: Array) -> Array:
    """Points real + share * (fake - real), share [N] in [0, 1)."""
    return real + share[:, None, None, None] * (fake - real)
