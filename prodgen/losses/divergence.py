"""The KL term of the evidence lower bound, its free bits, and the schedules of its weight beta.

A schedule is a function (step, length) -> factor, which multiplies config.loss.beta.
"""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.core.types import Array

FALLING_START_FACTOR = 8.0  # the falling schedule's factor at step 0


def kl_to_standard_normal(mean: Array, log_variance: Array) -> Array:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats for each latent, [B, Z]."""
    if mean.shape != log_variance.shape:
        raise ValueError(f"shapes differ: mean {mean.shape}, log variance {log_variance.shape}")
    return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance)


def apply_free_bits(kl: Array, batch_mean: Array, min_nats: float) -> Array:
    """The KL [B] to minimise: a latent whose batch mean is below `min_nats` counts `min_nats`.

    kl [B, Z]; batch_mean [Z] is kl's mean over the *global* batch (Kingma et al. 2016, eq. 15, one
    group a latent). Averaged over the batch this is sum_z max(min_nats, batch_mean_z).
    """
    return jnp.sum(jnp.where(batch_mean > min_nats, kl, min_nats), axis=-1)


def constant_schedule(step: Array, length: int) -> Array:
    """1 from the first step."""
    return jnp.ones_like(step, jnp.float32)


def linear_schedule(step: Array, length: int) -> Array:
    """From 0 to 1 over `length` steps, then 1."""
    return jnp.minimum((step + 1) / length, 1.0).astype(jnp.float32)


def falling_schedule(step: Array, length: int) -> Array:
    """From 8 down to 1, geometrically, over `length` steps, then 1: for conditional models.

    A large KL weight at the start makes the decoder learn from the conditions first; the latent
    then encodes the rest. Under a rising weight the latent encodes everything, and the decoder
    ignores the conditions.
    """
    exponent = 1.0 - jnp.minimum(step / length, 1.0)
    return FALLING_START_FACTOR ** exponent.astype(jnp.float32)


def cyclic_schedule(step: Array, length: int) -> Array:
    """Each cycle of `length` steps rises from 0 to 1 in its first half (Fu et al. 2019)."""
    return jnp.minimum(2.0 * (step % length + 1) / length, 1.0).astype(jnp.float32)
