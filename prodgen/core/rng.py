"""Random keys as a function of seed, stream, step and slot.

No key is stored anywhere. So a resumed run draws the numbers of an uninterrupted one, and a batch
split over 8 devices draws the noise that one device draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from prodgen.core.types import Array, Key

# A stream's number is its index here, so new streams are appended and the order stays.
STREAMS = (
    "init", "posterior", "condition", "generate", "pairing",
    "discriminator", "generator", "augment", "vary", "component",
)  # fmt: skip


def key(seed: int, stream: str, step: Array | int = 0) -> Key:
    """The key of one stream at one step; `step` may be traced."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), STREAMS.index(stream)), step)


def normal(base_key: Key, slots: Array, shape: Sequence[int]) -> Array:
    """Standard normal noise [B, *shape], row i a function of (base_key, slots[i]) alone."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(base_key, slots)
    return jax.vmap(lambda k: jax.random.normal(k, tuple(shape), jnp.float32))(keys)


def uniform(base_key: Key, slots: Array, shape: Sequence[int] = ()) -> Array:
    """Uniform noise in [0, 1), [B, *shape], row i a function of (base_key, slots[i]) alone."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(base_key, slots)
    return jax.vmap(lambda k: jax.random.uniform(k, tuple(shape), jnp.float32))(keys)
