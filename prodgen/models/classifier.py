"""A small classifier of product images, whose features describe a product."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from prodgen.core.types import Array, Spec
from prodgen.models import blocks

NUM_FEATURES = 128
STEM_CHANNELS, MAX_CHANNELS = 48, 128  # of the first and of the widest stage
MAX_RESIDUAL_SIDE, MAX_LAST_SIDE = 16, 7  # pixels: of residual blocks, of the last stage


class Classifier(nn.Module):
    """Image float [B, R, R, C] in [-1, 1] -> (outputs [B, outputs], features [B, 128], taps).

    outputs are K category logits, then A columns laid out as the attributes of a Spec. taps are
    the activations [B, H, W, C'] after each stage, from half the image's side down to 4 or 7.
    """

    outputs: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: Array) -> tuple[Array, Array, tuple[Array, ...]]:
        x, taps = (
            blocks.Conv(STEM_CHANNELS, dtype=self.dtype, name="stem")(blocks.space_to_depth(image)),
            [],
        )
        stage = 0
        while True:
            if x.shape[1] <= MAX_RESIDUAL_SIDE:
                x = blocks.Residual(self.dtype, name=f"block{stage}")(x)
            taps.append(x)
            if x.shape[1] <= MAX_LAST_SIDE:
                break
            stage += 1
            channels = min(2 * x.shape[-1], MAX_CHANNELS)
            x = blocks.DownConv(channels, self.dtype, name=f"down{stage}")(nn.silu(x))
        x = nn.silu(x).mean((1, 2)).astype(jnp.float32)
        features = nn.silu(nn.Dense(NUM_FEATURES, name="features")(x))
        return nn.Dense(self.outputs, name="head")(features), features, tuple(taps)


def build(spec: Spec) -> Classifier:
    """The classifier of a data set with K categories and A attribute columns."""
    return Classifier(len(spec.classes) + spec.num_columns)


def dummy_image(spec: Spec) -> Array:
    """An image of zeros [1, R, R, C], to initialise the network with."""
    return jnp.zeros((1, *spec.shape), jnp.float32)
