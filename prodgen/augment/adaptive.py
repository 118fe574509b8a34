"""Adaptive discriminator augmentation, ADA (Karras et al. 2020).

Where the discriminator overfits, the signs of its outputs on real images gather at +1. A controller
holds their mean, r_t, at a target: it raises or lowers p, the probability of each transform. The
two numbers that it needs live in the training state, so that a resumed run continues unchanged.
"""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.config.constraints import MAX_ADAPTIVE_P
from prodgen.core.types import Array

UPDATE_INTERVAL = 4  # steps between two updates of p


def init(p: float) -> dict[str, Array]:
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
    """The two extras of `init` after this step; other entries of `extras` are left out.

    sign: in [-1, 1], the mean over the global batch of the sign of the discriminator's output on
    (augmented) real images. Every fourth step p changes by the number of images since its last
    update over `images_per_unit`. It rises if the mean of the four signs lies above `target`, and
    falls if it lies below. So p needs at least `images_per_unit` images from 0 to 1.

    p is held within [0, 0.8]. The paper limits it only from below. Where the discriminator overfits
    in spite of augmentation, p rises without limit and augmentations leak into generated images:
    above 0.8 they are so common that the generator learns to make them.
    """
    is_update_step = step % UPDATE_INTERVAL == UPDATE_INTERVAL - 1
    sign_sum = extras["sign_sum"] + sign
    r_t = sign_sum / UPDATE_INTERVAL
    p_change = jnp.sign(r_t - target) * (UPDATE_INTERVAL * batch_size / images_per_unit)
    p = extras["augment_p"]
    return {
        "augment_p": jnp.where(is_update_step, jnp.clip(p + p_change, 0.0, MAX_ADAPTIVE_P), p),
        "sign_sum": jnp.where(is_update_step, 0.0, sign_sum),
    }
