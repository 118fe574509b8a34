"""Descending to the latent whose picture is nearest to a given one.

Projection into a generator (Zhu et al. 2016; the schedule is that of Karras et al. 2020, section 5
and appendix D): with y = x + w (G(z, c) - x), so that pixels outside the region w count nothing,

    J(z, c) = MSE(y, x) / MSE_0 + P(y, x) / P_0 + prior |z|^2 / Z,

where P is a perceptual distance and MSE_0, P_0 are the values at the guess: both begin at 1 for
every picture, whatever its contrast. The best iterate is kept, so the result is never worse than
the guess. Steps are calls of one compiled program: XLA's CPU backend is slow inside loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from prodgen.core.types import Array, Batch

RATE = 0.05  # of Adam; a latent is about 1 a direction
CONDITIONS = 0.2  # of RATE, for the attributes' columns
PRIOR = 0.05
UP, DOWN = 0.05, 0.25  # shares of the steps in which the rate rises and falls
LEAST = 1e-4  # of MSE_0 and P_0: a perfect guess is not divided by

Generate = Callable[[Any, Array, Batch], Array]
See = Callable[[Any, Array], Any]
Apart = Callable[[Any, Any], Array]


@flax.struct.dataclass
class Targets:
    """picture float [B, R, R, C] in [-1, 1]; region [B, R, R, 1] in [0, 1], what has to be met;
    seen: what see() says of the picture."""

    picture: Array
    region: Array
    seen: Any


@flax.struct.dataclass
class Search:
    """Where B descents are. at: {"z" [B, Z], "attributes" [B, A]}; best: the same, at the lowest
    loss [B] so far; scale: (MSE_0, P_0), each [B]."""

    step: Array
    at: dict[str, Array]
    opt: Any
    best: dict[str, Array]
    lowest: Array
    scale: tuple[Array, Array]


def schedule(steps: int) -> Callable[[Array], Array]:
    """The rate at a step: rises over the first 5 %, falls by a cosine over the last 25 %."""

    def rate(step: Array) -> Array:
        t = step / steps
        fall = 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.clip((1.0 - t) / DOWN, 0.0, 1.0))
        return RATE * fall * jnp.clip((t + 1 / steps) / UP, 0.0, 1.0)

    return rate


def make(
    generate: Generate, see: See, apart: Apart, free: Array, steps: int
) -> tuple[Callable, Callable, Callable]:
    """(measure, start, step): pure functions to compile.

    generate(weights, z, conditions) -> [B, R, R, C]; see(frozen, picture) -> features; apart(
    features, others) -> [B]; free [A]: 1 for the attribute columns that move too, 0 for those that
    are held.

    measure(weights, frozen, targets, z, conditions) -> (mse [B], perceptual [B]);
    start(weights, frozen, targets, z, conditions) -> Search;
    step(weights, frozen, targets, conditions, search) -> Search.
    """
    rule = optax.chain(optax.scale_by_adam(b1=0.9, b2=0.99), optax.scale_by_schedule(
        schedule(steps)), optax.scale(-1.0))  # fmt: skip

    def measure(weights, frozen, targets: Targets, z: Array, conditions: Batch):
        made = generate(weights, z, conditions)
        shown = targets.picture + targets.region * (made - targets.picture)
        share = jnp.maximum(jnp.mean(targets.region, axis=(1, 2, 3)), 1e-6)
        mse = jnp.mean(jnp.square(shown - targets.picture), axis=(1, 2, 3)) / share
        return mse, apart(see(frozen, shown), targets.seen)

    def losses(at, weights, frozen, targets, conditions, scale):
        moved = {**conditions, "attributes": at["attributes"]}
        found = measure(weights, frozen, targets, at["z"], moved)
        prior = PRIOR * jnp.mean(jnp.square(at["z"]), axis=-1)
        each = found[0] / scale[0] + found[1] / scale[1] + prior
        return jnp.sum(each), each

    def start(weights, frozen, targets, z, conditions) -> Search:
        at = {"z": z, "attributes": conditions["attributes"]}
        found = measure(weights, frozen, targets, z, conditions)
        scale = tuple(jnp.maximum(value, LEAST) for value in found)
        unmet = jnp.full(len(z), jnp.inf, jnp.float32)  # of one type, or `step` compiles twice
        return Search(jnp.zeros((), jnp.int32), at, rule.init(at), at, unmet, scale)

    def step(weights, frozen, targets, conditions, search: Search) -> Search:
        gradient = jax.value_and_grad(losses, has_aux=True)
        (_, each), grads = gradient(search.at, weights, frozen, targets, conditions, search.scale)
        grads["attributes"] = grads["attributes"] * free
        better = (each < search.lowest)[:, None]
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), search.at, search.best)
        updates, opt = rule.update(grads, search.opt)
        updates["attributes"] = CONDITIONS * updates["attributes"]
        return Search(
            search.step + 1, optax.apply_updates(search.at, updates), opt, best,
            jnp.minimum(each, search.lowest), search.scale,
        )  # fmt: skip

    return measure, start, step
