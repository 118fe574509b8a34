"""Optimisers and learning-rate schedules as optax chains, and the averaged weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from prodgen.trees import Tree
from prodgen.types import Array


def schedule(config: ConfigDict) -> optax.Schedule:
    """Learning rate by step: linear warm-up from 0 to the peak, then constant or cosine to 0."""
    optim, steps = config.optim, config.train.num_steps
    warmup = optim.warmup_steps
    if optim.schedule == "cosine":
        warmup = min(warmup, steps - 1)
        after = optax.cosine_decay_schedule(optim.lr, max(steps - warmup, 1))
    else:
        after = optax.constant_schedule(optim.lr)
    # (step + 1) / (warmup + 1): the very first update already moves.
    ramp = optax.linear_schedule(optim.lr / (warmup + 1), optim.lr, max(warmup, 1))
    return optax.join_schedules([ramp, after], [warmup])


def chain(config: ConfigDict) -> optax.GradientTransformation:
    """Clipping by global norm, then the named rule under the schedule."""
    optim, lr = config.optim, schedule(config)
    rules = {
        "adam": lambda: optax.adam(lr, optim.b1, optim.b2),
        "adamw": lambda: optax.adamw(lr, optim.b1, optim.b2, weight_decay=optim.weight_decay),
        "sgd": lambda: optax.sgd(lr),
    }
    clip = [optax.clip_by_global_norm(optim.clip)] if optim.clip else []
    return optax.chain(*clip, rules[optim.name]())


def average(ema: Tree, params: Tree, decay: float, step: Array) -> Tree:
    """The exponential moving average after one more step; young averages forget faster.

    The decay used is min(decay, (1 + step) / (10 + step)), as in TensorFlow's moving averages.
    """
    step = step.astype(jnp.float32)
    used = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda old, new: used * old + (1 - used) * new, ema, params)
