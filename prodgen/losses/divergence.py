"""The KL term of the evidence bound, its free bits, and how its weight beta grows.

A schedule is a factor(step), times config.loss.beta.
"""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.core.types import Array

FALL = 8.0  # how much larger a falling weight begins


def standard_normal(mean: Array, log_variance: Array) -> Array:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats for each latent, [B, Z]."""
    if mean.shape != log_variance.shape:
        raise ValueError(f"shapes differ: mean {mean.shape}, log variance {log_variance.shape}")
    return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance)


def free_bits(kl: Array, batch_mean: Array, floor: float) -> Array:
    """The KL [B] that is pressed: latents whose batch mean lies below `floor` nats count as it.

    kl [B, Z]; batch_mean [Z] is kl's mean over the *global* batch (Kingma et al. 2016, eq. 15, one
    group a latent). Averaged over the batch this is sum_z max(floor, batch_mean_z).
    """
    pressed = jnp.where(batch_mean > floor, kl, floor)
    return jnp.sum(pressed, axis=-1)


def constant(step: Array, length: int) -> Array:
    """1 from the first step."""
    return jnp.ones_like(step, jnp.float32)


def linear(step: Array, length: int) -> Array:
    """From 0 to 1 over `length` steps, then 1."""
    return jnp.minimum((step + 1) / length, 1.0).astype(jnp.float32)


def falling(step: Array, length: int) -> Array:
    """From 8 down to 1, geometrically, over `length` steps, then 1: for conditional models.

    While the KL term is dear, the decoder has to learn what the conditions say; the latent then
    adds the rest. With a rising weight the latent says it all, and the conditions go unheard.
    """
    return FALL ** (1.0 - jnp.minimum(step / length, 1.0)).astype(jnp.float32)


def cyclic(step: Array, length: int) -> Array:
    """Each cycle of `length` steps rises from 0 to 1 in its first half (Fu et al. 2019)."""
    return jnp.minimum(2.0 * (step % length + 1) / length, 1.0).astype(jnp.float32)
