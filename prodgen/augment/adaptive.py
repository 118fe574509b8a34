"""Adaptive augmentation (Karras et al. 2020): as much as keeps the discriminator from overfitting.

Where it overfits, the signs of its outputs on real pictures gather at +1; their mean is held at a
target by moving p, the probability of each transform, up or down. The two numbers that this needs
live in the training state, so that a resumed run goes on where it was.
"""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.config.constraints import MAX_ADAPTIVE_P
from prodgen.core.types import Array

INTERVAL = 4  # steps from one move of p to the next


def start(p: float) -> dict[str, Array]:
    """The extras before the first step: "augment_p" and "sign_sum", float32 scalars."""
    return {"augment_p": jnp.float32(p), "sign_sum": jnp.zeros((), jnp.float32)}


def update(
    extras: dict[str, Array],
    sign: Array,
    step: Array,
    target: float,
    images_per_unit: int,
    batch_size: int,
) -> dict[str, Array]:
    """The two extras of `start` after this step; other entries of `extras` are left out.

    `sign` in [-1, 1] is the mean over the global batch of the sign of the discriminator's output
    on (augmented) real pictures. Every fourth step p moves by the pictures seen since its last
    move over `images_per_unit`, towards more augmentation if the mean of the four signs lies above
    `target`. So p needs at least `images_per_unit` pictures from 0 to 1.

    p is held within [0, 0.8]. The paper holds it only from below; a p that runs away, as it does
    where the discriminator overfits anyhow, leaks the augmentations into the generated pictures:
    above 0.8 they are so common that the generator learns to make them.
    """
    due = step % INTERVAL == INTERVAL - 1
    total = extras["sign_sum"] + sign
    move = jnp.sign(total / INTERVAL - target) * (INTERVAL * batch_size / images_per_unit)
    p = extras["augment_p"]
    return {
        "augment_p": jnp.where(due, jnp.clip(p + move, 0.0, MAX_ADAPTIVE_P), p),
        "sign_sum": jnp.where(due, 0.0, total),
    }
