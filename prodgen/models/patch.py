"""A patch discriminator (Isola et al. 2017): the mean of logits that each see a part."""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from prodgen.core.types import Array, Spec
from prodgen.models import blocks
from prodgen.models.conditioning import Embedding, is_conditional
from prodgen.models.stages import stage_widths

EMBEDDING_SIZE = 64  # of the condition's embedding and of the features it is multiplied with


class Discriminator(nn.Module):
    """Image [B, R, R, C] in [-1, 1], conditions [B, K + 1 + 2A] -> logits [B].

    `widths` list the stages from half the image's side down. Each position of the last stage has a
    logit, and the result is their mean. Conditions enter by projection (Miyato & Koyama 2018).
    """

    widths: tuple[int, ...]
    condition: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, image: Array, conditions: Array) -> Array:
        x = blocks.space_to_depth(image.astype(self.dtype))
        x = blocks.Conv(self.widths[0], dtype=self.dtype, name="stem")(x)
        for stage, features in enumerate(self.widths[1:], 1):
            x = blocks.DownConv(features, self.dtype, name=f"down{stage}")(nn.leaky_relu(x, 0.2))
        x = blocks.Residual(self.dtype, name="last")(x)
        x = nn.leaky_relu(x, 0.2).astype(jnp.float32)
        logit = jnp.mean(nn.Dense(1, name="logit")(x), axis=(1, 2, 3))
        if not self.condition:
            return logit
        features = jnp.mean(
            nn.Dense(EMBEDDING_SIZE, use_bias=False, name="features")(x), axis=(1, 2)
        )
        e = Embedding(EMBEDDING_SIZE, name="embedding")(conditions)
        return logit + jnp.sum(features * e, axis=-1) / math.sqrt(EMBEDDING_SIZE)


def build(config: ConfigDict, spec: Spec) -> Discriminator:
    """The discriminator beside an autoencoder: its widths, down to an eighth of the side."""
    model, side, stages = config.model, spec.resolution // 2, 0
    while side >= max(spec.resolution // 8, 4):
        side, stages = side // 2, stages + 1
    widths = stage_widths(model.width, model.max_width, stages)
    return Discriminator(widths, is_conditional(model, spec), jnp.dtype(model.dtype))
