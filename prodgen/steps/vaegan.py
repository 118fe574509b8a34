"""Training a VAE whose pictures must also look right: perceptual and adversarial terms.

    L = NLL + beta KL + w_p lambda_p L_perceptual + w_a(t) lambda_a L_G,
    lambda = |dNLL/dx| / |dL/dx|,
where x are the decoder's pictures of the batch and lambda is a constant to differentiation: the
weights say what share of the reconstruction's own pull each term gets (after Esser et al. 2021,
eq. 7, who measure at the decoder's last layer). The discriminator compares pictures with their
reconstructions; it trains alone first, then w_a rises: one that enters cold wrecks the decoder.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

from prodgen import optim
from prodgen.augment import adaptive
from prodgen.config import registry
from prodgen.core import images, rng, trees
from prodgen.core.types import Array, Batch, Key, Metrics, Spec
from prodgen.losses import divergence, perceptual
from prodgen.models import classifier, conditioning, lpips, patch, spectral
from prodgen.steps import discriminator, evaluation_sums, vae
from prodgen.steps.state import Net, State, all_finite, commit, descend, fresh

Mean = Callable[[Array], Array]
LARGEST = 1e8  # of lambda: a term without any pull is not blown up without end

variants = discriminator.variants
make_generate, make_encode = vae.make_generate, vae.make_encode
weights, first_layer, latents = vae.weights, vae.first_layer, vae.latents


def frozen(config: ConfigDict) -> tuple[str, ...]:
    """Networks that are used and not trained: the judge, and the perceptual one."""
    return ("classifier",) if config.loss.perceptual == "classifier" else ("classifier", "lpips")


def perceptual_distance(config: ConfigDict) -> Callable:
    """(frozen, pictures, others) -> [B]: by the home network's stages, or LPIPS."""

    def by_classifier(frozen, picture: Array, other: Array) -> Array:
        net = classifier.Classifier(frozen["classifier"]["head"]["bias"].shape[0])
        taps = [net.apply({"params": frozen["classifier"]}, x)[2] for x in (picture, other)]
        return perceptual.distance(*taps)

    def learned(frozen, picture: Array, other: Array) -> Array:
        return lpips.distance(frozen["lpips"], picture, other)

    return {"classifier": by_classifier, "lpips": learned}[config.loss.perceptual]


def real_batches(config: ConfigDict) -> int:
    """R: one batch for each update."""
    return config.train.d_steps + 1


def init(config: ConfigDict, spec: Spec, key: Key) -> State:
    """A fresh state: a VAE's, and its discriminator "d"."""
    for_vae, for_d, for_vectors = jax.random.split(key, 3)
    state = vae.init(config, spec, for_vae)
    image = jnp.zeros((1, *spec.shape), jnp.float32)
    conditions = jnp.zeros((1, conditioning.vector_size(spec)), jnp.float32)
    params = patch.build(config, spec).init(for_d, image, conditions)["params"]
    transform = discriminator.transform_of(config)
    d = fresh(params, transform, ema=False)
    if config.model.spectral_norm:
        d = d.replace(vars=spectral.init(params, for_vectors))
    extras = adaptive.start(config.augment.p) if config.augment.adaptive else {}
    return state.replace(nets={**state.nets, "d": d}, extras={**state.extras, **extras})


def strength(config: ConfigDict, step: Array) -> Array:
    """w_a at a step: 0 while the discriminator trains alone, then rising to its full weight."""
    loss = config.loss
    share = (step - loss.gan_start) / loss.gan_ramp
    return loss.gan_weight * jnp.clip(share.astype(jnp.float32), 0.0, 1.0)


def make_train_step(config: ConfigDict, spec: Spec, mean: Mean, variant: str) -> Callable:
    """(state, batches, frozen) -> (state, metrics); `batches` holds d_steps + 1 batches.

    frozen["classifier"] or frozen["lpips"] holds the perceptual network's weights. `mean` is as in
    the other families.
    """
    net, likely = vae.network(config, spec), vae.likelihood(config)
    critic = discriminator.Critic(config, spec, patch.build(config, spec))
    train_d = discriminator.make_turns(config, critic, mean, variant == "penalised")
    update_vae = _make_update(config, spec, critic, mean)

    def train_step(state: State, batches: tuple[Batch, ...], frozen) -> tuple[State, Metrics]:
        old, d, step = state.nets["vae"], state.nets["d"], state.step
        p = discriminator.probability(config, state)

        def sides_of(batch: Batch, key: Key) -> tuple[Array, Array, Array]:
            image, conditions, noise = _drawn(config, spec, batch, key)
            output, _, _ = net.apply({"params": old.params}, image, noise, conditions)
            return image, likely.mean(output), conditions

        d, found, norms = train_d(d, batches[:-1], sides_of, step, p)
        sure = found.pop("sure")
        after, sigma2, metrics = update_vae(old, d, batches[-1], step, p, frozen)
        metrics |= found
        steered, told = discriminator.steer(config, state, sure)
        extras = {**steered, "sigma2": vae.smoothed(state, sigma2)}
        new = state.replace(nets={"vae": after, "d": d}, extras=extras)
        metrics |= told
        ok = all_finite(metrics["loss"], metrics["grad_norm/vae"], *norms)
        return commit(state, new, ok, metrics)

    return train_step


def _drawn(config: ConfigDict, spec: Spec, batch: Batch, key: Key) -> tuple[Array, Array, Array]:
    """Pictures [B, R, R, C], conditions, some of them hidden, and the posterior's noise [B, Z]."""
    slots = batch["slot"]
    batch = conditioning.drop(batch, config.model.condition_dropout, jax.random.fold_in(key, 0))
    noise = rng.normal(jax.random.fold_in(key, 1), slots, (config.model.latent,))
    return images.to_float(batch["image"]), conditioning.vector(batch, spec), noise


def _make_update(
    config: ConfigDict, spec: Spec, critic: discriminator.Critic, mean: Mean
) -> Callable:
    """(net, discriminator, batch, step, p, frozen) -> (net, sigma2, metrics): one of the VAE."""
    net, likely, rules = (
        vae.network(config, spec),
        vae.likelihood(config),
        discriminator.game_of(config),
    )
    transform, apart = optim.chain(config), perceptual_distance(config)
    beta_of = registry.find(
        registry.BETA_SCHEDULES, config.loss.beta_schedule, "loss.beta_schedule"
    )

    def update(old: Net, d: Net, batch: Batch, step: Array, p: Array, frozen):
        key = rng.key(config.seed, "generator", step)
        image, conditions, noise = _drawn(config, spec, batch, key)
        (output, mu, log_variance), back = jax.vjp(
            lambda params: net.apply({"params": params}, image, noise, conditions), old.params
        )
        error = vae.reconstruction_error(likely, output, image)
        sigma2 = jax.lax.stop_gradient(mean(jnp.mean(error)) / image[0].size)
        beta = config.loss.beta * beta_of(step, config.loss.beta_steps)
        numbers = critic.numbers(jax.random.fold_in(key, 2), batch["slot"])
        judge = [
            critic.of(discriminator.weights(d), numbers[:, side : side + 1], conditions, p)
            for side in (0, 1)
        ]
        real = judge[0](image) if rules.relative else jnp.zeros(len(image))

        def likeness(output: Array) -> Array:
            return mean(jnp.mean(likely.loss(output, image, sigma2)))

        def looks(output: Array) -> Array:
            return mean(jnp.mean(apart(frozen, likely.mean(output), image)))

        def fools(output: Array) -> Array:
            return mean(jnp.mean(rules.generator(real, judge[1](likely.mean(output)))))

        def divides(mu: Array, log_variance: Array) -> tuple[Array, Array]:
            kl = divergence.standard_normal(mu, log_variance)
            per_latent = mean(jnp.mean(kl, axis=0))
            pressed = divergence.free_bits(kl, per_latent, config.loss.free_bits)
            return beta * mean(jnp.mean(pressed)), jnp.sum(per_latent)

        nll, pull = jax.value_and_grad(likeness)(output)
        near, pull_near = jax.value_and_grad(looks)(output)
        fooled, pull_fooled = jax.value_and_grad(fools)(output)
        (pressed, kl), of_code = jax.value_and_grad(divides, (0, 1), has_aux=True)(mu, log_variance)
        shares = [
            share * balance(pull, other, mean)
            for share, other in (
                (config.loss.perceptual_weight, pull_near),
                (strength(config, step), pull_fooled),
            )
        ]
        total = pull + shares[0] * pull_near + shares[1] * pull_fooled
        vector = mean(ravel_pytree(back((total, *of_code))[0])[0])
        keep = optim.decay(config, step) if config.optim.ema_images else 0.0
        metrics = {
            "loss": nll + pressed, "nll": nll, "kl": kl, "beta": beta, "sigma2": sigma2,
            "perceptual": near, "g/loss": fooled, "g/share": strength(config, step),
            "grad_norm/vae": trees.norm(vector),
        }  # fmt: skip
        return descend(old, vector, transform, keep, step), sigma2, metrics

    return update


def balance(pull: Array, other: Array, mean: Mean) -> Array:
    """How many times larger the gradient `pull` is than `other`, both of the whole batch."""
    ours, theirs = (jnp.sqrt(mean(jnp.sum(jnp.square(g)))) for g in (pull, other))
    return jnp.minimum(ours / jnp.maximum(theirs, 1e-12), LARGEST)


def make_eval_step(config: ConfigDict, spec: Spec, mean: Mean) -> Callable:
    """(state, batch, frozen) -> sums over the batch's examples, with the averaged weights.

    What a VAE's step sums, the perceptual distance of the reconstructions, and the sums of
    steps/evaluation_sums.py: of samples of the prior, but for the discriminator, which compares
    reconstructions as it does in training.
    """
    reconstruct = vae.make_eval_step(config, spec, mean)
    net, likely = vae.network(config, spec), vae.likelihood(config)
    generate, apart = vae.make_generate(config, spec), perceptual_distance(config)
    judge = evaluation_sums.make(config, spec, patch.build(config, spec))

    def eval_step(state: State, batch: Batch, frozen) -> dict[str, Array]:
        params, slots = weights(state), jnp.maximum(batch["slot"], 0)
        image, conditions = images.to_float(batch["image"]), conditioning.vector(batch, spec)
        noise = rng.normal(
            rng.key(config.seed, "generator", jnp.int32(-1)), slots, (config.model.latent,)
        )
        output, _, _ = net.apply({"params": params}, image, jnp.zeros_like(noise), conditions)
        shown = jnp.clip(likely.mean(output), -1.0, 1.0)
        sums = judge(state, batch, image, generate(params, noise, batch), shown, frozen)
        counted = (batch["slot"] >= 0).astype(jnp.float32)
        sums["perceptual"] = jnp.sum(counted * apart(frozen, shown, image))
        return reconstruct(state, batch, frozen) | {n: mean(v) for n, v in sums.items()}

    return eval_step


def summarise(config: ConfigDict, spec: Spec, sums: dict[str, Array]) -> dict[str, float]:
    """Validation numbers: a VAE's, the perceptual distance, and those of the samples."""
    near = float(sums["perceptual"]) / float(sums["examples"])
    return (
        vae.summarise(config, spec, sums)
        | {"perceptual": near}
        | evaluation_sums.summarise(config, spec, sums)
    )


def score(values: Metrics) -> float:
    """What the best checkpoint is chosen by: how near reconstructions look."""
    return -float(values["perceptual"])
