"""Optimisers and schedules as optax chains, and the averaged weights.

What moves during a run moves over its burn-in, a share of its images, so that a recipe that was
written for 200 million images keeps its shape in a run of 200 thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from prodgen.core.trees import Tree
from prodgen.core.types import Array

Value = Callable[[Array], Array]  # of a step, a float32 scalar


def burn_in(config: ConfigDict, start: float, end: float) -> Value:
    """From `start` to `end` along half a cosine over the burn-in, then `end`.

    value(t) = end + (1 + cos(pi min(t, T) / T)) / 2 * (start - end) (Huang et al. 2024, app. F).
    """
    length = max(config.optim.burn_in * config.train.num_steps, 1.0)

    def value(step: Array) -> Array:
        share = jnp.minimum(jnp.asarray(step, jnp.float32) / length, 1.0)
        return end + 0.5 * (1 + jnp.cos(jnp.pi * share)) * (start - end)

    return value


def schedule(config: ConfigDict) -> optax.Schedule:
    """Learning rate by step: linear warm-up from 0 to the peak, then as the config says.

    `constant` stays, `cosine` falls to 0 at the last step, `burn_in` to its share `lr_end`.
    """
    optim, steps = config.optim, config.train.num_steps
    warmup = min(optim.warmup_steps, steps - 1)
    after = {
        "cosine": optax.cosine_decay_schedule(optim.lr, max(steps - warmup, 1)),
        "constant": optax.constant_schedule(optim.lr),
        "burn_in": burn_in(config, optim.lr, optim.lr * optim.lr_end),
    }[optim.schedule]
    if optim.schedule == "constant":
        warmup = optim.warmup_steps
    # (step + 1) / (warmup + 1): the very first update already moves.
    ramp = optax.linear_schedule(optim.lr / (warmup + 1), optim.lr, max(warmup, 1))
    return optax.join_schedules([ramp, after], [warmup])


def chain(config: ConfigDict, every: int = 1, share: float = 1.0) -> optax.GradientTransformation:
    """Clipping by global norm, then the named rule under the schedule.

    `every` is how many updates of this network make a step: schedules count steps. `share` is of
    the learning rate.
    """
    optim, lr = config.optim, schedule(config)
    parts = [optax.clip_by_global_norm(optim.clip)] if optim.clip else []
    if optim.name != "sgd":
        parts.append(_adam(config, every))
    if optim.name == "adamw":
        parts.append(optax.add_decayed_weights(optim.weight_decay))
    return optax.chain(
        *parts, optax.scale_by_learning_rate(lambda count: share * lr(count // every))
    )


def _adam(config: ConfigDict, every: int) -> optax.GradientTransformation:
    b1, b2, end = config.optim.b1, config.optim.b2, config.optim.b2_end
    if not end:
        return optax.scale_by_adam(b1, b2)
    b2_of = burn_in(config, b2, end)
    return scale_by_moving_adam(b1, lambda count: b2_of(count // every))


class MovingAdam(NamedTuple):
    """Adam's moments, and by how much the second is still short of its true size."""

    count: Array
    mu: Tree
    nu: Tree
    b2_product: Array


def scale_by_moving_adam(b1: float, b2: Value) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) whose b2 is a function of the update's number.

    The second moment is an average with weights that sum to 1 - prod_i b2_i: it is divided by
    exactly that, which for a constant b2 is the paper's bias correction.
    """

    def init(params: Tree) -> MovingAdam:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return MovingAdam(jnp.zeros((), jnp.int32), zeros, zeros, jnp.ones((), jnp.float32))

    def update(grads: Tree, state: MovingAdam, params: Tree = None) -> tuple[Tree, MovingAdam]:
        now = b2(state.count)
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
        nu = jax.tree.map(lambda v, g: now * v + (1 - now) * g * g, state.nu, grads)
        count, product = state.count + 1, state.b2_product * now
        first, second = 1 - b1 ** count.astype(jnp.float32), 1 - product
        updates = jax.tree.map(lambda m, v: (m / first) / (jnp.sqrt(v / second) + 1e-8), mu, nu)
        return updates, MovingAdam(count, mu, nu, product)

    return optax.GradientTransformation(init, update)


def decay(config: ConfigDict, step: Array) -> Array | float:
    """How much of the averaged weights a step keeps: 1/2 ^ (batch / half-life).

    Under `burn_in` the half-life rises from 0 with everything else.
    """
    batch, half_life = config.train.batch_size, config.optim.ema_images
    if config.optim.schedule != "burn_in":
        return 0.5 ** (batch / half_life)
    return 0.5 ** (batch / jnp.maximum(burn_in(config, 0.0, half_life)(step), 1e-3))


def average(ema: Tree, params: Tree, decay: Array | float, step: Array) -> Tree:
    """The exponential moving average after one more step; young averages forget faster.

    The decay used is min(decay, (1 + step) / (10 + step)), as in TensorFlow's moving averages.
    """
    step = step.astype(jnp.float32)
    used = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda old, new: used * old + (1 - used) * new, ema, params)
