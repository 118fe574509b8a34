"""Training, evaluating and using a VAE: pure functions of (state, batch).

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
from prodgen.core import pixels, rng, trees
from prodgen.core.types import Array, Batch, Key, Metrics, Spec
from prodgen.losses import divergence
from prodgen.losses.likelihoods import Likelihood, squared_error
from prodgen.metrics import reconstruction_quality
from prodgen.models import conditioning, vae
from prodgen.steps.accumulation import map_parts
from prodgen.steps.state import (
    PMean,
    State,
    all_finite,
    apply_if_finite,
    create_net,
    create_skip_counters,
    make_net_update,
)  # fmt: skip

SIGMA2_DECAY = 0.99  # of the average of sigma2, which evaluation uses
SCORE_METRIC = "elbo"  # of `score`
MIN_ACTIVE_VARIANCE = 0.01  # a latent is active when its mean varies more (Burda et al. 2016)


def make_likelihood(config: ConfigDict) -> Likelihood:
    """The likelihood p(x | z) of the config."""
    name = config.loss.likelihood
    likelihood_class = registry.resolve(registry.LIKELIHOODS, name, "config.loss.likelihood")
    return likelihood_class(config.loss.components) if name == "logistic" else likelihood_class()


def build_network(config: ConfigDict, spec: Spec) -> vae.VAE:
    """The Linen module of the config."""
    return vae.build(config, spec, make_likelihood(config).channels(spec.channels))


def frozen_networks(config: ConfigDict) -> tuple[str, ...]:
    """The networks that are used and not trained: none."""
    return ()


def real_batches(config: ConfigDict) -> int:
    """R: a step takes one batch."""
    return 1


def variants(config: ConfigDict) -> tuple[str, ...]:
    """The programs that steps run in turn: one."""
    return ("plain",)


def init(config: ConfigDict, spec: Spec, key: Key) -> State:
    """A new state; the same key gives the same weights."""
    # The Linen module takes its shapes from one example.
    image = jnp.zeros((1, *spec.shape), jnp.float32)
    noise = jnp.zeros((1, config.model.latent), jnp.float32)
    conditions = jnp.zeros((1, conditioning.vector_size(spec)), jnp.float32)
    params = build_network(config, spec).init(key, image, noise, conditions)["params"]
    net = create_net(config, params, optim.make_optimiser(config), config.optim.ema_images > 0)
    extras = {"sigma2": jnp.ones((), jnp.float32), **create_skip_counters()}
    return State(jnp.zeros((), jnp.int32), {"vae": net}, extras)


def find_beta_schedule(config: ConfigDict) -> Callable:
    """(step, steps) -> the share of beta at a step, by its name in the config."""
    name = config.loss.beta_schedule
    return registry.resolve(registry.BETA_SCHEDULES, name, "config.loss.beta_schedule")


def make_train_step(config: ConfigDict, spec: Spec, pmean: PMean, variant: str) -> Callable:
    """(state, batches, frozen_params) -> (state, metrics); one batch, no frozen networks.

    `pmean` averages over devices: the identity under jit, `lax.pmean` under pmap. It is applied to
    every scalar of the loss and to the gradients, which makes the two modes the same function.
    """
    net = build_network(config, spec)
    likelihood = make_likelihood(config)
    update_net = make_net_update(config, optim.make_optimiser(config))
    beta_schedule = find_beta_schedule(config)
    num_dims = math.prod(spec.shape)

    def loss_fn(params, image, noise, conditions, beta):
        # z = mu + sigma * noise, inside the network.
        output, mu, log_variance = map_parts(
            lambda *inputs: net.apply({"params": params}, *inputs),
            config.train.microbatches, image, noise, conditions,
        )  # fmt: skip
        # -log p(x | z), with the optimal variance of the batch, a constant to differentiation.
        errors = squared_error(likelihood.mean(output), image)
        sigma2 = jax.lax.stop_gradient(pmean(jnp.mean(errors)) / num_dims)
        nll = pmean(jnp.mean(likelihood.loss(output, image, sigma2)))
        # KL(q(z | x) || N(0, I)), where each latent counts at least its free bits.
        kl = divergence.kl_to_standard_normal(mu, log_variance)
        kl_per_latent = pmean(jnp.mean(kl, axis=0))
        kl_with_free_bits = divergence.apply_free_bits(kl, kl_per_latent, config.loss.free_bits)
        loss = nll + beta * pmean(jnp.mean(kl_with_free_bits))
        metrics = {"loss": loss, "nll": nll, "kl": jnp.sum(kl_per_latent), "sigma2": sigma2}
        return loss, metrics

    def train_step(
        state: State, batches: tuple[Batch, ...], frozen_params
    ) -> tuple[State, Metrics]:
        (batch,), old_net = batches, state.nets["vae"]
        # The images in [-1, 1], and their conditions, of which some are dropped.
        image = pixels.to_float(batch["image"])
        drop_key = rng.key(config.seed, "condition", state.step)
        batch = conditioning.drop(batch, config.model.condition_dropout, drop_key)
        conditions = conditioning.vector(batch, spec)
        noise = _draw_posterior_noise(config, batch, state.step)
        beta = config.loss.beta * beta_schedule(state.step, config.loss.beta_steps)
        # The gradient of the global batch, and the update.
        grads, metrics = jax.grad(loss_fn, has_aux=True)(
            old_net.params, image, noise, conditions, beta
        )
        grad = pmean(ravel_pytree(grads)[0])
        grad_norm = trees.global_norm(grad)
        ema_decay = optim.ema_decay(config, state.step) if config.optim.ema_images else 0.0
        new_net = update_net(old_net, grad, ema_decay, state.step)
        extras = {**state.extras, "sigma2": update_sigma2_average(state, metrics["sigma2"])}
        new_state = state.replace(nets={"vae": new_net}, extras=extras)
        # A step that is not finite is skipped.
        metrics |= {"beta": beta, "grad_norm/vae": grad_norm}
        return apply_if_finite(state, new_state, all_finite(metrics["loss"], grad_norm), metrics)

    return train_step


def update_sigma2_average(state: State, sigma2: Array) -> Array:
    """The average of sigma2 after a step in which it was `sigma2`."""
    average = SIGMA2_DECAY * state.extras["sigma2"] + (1 - SIGMA2_DECAY) * sigma2
    return jnp.where(state.step == 0, sigma2, average)


def _draw_posterior_noise(config: ConfigDict, batch: Batch, step: Array) -> Array:
    """Standard normal noise [B, Z] of the reparameterisation."""
    key = rng.key(config.seed, "posterior", step)
    return rng.normal(key, batch["slot"], (config.model.latent,))


def make_eval_step(config: ConfigDict, spec: Spec, pmean: PMean) -> Callable:
    """(state, batch, frozen_params) -> sums over the batch's examples, with the averaged weights.

    Rows with slot -1 are padding and count nothing. `examples` is the number of rows that count;
    `latent_sum` and `latent_square` [Z] are of the posterior means, for the active latents.
    """
    net, likelihood = build_network(config, spec), make_likelihood(config)

    def eval_step(state: State, batch: Batch, frozen_params) -> Metrics:
        params = state.nets["vae"].eval_params()
        image, conditions = pixels.to_float(batch["image"]), conditioning.vector(batch, spec)
        # The two terms of the objective for each example, [B].
        noise = _draw_posterior_noise(config, batch, jnp.int32(-1))
        output, mu, log_variance = net.apply({"params": params}, image, noise, conditions)
        nll = likelihood.loss(output, image, state.extras["sigma2"])
        kl = jnp.sum(divergence.kl_to_standard_normal(mu, log_variance), axis=-1)
        # The reconstruction is decoded from the posterior's mean.
        mean_output, _, _ = net.apply({"params": params}, image, jnp.zeros_like(noise), conditions)
        reconstructed_image = jnp.clip(likelihood.mean(mean_output), -1.0, 1.0)
        rows = {
            "nll": nll,
            "kl": kl,
            "elbo": -(nll + kl),
            "mse": jnp.mean(jnp.square(reconstructed_image - image), axis=(1, 2, 3)),
            "psnr": reconstruction_quality.psnr(image, reconstructed_image),
            "ssim": reconstruction_quality.ssim(image, reconstructed_image),
            "latent_sum": mu,
            "latent_square": jnp.square(mu),
        }
        # Sums over the examples that are not padding.
        is_example = (batch["slot"] >= 0).astype(jnp.float32)
        sums = {name: jnp.tensordot(is_example, row, axes=1) for name, row in rows.items()}
        sums["examples"] = jnp.sum(is_example)
        # A step has only the mean over devices; the caller multiplies by their number.
        return {name: pmean(value) for name, value in sums.items()}

    return eval_step


def summarise(config: ConfigDict, spec: Spec, sums: dict[str, Array]) -> dict[str, float]:
    """Validation numbers from summed eval steps: averages, bits per dimension, active latents."""
    n = float(sums["examples"])
    values = {name: float(sums[name]) / n for name in ("elbo", "nll", "kl", "mse", "psnr", "ssim")}
    # The variance over images of each latent's posterior mean.
    variance = sums["latent_square"] / n - (sums["latent_sum"] / n) ** 2
    values["active_latents"] = float((variance > MIN_ACTIVE_VARIANCE).sum())
    if make_likelihood(config).is_discrete:
        values["bits_per_dim"] = -values["elbo"] / (math.prod(spec.shape) * math.log(2))
    return values


def score(values: Metrics) -> float:
    """The number that selects the best checkpoint, the larger the better."""
    return float(values[SCORE_METRIC])


def make_generate(config: ConfigDict, spec: Spec) -> Callable:
    """(params, z [B, Z], batch with label, attributes, known) -> float [B, H, W, C] in [-1, 1]."""
    net, likelihood = build_network(config, spec), make_likelihood(config)

    def generate(params, z: Array, batch: Batch) -> Array:
        conditions = conditioning.vector(batch, spec)
        output = net.apply({"params": params}, z, conditions, method="decode")
        return jnp.clip(likelihood.mean(output), -1.0, 1.0)

    return generate


def make_encode(config: ConfigDict, spec: Spec) -> Callable:
    """(params, batch) -> mean and log variance [B, Z] of the posterior q(z | x)."""
    net = build_network(config, spec)

    def encode(params, batch: Batch) -> tuple[Array, Array]:
        image, conditions = pixels.to_float(batch["image"]), conditioning.vector(batch, spec)
        return net.apply({"params": params}, image, conditions, method="encode")

    return encode


def eval_params(state: State) -> dict:
    """The weights that generate and encode: the averaged ones where they exist."""
    return state.nets["vae"].eval_params()


def first_layer_kernel(config: ConfigDict, params: dict) -> Array:
    """The kernel [Z, features] of the decoder's first layer, its rows of the latent."""
    return params["decoder"]["start"]["kernel"][: config.model.latent]


def draw_latents(config: ConfigDict, seed: int, indices: Array) -> Array:
    """The latents [N, Z] of generated images: each a function of (seed, its index) alone."""
    return rng.normal(rng.key(seed, "generate"), indices, (config.model.latent,))
