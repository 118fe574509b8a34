"""The conditions of an image as one vector: category and attributes, each with a flag.

A missing value is zero and its flag is zero, so one model serves complete, partial and absent
conditions. Generated images copy values *and* flags of the real images that they are paired with.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from prodgen.core import rng
from prodgen.core.types import Array, Batch, Key, Spec

CONDITION_MODULES = ("embedding", "prior", "film")
"""Submodules whose weights depend on what the conditions' columns mean."""


def is_conditional(model: ConfigDict, spec: Spec) -> bool:
    """Whether the network of the config section `model` takes the conditions of this data set."""
    return model.condition and bool(spec.classes or spec.attributes)


def describe_differences(before: Spec, now: Spec) -> list[str]:
    """How the names of two specs' conditions differ, in words; [] where they are the same."""
    schemas = [{a.name: (a.kind, a.values) for a in spec.attributes} for spec in (before, now)]
    pairs = [
        ("categories", before.classes, now.classes),
        ("attributes", tuple(schemas[0]), tuple(schemas[1])),
    ]
    pairs += [
        (f"attribute {name}", schemas[0][name], schemas[1][name])
        for name in schemas[0]
        if name in schemas[1]
    ]
    return [f"{what}: {old} there, {new} here" for what, old, new in pairs if old != new]


def vector(batch: Batch, spec: Spec) -> Array:
    """float32 [B, K + 1 + 2A]: one-hot label, its flag, attributes (0 if unknown), their flags."""
    label = jax.nn.one_hot(batch["label"], len(spec.classes), dtype=jnp.float32)  # -1: all zero
    flags = batch["known"].astype(jnp.float32)
    label_flag = (batch["label"] >= 0).astype(jnp.float32)[:, None]
    return jnp.concatenate([label, label_flag, batch["attributes"] * flags, flags], axis=-1)


def vector_size(spec: Spec) -> int:
    """The length of `vector`."""
    return len(spec.classes) + 1 + 2 * spec.num_columns


def hide(batch: Batch, mask: Array) -> Batch:
    """The batch with all conditions of the examples in bool [B] `mask` made unknown."""
    return batch | {
        "label": jnp.where(mask, -1, batch["label"]),
        "known": batch["known"] & ~mask[:, None],
    }


def drop(batch: Batch, share: float, key: Key) -> Batch:
    """The batch with the conditions of a random `share` of its examples made unknown."""
    return hide(batch, rng.uniform(key, batch["slot"]) < share) if share else batch


class Embedding(nn.Module):
    """Two dense layers on the condition vector: [B, K + 1 + 2A] -> [B, features], unit variance.

    Layer normalisation keeps a sparse vector of flags at the scale of a latent of unit variance.
    Without it the decoder would learn to use the latent alone.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, condition: Array) -> Array:
        x = nn.silu(nn.Dense(self.features, dtype=self.dtype)(condition))
        x = nn.Dense(self.features, dtype=self.dtype)(x)
        return nn.LayerNorm(dtype=self.dtype)(x)
