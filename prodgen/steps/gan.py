"""Training, judging and using a GAN: network x loss x penalty x augmentation, pure functions.

A step makes `d_steps` updates of the discriminator and one of the generator, each on a batch of its
own. Real i is paired with a generated picture of the same conditions. With T the augmentation, for
the relativistic loss and both penalties (Huang et al. 2024, eq. 2 and 3):
    L_D = mean_i( sp(D(T g_i) - D(T x_i)) + gamma/2 (|grad_x D(T x_i)|^2 + |grad_g D(T g_i)|^2) ),
    L_G = mean_i( sp(D(T x_i) - D(T G(z_i))) ).
Slopes are taken at the pictures before T, through T.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

from prodgen import optim
from prodgen.augment import adaptive
from prodgen.config import registry
from prodgen.core import images, rng, trees
from prodgen.core.types import Array, Batch, Key, Metrics, Spec
from prodgen.models import conditioning, spectral
from prodgen.steps import discriminator as game
from prodgen.steps import evaluation_sums
from prodgen.steps.state import Net, State, all_finite, commit, counters, descend, fresh

Mean = Callable[[Array], Array]
variants = game.variants


def networks(config: ConfigDict, spec: Spec) -> tuple[Any, Any]:
    """Generator and discriminator, the Linen modules of the config."""
    module = registry.find(registry.MODELS, config.model.name, "config.model.name")
    return module.build(config, spec)


def frozen(config: ConfigDict) -> tuple[str, ...]:
    """Networks that are used and not trained: the one that judges."""
    return ("classifier",)


def real_batches(config: ConfigDict) -> int:
    """R: one batch for each update."""
    return config.train.d_steps + 1


def init(config: ConfigDict, spec: Spec, key: Key) -> State:
    """A fresh state; the same key gives the same weights."""
    generator, discriminator = networks(config, spec)
    for_g, for_d, for_vectors = jax.random.split(key, 3)
    image = jnp.zeros((1, *spec.shape), jnp.float32)
    noise = jnp.zeros((1, config.model.latent), jnp.float32)
    conditions = jnp.zeros((1, conditioning.vector_size(spec)), jnp.float32)
    g = generator.init(for_g, noise, conditions)["params"]
    d = discriminator.init(for_d, image, conditions)["params"]
    nets = {
        "g": fresh(g, optim.chain(config), config.optim.ema_images > 0),
        "d": fresh(d, game.transform_of(config), ema=False),
    }
    if config.model.spectral_norm:
        nets["d"] = nets["d"].replace(vars=spectral.init(d, for_vectors))
    extras = adaptive.start(config.augment.p) if config.augment.adaptive else {}
    return State(jnp.zeros((), jnp.int32), nets, {**extras, **counters()})


def make_train_step(config: ConfigDict, spec: Spec, mean: Mean, variant: str) -> Callable:
    """(state, batches, frozen) -> (state, metrics); `batches` holds d_steps + 1, frozen is unread.

    `mean` averages over devices: the identity under jit, a pmean under pmap. It is applied to
    every scalar of the loss and to the gradients, which makes the two modes the same function.
    `variant` is one of `variants`.
    """
    generator, discriminator = networks(config, spec)
    critic = game.Critic(config, spec, discriminator)
    train_d = game.make_turns(config, critic, mean, variant == "penalised")
    update_g = _make_update(config, spec, generator, critic, mean)

    def train_step(state: State, batches: tuple[Batch, ...], frozen) -> tuple[State, Metrics]:
        g, d, step = state.nets["g"], state.nets["d"], state.step
        p = game.probability(config, state)

        def sides_of(batch: Batch, key: Key) -> tuple[Array, Array, Array]:
            conditions, noise = _drawn(config, spec, batch, key)
            fake = generator.apply({"params": g.params}, noise, conditions)
            return images.to_float(batch["image"]), fake, conditions

        d, metrics, norms = train_d(d, batches[:-1], sides_of, step, p)
        sure = metrics.pop("sure")
        g, found = update_g(g, d, batches[-1], step, p)
        metrics |= found
        metrics["loss"] = metrics["g/loss"] + config.loss.alpha * metrics["d/loss"]
        steered, told = game.steer(config, state, sure)
        new = state.replace(nets={"g": g, "d": d}, extras=steered)
        metrics |= told
        ok = all_finite(metrics["loss"], metrics["grad_norm/g"], *norms)
        return commit(state, new, ok, metrics)

    return train_step


def _drawn(config: ConfigDict, spec: Spec, batch: Batch, key: Key) -> tuple[Array, Array]:
    """Conditions [B, K + 1 + 2A] of a batch, some of them hidden, and latents [B, Z]."""
    noise = rng.normal(jax.random.fold_in(key, 1), batch["slot"], (config.model.latent,))
    batch = conditioning.drop(batch, config.model.condition_dropout, jax.random.fold_in(key, 0))
    return conditioning.vector(batch, spec), noise


def _make_update(
    config: ConfigDict, spec: Spec, generator: Any, critic: game.Critic, mean: Mean
) -> Callable:
    """(net, discriminator, batch, step, p) -> (net, metrics): one update of the generator."""
    rules, transform = game.game_of(config), optim.chain(config)

    def update(net: Net, d: Net, batch: Batch, step: Array, p: Array) -> tuple[Net, Metrics]:
        key = rng.key(config.seed, "generator", step)
        conditions, noise = _drawn(config, spec, batch, key)
        weights = game.weights(d)
        numbers = critic.numbers(jax.random.fold_in(key, 2), batch["slot"])
        judge = [critic.of(weights, numbers[:, side : side + 1], conditions, p) for side in (0, 1)]
        real = jnp.zeros(batch["slot"].shape)
        if rules.relative:
            real = judge[0](images.to_float(batch["image"]))

        def loss_of(params) -> Array:
            fake = judge[1](generator.apply({"params": params}, noise, conditions))
            return mean(jnp.mean(rules.generator(real, fake)))

        loss, grads = jax.value_and_grad(loss_of)(net.params)
        vector = mean(ravel_pytree(grads)[0])
        keep = optim.decay(config, step) if config.optim.ema_images else 0.0
        net = descend(net, vector, transform, keep, step)
        return net, {"g/loss": loss, "grad_norm/g": trees.norm(vector)}

    return update


def make_eval_step(config: ConfigDict, spec: Spec, mean: Mean) -> Callable:
    """(state, batch, frozen) -> sums over the batch's examples, of the averaged generator.

    Each held-back picture is paired with a generated one of its conditions, always from the same
    latent. Names and meaning: steps/evaluation_sums.py.
    """
    generator, discriminator = networks(config, spec)
    judge = evaluation_sums.make(config, spec, discriminator)

    def eval_step(state: State, batch: Batch, frozen) -> dict[str, Array]:
        slots = jnp.maximum(batch["slot"], 0)
        noise = rng.normal(
            rng.key(config.seed, "generator", jnp.int32(-1)), slots, (config.model.latent,)
        )
        conditions = conditioning.vector(batch, spec)
        fake = generator.apply({"params": weights(state)}, noise, conditions)
        sums = judge(state, batch, images.to_float(batch["image"]), fake, fake, frozen)
        return {name: mean(value) for name, value in sums.items()}

    return eval_step


summarise, score = evaluation_sums.summarise, evaluation_sums.score


def make_generate(config: ConfigDict, spec: Spec) -> Callable:
    """(params, z [B, Z], batch with label, attributes, known) -> float [B, H, W, C] in [-1, 1]."""
    generator, _ = networks(config, spec)

    def generate(params, z: Array, batch: Batch) -> Array:
        made = generator.apply({"params": params}, z, conditioning.vector(batch, spec))
        return jnp.clip(made, -1.0, 1.0)

    return generate


def weights(state: State) -> dict:
    """The weights that generate: the averaged ones."""
    return state.nets["g"].judged()


def first_layer(config: ConfigDict, weights: dict) -> Array:
    """The matrix [Z, features] that a latent meets first."""
    return weights["first"]["kernel"][: config.model.latent]


def latents(config: ConfigDict, seed: int, indices: Array) -> Array:
    """The latents [N, Z] of generated pictures: each a function of (seed, its index) alone."""
    return rng.normal(rng.key(seed, "generate"), indices, (config.model.latent,))
