"""Training, judging and using a VAE: pure functions of (state, batch).

The objective (Kingma & Welling 2014, eq. 3; Higgins et al. 2017):
    L = mean_i( -log p(x_i | z_i) ) + beta(step) * mean_i( KL(q(z | x_i) || N(0, I)) ),
both terms summed over pixels and latents, averaged over the global batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

from prodgen import optim
from prodgen.config import registry
from prodgen.core import images, rng, trees
from prodgen.core.types import Array, Batch, Key, Metrics, Spec
from prodgen.losses import divergence
from prodgen.losses.reconstruction import Likelihood
from prodgen.metrics import reconstruction_quality
from prodgen.models import conditioning
from prodgen.models import vae as model
from prodgen.steps.state import State, all_finite, commit, counters, descend, fresh

Mean = Callable[[Array], Array]
SIGMA2_DECAY = 0.99  # of the shared variance that evaluation uses
ACTIVE = 0.01  # a latent is active when its mean varies more than this (Burda et al. 2016)


def likelihood(config: ConfigDict) -> Likelihood:
    """The likelihood the config names."""
    found = registry.find(registry.LIKELIHOODS, config.loss.likelihood, "config.loss.likelihood")
    return found(config.loss.components) if config.loss.likelihood == "logistic" else found()


def network(config: ConfigDict, spec: Spec) -> model.VAE:
    """The Linen module of the config."""
    return model.build(config, spec, likelihood(config).channels(spec.channels))


def frozen(config: ConfigDict) -> tuple[str, ...]:
    """Networks that are used and not trained: none."""
    return ()


def real_batches(config: ConfigDict) -> int:
    """R: a step takes one batch."""
    return 1


def init(config: ConfigDict, spec: Spec, key: Key) -> State:
    """A fresh state; the same key gives the same weights."""
    image = jnp.zeros((1, *spec.shape), jnp.float32)
    noise = jnp.zeros((1, config.model.latent), jnp.float32)
    conditions = jnp.zeros((1, conditioning.vector_size(spec)), jnp.float32)
    params = network(config, spec).init(key, image, noise, conditions)["params"]
    net = fresh(params, optim.chain(config), config.optim.ema_images > 0)
    extras = {"sigma2": jnp.ones((), jnp.float32), **counters()}
    return State(jnp.zeros((), jnp.int32), {"vae": net}, extras)


def variants(config: ConfigDict) -> tuple[str, ...]:
    """The programs that steps run in turn: one."""
    return ("plain",)


def make_train_step(config: ConfigDict, spec: Spec, mean: Mean, variant: str) -> Callable:
    """(state, batches, frozen) -> (state, metrics); `batches` holds one batch, frozen is empty.

    `mean` averages over devices: the identity under jit, a pmean under pmap. It is applied to
    every scalar of the loss and to the gradients, which makes the two modes the same function.
    """
    net, likely, transform = network(config, spec), likelihood(config), optim.chain(config)
    beta_of = registry.find(
        registry.BETA_SCHEDULES, config.loss.beta_schedule, "loss.beta_schedule"
    )
    values = math.prod(spec.shape)

    def loss_of(params, image, noise, conditions, beta):
        output, mu, log_variance = net.apply({"params": params}, image, noise, conditions)
        error = reconstruction_error(likely, output, image)
        sigma2 = jax.lax.stop_gradient(mean(jnp.mean(error)) / values)
        nll = mean(jnp.mean(likely.loss(output, image, sigma2)))
        kl = divergence.standard_normal(mu, log_variance)
        per_latent = mean(jnp.mean(kl, axis=0))
        pressed = divergence.free_bits(kl, per_latent, config.loss.free_bits)
        loss = nll + beta * mean(jnp.mean(pressed))
        metrics = {"loss": loss, "nll": nll, "kl": jnp.sum(per_latent), "sigma2": sigma2}
        return loss, metrics

    def train_step(state: State, batches: tuple[Batch, ...], frozen) -> tuple[State, Metrics]:
        (batch,), old = batches, state.nets["vae"]
        image, conditions = images.to_float(batch["image"]), _conditions(config, spec, batch, state)
        noise = _posterior_noise(config, batch, state.step)
        beta = config.loss.beta * beta_of(state.step, config.loss.beta_steps)
        gradient = jax.grad(loss_of, has_aux=True)
        grads, metrics = gradient(old.params, image, noise, conditions, beta)
        vector = mean(ravel_pytree(grads)[0])
        norm = trees.norm(vector)
        keep = optim.decay(config, state.step) if config.optim.ema_images else 0.0
        net_after = descend(old, vector, transform, keep, state.step)
        extras = {**state.extras, "sigma2": smoothed(state, metrics["sigma2"])}
        new = state.replace(nets={"vae": net_after}, extras=extras)
        metrics |= {"beta": beta, "grad_norm/vae": norm}
        return commit(state, new, all_finite(metrics["loss"], norm), metrics)

    return train_step


def smoothed(state: State, sigma2: Array) -> Array:
    """The average of the shared variance after a step whose own was `sigma2`."""
    kept = SIGMA2_DECAY * state.extras["sigma2"] + (1 - SIGMA2_DECAY) * sigma2
    return jnp.where(state.step == 0, sigma2, kept)


def reconstruction_error(likely: Likelihood, output: Array, image: Array) -> Array:
    """The squared error of the expected picture, summed over its values, [B]."""
    return jnp.sum(jnp.square(likely.mean(output) - image), axis=(1, 2, 3))


def _conditions(config: ConfigDict, spec: Spec, batch: Batch, state: State) -> Array:
    """The condition vectors of a training batch, some of them hidden (condition dropout)."""
    key = rng.key(config.seed, "condition", state.step)
    return conditioning.vector(conditioning.drop(batch, config.model.condition_dropout, key), spec)


def _posterior_noise(config: ConfigDict, batch: Batch, step: Array) -> Array:
    key = rng.key(config.seed, "posterior", step)
    return rng.normal(key, batch["slot"], (config.model.latent,))


def make_eval_step(config: ConfigDict, spec: Spec, mean: Mean) -> Callable:
    """(state, batch, frozen) -> sums over the batch's examples, judged with the averaged weights.

    Rows with slot -1 are padding and count nothing. `examples` is how many rows counted;
    `latent_sum` and `latent_square` [Z] are of the posterior means, for the active latents.
    """
    net, likely = network(config, spec), likelihood(config)

    def eval_step(state: State, batch: Batch, frozen) -> Metrics:
        params = state.nets["vae"].judged()
        image, conditions = images.to_float(batch["image"]), conditioning.vector(batch, spec)
        noise = _posterior_noise(config, batch, jnp.int32(-1))
        output, mu, log_variance = net.apply({"params": params}, image, noise, conditions)
        nll = likely.loss(output, image, state.extras["sigma2"])
        kl = jnp.sum(divergence.standard_normal(mu, log_variance), axis=-1)
        mode, _, _ = net.apply({"params": params}, image, jnp.zeros_like(noise), conditions)
        picture = jnp.clip(likely.mean(mode), -1.0, 1.0)
        rows = {
            "nll": nll,
            "kl": kl,
            "elbo": -(nll + kl),
            "mse": jnp.mean(jnp.square(picture - image), axis=(1, 2, 3)),
            "psnr": reconstruction_quality.psnr(image, picture),
            "ssim": reconstruction_quality.ssim(image, picture),
            "latent_sum": mu,
            "latent_square": jnp.square(mu),
        }
        real = (batch["slot"] >= 0).astype(jnp.float32)
        sums = {name: jnp.tensordot(real, row, axes=1) for name, row in rows.items()}
        # The mean over devices times their number is the sum: `mean` is all a step module gets.
        return {name: mean(value) for name, value in {**sums, "examples": jnp.sum(real)}.items()}

    return eval_step


def summarise(config: ConfigDict, spec: Spec, sums: dict[str, Array]) -> dict[str, float]:
    """Validation numbers from summed eval steps: averages, bits per dimension, active latents."""
    n = float(sums["examples"])
    found = {name: float(sums[name]) / n for name in ("elbo", "nll", "kl", "mse", "psnr", "ssim")}
    variance = sums["latent_square"] / n - (sums["latent_sum"] / n) ** 2
    found["active_latents"] = float((variance > ACTIVE).sum())
    if likelihood(config).discrete:
        found["bits_per_dim"] = -found["elbo"] / (math.prod(spec.shape) * math.log(2))
    return found


def score(values: Metrics) -> float:
    """What the best checkpoint is chosen by, the larger the better."""
    return float(values["elbo"])


def make_generate(config: ConfigDict, spec: Spec) -> Callable:
    """(params, z [B, Z], batch with label, attributes, known) -> float [B, H, W, C] in [-1, 1]."""
    net, likely = network(config, spec), likelihood(config)

    def generate(params, z: Array, batch: Batch) -> Array:
        conditions = conditioning.vector(batch, spec)
        output = net.apply({"params": params}, z, conditions, method="decode")
        return jnp.clip(likely.mean(output), -1.0, 1.0)

    return generate


def make_encode(config: ConfigDict, spec: Spec) -> Callable:
    """(params, batch) -> mean and log variance [B, Z] of the posterior."""
    net = network(config, spec)

    def encode(params, batch: Batch) -> tuple[Array, Array]:
        image, conditions = images.to_float(batch["image"]), conditioning.vector(batch, spec)
        return net.apply({"params": params}, image, conditions, method="encode")

    return encode


def weights(state: State) -> dict:
    """The weights that generate and encode: the averaged ones."""
    return state.nets["vae"].judged()


def first_layer(config: ConfigDict, weights: dict) -> Array:
    """The matrix [Z, features] that a latent meets first in the decoder."""
    return weights["decoder"]["start"]["kernel"][: config.model.latent]


def latents(config: ConfigDict, seed: int, indices: Array) -> Array:
    """The latents [N, Z] of generated pictures: each a function of (seed, its index) alone."""
    return rng.normal(rng.key(seed, "generate"), indices, (config.model.latent,))
