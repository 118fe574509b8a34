"""Gradient descent to the latent whose generated image is nearest to a given one.

Projection into a generator (Zhu et al. 2016; the schedule is that of Karras et al. 2020, section 5
and appendix D). With y = x + w (G(z, c) - x), so that pixels outside the region w have no effect,

    J(z, c) = MSE(y, x) / MSE_0 + P(y, x) / P_0 + prior |z|^2 / Z,

where P is a perceptual distance and MSE_0, P_0 are the values at the initial latent: both terms
begin at 1 for every image, whatever its contrast. The best iterate is kept, so the result is never
worse than the initial latent. Every step is one call of a compiled program: XLA's CPU backend is
slow inside loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from prodgen.core.types import Array, Batch

LEARNING_RATE = 0.05  # of Adam; a latent has a standard deviation of 1
ATTRIBUTE_RATE_RATIO = 0.2  # the attributes' learning rate, as a share of LEARNING_RATE
PRIOR_WEIGHT = 0.05
WARMUP_SHARE, DECAY_SHARE = 0.05, 0.25  # shares of the steps in which the rate rises and falls
MIN_SCALE = 1e-4  # of MSE_0 and P_0: no division by zero where the initial latent is perfect

Generate = Callable[[Any, Array, Batch], Array]
FeatureFn = Callable[[Any, Array], Any]
DistanceFn = Callable[[Any, Any], Array]


@flax.struct.dataclass
class Targets:
    """image float [B, R, R, C] in [-1, 1]; region [B, R, R, 1] in [0, 1], what has to be met;
    features: those of the image."""

    image: Array
    region: Array
    features: Any


@flax.struct.dataclass
class SearchState:
    """The state of B descents.

    variables: {"z" [B, Z], "attributes" [B, A]}; best: the same, at the lowest loss [B] so far;
    scale: (MSE_0, P_0), each [B].
    """

    step: Array
    variables: dict[str, Array]
    opt: Any
    best: dict[str, Array]
    best_loss: Array
    scale: tuple[Array, Array]


def make_schedule(steps: int) -> Callable[[Array], Array]:
    """The rate at a step: rises over the first 5 %, falls by a cosine over the last 25 %."""

    def rate(step: Array) -> Array:
        t = step / steps
        decay = 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.clip((1.0 - t) / DECAY_SHARE, 0.0, 1.0))
        return LEARNING_RATE * decay * jnp.clip((t + 1 / steps) / WARMUP_SHARE, 0.0, 1.0)

    return rate


def make_descent(
    generate: Generate,
    feature_fn: FeatureFn,
    perceptual_distance: DistanceFn,
    free: Array,
    steps: int,
) -> tuple[Callable, Callable, Callable]:
    """(measure, start, step): pure functions to compile.

    generate(weights, z, conditions) -> [B, R, R, C]; feature_fn(frozen, image) -> features;
    perceptual_distance(features, others) -> [B]; free [A]: 1 for the attribute columns that are
    optimised too, 0 for those that stay.

    measure(weights, frozen, targets, z, conditions) -> (mse [B], perceptual distance [B]);
    start(weights, frozen, targets, z, conditions) -> SearchState;
    step(weights, frozen, targets, conditions, search) -> SearchState.
    """
    rule = optax.chain(optax.scale_by_adam(b1=0.9, b2=0.99), optax.scale_by_schedule(
        make_schedule(steps)), optax.scale(-1.0))  # fmt: skip

    def measure(weights, frozen, targets: Targets, z: Array, conditions: Batch):
        output = generate(weights, z, conditions)
        composite = targets.image + targets.region * (output - targets.image)
        area = jnp.maximum(jnp.mean(targets.region, axis=(1, 2, 3)), 1e-6)
        mse = jnp.mean(jnp.square(composite - targets.image), axis=(1, 2, 3)) / area
        return mse, perceptual_distance(feature_fn(frozen, composite), targets.features)

    def loss(variables, weights, frozen, targets, conditions, scale):
        current = {**conditions, "attributes": variables["attributes"]}
        mse, distance = measure(weights, frozen, targets, variables["z"], current)
        prior = PRIOR_WEIGHT * jnp.mean(jnp.square(variables["z"]), axis=-1)
        per_example = mse / scale[0] + distance / scale[1] + prior
        return jnp.sum(per_example), per_example

    def start(weights, frozen, targets, z, conditions) -> SearchState:
        variables = {"z": z, "attributes": conditions["attributes"]}
        initial = measure(weights, frozen, targets, z, conditions)
        scale = tuple(jnp.maximum(value, MIN_SCALE) for value in initial)
        infinite = jnp.full(len(z), jnp.inf, jnp.float32)  # of one type, or `step` compiles twice
        step = jnp.zeros((), jnp.int32)
        return SearchState(step, variables, rule.init(variables), variables, infinite, scale)

    def step(weights, frozen, targets, conditions, search: SearchState) -> SearchState:
        value_and_grad = jax.value_and_grad(loss, has_aux=True)
        (_, per_example), grads = value_and_grad(
            search.variables, weights, frozen, targets, conditions, search.scale
        )
        # One-hot columns keep their values: only numbers and angles are optimised.
        grads["attributes"] = grads["attributes"] * free
        # Keep the variables of the lowest loss, example by example.
        is_better = (per_example < search.best_loss)[:, None]
        best = jax.tree.map(
            lambda new, old: jnp.where(is_better, new, old), search.variables, search.best
        )
        updates, opt = rule.update(grads, search.opt)
        updates["attributes"] = ATTRIBUTE_RATE_RATIO * updates["attributes"]
        variables = optax.apply_updates(search.variables, updates)
        best_loss = jnp.minimum(per_example, search.best_loss)
        return SearchState(search.step + 1, variables, opt, best, best_loss, search.scale)

    return measure, start, step
