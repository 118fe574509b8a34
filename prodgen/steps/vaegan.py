"""Training a VAE with two more terms: a perceptual distance and an adversarial loss.

    L = NLL + beta KL + w_p lambda_p L_perceptual + w_a(t) lambda_a L_G,
    lambda = |dNLL/dx| / |dL/dx|,
where x is the decoder's output for the batch, and lambda is a constant to differentiation. A weight
w is therefore a share of the gradient norm of the reconstruction loss (after Esser et al. 2021,
eq. 7, where the norms are those at the decoder's last layer). The discriminator compares images
with their reconstructions. It trains alone first, then w_a rises: an untrained discriminator
destroys the decoder.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

from prodgen import optim
from prodgen.augment import adaptive
from prodgen.core import pixels, rng, trees
from prodgen.core.types import Array, Batch, Key, Metrics, Spec
from prodgen.losses import divergence, perceptual
from prodgen.losses.likelihoods import squared_error
from prodgen.models import classifier, conditioning, lpips, patch, spectral
from prodgen.steps import discriminator, evaluation_sums, vae
from prodgen.steps.accumulation import map_parts
from prodgen.steps.state import (
    Net,
    PMean,
    State,
    all_finite,
    apply_if_finite,
    create_net,
    make_net_update,
)  # fmt: skip

SCORE_METRIC = "perceptual"  # of `score`
MAX_ADAPTIVE_WEIGHT = 1e8  # of lambda, for a term whose gradient vanishes

variants = discriminator.variants
make_generate, make_encode = vae.make_generate, vae.make_encode
eval_params, first_layer_kernel = vae.eval_params, vae.first_layer_kernel
draw_latents = vae.draw_latents


def frozen_networks(config: ConfigDict) -> tuple[str, ...]:
    """The networks that are used and not trained: reference classifier and perceptual network."""
    return ("classifier",) if config.loss.perceptual == "classifier" else ("classifier", "lpips")


def make_perceptual_distance(config: ConfigDict, dtype: str) -> Callable:
    """(frozen_params, images, other images) -> [B], by the reference classifier or LPIPS.

    The network computes in `dtype`, the distance of its activations in float32.
    """

    def classifier_distance(frozen_params, image: Array, other: Array) -> Array:
        params = frozen_params["classifier"]
        net = classifier.Classifier(params["head"]["bias"].shape[0], jnp.dtype(dtype))
        taps = [net.apply({"params": params}, x)[2] for x in (image, other)]
        features = [[x.astype(jnp.float32) for x in layers] for layers in taps]
        return perceptual.distance(*features)

    def lpips_distance(frozen_params, image: Array, other: Array) -> Array:
        return lpips.distance(frozen_params["lpips"], image, other, jnp.dtype(dtype))

    return {"classifier": classifier_distance, "lpips": lpips_distance}[config.loss.perceptual]


def real_batches(config: ConfigDict) -> int:
    """R: one batch for each update."""
    return config.train.d_steps + 1


def init(config: ConfigDict, spec: Spec, key: Key) -> State:
    """A new state: that of a VAE, and its discriminator "d"."""
    vae_key, d_key, vectors_key = jax.random.split(key, 3)
    state = vae.init(config, spec, vae_key)
    image = jnp.zeros((1, *spec.shape), jnp.float32)
    conditions = jnp.zeros((1, conditioning.vector_size(spec)), jnp.float32)
    params = patch.build(config, spec).init(d_key, image, conditions)["params"]
    d = create_net(config, params, discriminator.make_discriminator_optimiser(config), ema=False)
    if config.model.spectral_norm:
        d = d.replace(vars=spectral.init(params, vectors_key))
    extras = adaptive.init(config.augment.p) if config.augment.adaptive else {}
    return state.replace(nets={**state.nets, "d": d}, extras={**state.extras, **extras})


def gan_weight(config: ConfigDict, step: Array) -> Array:
    """w_a at a step: 0 while the discriminator trains alone, then rising to its full value."""
    loss = config.loss
    progress = (step - loss.gan_start) / loss.gan_ramp
    return loss.gan_weight * jnp.clip(progress.astype(jnp.float32), 0.0, 1.0)


def make_train_step(config: ConfigDict, spec: Spec, pmean: PMean, variant: str) -> Callable:
    """(state, batches, frozen_params) -> (state, metrics); `batches` holds d_steps + 1 batches.

    frozen_params["classifier"] or ["lpips"] holds the perceptual network's weights. `pmean` is as
    in the other families.
    """
    net, likelihood = vae.build_network(config, spec), vae.make_likelihood(config)
    augmented_discriminator = discriminator.AugmentedDiscriminator(
        config, spec, patch.build(config, spec)
    )
    update_discriminator = discriminator.make_discriminator_updates(
        config, augmented_discriminator, pmean, variant
    )
    update_vae = _make_vae_update(config, spec, augmented_discriminator, pmean)

    def train_step(
        state: State, batches: tuple[Batch, ...], frozen_params
    ) -> tuple[State, Metrics]:
        old_vae, d, step = state.nets["vae"], state.nets["d"], state.step
        p = discriminator.augment_probability(config, state)

        def make_pairs(batch: Batch, key: Key) -> tuple[Array, Array, Array]:
            """Images, their reconstructions, and their conditions."""
            image, conditions, noise = _draw_inputs(config, spec, batch, key)
            output, _, _ = net.apply({"params": old_vae.params}, image, noise, conditions)
            return image, likelihood.mean(output), conditions

        # d_steps updates of the discriminator, then one of the VAE against the new one.
        d, d_metrics, d_grad_norms = update_discriminator(d, batches[:-1], make_pairs, step, p)
        r_t = d_metrics.pop("r_t")
        new_vae, sigma2, metrics = update_vae(old_vae, d, batches[-1], step, p, frozen_params)
        metrics |= d_metrics
        # The adaptive augmentation follows the sign statistic of the discriminator's last update.
        extras, ada_metrics = discriminator.update_ada(config, state, r_t)
        extras = {**extras, "sigma2": vae.update_sigma2_average(state, sigma2)}
        new_state = state.replace(nets={"vae": new_vae, "d": d}, extras=extras)
        metrics |= ada_metrics
        # A step that is not finite is skipped.
        is_finite = all_finite(metrics["loss"], metrics["grad_norm/vae"], *d_grad_norms)
        return apply_if_finite(state, new_state, is_finite, metrics)

    return train_step


def _draw_inputs(
    config: ConfigDict, spec: Spec, batch: Batch, key: Key
) -> tuple[Array, Array, Array]:
    """Images [B, R, R, C], conditions, some of them dropped, and the posterior's noise [B, Z]."""
    slots = batch["slot"]
    batch = conditioning.drop(batch, config.model.condition_dropout, jax.random.fold_in(key, 0))
    noise = rng.normal(jax.random.fold_in(key, 1), slots, (config.model.latent,))
    return pixels.to_float(batch["image"]), conditioning.vector(batch, spec), noise


def _make_vae_update(
    config: ConfigDict,
    spec: Spec,
    augmented_discriminator: discriminator.AugmentedDiscriminator,
    pmean: PMean,
) -> Callable:
    """(net, discriminator's net, batch, step, p, frozen_params) -> (net, sigma2, metrics)."""
    net, likelihood = vae.build_network(config, spec), vae.make_likelihood(config)
    loss, num_parts = discriminator.adversarial_loss(config), config.train.microbatches
    update_net = make_net_update(config, optim.make_optimiser(config))
    perceptual_distance = make_perceptual_distance(config, config.model.dtype)
    beta_schedule = vae.find_beta_schedule(config)

    def update(old_net: Net, d: Net, batch: Batch, step: Array, p: Array, frozen_params):
        key = rng.key(config.seed, "generator", step)
        image, conditions, noise = _draw_inputs(config, spec, batch, key)
        # The outputs, and the function that takes their gradients back to the weights.
        (output, mu, log_variance), backpropagate = jax.vjp(
            lambda params: map_parts(
                lambda *inputs: net.apply({"params": params}, *inputs),
                num_parts, image, noise, conditions,
            ),
            old_net.params,
        )  # fmt: skip
        # The optimal variance of the batch, a constant to differentiation.
        errors = squared_error(likelihood.mean(output), image)
        sigma2 = jax.lax.stop_gradient(pmean(jnp.mean(errors)) / image[0].size)
        beta = config.loss.beta * beta_schedule(step, config.loss.beta_steps)
        # Only a relativistic loss compares reconstructions with real images.
        discriminate_real, discriminate_fake = augmented_discriminator.bind_real_and_fake(
            d, jax.random.fold_in(key, 2), batch["slot"], conditions, p, num_parts
        )
        real_logits = discriminate_real(image) if loss.is_relativistic else jnp.zeros(len(image))

        # The four terms of L, as functions of the network's outputs.
        def reconstruction_loss(output: Array) -> Array:
            return pmean(jnp.mean(likelihood.loss(output, image, sigma2)))

        def perceptual_loss(output: Array) -> Array:
            distance = map_parts(
                lambda output, image: perceptual_distance(
                    frozen_params, likelihood.mean(output), image
                ),
                num_parts, output, image,
            )  # fmt: skip
            return pmean(jnp.mean(distance))

        def adversarial_loss(output: Array) -> Array:
            fake_logits = discriminate_fake(likelihood.mean(output))
            return pmean(jnp.mean(loss.generator_loss(real_logits, fake_logits)))

        def kl_loss(mu: Array, log_variance: Array) -> tuple[Array, Array]:
            kl = divergence.kl_to_standard_normal(mu, log_variance)
            kl_per_latent = pmean(jnp.mean(kl, axis=0))
            kl_with_free_bits = divergence.apply_free_bits(kl, kl_per_latent, config.loss.free_bits)
            return beta * pmean(jnp.mean(kl_with_free_bits)), jnp.sum(kl_per_latent)

        # Each term, and its gradient with respect to the outputs.
        nll, output_grad = jax.value_and_grad(reconstruction_loss)(output)
        perceptual_value, perceptual_grad = jax.value_and_grad(perceptual_loss)(output)
        adversarial_value, adversarial_grad = jax.value_and_grad(adversarial_loss)(output)
        (kl_value, kl), kl_grads = jax.value_and_grad(kl_loss, (0, 1), has_aux=True)(
            mu, log_variance
        )
        # The gradient of L with respect to the output, then with respect to the weights.
        w_p, w_a = config.loss.perceptual_weight, gan_weight(config, step)
        total_grad = output_grad
        for w, term_grad in ((w_p, perceptual_grad), (w_a, adversarial_grad)):
            total_grad += w * adaptive_weight(output_grad, term_grad, pmean) * term_grad
        grad = pmean(ravel_pytree(backpropagate((total_grad, *kl_grads))[0])[0])
        ema_decay = optim.ema_decay(config, step) if config.optim.ema_images else 0.0
        metrics = {
            "loss": nll + kl_value, "nll": nll, "kl": kl, "beta": beta, "sigma2": sigma2,
            "perceptual": perceptual_value, "g/loss": adversarial_value,
            "g/share": w_a, "grad_norm/vae": trees.global_norm(grad),
        }  # fmt: skip
        return update_net(old_net, grad, ema_decay, step), sigma2, metrics

    return update


def adaptive_weight(output_grad: Array, other_grad: Array, pmean: PMean) -> Array:
    """lambda = |output_grad| / |other_grad|, the norms of gradients of the whole batch."""
    norm, other_norm = (jnp.sqrt(pmean(jnp.sum(jnp.square(g)))) for g in (output_grad, other_grad))
    return jnp.minimum(norm / jnp.maximum(other_norm, 1e-12), MAX_ADAPTIVE_WEIGHT)


def make_eval_step(config: ConfigDict, spec: Spec, pmean: PMean) -> Callable:
    """(state, batch, frozen_params) -> sums over the batch's examples, with the averaged weights.

    The sums of a VAE's step, the perceptual distance of the reconstructions, and the sums of
    steps/evaluation_sums.py. Those are of samples of the prior, except for the discriminator,
    which compares reconstructions as it does in training.
    """
    compute_vae_sums = vae.make_eval_step(config, spec, pmean)
    net, likelihood = vae.build_network(config, spec), vae.make_likelihood(config)
    generate = make_generate(config, spec)
    perceptual_distance = make_perceptual_distance(config, "float32")
    compute_sums = evaluation_sums.make_sums(config, spec, patch.build(config, spec))

    def eval_step(state: State, batch: Batch, frozen_params) -> dict[str, Array]:
        # Padding has slot -1.
        params, slots = eval_params(state), jnp.maximum(batch["slot"], 0)
        image, conditions = pixels.to_float(batch["image"]), conditioning.vector(batch, spec)
        # Reconstructions from the posterior's mean, and samples of the prior.
        key = rng.key(config.seed, "generator", jnp.int32(-1))
        z = rng.normal(key, slots, (config.model.latent,))
        output, _, _ = net.apply({"params": params}, image, jnp.zeros_like(z), conditions)
        reconstructed_image = jnp.clip(likelihood.mean(output), -1.0, 1.0)
        sample = generate(params, z, batch)
        sums = compute_sums(state, batch, image, sample, reconstructed_image, frozen_params)
        # The perceptual distance of the reconstructions.
        is_example = (batch["slot"] >= 0).astype(jnp.float32)
        distance = perceptual_distance(frozen_params, reconstructed_image, image)
        sums["perceptual"] = jnp.sum(is_example * distance)
        vae_sums = compute_vae_sums(state, batch, frozen_params)
        return vae_sums | {name: pmean(value) for name, value in sums.items()}

    return eval_step


def summarise(config: ConfigDict, spec: Spec, sums: dict[str, Array]) -> dict[str, float]:
    """Validation numbers: a VAE's, the perceptual distance, and those of the samples."""
    values = vae.summarise(config, spec, sums)
    values["perceptual"] = float(sums["perceptual"]) / float(sums["examples"])
    return values | evaluation_sums.summarise(config, spec, sums)


def score(values: Metrics) -> float:
    """The number that selects the best checkpoint: minus the perceptual distance."""
    return -float(values[SCORE_METRIC])
