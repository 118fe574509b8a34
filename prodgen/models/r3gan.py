"""The modern baseline without tricks: R3GAN (Huang et al. 2024), at any width and group size.

Generator: a learned 4x4 start, scaled channel by channel by a linear map of the latent; stages of
residual blocks with filtered doubling between them; a 1x1 convolution to the image, no tanh. The
discriminator is its mirror image. No normalisation, no mixing of examples. `model.group` > 0 gives
the paper's inverted bottlenecks with grouped 3x3 convolutions; 0 gives its dense residual blocks
(configuration D of its ladder), which are what a CPU computes fastest.
`model.half` lets the blocks of both networks end at half the image's side, with one convolution
from there to pixels and back: the narrow convolutions at full size cost a CPU most and give least.
Conditions enter as an embedding beside the latent that also scales each block's inner channels
(FiLM, from zero), and in the discriminator by projection (Miyato & Koyama 2018). Without conditions
this is the paper's network, with a bias added at the image: backgrounds are one colour.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from ml_collections import ConfigDict

from prodgen.core.types import Array, Spec
from prodgen.models import blocks, resample
from prodgen.models.block_sequence import apply_blocks, block_names, rematerialise
from prodgen.models.conditioning import Embedding, is_conditional
from prodgen.models.grouped import convolve_grouped
from prodgen.models.stages import stage_resolutions, stage_widths
from prodgen.parallel.lowering import current_lowering

EMBEDDING_SIZE = 64  # width of the condition's embedding
LEAKY_RELU_GAIN = math.sqrt(2 / 1.04)  # keeps the variance through a leaky ReLU of slope 0.2


def scaled_normal(gain: float) -> nn.initializers.Initializer:
    """N(0, gain^2 / fan_in)."""
    return nn.initializers.variance_scaling(max(gain, 1e-12) ** 2, "fan_in", "normal")


def leaky_relu(x: Array) -> Array:
    """Leaky ReLU of slope 0.2."""
    return nn.leaky_relu(x, 0.2)


class Block(nn.Module):
    """x + the last of two (dense) or three (bottleneck) convolutions, which starts from zero.

    `depth` is the number of blocks in the network: the gains of all but the last convolution are
    GAIN * depth^(-1 / (2m - 2)) for m convolutions (Fixup, Zhang et al. 2019).
    """

    group: int
    depth: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        c, zero = x.shape[-1], nn.initializers.zeros_init()
        if not self.group:
            init = scaled_normal(LEAKY_RELU_GAIN * self.depth**-0.5)
            h = leaky_relu(blocks.Conv(c, dtype=self.dtype, init=init, name="first")(x))
            h = self._modulate(h, condition)
            last = blocks.Conv(c, dtype=self.dtype, init=zero, use_bias=False, name="last")
            return x + last(h)
        init = scaled_normal(LEAKY_RELU_GAIN * self.depth**-0.25)
        h = blocks.Conv(2 * c, 1, dtype=self.dtype, init=init, name="first")(x)
        h = Grouped(self.group, init, self.dtype, name="middle")(leaky_relu(h))
        h = self._modulate(leaky_relu(h), condition)
        last = blocks.Conv(c, 1, dtype=self.dtype, init=zero, use_bias=False, name="last")
        return x + last(h)

    def _modulate(self, h: Array, condition: Array | None) -> Array:
        if condition is None:
            return h
        zero = nn.initializers.zeros_init()
        film = nn.Dense(h.shape[-1], dtype=self.dtype, kernel_init=zero, name="film")(condition)
        return h * (1 + film[:, None, None, :])


class Grouped(nn.Module):
    """A 3x3 convolution with bias within groups of `group` channels, [B, H, W, C] -> the same."""

    group: int
    kernel_init: nn.initializers.Initializer
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        c = x.shape[-1]
        shape = (3, 3, self.group, c)
        x, kernel, bias = blocks.kernel_and_bias(self, x, shape, self.kernel_init)
        return convolve_grouped(x, kernel, c // self.group) + bias


class Generator(nn.Module):
    """Latent [B, Z], conditions [B, K + 1 + 2A] -> image [B, R, R, channels], not bounded.

    widths and blocks are listed from the smallest stage, of `side` pixels, to the largest.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    side: int
    channels: int
    half: bool
    group: int
    condition: bool
    remat: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, z: Array, conditions: Array) -> Array:
        e = None
        if self.condition:
            e = Embedding(EMBEDDING_SIZE, self.dtype, name="embedding")(conditions)
            z = jnp.concatenate([z, e], axis=-1)
        first = nn.Dense(
            self.widths[0],
            use_bias=False,
            dtype=self.dtype,
            kernel_init=scaled_normal(1.0),
            name="first",
        )
        shape = (self.side, self.side, self.widths[0])
        # A learned constant, whose channels are scaled by a linear map of the latent.
        start = self.param("start", nn.initializers.normal(1.0), shape, jnp.float32)
        x = start.astype(self.dtype) * first(z)[:, None, None, :]
        make_block = functools.partial(Block, self.group, sum(self.blocks), self.dtype)
        for stage, features in enumerate(self.widths):
            if stage:
                if features != x.shape[-1]:
                    x = _pointwise_conv(features, self.dtype, f"change{stage}")(x)
                x = resample.up(x)
            names = block_names(stage, self.blocks[stage])
            x = _apply_stage(self, make_block, names, x, e)
        if self.half:
            return blocks.UpConv(self.channels, self.dtype, name="head")(x).astype(jnp.float32)
        head = blocks.Conv(self.channels, 1, dtype=self.dtype, init=scaled_normal(1.0), name="head")
        return head(x).astype(jnp.float32)


class Discriminator(nn.Module):
    """Image [B, R, R, C] and conditions -> logits [B]; widths as in the generator."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    half: bool
    group: int
    condition: bool
    remat: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, image: Array, conditions: Array) -> Array:
        x = image.astype(self.dtype)
        if self.half:
            stem = blocks.Conv(
                self.widths[-1], dtype=self.dtype, init=scaled_normal(1.0), name="stem"
            )
            x = stem(blocks.space_to_depth(x))
        else:
            x = _pointwise_conv(self.widths[-1], self.dtype, "stem")(x)
        make_block = functools.partial(Block, self.group, sum(self.blocks), self.dtype)
        for stage in reversed(range(len(self.widths))):
            names = block_names(stage, self.blocks[stage])
            x = _apply_stage(self, make_block, names, x, None)
            if stage:
                x = resample.down(x)
                if self.widths[stage - 1] != x.shape[-1]:
                    x = _pointwise_conv(self.widths[stage - 1], self.dtype, f"change{stage}")(x)
        c = self.widths[0]
        # A depthwise convolution over the whole image is a weighted sum of its positions.
        init = nn.initializers.normal(1 / x.shape[1])
        where = self.param("where", init, x.shape[1:], jnp.float32)
        x = jnp.einsum("bhwc,hwc->bc", x.astype(jnp.float32), where)
        num_features = c if self.condition else 1
        features = nn.Dense(
            num_features, use_bias=False, kernel_init=scaled_normal(1.0), name="features"
        )(x)
        if not self.condition:
            return features[:, 0]
        # Projection: the logit is the inner product of the features and the conditions.
        e = Embedding(c, name="embedding")(conditions)
        return jnp.sum(features * e, axis=-1) / math.sqrt(c)


def _apply_stage(
    network: Generator | Discriminator,
    make_block: Callable[..., Block],
    names: list[str],
    x: Array,
    condition: Array | None,
) -> Array:
    """x after the blocks of a stage, with the lowering's loops."""
    has_one_loop = current_lowering().loops_over_convolutions and not network.group
    if has_one_loop and names and not network.is_initializing():
        params = [network.variables["params"][name] for name in names]
        return _loop_over_convolutions(params, x, condition, network.dtype, network.remat)
    return apply_blocks(network, make_block, names, x, condition, remat=network.remat)


def _loop_over_convolutions(
    params_of_blocks: list[dict], x: Array, condition: Array | None, dtype: jnp.dtype, remat: bool
) -> Array:
    """x after dense `Block`s of these weights, as one loop of 2n equal convolutions.

    Its steps are in turn the first convolution of a block, of which the activation is handed on,
    and the last, which is added to x.
    """
    n, c = len(params_of_blocks), x.shape[-1]
    kernels = jnp.stack([p[name]["kernel"] for p in params_of_blocks for name in ("first", "last")])
    biases = jnp.stack([b for p in params_of_blocks for b in (p["first"]["bias"], jnp.zeros(c))])
    scales = jnp.ones((2 * n, x.shape[0], 1, 1, c) if condition is not None else (2 * n, 1), dtype)
    if condition is not None:
        film = nn.Dense(c, dtype=dtype)
        films = [film.apply({"params": p["film"]}, condition) for p in params_of_blocks]
        scales = scales.at[::2].add(jnp.stack(films)[:, :, None, None, :])

    def convolve_once(carry: tuple[Array, Array], step: tuple) -> tuple[tuple[Array, Array], None]:
        (x, h), (kernel, bias, scale, is_last) = carry, step
        y = blocks.convolve(h, kernel, "SAME") + bias
        x_after = x + y
        carry = jnp.where(is_last, x_after, x), jnp.where(is_last, x_after, leaky_relu(y) * scale)
        return carry, None

    body = rematerialise(convolve_once) if remat else convolve_once
    is_last = jnp.arange(2 * n) % 2 == 1
    steps = kernels.astype(dtype), biases.astype(dtype), scales, is_last
    return lax.scan(body, (x, x), steps)[0][0]


def _pointwise_conv(features: int, dtype: jnp.dtype, name: str) -> blocks.Conv:
    """A 1x1 convolution to another width."""
    return blocks.Conv(features, 1, dtype=dtype, init=scaled_normal(1.0), use_bias=False, name=name)


def build(config: ConfigDict, spec: Spec) -> tuple[Generator, Discriminator]:
    """The two networks of a config."""
    model = config.model
    # Listed from the smallest stage to the largest.
    sides = stage_resolutions(spec.resolution // 2 if model.half else spec.resolution)[::-1]
    options = {
        "widths": stage_widths(model.width, model.max_width, len(sides))[::-1],
        "blocks": tuple(model.blocks if side <= model.block_side else 0 for side in sides),
        "half": model.half,
        "group": model.group,
        "condition": is_conditional(model, spec),
        "remat": model.remat,
        "dtype": jnp.dtype(model.dtype),
    }
    generator = Generator(side=sides[0], channels=spec.channels, **options)
    return generator, Discriminator(**options)
