"""The classical convolutional GAN (Radford et al. 2016), at any resolution.

At 28 x 28 with `width` 64 the generator is: dense to 7x7x256, transposed 5x5 convolutions of
stride 2 to 128 and to 64 channels, a 5x5 convolution, tanh; the discriminator: 5x5 convolutions of
stride 2 to 32 and to 64 channels, dense to one logit. ReLU throughout, no normalisation layers.
Other resolutions add stages, whose widths double away from the image up to `max_width`.
Conditions enter as an embedding beside the latent, and in the discriminator by projection.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from prodgen.core.types import Array, Spec
from prodgen.models import blocks
from prodgen.models.conditioning import Embedding, is_conditional
from prodgen.models.stages import stage_resolutions, stage_widths
from prodgen.models.strided import StridedConv, TransposedConv

EMBEDDING_SIZE = 64  # width of the condition's embedding
KERNEL_INIT = nn.initializers.glorot_uniform()


class Generator(nn.Module):
    """Latent [B, Z], conditions [B, K + 1 + 2A] -> image [B, R, R, channels] in [-1, 1].

    widths: of the dense start, then after each doubling.
    """

    widths: tuple[int, ...]
    side: int
    channels: int
    condition: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, z: Array, conditions: Array) -> Array:
        if self.condition:
            e = Embedding(EMBEDDING_SIZE, self.dtype, name="embedding")(conditions)
            z = jnp.concatenate([z, e], axis=-1)
        start = self.side * self.side * self.widths[0]
        x = nn.Dense(start, dtype=self.dtype, kernel_init=KERNEL_INIT, name="first")(z)
        x = nn.relu(x).reshape(-1, self.side, self.side, self.widths[0])
        for stage, features in enumerate(self.widths[1:], 1):
            x = nn.relu(
                TransposedConv(features, dtype=self.dtype, init=KERNEL_INIT, name=f"up{stage}")(x)
            )
        head = blocks.Conv(self.channels, 5, dtype=self.dtype, init=KERNEL_INIT, name="head")
        return jnp.tanh(head(x).astype(jnp.float32))


class Discriminator(nn.Module):
    """Image [B, R, R, C] and conditions -> logits [B]. widths: after each halving."""

    widths: tuple[int, ...]
    condition: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, image: Array, conditions: Array) -> Array:
        x = image.astype(self.dtype)
        for stage, features in enumerate(self.widths):
            x = nn.relu(
                StridedConv(features, dtype=self.dtype, init=KERNEL_INIT, name=f"down{stage}")(x)
            )
        x = x.reshape(x.shape[0], -1).astype(jnp.float32)
        logit = nn.Dense(1, kernel_init=KERNEL_INIT, name="logit")(x)[:, 0]
        if not self.condition:
            return logit
        # Conditions enter by projection (Miyato & Koyama 2018).
        features = nn.Dense(
            EMBEDDING_SIZE, use_bias=False, kernel_init=KERNEL_INIT, name="features"
        )(x)
        e = Embedding(EMBEDDING_SIZE, name="embedding")(conditions)
        return logit + jnp.sum(features * e, axis=-1) / math.sqrt(EMBEDDING_SIZE)


def build(config: ConfigDict, spec: Spec) -> tuple[Generator, Discriminator]:
    """The two networks of a config."""
    model, resolutions = config.model, stage_resolutions(spec.resolution)
    options = {"condition": is_conditional(model, spec), "dtype": jnp.dtype(model.dtype)}
    # The discriminator has half the generator's width, and no stage at the smallest resolution.
    generator_widths = stage_widths(model.width, model.max_width, len(resolutions))[::-1]
    widths = stage_widths(model.width // 2, model.max_width, len(resolutions) - 1)
    generator = Generator(generator_widths, resolutions[-1], spec.channels, **options)
    return generator, Discriminator(widths, **options)
