"""A convolutional variational autoencoder (Kingma & Welling 2014) with residual blocks.

The encoder maps an image to a diagonal normal q(h|x, c), the decoder a code h [B, Z] and a
condition c to the parameters of p(x|h, c); losses/likelihoods.py defines these.
The prior p(h|c) is learned (Sohn et al. 2015): mugs and chairs may have codes in different regions.
With model.prior=standard it is N(0, I) for every condition, and z = h.
Outside this file only z = (h - mean(c)) / std(c) is used. This latent is standard normal under
the prior whatever the condition, and KL(q(h|x, c) || p(h|c)) = KL(q(z|x, c) || N(0, I)).
Resolutions halve from the image down to 4 or 7; widths double on the way, up to a limit.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from prodgen.core.types import Array, Spec
from prodgen.models import blocks
from prodgen.models.block_sequence import apply_blocks, block_names
from prodgen.models.conditioning import Embedding, is_conditional
from prodgen.models.stages import stage_resolutions, stage_widths

EMBEDDING_SIZE = 128  # width of the condition's embedding
MIN_LOOP = 3  # blocks: a loop over two takes a GPU's compiler longer than the two


class Encoder(nn.Module):
    """x [B, R, R, C] in [-1, 1], condition [B, E] or None -> mean, log variance [B, Z], float32."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    latent: int
    remat: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, condition: Array | None) -> tuple[Array, Array]:
        make_block = functools.partial(blocks.Residual, self.dtype)
        options = {"remat": self.remat, "min_loop": MIN_LOOP}
        x = blocks.Conv(self.widths[0], dtype=self.dtype, name="stem")(blocks.space_to_depth(x))
        for stage, features in enumerate(self.widths):
            if stage:
                x = blocks.DownConv(features, self.dtype, name=f"down{stage}")(x)
            names = block_names(stage, self.blocks[stage])
            x = apply_blocks(self, make_block, names, x, **options)
        x = nn.silu(x).reshape(x.shape[0], -1)
        if condition is not None:
            x = jnp.concatenate([x, condition.astype(x.dtype)], axis=-1)
        x = nn.Dense(2 * self.latent, dtype=self.dtype, name="head")(x).astype(jnp.float32)
        mean, log_variance = jnp.split(x, 2, axis=-1)
        return mean, jnp.clip(log_variance, -14.0, 10.0)


class Prior(nn.Module):
    """Condition [B, E] -> mean and log variance [B, Z] of the codes of such products, float32.

    From zero: training starts at the standard normal.
    """

    latent: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, condition: Array) -> tuple[Array, Array]:
        zero = nn.initializers.zeros_init()
        x = nn.silu(nn.Dense(2 * EMBEDDING_SIZE, dtype=self.dtype)(condition))
        x = nn.Dense(2 * self.latent, dtype=self.dtype, kernel_init=zero)(x)
        mean, log_variance = jnp.split(x.astype(jnp.float32), 2, axis=-1)
        return mean, jnp.clip(log_variance, -10.0, 10.0)


class Decoder(nn.Module):
    """Code [B, Z], condition [B, E] or None -> output [B, R, R, channels], float32."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    side: int
    channels: int
    remat: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, code: Array, condition: Array | None) -> Array:
        make_block = functools.partial(blocks.Residual, self.dtype)
        options = {"remat": self.remat, "min_loop": MIN_LOOP}
        top = self.widths[-1]
        x = code.astype(self.dtype)
        x = x if condition is None else jnp.concatenate([x, condition], axis=-1)
        x = nn.Dense(self.side * self.side * top, dtype=self.dtype, name="start")(x)
        x = x.reshape(-1, self.side, self.side, top)
        for stage in reversed(range(len(self.widths))):
            names = block_names(stage, self.blocks[stage])
            x = apply_blocks(self, make_block, names, x, condition, **options)
            if stage:
                x = blocks.UpConv(self.widths[stage - 1], self.dtype, name=f"up{stage}")(x)
        return blocks.UpConv(self.channels, self.dtype, name="head")(nn.silu(x)).astype(jnp.float32)


class VAE(nn.Module):
    """Encoder and decoder over one condition embedding.

    `conditions` is [B, K + 1 + 2A] of conditioning.vector; it is ignored where `condition` is off.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    latent: int
    side: int
    channels: int
    condition: bool
    has_conditional_prior: bool
    remat: bool
    dtype: jnp.dtype

    def setup(self) -> None:
        options = {"remat": self.remat, "dtype": self.dtype}
        self.encoder = Encoder(self.widths, self.blocks, self.latent, **options)
        self.decoder = Decoder(self.widths, self.blocks, self.side, self.channels, **options)
        if self.condition:
            self.embedding = Embedding(EMBEDDING_SIZE, self.dtype)
        if self.has_conditional_prior:
            self.prior = Prior(self.latent, self.dtype)

    def _embed(self, conditions: Array) -> tuple[Array | None, Array, Array]:
        """The condition's embedding, and the prior's mean and log variance."""
        embedding = self.embedding(conditions) if self.condition else None
        if not self.has_conditional_prior:
            standard = jnp.zeros((conditions.shape[0], self.latent))
            return embedding, standard, standard
        return embedding, *self.prior(embedding)

    def encode(self, image: Array, conditions: Array) -> tuple[Array, Array]:
        """Mean and log variance [B, Z] of q(z|x, c); image float [B, R, R, C] in [-1, 1]."""
        return self._encode(image, *self._embed(conditions))

    def _encode(
        self, image: Array, embedding: Array | None, mean: Array, log_variance: Array
    ) -> tuple[Array, Array]:
        code_mean, code_log_variance = self.encoder(image, embedding)
        # From the code h to the latent z, standard normal under the prior.
        z_mean = (code_mean - mean) * jnp.exp(-0.5 * log_variance)
        return z_mean, code_log_variance - log_variance

    def decode(self, z: Array, conditions: Array) -> Array:
        """The parameters of p(x|z, c), [B, R, R, channels]."""
        return self._decode(z, *self._embed(conditions))

    def _decode(self, z: Array, embedding: Array | None, mean: Array, log_variance: Array) -> Array:
        return self.decoder(mean + jnp.exp(0.5 * log_variance) * z, embedding)

    def __call__(self, image: Array, noise: Array, conditions: Array) -> tuple[Array, ...]:
        """(output, mean, log variance) with z = mean + exp(log variance / 2) * noise [B, Z]."""
        prior = self._embed(conditions)
        mean, log_variance = self._encode(image, *prior)
        z = mean + jnp.exp(0.5 * log_variance) * noise
        return self._decode(z, *prior), mean, log_variance


def build(config: ConfigDict, spec: Spec, channels: int) -> VAE:
    """The network of a config; `channels` is what the likelihood needs a pixel."""
    model, sides = config.model, stage_resolutions(spec.resolution // 2)
    condition = is_conditional(model, spec)
    return VAE(
        widths=stage_widths(model.width, model.max_width, len(sides)),
        blocks=tuple(model.blocks if side <= model.block_side else 0 for side in sides),
        latent=model.latent,
        side=sides[-1],
        channels=channels,
        condition=condition,
        has_conditional_prior=condition and model.prior == "conditional",
        remat=model.remat,
        dtype=jnp.dtype(model.dtype),
    )
