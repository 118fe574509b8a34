"""Gradient penalties of the discriminator: R1, R2 and the one of WGAN-GP.

A discriminator function maps images [N, H, W, C] to logits [N] without mixing examples. The
gradient of the *sum* of its logits therefore holds each example's own gradient: one reverse pass,
which the update differentiates once more. Squares are summed over one image's values, in float32.
The weight gamma and its schedule are in steps/discriminator.py.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from prodgen.core.types import Array

DiscriminatorFn = Callable[[Array], Array]


def logits_and_grad_sq_norm(
    discriminator_fn: DiscriminatorFn, images: Array
) -> tuple[Array, Array]:
    """(logits, squared norms of their gradients with respect to the images), [N] each."""

    def logit_sum(images: Array) -> tuple[Array, Array]:
        logits = discriminator_fn(images)
        return jnp.sum(logits), logits

    grads, logits = jax.grad(logit_sum, has_aux=True)(images)
    return logits, jnp.sum(jnp.square(grads.astype(jnp.float32)), axis=(1, 2, 3))


def zero_centred_penalty(grad_sq_norm: Array, gamma: Array | float) -> Array:
    """gamma / 2 * |grad D|^2, [N]: R1 at reals, R2 at fakes (Mescheder et al. 2018, eq. 9)."""
    return 0.5 * gamma * grad_sq_norm


def one_centred_penalty(grad_sq_norm: Array, gamma: Array | float) -> Array:
    """gamma * (|grad D| - 1)^2, [N], at interpolated images (Gulrajani et al. 2017, eq. 3)."""
    return gamma * jnp.square(jnp.sqrt(grad_sq_norm + 1e-12) - 1)


def interpolate(real: Array, fake: Array, alpha: Array) -> Array:
    """Images real + alpha * (fake - real), alpha [N] in [0, 1)."""
    return real + alpha[:, None, None, None] * (fake - real)
