"""The GAN's step: what each network minimises, how often, and on which images."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.config import registry
from prodgen.core import pixels, rng, trees
from prodgen.losses import penalties
from prodgen.models import conditioning, spectral
from prodgen.runs import checkpoint
from prodgen.steps import discriminator, gan
from prodgen.steps.state import create_net
from tests import programs
from tests.tiny import batch_of, close, spec_of
from tests.tiny_gan import (
    COMBINATIONS,
    LOSSES_AND_PENALTIES,
    NEEDS,
    NETWORKS,
    PAIRS,
    batches_of,
    init_reference_classifier,
    shapes_of,
    start,
    stepper,
    tiny_gan,
    train_gan,
)


@pytest.mark.parametrize(("network", "loss", "penalty"), PAIRS)
def test_every_network_builds_with_every_penalty(network, loss, penalty):
    check_step_shapes(network, loss, penalty)


@pytest.mark.parametrize(("loss", "penalty"), LOSSES_AND_PENALTIES)
def test_every_loss_takes_every_penalty(loss, penalty):
    """Shapes of an update of a discriminator that is linear in the image."""

    class Linear(nn.Module):
        @nn.compact
        def __call__(self, image, conditions):
            inputs = jnp.concatenate([image.reshape(len(image), -1), conditions], axis=1)
            return nn.Dense(1)(inputs)[:, 0]

    config = tiny_gan(loss__adversarial=loss, loss__penalty=penalty, **NEEDS.get(loss, {}))
    spec = spec_of()
    update = discriminator.make_update(
        config,
        discriminator.AugmentedDiscriminator(config, spec, Linear()),
        lambda x: x,
        variant="plain" if penalty == "none" else "penalised",
    )

    def update_once(key):
        image = jnp.zeros((4, *spec.shape))
        conditions, slots = jnp.zeros((4, conditioning.vector_size(spec))), jnp.arange(4)
        params = Linear().init(key, image, conditions)["params"]
        net = create_net(
            config, params, discriminator.make_discriminator_optimiser(config), ema=False
        )
        if config.model.spectral_norm:
            net = net.replace(vars=spectral.init(params, key))
        after, metrics = update(
            net, {"slot": slots}, lambda batch, key: (image, image, conditions),
            key, jnp.int32(0), jnp.float32(0),
        )  # fmt: skip
        return net, after, metrics

    before, after, metrics = jax.eval_shape(update_once, jax.random.key(0))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), before
    )
    assert {"d/loss", "d/real", "d/fake", "grad_norm/d", "r_t"} == set(metrics)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "loss", "penalty"), COMBINATIONS)
def test_every_combination_builds(network, loss, penalty):
    check_step_shapes(network, loss, penalty)


def check_step_shapes(network, loss, penalty):
    """A whole step keeps the state's shapes; nothing is computed."""
    fields = NETWORKS[network] | NEEDS.get(loss, {})
    config = tiny_gan(loss__adversarial=loss, loss__penalty=penalty, **fields)
    spec = spec_of()
    state = programs.initial_shapes(config, spec)
    for variant in set(gan.variants(config)):
        step = gan.make_train_step(config, spec, lambda x: x, variant)
        batches = (shapes_of(spec, 16),) * gan.real_batches(config)
        after, metrics = jax.eval_shape(step, state, batches, {})
        assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
            lambda x: (x.shape, x.dtype), state
        )
        assert {"loss", "g/loss", "d/loss", "grad_norm/g", "grad_norm/d"} <= set(metrics)


# Several tests share its compiled step.
ADAPTIVE_FIELDS = {
    "model__name": "dcgan", "augment__policy": "product", "augment__adaptive": True,
    "augment__p": 0.1, "augment__ada_images": 1000,
}  # fmt: skip
STEP_CASES = [
    ("dcgan", "relativistic", "r1_r2", ADAPTIVE_FIELDS),
    ("dcgan", "nonsaturating", "r1", {"loss__label_smoothing": 0.1}),
    (
        "r3gan",
        "hinge",
        "gradient",
        {"augment__policy": "product", "augment__adaptive": True, "augment__p": 0.5},
    ),
    ("r3gan, grouped", "relativistic", "r1_r2", {"optim__b2_end": 0.999}),
    ("dcgan", "wgan", "none", {"train__d_steps": 2}),
]


@pytest.mark.parametrize(
    ("network", "loss", "penalty", "fields"),
    [
        pytest.param(*case, marks=() if case[3] is ADAPTIVE_FIELDS else pytest.mark.slow)
        for case in STEP_CASES
    ],
)
def test_a_step_changes_both_networks_and_stays_finite(store, network, loss, penalty, fields):
    fields = NETWORKS[network] | NEEDS.get(loss, {}) | fields
    config = tiny_gan(loss__adversarial=loss, loss__penalty=penalty, **fields)
    before = start(config, store.spec)
    after, all_metrics = train_gan(store, config, 2)
    assert all(np.isfinite(float(v)) for metrics in all_metrics for v in metrics.values())
    assert int(after.extras["skipped"]) == 0
    for name in ("g", "d"):
        changes = jax.tree.map(
            lambda a, b: float(np.abs(a - b).max()), before.nets[name].params,
            after.nets[name].params,
        )  # fmt: skip
        changes = jax.tree.leaves(changes)
        assert sum(v > 0 for v in changes) > 0.6 * len(changes), name


def step_inputs(config, store, step=0):
    """(networks, state, batches, [(image, conditions, z)] of the first update of D and of G)."""
    networks = gan.build_networks(config, store.spec)
    batches = batches_of(store, config, step)
    keys = [
        jax.random.fold_in(rng.key(config.seed, "discriminator", step), 0),
        rng.key(config.seed, "generator", step),
    ]
    draws = []
    for batch, key in zip((batches[0], batches[-1]), keys, strict=True):
        z = rng.normal(jax.random.fold_in(key, 1), batch["slot"], (config.model.latent,))
        draws.append((pixels.to_float(batch["image"]), conditioning.vector(batch, store.spec), z))
    return networks, start(config, store.spec), batches, draws


def test_the_losses_in_the_metrics_are_the_objectives(store):
    """Relativistic loss with R1 and R2 written out from the paper, gradients under SGD."""
    config = tiny_gan(
        model__name="dcgan", model__condition_dropout=0.0,
        optim__name="sgd", optim__schedule="constant", optim__warmup_steps=0, optim__lr=1e-3,
        loss__gamma=0.8,
    )  # fmt: skip
    (g_module, d_module), state, batches, draws = step_inputs(config, store)
    g, d = state.nets["g"].params, state.nets["d"].params

    def d_loss_fn(d):
        real, conditions, z = draws[0]
        fake = g_module.apply({"params": g}, z, conditions)
        d_fn = lambda x: d_module.apply({"params": d}, x, conditions)  # noqa: E731
        logit = lambda x, c: d_module.apply({"params": d}, x[None], c[None])[0]  # noqa: E731
        grad_sq_norms = [
            jnp.sum(jax.vmap(jax.grad(logit))(x, conditions) ** 2, axis=(1, 2, 3))
            for x in (real, fake)
        ]
        adversarial_loss = jnp.mean(jax.nn.softplus(d_fn(fake) - d_fn(real)))
        penalty = 0.8 / 2 * jnp.mean(grad_sq_norms[0] + grad_sq_norms[1])
        return adversarial_loss + penalty, adversarial_loss

    (_, d_loss), d_grads = jax.jit(jax.value_and_grad(d_loss_fn, has_aux=True))(d)
    expected_d = jax.tree.map(lambda p, s: p - 1e-3 * s, d, d_grads)

    def g_loss_fn(g):
        real, conditions, z = draws[1]
        d_fn = lambda x: d_module.apply({"params": expected_d}, x, conditions)  # noqa: E731
        fake = g_module.apply({"params": g}, z, conditions)
        return jnp.mean(jax.nn.softplus(d_fn(real) - d_fn(fake)))

    g_loss, g_grads = jax.jit(jax.value_and_grad(g_loss_fn))(g)
    after, metrics = stepper(config, store.spec)(state, batches, {})
    assert float(metrics["d/loss"]) == pytest.approx(float(d_loss), rel=1e-4)
    assert float(metrics["g/loss"]) == pytest.approx(float(g_loss), rel=1e-4)
    assert float(metrics["grad_norm/d"]) == pytest.approx(
        float(trees.global_norm(d_grads)), rel=1e-3
    )
    assert float(metrics["grad_norm/g"]) == pytest.approx(
        float(trees.global_norm(g_grads)), rel=1e-3
    )
    close(expected_d, after.nets["d"].params, 1e-5)


@pytest.mark.slow
def test_alpha_multiplies_the_discriminators_loss_and_its_gradient(store):
    metrics = {}
    for alpha in (1.0, 3.0):
        config = tiny_gan(loss__alpha=alpha, model__condition_dropout=0.0)
        state = start(config, store.spec)
        _, metrics[alpha] = stepper(config, store.spec)(state, batches_of(store, config), {})
    one, three = metrics[1.0], metrics[3.0]
    assert float(three["grad_norm/d"]) == pytest.approx(3 * float(one["grad_norm/d"]), rel=1e-4)
    assert float(three["loss"]) == pytest.approx(
        float(three["g/loss"]) + 3 * float(three["d/loss"]), rel=1e-5
    )


def test_a_lazy_penalty_is_in_one_of_the_variants_that_steps_run_in_turn():
    every, lazy = tiny_gan(loss__penalty_every=1), tiny_gan(loss__penalty_every=3)
    assert gan.variants(every) == ("penalised",)
    assert gan.variants(lazy) == ("penalised", "plain", "plain")
    assert gan.variants(tiny_gan(loss__penalty="none", loss__penalty_every=3)) == ("plain",)


@pytest.mark.slow
def test_the_lazy_step_multiplies_the_penalty_by_its_interval(store):
    """gamma 0.2 on every fifth step is, in that step, gamma 1 on every step."""
    fields = {"optim__name": "sgd", "optim__lr": 1e-3, "optim__warmup_steps": 0}
    lazy = tiny_gan(loss__gamma=0.2, loss__penalty_every=5, **fields)
    every = tiny_gan(loss__gamma=1.0, **fields)
    params = [
        stepper(c, store.spec)(start(c, store.spec), batches_of(store, c), {})[0].nets["d"].params
        for c in (lazy, every)
    ]
    close(*params, 1e-6)


def unpenalised_config(d_steps):
    """A config of so many updates of D a step, at a learning rate of 0."""
    return tiny_gan(
        model__name="dcgan", train__d_steps=d_steps, loss__penalty="none", optim__lr=0.0
    )


@pytest.mark.parametrize("d_steps", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_checkpoint_holds_the_number_of_updates_of_each_network(store, tmp_path, d_steps):
    config = unpenalised_config(d_steps)
    state, _ = train_gan(store, config, 2)
    checkpoints = checkpoint.CheckpointManager(tmp_path, 2, 1)
    checkpoints.save(2, state, None)
    checkpoints.wait()
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state
    )
    saved_state = checkpoint.restore_step(tmp_path, 2, shapes)
    counts = {
        name: {
            int(v)
            for path, v in trees.flatten_with_paths(net.opt).items()
            if path.endswith("count")
        }
        for name, net in saved_state.nets.items()
    }
    assert counts == {"g": {2}, "d": {2 * d_steps}}


def test_every_update_of_d_has_noise_of_its_own(store):
    """With d_steps 2 and both batches equal, the two updates still draw different fakes."""
    twice, once = unpenalised_config(2), unpenalised_config(1)
    batch = batch_of(store, twice)
    _, second = stepper(twice, store.spec, "plain")(start(twice, store.spec), (batch,) * 3, {})
    _, first = stepper(once, store.spec, "plain")(start(once, store.spec), (batch,) * 2, {})
    assert float(second["d/real"]) == pytest.approx(float(first["d/real"]), abs=0.05)
    assert float(second["d/fake"]) != float(first["d/fake"])


def test_a_step_that_is_not_finite_changes_nothing_but_the_counters(store):
    config = tiny_gan(**ADAPTIVE_FIELDS)
    step = stepper(config, store.spec)
    state, _ = step(start(config, store.spec), batches_of(store, config), {})
    *d_batches, g_batch = batches_of(store, config, 1)
    nan_batch = g_batch | {
        "attributes": np.full_like(g_batch["attributes"], np.nan),
        "known": np.ones_like(g_batch["known"]),
    }
    after, metrics = step(state, (*d_batches, nan_batch), {})
    close(state.nets, after.nets, 0.0)
    assert float(after.extras["sign_sum"]) == float(state.extras["sign_sum"])
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (1, 1)


def test_d_receives_augmented_reals_and_fakes(store):
    """A policy that returns the background alone leaves D the loss log 2 of a random guess."""
    config = tiny_gan(
        model__name="dcgan", augment__policy="product", loss__penalty="none", optim__lr=0.0
    )
    _, d_module = gan.build_networks(config, store.spec)
    augmented_discriminator = discriminator.AugmentedDiscriminator(config, store.spec, d_module)

    class Blank:
        num_uniforms = 3

        def __call__(self, image, uniforms, p, background):
            return jnp.broadcast_to(background, image.shape)

    augmented_discriminator.policy = Blank()
    update = discriminator.make_update(config, augmented_discriminator, lambda x: x, "plain")

    def make_pairs(batch, key):
        real, conditions = pixels.to_float(batch["image"]), conditioning.vector(batch, store.spec)
        return real, -real, conditions

    _, metrics = jax.jit(lambda net, batch, key: update(net, batch, make_pairs, key, 0, 1.0))(
        start(config, store.spec).nets["d"], batch_of(store, config), rng.key(0, "discriminator")
    )
    assert float(metrics["d/loss"]) == pytest.approx(np.log(2), rel=1e-6)


def test_p_is_constant_or_ramped_or_adaptive(store):
    constant = tiny_gan(model__name="dcgan", augment__policy="product", augment__p=0.3)
    ramp = tiny_gan(augment__policy="product", augment__p=0.4, augment__ramp=True,
                    optim__burn_in=0.5, train__num_steps=100)  # fmt: skip
    state = start(constant, store.spec)
    assert float(discriminator.augment_probability(constant, state)) == pytest.approx(0.3)

    def p_at(step):
        at_step = state.replace(step=jnp.int32(step))
        return float(discriminator.augment_probability(ramp, at_step))

    assert p_at(0) == pytest.approx(0.0, abs=1e-6)
    assert p_at(25) == pytest.approx(0.2, rel=1e-4)
    assert p_at(50) == p_at(99) == pytest.approx(0.4, rel=1e-5)
    after, all_metrics = train_gan(store, tiny_gan(**ADAPTIVE_FIELDS), 5)
    ps = [float(metrics["augment/p"]) for metrics in all_metrics]
    assert ps[:4] == pytest.approx([0.1] * 4)
    assert abs(ps[4] - 0.1) == pytest.approx(4 * 16 / 1000, rel=1e-4)
    assert float(after.extras["augment_p"]) == pytest.approx(ps[4])


def test_padding_counts_nothing_in_an_evaluation(store):
    config = tiny_gan(model__name="dcgan")
    state, batch, frozen_params = (
        start(config, store.spec),
        batch_of(store, config),
        init_reference_classifier(store.spec),
    )
    eval_step = programs.eval_step(config, store.spec)
    is_example = np.arange(16) < 8
    half = batch | {"slot": np.where(is_example, batch["slot"], -1).astype(np.int32)}
    grey = half | {"image": np.where(is_example[:, None, None, None], batch["image"], 7)}
    assert float(eval_step(state, half, frozen_params)["examples"]) == 8
    close(eval_step(state, half, frozen_params), eval_step(state, grey, frozen_params), 1e-6)


def test_generated_images_depend_on_label_attributes_and_latent(store):
    config = tiny_gan()
    generate = programs.generate(config, store.spec)
    batch = batch_of(store, config)
    z = gan.draw_latents(config, 0, np.arange(16))
    # FiLM starts from zero: a wave is added to every weight, as training would change them.
    params = jax.tree.map(
        lambda leaf: (
            leaf + 0.05 * np.sin(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape)
        ),
        gan.eval_params(start(config, store.spec)),
    )
    sample = generate(params, z, batch)
    assert sample.shape == (16, 16, 16, 3)
    for other in (
        batch | {"label": 1 - batch["label"]},
        batch | {"attributes": batch["attributes"] + 1},
    ):
        assert float(np.abs(generate(params, z, other) - sample).max()) > 1e-3
    assert float(np.abs(generate(params, z[::-1], batch) - sample).max()) > 1e-3


def test_inputs_are_grouped_into_those_with_a_penalty_and_the_others():
    groups = {
        name: list(discriminator._input_groups(inputs))
        for name, inputs in registry.PENALTIES.items()
    }
    assert groups["none"] == [(("real", "fake"), False)]
    assert groups["r1"] == [(("real",), True), (("fake",), False)]
    assert groups["r1_r2"] == [(("real", "fake"), True)]
    assert groups["gradient"] == [(("interpolated",), True), (("real", "fake"), False)]
    assert penalties.zero_centred_penalty(2.0, 3.0) == 3.0
