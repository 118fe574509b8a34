"""What a picture is known to show, as one vector: category and attributes with their flags.

A missing value is zero and says so through its flag, so that one model serves conditions that are
complete, partial and absent. Generated pictures copy values *and* flags of the real ones that they
are paired with.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from prodgen.core import rng
from prodgen.core.types import Array, Batch, Key, Spec

CONDITION_MODULES = (
    "embedding",
    "prior",
    "film",
)  # parts of networks that mean nothing under other names


def describe_differences(before: Spec, now: Spec) -> list[str]:
    """How the names of two specs' conditions differ, in words; [] where they are the same."""
    pairs = [("categories", before.classes, now.classes)]
    named = [{a.name: (a.kind, a.values) for a in spec.attributes} for spec in (before, now)]
    pairs.append(("attributes", tuple(named[0]), tuple(named[1])))
    pairs += [(f"attribute {name}", named[0][name], named[1][name])
              for name in named[0] if name in named[1]]  # fmt: skip
    return [f"{what}: {old} there, {new} here" for what, old, new in pairs if old != new]


def vector(batch: Batch, spec: Spec) -> Array:
    """float32 [B, K + 1 + 2A]: one-hot label, its flag, attributes (0 if unknown), their flags."""
    label = jax.nn.one_hot(batch["label"], len(spec.classes), dtype=jnp.float32)  # -1: all zero
    known = batch["known"].astype(jnp.float32)
    flag = (batch["label"] >= 0).astype(jnp.float32)[:, None]
    return jnp.concatenate([label, flag, batch["attributes"] * known, known], axis=-1)


def vector_size(spec: Spec) -> int:
    """The length of `vector`."""
    return len(spec.classes) + 1 + 2 * spec.num_columns


def hide(batch: Batch, hidden: Array) -> Batch:
    """The batch with all conditions of the examples in bool [B] `hidden` made unknown."""
    return batch | {
        "label": jnp.where(hidden, -1, batch["label"]),
        "known": batch["known"] & ~hidden[:, None],
    }


def drop(batch: Batch, share: float, key: Key) -> Batch:
    """The batch with the conditions of a random `share` of its examples hidden."""
    return hide(batch, rng.uniform(key, batch["slot"]) < share) if share else batch


class Embedding(nn.Module):
    """Two dense layers on the condition vector: [B, K + 1 + 2A] -> [B, features], unit variance.

    Normalised, since a sparse vector of flags would otherwise whisper beside a latent of variance
    one, and the decoder would learn to ask the latent alone.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, condition: Array) -> Array:
        x = nn.silu(nn.Dense(self.features, dtype=self.dtype)(condition))
        x = nn.Dense(self.features, dtype=self.dtype)(x)
        return nn.LayerNorm(dtype=self.dtype)(x)
