"""A small classifier of product pictures, whose features say what matters about a product."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from prodgen.core.types import Array, Spec
from prodgen.models import blocks

NUM_FEATURES = 128
STEM_CHANNELS, MAX_CHANNELS = 48, 128  # of the first and of the widest stage


class Classifier(nn.Module):
    """Picture float [B, R, R, C] in [-1, 1] -> (outputs [B, outputs], features [B, 128], taps).

    outputs are K category logits, then A columns laid out as the attributes of a Spec. taps are
    the activations [B, H, W, C'] after each stage, from half the picture's side down to 4 or 7.
    """

    outputs: int

    @nn.compact
    def __call__(self, image: Array) -> tuple[Array, Array, tuple[Array, ...]]:
        x, taps = blocks.Conv(STEM_CHANNELS, name="stem")(blocks.space_to_depth(image)), []
        stage = 0
        while True:
            if x.shape[1] <= 16:
                x = blocks.Residual(name=f"block{stage}")(x)
            taps.append(x)
            if x.shape[1] <= 7:
                break
            stage += 1
            x = blocks.DownConv(min(2 * x.shape[-1], MAX_CHANNELS), name=f"down{stage}")(nn.silu(x))
        features = nn.silu(nn.Dense(NUM_FEATURES, name="features")(nn.silu(x).mean((1, 2))))
        return nn.Dense(self.outputs, name="head")(features), features, tuple(taps)


def build(spec: Spec) -> Classifier:
    """The classifier of a data set with K categories and A attribute columns."""
    return Classifier(len(spec.classes) + spec.num_columns)


def dummy_image(spec: Spec) -> Array:
    """A picture to initialise with."""
    return jnp.zeros((1, *spec.shape), jnp.float32)
