"""The discriminator's side of every adversarial family: what it sees, its loss, its update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

from prodgen import optim
from prodgen.augment import adaptive, policies
from prodgen.config import registry
from prodgen.core import images, rng, trees
from prodgen.core.types import Array, Batch, Key, Metrics, Spec
from prodgen.losses import adversarial, penalties
from prodgen.models import spectral
from prodgen.steps.state import Net, State, descend

Mean = Callable[[Array], Array]
Tree = Any
SIDES = ("real", "fake", "between")


def game_of(config: ConfigDict, smooth: bool = True) -> adversarial.Adversarial:
    """The adversarial loss the config names, with or without its label smoothing."""
    name = config.loss.adversarial
    smoothing = config.loss.label_smoothing if smooth else 0.0
    found = registry.find(registry.ADVERSARIAL, name, "config.loss.adversarial")
    return found(smoothing) if smoothing else found()


def variants(config: ConfigDict) -> tuple[str, ...]:
    """The programs that steps 0, 1, 2, ... run in turn: a lazy penalty has its step, then rests."""
    if config.loss.penalty == "none":
        return ("plain",)
    return ("penalised", *["plain"] * (config.loss.penalty_every - 1))


def probability(config: ConfigDict, state: State) -> Array:
    """p of the augmentation at this step."""
    if config.augment.adaptive:
        return state.extras["augment_p"]
    if config.augment.ramp:
        return optim.burn_in(config, 0.0, config.augment.p)(state.step)
    return jnp.float32(config.augment.p)


def transform_of(config: ConfigDict) -> optax.GradientTransformation:
    """The discriminator's optimiser: its own learning rate, schedules by training steps."""
    return optim.chain(config, config.train.d_steps, config.optim.d_lr_ratio)


def steer(config: ConfigDict, state: State, sure: Array) -> tuple[dict[str, Array], Metrics]:
    """(extras of the state, metrics) after a step whose mean sign was `sure`: p moves or stays."""
    extras, augment = dict(state.extras), config.augment
    if augment.adaptive:
        size = config.train.batch_size
        extras |= adaptive.update(
            extras, sure, state.step, augment.target, augment.ada_images, size
        )
    if augment.policy == "none":
        return extras, {}
    return extras, {"augment/p": probability(config, state), "augment/r_t": sure}


class Critic:
    """The discriminator as the losses see it: pictures in, logits out, through the augmentation."""

    def __init__(self, config: ConfigDict, spec: Spec, net: Any):
        self.net = net
        self.policy = policies.make(config.augment.policy, config.augment.flip)
        self.background = images.to_float(jnp.asarray(spec.background or (255,) * spec.channels))

    def numbers(self, key: Key, slots: Array) -> Array:
        """The uniform numbers [B, SIDES, N] that the augmentation of each picture takes."""
        return rng.uniform(key, slots, (len(SIDES), self.policy.numbers))

    def of(self, params: Tree, numbers: Array, conditions: Array, p: Array) -> penalties.Critic:
        """A function of pictures [B * S, H, W, C] to logits [B * S]; numbers [B, S, N].

        The S sides of an example stand side by side, so that a batch divided over devices stays so.
        """
        sides = numbers.shape[1]
        numbers, conditions = flat(numbers), jnp.repeat(conditions, sides, axis=0)

        def critic(pictures: Array) -> Array:
            seen = self.policy(pictures, numbers, p, self.background)
            return self.net.apply({"params": params}, seen, conditions)

        return critic


def flat(x: Array) -> Array:
    """[B, S, ...] -> [B * S, ...]."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def weights(net: Net) -> Tree:
    """A discriminator's weights as they act: spectrally normalised where the config says so."""
    return spectral.normalise(net.params, net.vars)[0] if net.vars else net.params


def make_update(config: ConfigDict, critic: Critic, mean: Mean, penalised: bool) -> Callable:
    """(net, real, fake, conditions, slots, key, step, p) -> (net, metrics): one update of D.

    real and fake are pictures [B, H, W, C], paired; `key` is of this update alone. Metrics:
    "d/...", "grad_norm/d", and "sure", the mean sign that steers the augmentation.
    """
    loss_of = _make_loss(config, critic, mean, penalised)
    gradient = jax.grad(loss_of, has_aux=True)
    transform = transform_of(config)

    def update(
        net: Net, real: Array, fake: Array, conditions: Array, slots: Array,
        key: Key, step: Array, p: Array,
    ) -> tuple[Net, Metrics]:  # fmt: skip
        sides = {"real": real, "fake": fake}
        if penalised and "between" in registry.PENALTIES[config.loss.penalty]:
            share = rng.uniform(jax.random.fold_in(key, 0), slots)
            sides["between"] = penalties.between(real, fake, share)
        numbers = critic.numbers(jax.random.fold_in(key, 1), slots)
        grads, (metrics, vectors) = gradient(
            net.params, net.vars, sides, numbers, conditions, step, p
        )
        vector = mean(ravel_pytree(grads)[0])
        net = descend(net, vector, transform, 0.0, step).replace(vars=vectors)
        return net, metrics | {"grad_norm/d": trees.norm(vector)}

    return update


def make_turns(config: ConfigDict, critic: Critic, mean: Mean, penalised: bool) -> Callable:
    """(net, batches, sides_of, step, p) -> (net, metrics, gradient norms): an update on each batch.

    sides_of(batch, key) -> pictures and generated ones [B, H, W, C], paired, and their conditions;
    the key is of the update alone. Metrics are the last update's.
    """
    update = make_update(config, critic, mean, penalised)

    def turns(
        net: Net, batches: tuple[Batch, ...], sides_of: Callable, step: Array, p: Array
    ) -> tuple[Net, Metrics, list[Array]]:
        metrics, norms = {}, []
        for number, batch in enumerate(batches):
            key = jax.random.fold_in(rng.key(config.seed, "discriminator", step), number)
            real, fake, conditions = sides_of(batch, key)
            fake, last = jax.lax.stop_gradient(fake), jax.random.fold_in(key, 2)
            net, metrics = update(net, real, fake, conditions, batch["slot"], last, step, p)
            norms.append(metrics["grad_norm/d"])
        return net, metrics, norms

    return turns


def _make_loss(config: ConfigDict, critic: Critic, mean: Mean, penalised: bool) -> Callable:
    """The discriminator's loss, penalties included, and its metrics with the new `vars`."""
    game = game_of(config)
    places = registry.PENALTIES[config.loss.penalty] if penalised else ()
    gamma_of = optim.burn_in(config, config.loss.gamma, config.loss.gamma * config.loss.gamma_end)

    def judged(weights: Tree, sides: dict, numbers: Array, conditions: Array, p: Array):
        """Logits by side [B], and squared slopes by place [B]."""
        logits, squares = {}, {}
        for names, steep in _groups(places):
            pictures = flat(jnp.stack([sides[name] for name in names], axis=1))
            taken = numbers[:, jnp.array([SIDES.index(name) for name in names])]
            judge = critic.of(weights, taken, conditions, p)
            if steep:
                found, square = penalties.with_square(judge, pictures)
                squares |= dict(zip(names, square.reshape(-1, len(names)).T, strict=True))
            else:
                found = judge(pictures)
            logits |= dict(zip(names, found.reshape(-1, len(names)).T, strict=True))
        return logits["real"], logits["fake"], squares

    def loss_of(
        params: Tree, vectors: Tree, sides: dict, numbers: Array, conditions: Array,
        step: Array, p: Array,
    ) -> tuple[Array, tuple[Metrics, Tree]]:  # fmt: skip
        weights, vectors = spectral.normalise(params, vectors) if vectors else (params, vectors)
        real, fake, squares = judged(weights, sides, numbers, conditions, p)
        loss = mean(jnp.mean(game.discriminator(real, fake)))
        metrics = {
            "d/loss": loss,
            "d/real": mean(jnp.mean(real)),
            "d/fake": mean(jnp.mean(fake)),
            "sure": mean(jnp.mean(adversarial.realness(game, real, fake))),
        }
        gamma = gamma_of(step) * config.loss.penalty_every
        for name in places:
            rule = penalties.one_centred if name == "between" else penalties.zero_centred
            loss = loss + mean(jnp.mean(rule(squares[name], gamma)))
        return config.loss.alpha * loss, (metrics, vectors)

    return loss_of


def _groups(places: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Which sides are judged together: those whose slope is penalised, then the others."""
    if places:
        yield places, True
    rest = tuple(name for name in ("real", "fake") if name not in places)
    if rest:
        yield rest, False
