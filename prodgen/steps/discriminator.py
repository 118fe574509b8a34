"""Training the discriminator of every adversarial family: its inputs, its loss, its update.

An update on the pairs (x_i, g_i) of a real and a generated image, with T the augmentation:
    L = alpha (mean_i L_D(D(T x_i), D(T g_i)) + penalty),
where L_D is one of losses/adversarial.py and the penalty one of losses/penalties.py.
"""

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
from prodgen.core import pixels, rng, trees
from prodgen.core.trees import Tree
from prodgen.core.types import Array, Batch, Key, Metrics, Spec
from prodgen.losses import adversarial, penalties
from prodgen.models import spectral
from prodgen.steps.accumulation import accumulate, map_parts
from prodgen.steps.state import Net, PMean, State, make_net_update

INPUTS = ("real", "fake", "interpolated")  # an example's images that the discriminator may receive


def adversarial_loss(config: ConfigDict, smooth: bool = True) -> adversarial.AdversarialLoss:
    """The adversarial loss of the config, with or without its label smoothing.

    A loss without labels has none, whatever the config file sets.
    """
    name = config.loss.adversarial
    loss_class = registry.resolve(registry.ADVERSARIAL, name, "config.loss.adversarial")
    has_labels = hasattr(loss_class, "smoothing")
    return loss_class(config.loss.label_smoothing) if smooth and has_labels else loss_class()


def variants(config: ConfigDict) -> tuple[str, ...]:
    """The programs that steps 0, 1, 2, ... run in turn: a lazy penalty is in the first of them."""
    if config.loss.penalty == "none":
        return ("plain",)
    return ("penalised", *["plain"] * (config.loss.penalty_every - 1))


def augment_probability(config: ConfigDict, state: State) -> Array:
    """p, the probability of each transform of the augmentation, at this step."""
    if config.augment.adaptive:
        return state.extras["augment_p"]
    if config.augment.ramp:
        return optim.burn_in_schedule(config, 0.0, config.augment.p)(state.step)
    return jnp.float32(config.augment.p)


def update_ada(config: ConfigDict, state: State, r_t: Array) -> tuple[dict[str, Array], Metrics]:
    """(extras of the state, metrics) after a step with the sign statistic `r_t`.

    Adaptive discriminator augmentation moves p; without it p follows its schedule.
    """
    extras, fields = dict(state.extras), config.augment
    if fields.adaptive:
        batch_size = config.train.batch_size
        extras |= adaptive.update(
            extras, r_t, state.step, fields.target, fields.ada_images, batch_size
        )
    if fields.policy == "none":
        return extras, {}
    return extras, {"augment/p": augment_probability(config, state), "augment/r_t": r_t}


class AugmentedDiscriminator:
    """The discriminator as the losses use it: augmented images in, logits out."""

    def __init__(self, config: ConfigDict, spec: Spec, module: Any):
        self.module = module
        self.policy = policies.make(config.augment.policy, config.augment.flip)
        self.background = pixels.to_float(jnp.asarray(spec.background or (255,) * spec.channels))

    def augment_uniforms(self, key: Key, slots: Array) -> Array:
        """The uniform numbers [B, INPUTS, N] that decide how each image is augmented."""
        return rng.uniform(key, slots, (len(INPUTS), self.policy.num_uniforms))

    def bind(
        self, params: Tree, uniforms: Array, conditions: Array, p: Array, num_parts: int = 1
    ) -> penalties.DiscriminatorFn:
        """A function of images [B * S, H, W, C] to logits [B * S]; uniforms [B, S, N].

        The S images of an example are adjacent, so that the merged axis is divided over devices as
        the batch is. The function computes the logits in `num_parts` parts of that axis.
        """
        images_per_example = uniforms.shape[1]
        uniforms = merge_leading_axes(uniforms)
        conditions = jnp.repeat(conditions, images_per_example, axis=0)

        def apply_rows(images: Array, uniforms: Array, conditions: Array) -> Array:
            augmented_images = self.policy(images, uniforms, p, self.background)
            return self.module.apply({"params": params}, augmented_images, conditions)

        return lambda images: map_parts(apply_rows, num_parts, images, uniforms, conditions)

    def bind_real_and_fake(
        self, net: Net, key: Key, slots: Array, conditions: Array, p: Array, num_parts: int = 1
    ) -> list[penalties.DiscriminatorFn]:
        """Two functions of images [B, H, W, C] to logits [B], for an update of the generator.

        The first is for real images, the second for generated ones: each image is augmented by
        uniform numbers of its own.
        """
        params = effective_params(net)
        uniforms = self.augment_uniforms(key, slots)
        return [self.bind(params, uniforms[:, i : i + 1], conditions, p, num_parts) for i in (0, 1)]


def merge_leading_axes(x: Array) -> Array:
    """[B, S, ...] -> [B * S, ...]."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def effective_params(net: Net) -> Tree:
    """A discriminator's weights, spectrally normalised where the config says so."""
    return spectral.normalise(net.params, net.vars)[0] if net.vars else net.params


def make_discriminator_updates(
    config: ConfigDict, discriminator: AugmentedDiscriminator, pmean: PMean, variant: str
) -> Callable:
    """(net, batches, make_pairs, step, p) -> (net, metrics, gradient norms): an update a batch.

    make_pairs(batch, key) -> real and generated images [B, H, W, C], paired, and their conditions;
    `key` belongs to this update alone. Metrics are those of the last update.
    """
    update = make_update(config, discriminator, pmean, variant)

    def update_discriminator(
        net: Net, batches: tuple[Batch, ...], make_pairs: Callable, step: Array, p: Array
    ) -> tuple[Net, Metrics, list[Array]]:
        metrics, grad_norms = {}, []
        for i, batch in enumerate(batches):
            # Each update has a key, and therefore noise, of its own.
            key = jax.random.fold_in(rng.key(config.seed, "discriminator", step), i)
            net, metrics = update(net, batch, make_pairs, key, step, p)
            grad_norms.append(metrics["grad_norm/d"])
        return net, metrics, grad_norms

    return update_discriminator


def make_update(
    config: ConfigDict, discriminator: AugmentedDiscriminator, pmean: PMean, variant: str
) -> Callable:
    """(net, batch, make_pairs, key, step, p) -> (net, metrics): one update of D.

    make_pairs as above; `key` belongs to this update alone. Metrics: "d/...", "grad_norm/d", and
    "r_t", the mean sign that the adaptive augmentation reads.
    """
    grad_fn = _make_gradient(config, discriminator, pmean, variant)
    update_net = make_net_update(config, make_discriminator_optimiser(config))

    def update(
        net: Net, batch: Batch, make_pairs: Callable, key: Key, step: Array, p: Array
    ) -> tuple[Net, Metrics]:
        def compute_gradient(part: Batch) -> tuple[Tree, tuple[Metrics, Tree]]:
            real, fake, conditions = make_pairs(part, key)
            fake, update_key = jax.lax.stop_gradient(fake), jax.random.fold_in(key, 2)
            inputs, slots = {"real": real, "fake": fake}, part["slot"]
            # WGAN-GP penalises the gradient on the line from the real to the generated image.
            if variant != "plain" and "interpolated" in registry.PENALTIES[config.loss.penalty]:
                alpha = rng.uniform(jax.random.fold_in(update_key, 0), slots)
                inputs["interpolated"] = penalties.interpolate(real, fake, alpha)
            uniforms = discriminator.augment_uniforms(jax.random.fold_in(update_key, 1), slots)
            return grad_fn(net.params, net.vars, inputs, uniforms, conditions, step, p)

        # The gradient of the global batch, and the update. All parts start the power iteration
        # from the same vectors: it advances once.
        grads, (metrics, vectors) = accumulate(compute_gradient, batch, config.train.microbatches)
        grad = pmean(ravel_pytree(grads)[0])
        net = update_net(net, grad, 0.0, step).replace(vars=vectors)
        return net, metrics | {"grad_norm/d": trees.global_norm(grad)}

    return update


def make_discriminator_optimiser(config: ConfigDict) -> optax.GradientTransformation:
    """The discriminator's optimiser: its own learning rate, schedules by training steps."""
    return optim.make_optimiser(config, config.train.d_steps, config.optim.d_lr_ratio)


def _make_gradient(
    config: ConfigDict, discriminator: AugmentedDiscriminator, pmean: PMean, variant: str
) -> Callable:
    """The gradient of `_make_loss` to the weights, with its metrics, for a variant of the step.

    "penalised", "plain", or "scheduled": a branch takes the penalty in every `penalty_every`-th
    step, counted from 0.
    """
    plain_grad, penalty_grad = (
        jax.grad(_make_loss(config, discriminator, pmean, with_penalty), has_aux=True)
        for with_penalty in (False, True)
    )
    if variant != "scheduled":
        return penalty_grad if variant == "penalised" else plain_grad

    def grad_of_step(params: Tree, vectors: Tree, *arguments: Any) -> tuple[Tree, tuple]:
        step = arguments[-2]
        is_due = step % config.loss.penalty_every == 0
        return jax.lax.cond(is_due, penalty_grad, plain_grad, params, vectors, *arguments)

    return grad_of_step


def _make_loss(
    config: ConfigDict, discriminator: AugmentedDiscriminator, pmean: PMean, with_penalty: bool
) -> Callable:
    """(params, vectors, inputs, uniforms, conditions, step, p) -> (loss, (metrics, vectors)).

    `vectors` are those of the spectral normalisation, or empty; `inputs` holds images [B, H, W, C]
    by their names in INPUTS. The loss is alpha (L_D + penalties).
    """
    loss = adversarial_loss(config)
    penalised_inputs = registry.PENALTIES[config.loss.penalty] if with_penalty else ()
    gamma_schedule = optim.burn_in_schedule(
        config, config.loss.gamma, config.loss.gamma * config.loss.gamma_end
    )

    def apply_discriminator(
        params: Tree, inputs: dict[str, Array], uniforms: Array, conditions: Array, p: Array
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Logits [B], and squared norms of their gradients [B], by the name of the input."""
        logits, grad_sq_norms = {}, {}
        for names, is_penalised in _input_groups(penalised_inputs):
            # One pass for all images of a group, each with uniform numbers of its own.
            group_images = merge_leading_axes(jnp.stack([inputs[name] for name in names], axis=1))
            group_uniforms = uniforms[:, jnp.array([INPUTS.index(name) for name in names])]
            discriminator_fn = discriminator.bind(params, group_uniforms, conditions, p)
            if is_penalised:
                group_logits, group_norms = penalties.logits_and_grad_sq_norm(
                    discriminator_fn, group_images
                )
                # [B * S] -> [S, B]: one row for each name.
                columns = group_norms.reshape(-1, len(names)).T
                grad_sq_norms |= dict(zip(names, columns, strict=True))
            else:
                group_logits = discriminator_fn(group_images)
            logits |= dict(zip(names, group_logits.reshape(-1, len(names)).T, strict=True))
        return logits, grad_sq_norms

    def loss_fn(
        params: Tree, vectors: Tree, inputs: dict[str, Array], uniforms: Array, conditions: Array,
        step: Array, p: Array,
    ) -> tuple[Array, tuple[Metrics, Tree]]:  # fmt: skip
        # One step of the power iteration; the state keeps the new vectors.
        if vectors:
            params, vectors = spectral.normalise(params, vectors)
        logits, grad_sq_norms = apply_discriminator(params, inputs, uniforms, conditions, p)
        real, fake = logits["real"], logits["fake"]
        # The adversarial loss, averaged over the global batch.
        total = pmean(jnp.mean(loss.discriminator_loss(real, fake)))
        metrics = {
            "d/loss": total,
            "d/real": pmean(jnp.mean(real)),
            "d/fake": pmean(jnp.mean(fake)),
            "r_t": pmean(jnp.mean(adversarial.overfitting_sign(loss, real, fake))),
        }
        # The gradient penalties; a lazy one is multiplied by the number of steps between two.
        gamma = gamma_schedule(step) * config.loss.penalty_every
        for name in penalised_inputs:
            if name == "interpolated":
                penalty = penalties.one_centred_penalty(grad_sq_norms[name], gamma)
            else:
                penalty = penalties.zero_centred_penalty(grad_sq_norms[name], gamma)
            total = total + pmean(jnp.mean(penalty))
        return config.loss.alpha * total, (metrics, vectors)

    return loss_fn


def _input_groups(penalised_inputs: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The inputs of one pass each, and whether it takes gradients: with a penalty, then without."""
    if penalised_inputs:
        yield penalised_inputs, True
    others = tuple(name for name in ("real", "fake") if name not in penalised_inputs)
    if others:
        yield others, False
