"""Training, evaluating and using a GAN: network x loss x penalty x augmentation, pure functions.

A step makes `d_steps` updates of the discriminator and one of the generator, each on a batch of its
own. Real image x_i is paired with a generated image g_i = G(z_i) of the same conditions. With T the
augmentation, for the relativistic loss and both penalties (Huang et al. 2024, eq. 2 and 3):
    L_D = mean_i( sp(D(T g_i) - D(T x_i)) + gamma/2 (|grad_x D(T x_i)|^2 + |grad_g D(T g_i)|^2) ),
    L_G = mean_i( sp(D(T x_i) - D(T G(z_i))) ),
where sp(t) = log(1 + e^t). The gradients of the penalties are with respect to the images before T.
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
from prodgen.core import pixels, rng, trees
from prodgen.core.trees import Tree
from prodgen.core.types import Array, Batch, Key, Metrics, Spec
from prodgen.models import conditioning, spectral
from prodgen.steps import evaluation_sums
from prodgen.steps.accumulation import accumulate
from prodgen.steps.discriminator import (
    AugmentedDiscriminator,
    adversarial_loss,
    augment_probability,
    make_discriminator_optimiser,
    make_discriminator_updates,
    update_ada,
)
from prodgen.steps.discriminator import variants as variants
from prodgen.steps.state import (
    Net,
    PMean,
    State,
    all_finite,
    apply_if_finite,
    create_net,
    create_skip_counters,
    make_net_update,
)


def build_networks(config: ConfigDict, spec: Spec) -> tuple[Any, Any]:
    """Generator and discriminator, the Linen modules of the config."""
    module = registry.resolve(registry.MODELS, config.model.name, "config.model.name")
    return module.build(config, spec)


def frozen_networks(config: ConfigDict) -> tuple[str, ...]:
    """The networks that are used and not trained: the reference classifier of the evaluation."""
    return ("classifier",)


def real_batches(config: ConfigDict) -> int:
    """R: one batch for each update."""
    return config.train.d_steps + 1


def init(config: ConfigDict, spec: Spec, key: Key) -> State:
    """A new state; the same key gives the same weights."""
    generator, discriminator = build_networks(config, spec)
    # Linen modules take their shapes from one example.
    g_key, d_key, vectors_key = jax.random.split(key, 3)
    image = jnp.zeros((1, *spec.shape), jnp.float32)
    z = jnp.zeros((1, config.model.latent), jnp.float32)
    conditions = jnp.zeros((1, conditioning.vector_size(spec)), jnp.float32)
    g = generator.init(g_key, z, conditions)["params"]
    d = discriminator.init(d_key, image, conditions)["params"]
    nets = {
        "g": create_net(config, g, optim.make_optimiser(config), config.optim.ema_images > 0),
        "d": create_net(config, d, make_discriminator_optimiser(config), ema=False),
    }
    # The singular vectors that the power iteration starts from.
    if config.model.spectral_norm:
        nets["d"] = nets["d"].replace(vars=spectral.init(d, vectors_key))
    extras = adaptive.init(config.augment.p) if config.augment.adaptive else {}
    return State(jnp.zeros((), jnp.int32), nets, {**extras, **create_skip_counters()})


def make_train_step(config: ConfigDict, spec: Spec, pmean: PMean, variant: str) -> Callable:
    """(state, batches, frozen_params) -> (state, metrics); `batches` holds d_steps + 1 batches.

    `pmean` averages over devices: the identity under jit, `lax.pmean` under pmap. It is applied to
    every scalar of the loss and to the gradients, which makes the two modes the same function.
    `variant` is one of `variants`. `frozen_params` is not read.
    """
    generator, discriminator = build_networks(config, spec)
    augmented_discriminator = AugmentedDiscriminator(config, spec, discriminator)
    update_discriminator = make_discriminator_updates(
        config, augmented_discriminator, pmean, variant
    )
    update_generator = _make_generator_update(
        config, spec, generator, augmented_discriminator, pmean
    )

    def train_step(
        state: State, batches: tuple[Batch, ...], frozen_params
    ) -> tuple[State, Metrics]:
        g, d, step = state.nets["g"], state.nets["d"], state.step
        p = augment_probability(config, state)

        def make_pairs(batch: Batch, key: Key) -> tuple[Array, Array, Array]:
            """Real images, images generated under their conditions, and the conditions."""
            conditions, z = _draw_conditions_and_latents(config, spec, batch, key)
            fake = generator.apply({"params": g.params}, z, conditions)
            return pixels.to_float(batch["image"]), fake, conditions

        # d_steps updates of D, then one of G against the new D.
        d, d_metrics, d_grad_norms = update_discriminator(d, batches[:-1], make_pairs, step, p)
        r_t = d_metrics.pop("r_t")
        g, g_metrics = update_generator(g, d, batches[-1], step, p)
        metrics = d_metrics | g_metrics
        metrics["loss"] = metrics["g/loss"] + config.loss.alpha * metrics["d/loss"]
        # The adaptive augmentation follows the sign statistic of D's last update.
        extras, ada_metrics = update_ada(config, state, r_t)
        new_state = state.replace(nets={"g": g, "d": d}, extras=extras)
        metrics |= ada_metrics
        # A step that is not finite is skipped.
        is_finite = all_finite(metrics["loss"], metrics["grad_norm/g"], *d_grad_norms)
        return apply_if_finite(state, new_state, is_finite, metrics)

    return train_step


def _make_generator_update(
    config: ConfigDict,
    spec: Spec,
    generator: Any,
    augmented_discriminator: AugmentedDiscriminator,
    pmean: PMean,
) -> Callable:
    """(net, discriminator's net, batch, step, p) -> (net, metrics): one update of G."""
    loss = adversarial_loss(config)
    update_net = make_net_update(config, optim.make_optimiser(config))

    def update(net: Net, d: Net, batch: Batch, step: Array, p: Array) -> tuple[Net, Metrics]:
        key = rng.key(config.seed, "generator", step)

        def compute_gradient(part: Batch) -> tuple[Tree, Array]:
            """Gradients of the weights, and the loss."""
            conditions, z = _draw_conditions_and_latents(config, spec, part, key)
            # fold_in 0 and 1 are taken by the dropped conditions and by the latents.
            discriminate_real, discriminate_fake = augmented_discriminator.bind_real_and_fake(
                d, jax.random.fold_in(key, 2), part["slot"], conditions, p
            )
            # Only a relativistic loss compares the generated images with real ones.
            real_logits = jnp.zeros(part["slot"].shape)
            if loss.is_relativistic:
                real_logits = discriminate_real(pixels.to_float(part["image"]))

            def loss_fn(params) -> Array:
                fake_logits = discriminate_fake(generator.apply({"params": params}, z, conditions))
                return pmean(jnp.mean(loss.generator_loss(real_logits, fake_logits)))

            loss_value, grads = jax.value_and_grad(loss_fn)(net.params)
            return grads, loss_value

        # The gradient of the global batch, and the update.
        grads, loss_value = accumulate(compute_gradient, batch, config.train.microbatches)
        grad = pmean(ravel_pytree(grads)[0])
        ema_decay = optim.ema_decay(config, step) if config.optim.ema_images else 0.0
        net = update_net(net, grad, ema_decay, step)
        return net, {"g/loss": loss_value, "grad_norm/g": trees.global_norm(grad)}

    return update


def _draw_conditions_and_latents(
    config: ConfigDict, spec: Spec, batch: Batch, key: Key
) -> tuple[Array, Array]:
    """Conditions [B, K + 1 + 2A] of a batch, some of them dropped, and latents [B, Z]."""
    z = rng.normal(jax.random.fold_in(key, 1), batch["slot"], (config.model.latent,))
    batch = conditioning.drop(batch, config.model.condition_dropout, jax.random.fold_in(key, 0))
    return conditioning.vector(batch, spec), z


def make_eval_step(config: ConfigDict, spec: Spec, pmean: PMean) -> Callable:
    """(state, batch, frozen_params) -> sums over the batch's examples, of the averaged generator.

    Each held-out image is paired with a generated one of its conditions, always from the same
    latent. Names and meaning: steps/evaluation_sums.py.
    """
    generator, discriminator = build_networks(config, spec)
    compute_sums = evaluation_sums.make_sums(config, spec, discriminator)

    def eval_step(state: State, batch: Batch, frozen_params) -> dict[str, Array]:
        # The same latents in every evaluation; padding has slot -1.
        slots = jnp.maximum(batch["slot"], 0)
        key = rng.key(config.seed, "generator", jnp.int32(-1))
        z = rng.normal(key, slots, (config.model.latent,))
        conditions = conditioning.vector(batch, spec)
        fake = generator.apply({"params": eval_params(state)}, z, conditions)
        real = pixels.to_float(batch["image"])
        sums = compute_sums(state, batch, real, fake, fake, frozen_params)
        return {name: pmean(value) for name, value in sums.items()}

    return eval_step


summarise, score = evaluation_sums.summarise, evaluation_sums.score
SCORE_METRIC = evaluation_sums.SCORE_METRIC


def make_generate(config: ConfigDict, spec: Spec) -> Callable:
    """(params, z [B, Z], batch with label, attributes, known) -> float [B, H, W, C] in [-1, 1]."""
    generator, _ = build_networks(config, spec)

    def generate(params, z: Array, batch: Batch) -> Array:
        image = generator.apply({"params": params}, z, conditioning.vector(batch, spec))
        return jnp.clip(image, -1.0, 1.0)

    return generate


def eval_params(state: State) -> dict:
    """The weights that generate: the averaged ones where they exist."""
    return state.nets["g"].eval_params()


def first_layer_kernel(config: ConfigDict, params: dict) -> Array:
    """The kernel [Z, features] of the generator's first layer, its rows of the latent."""
    return params["first"]["kernel"][: config.model.latent]


def draw_latents(config: ConfigDict, seed: int, indices: Array) -> Array:
    """The latents [N, Z] of generated images: each a function of (seed, its index) alone."""
    return rng.normal(rng.key(seed, "generate"), indices, (config.model.latent,))
