"""Optimisers and schedules as optax chains, and the averaged weights (EMA).

Hyperparameters that change during a run change over its burn-in, a share of its images. A recipe
for 200 million images therefore keeps its shape in a run of 200 thousand.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from prodgen.core.trees import Tree
from prodgen.core.types import Array


def burn_in_schedule(config: ConfigDict, start: float, end: float) -> optax.Schedule:
    """From `start` to `end` along half a cosine over the burn-in, then `end`.

    value(t) = end + (1 + cos(pi min(t, T) / T)) / 2 * (start - end) (Huang et al. 2024, app. F).
    """
    burn_in_steps = max(config.optim.burn_in * config.train.num_steps, 1.0)

    def schedule(step: Array) -> Array:
        progress = jnp.minimum(jnp.asarray(step, jnp.float32) / burn_in_steps, 1.0)
        return end + 0.5 * (1 + jnp.cos(jnp.pi * progress)) * (start - end)

    return schedule


def make_lr_schedule(config: ConfigDict) -> optax.Schedule:
    """Learning rate by step: linear warm-up from 0 to the peak, then as the config says.

    `constant` stays, `cosine` falls to 0 at the last step, `burn_in` to its share `lr_end`.
    """
    fields, steps = config.optim, config.train.num_steps
    warmup = min(fields.warmup_steps, steps - 1)
    main = {
        "cosine": optax.cosine_decay_schedule(fields.lr, max(steps - warmup, 1)),
        "constant": optax.constant_schedule(fields.lr),
        "burn_in": burn_in_schedule(config, fields.lr, fields.lr * fields.lr_end),
    }[fields.schedule]
    # A constant schedule does not depend on the number of steps.
    if fields.schedule == "constant":
        warmup = fields.warmup_steps
    # (step + 1) / (warmup + 1): the learning rate of the first update is not 0.
    ramp = optax.linear_schedule(fields.lr / (warmup + 1), fields.lr, max(warmup, 1))
    return optax.join_schedules([ramp, main], [warmup])


def make_optimiser(
    config: ConfigDict, updates_per_step: int = 1, lr_ratio: float = 1.0
) -> optax.GradientTransformation:
    """Clipping by global norm, then the optimiser of the config under its schedules.

    With config.parallel.fsdp it updates parts, and the caller clips the whole gradient before.
    Schedules count training steps: a network with several updates in a step gives their number as
    `updates_per_step`. `lr_ratio` multiplies the learning rate.
    """
    fields, lr_schedule = config.optim, make_lr_schedule(config)
    has_clip = fields.clip and not config.parallel.fsdp
    transforms = [optax.clip_by_global_norm(fields.clip)] if has_clip else []
    if fields.name != "sgd":
        # Adam; b2 is scheduled where the config gives it an end value.
        if fields.b2_end:
            b2_schedule = burn_in_schedule(config, fields.b2, fields.b2_end)
            transforms.append(
                scale_by_adam_with_b2_schedule(
                    fields.b1, lambda count: b2_schedule(count // updates_per_step)
                )
            )
        else:
            transforms.append(optax.scale_by_adam(fields.b1, fields.b2))
    if fields.name == "adamw":
        transforms.append(optax.add_decayed_weights(fields.weight_decay))
    return optax.chain(
        *transforms,
        optax.scale_by_learning_rate(
            lambda count: lr_ratio * lr_schedule(count // updates_per_step)
        ),
    )


class ScheduledAdamState(NamedTuple):
    """Adam's moments, and the product of all b2 so far, for the bias correction."""

    count: Array
    mu: Tree
    nu: Tree
    b2_product: Array


def scale_by_adam_with_b2_schedule(
    b1: float, b2_schedule: optax.Schedule
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) whose b2 is a function of the update's number.

    The second moment is an average with weights that sum to 1 - prod_i b2_i, and is divided by this
    sum. For a constant b2 that is the paper's bias correction.
    """

    def init(params: Tree) -> ScheduledAdamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        count, b2_product = jnp.zeros((), jnp.int32), jnp.ones((), jnp.float32)
        return ScheduledAdamState(count, zeros, zeros, b2_product)

    def update(
        grads: Tree, state: ScheduledAdamState, params: Tree = None
    ) -> tuple[Tree, ScheduledAdamState]:
        b2 = b2_schedule(state.count)
        # Moving averages of the gradients and of their squares.
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, grads)
        # Bias correction: the weights of the two averages sum to these.
        count, b2_product = state.count + 1, state.b2_product * b2
        mu_sum, nu_sum = 1 - b1 ** count.astype(jnp.float32), 1 - b2_product
        updates = jax.tree.map(lambda m, v: (m / mu_sum) / (jnp.sqrt(v / nu_sum) + 1e-8), mu, nu)
        return updates, ScheduledAdamState(count, mu, nu, b2_product)

    return optax.GradientTransformation(init, update)


def ema_decay(config: ConfigDict, step: Array) -> Array | float:
    """The decay of the averaged weights in one step: 1/2 ^ (batch size / half-life in images).

    Under the schedule `burn_in` the half-life rises from 0 over the burn-in.
    """
    batch_size, half_life = config.train.batch_size, config.optim.ema_images
    if config.optim.schedule != "burn_in":
        return 0.5 ** (batch_size / half_life)
    half_life = burn_in_schedule(config, 0.0, half_life)(step)
    return 0.5 ** (batch_size / jnp.maximum(half_life, 1e-3))


def update_ema(ema: Tree, params: Tree, decay: Array | float, step: Array) -> Tree:
    """The exponential moving average after one more step.

    The decay used is min(decay, (1 + step) / (10 + step)), as in TensorFlow's moving averages: in
    the first steps the average forgets faster.
    """
    step = step.astype(jnp.float32)
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, ema, params)
