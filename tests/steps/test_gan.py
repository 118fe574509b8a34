"""The GAN's step: what each network minimises, how often, and from what."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.config import registry
from prodgen.core import images, rng, trees
from prodgen.losses import penalties
from prodgen.models import conditioning, spectral
from prodgen.runs import checkpoint
from prodgen.steps import discriminator as game
from prodgen.steps import gan
from prodgen.steps.state import fresh
from tests import programs
from tests.tiny import batch_of, close, spec_of
from tests.tiny_gan import (
    COMBINATIONS,
    LOSSES_AND_PENALTIES,
    NEEDS,
    NETWORKS,
    PAIRS,
    batches_of,
    home_of,
    shapes_of,
    start,
    stepper,
    tiny_gan,
    trained,
)


@pytest.mark.parametrize(("network", "loss", "penalty"), PAIRS)
def test_every_pair_of_choices_builds(network, loss, penalty):
    builds(network, loss, penalty)


@pytest.mark.parametrize(("loss", "penalty"), LOSSES_AND_PENALTIES)
def test_every_loss_takes_every_penalty(loss, penalty):
    """Shapes of an update of a discriminator that is linear in the picture."""

    class Linear(nn.Module):
        @nn.compact
        def __call__(self, image, conditions):
            inputs = jnp.concatenate([image.reshape(len(image), -1), conditions], axis=1)
            return nn.Dense(1)(inputs)[:, 0]

    config = tiny_gan(loss__adversarial=loss, loss__penalty=penalty, **NEEDS.get(loss, {}))
    spec = spec_of()
    update = game.make_update(
        config, game.Critic(config, spec, Linear()), lambda x: x, penalty != "none"
    )

    def shapes(key):
        image = jnp.zeros((4, *spec.shape))
        conditions, slots = jnp.zeros((4, conditioning.vector_size(spec))), jnp.arange(4)
        params = Linear().init(key, image, conditions)["params"]
        net = fresh(params, game.transform_of(config), ema=False)
        if config.model.spectral_norm:
            net = net.replace(vars=spectral.init(params, key))
        after, metrics = update(
            net, image, image, conditions, slots, key, jnp.int32(0), jnp.float32(0)
        )
        return net, after, metrics

    before, after, metrics = jax.eval_shape(shapes, jax.random.key(0))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), before
    )
    assert {"d/loss", "d/real", "d/fake", "grad_norm/d", "sure"} == set(metrics)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "loss", "penalty"), COMBINATIONS)
def test_every_combination_builds(network, loss, penalty):
    builds(network, loss, penalty)


def builds(network, loss, penalty):
    """Shapes of a whole step, without computing one."""
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
ADAPTIVE = {
    "model__name": "dcgan", "augment__policy": "product", "augment__adaptive": True,
    "augment__p": 0.1, "augment__ada_images": 1000,
}  # fmt: skip
FEW = [
    ("dcgan", "relativistic", "r1_r2", ADAPTIVE),
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
    ("network", "loss", "penalty", "more"),
    [pytest.param(*case, marks=() if case[3] is ADAPTIVE else pytest.mark.slow) for case in FEW],
)
def test_a_step_moves_both_networks_and_stays_finite(store, network, loss, penalty, more):
    fields = NETWORKS[network] | NEEDS.get(loss, {}) | more
    config = tiny_gan(loss__adversarial=loss, loss__penalty=penalty, **fields)
    before = start(config, store.spec)
    after, seen = trained(store, config, 2)
    assert all(np.isfinite(float(v)) for metrics in seen for v in metrics.values())
    assert int(after.extras["skipped"]) == 0
    for name in ("g", "d"):
        moved = jax.tree.map(
            lambda a, b: float(np.abs(a - b).max()), before.nets[name].params,
            after.nets[name].params,
        )  # fmt: skip
        assert sum(v > 0 for v in jax.tree.leaves(moved)) > 0.6 * len(jax.tree.leaves(moved)), name


def parts(config, store, step=0):
    """(generator, discriminator, state, batches, draws of the first update of D and of G)."""
    generator, discriminator = gan.networks(config, store.spec)
    batches = batches_of(store, config, step)
    keys = [
        jax.random.fold_in(rng.key(config.seed, "discriminator", step), 0),
        rng.key(config.seed, "generator", step),
    ]
    draws = []
    for batch, key in zip((batches[0], batches[-1]), keys, strict=True):
        noise = rng.normal(jax.random.fold_in(key, 1), batch["slot"], (config.model.latent,))
        draws.append(
            (images.to_float(batch["image"]), conditioning.vector(batch, store.spec), noise)
        )
    return generator, discriminator, start(config, store.spec), batches, draws


def test_the_reported_losses_are_the_objectives(store):
    """Relativistic loss with R1 and R2 written out from the paper, gradients under SGD."""
    config = tiny_gan(
        model__name="dcgan", model__condition_dropout=0.0,
        optim__name="sgd", optim__schedule="constant", optim__warmup_steps=0, optim__lr=1e-3,
        loss__gamma=0.8,
    )  # fmt: skip
    generator, discriminator, state, batches, draws = parts(config, store)
    g, d = state.nets["g"].params, state.nets["d"].params

    def loss_d(d):
        real, conditions, noise = draws[0]
        fake = generator.apply({"params": g}, noise, conditions)
        judge = lambda x: discriminator.apply({"params": d}, x, conditions)  # noqa: E731
        one = lambda x, c: discriminator.apply({"params": d}, x[None], c[None])[0]  # noqa: E731
        slopes = [
            jnp.sum(jax.vmap(jax.grad(one))(x, conditions) ** 2, axis=(1, 2, 3))
            for x in (real, fake)
        ]
        game_loss = jnp.mean(jax.nn.softplus(judge(fake) - judge(real)))
        return game_loss + 0.8 / 2 * jnp.mean(slopes[0] + slopes[1]), game_loss

    (_, game_loss), gradient = jax.jit(jax.value_and_grad(loss_d, has_aux=True))(d)
    expected_d = jax.tree.map(lambda p, s: p - 1e-3 * s, d, gradient)

    def loss_g(g):
        real, conditions, noise = draws[1]
        judge = lambda x: discriminator.apply({"params": expected_d}, x, conditions)  # noqa: E731
        fake = generator.apply({"params": g}, noise, conditions)
        return jnp.mean(jax.nn.softplus(judge(real) - judge(fake)))

    value, gradient_g = jax.jit(jax.value_and_grad(loss_g))(g)
    after, metrics = stepper(config, store.spec)(state, batches, {})
    assert float(metrics["d/loss"]) == pytest.approx(float(game_loss), rel=1e-4)
    assert float(metrics["g/loss"]) == pytest.approx(float(value), rel=1e-4)
    assert float(metrics["grad_norm/d"]) == pytest.approx(float(trees.norm(gradient)), rel=1e-3)
    assert float(metrics["grad_norm/g"]) == pytest.approx(float(trees.norm(gradient_g)), rel=1e-3)
    close(expected_d, after.nets["d"].params, 1e-5)


@pytest.mark.slow
def test_alpha_weighs_the_discriminators_loss_and_its_gradient(store):
    plain, heavy = (tiny_gan(loss__alpha=a, model__condition_dropout=0.0) for a in (1.0, 3.0))
    found = {}
    for config in (plain, heavy):
        state = start(config, store.spec)
        _, found[config.loss.alpha] = stepper(config, store.spec)(
            state, batches_of(store, config), {}
        )
    one, three = found[1.0], found[3.0]
    assert float(three["grad_norm/d"]) == pytest.approx(3 * float(one["grad_norm/d"]), rel=1e-4)
    assert float(three["loss"]) == pytest.approx(
        float(three["g/loss"]) + 3 * float(three["d/loss"]), rel=1e-5
    )


def test_a_lazy_penalty_weighs_as_much_more_as_it_comes_rarely():
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
    found = [
        stepper(c, store.spec)(start(c, store.spec), batches_of(store, c), {})[0].nets["d"].params
        for c in (lazy, every)
    ]
    close(*found, 1e-6)


def unpenalised(d_steps):
    """A config of so many updates of D a step, none of which moves a weight."""
    return tiny_gan(
        model__name="dcgan", train__d_steps=d_steps, loss__penalty="none", optim__lr=0.0
    )


@pytest.mark.parametrize("d_steps", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_updates_counted_in_a_checkpoint(store, tmp_path, d_steps):
    config = unpenalised(d_steps)
    state, _ = trained(store, config, 2)
    keeper = checkpoint.Checkpoints(tmp_path, 2, 1)
    keeper.save(2, state, None)
    keeper.wait()
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), state)
    saved = checkpoint.read(tmp_path, 2, like)
    counts = {
        name: {int(v) for path, v in trees.names(net.opt).items() if path.endswith("count")}
        for name, net in saved.nets.items()
    }
    assert counts == {"g": {2}, "d": {2 * d_steps}}


def test_every_update_of_d_has_pictures_and_noise_of_its_own(store):
    """With d_steps 2 and both batches equal, the two updates still draw different fakes."""
    config = unpenalised(2)
    batch = batch_of(store, config)
    _, same = stepper(config, store.spec, "plain")(start(config, store.spec), (batch,) * 3, {})
    single = unpenalised(1)
    _, first = stepper(single, store.spec, "plain")(start(single, store.spec), (batch,) * 2, {})
    assert float(same["d/real"]) == pytest.approx(float(first["d/real"]), abs=0.05)
    assert float(same["d/fake"]) != float(first["d/fake"])


def test_a_step_that_is_not_finite_changes_nothing_but_the_counters(store):
    config = tiny_gan(**ADAPTIVE)
    step = stepper(config, store.spec)
    state, _ = step(start(config, store.spec), batches_of(store, config), {})
    good = batches_of(store, config, 1)
    poisoned = good[-1] | {
        "attributes": np.full_like(good[-1]["attributes"], np.nan),
        "known": np.ones_like(good[-1]["known"]),
    }
    after, metrics = step(state, (*good[:-1], poisoned), {})  # only G's batch is bad
    close(state.nets, after.nets, 0.0)
    assert float(after.extras["sign_sum"]) == float(state.extras["sign_sum"])
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (1, 1)


def test_the_augmentation_is_what_d_sees_of_reals_and_fakes(store):
    """Under a policy that shows D the background alone, it cannot tell the two apart."""
    config = tiny_gan(
        model__name="dcgan", augment__policy="product", loss__penalty="none", optim__lr=0.0
    )
    generator, discriminator = gan.networks(config, store.spec)
    critic = game.Critic(config, store.spec, discriminator)

    class Blank:
        numbers = 3

        def __call__(self, image, uniforms, p, background):
            return jnp.broadcast_to(background, image.shape)

    critic.policy = Blank()
    update = jax.jit(game.make_update(config, critic, lambda x: x, False))
    batch = batch_of(store, config)
    real, conditions = images.to_float(batch["image"]), conditioning.vector(batch, store.spec)
    _, metrics = update(
        start(config, store.spec).nets["d"], real, -real, conditions, batch["slot"],
        rng.key(0, "discriminator"), jnp.int32(0), jnp.float32(1.0),
    )  # fmt: skip
    assert float(metrics["d/loss"]) == pytest.approx(np.log(2), rel=1e-6)


def test_p_follows_its_rule(store):
    fixed = tiny_gan(model__name="dcgan", augment__policy="product", augment__p=0.3)
    ramp = tiny_gan(augment__policy="product", augment__p=0.4, augment__ramp=True,
                    optim__burn_in=0.5, train__num_steps=100)  # fmt: skip
    state = start(fixed, store.spec)
    assert float(game.probability(fixed, state)) == pytest.approx(0.3)
    at = lambda t: float(game.probability(ramp, state.replace(step=jnp.int32(t))))  # noqa: E731
    assert at(0) == pytest.approx(0.0, abs=1e-6)
    assert at(25) == pytest.approx(0.2, rel=1e-4)
    assert at(50) == at(99) == pytest.approx(0.4, rel=1e-5)
    after, seen = trained(store, tiny_gan(**ADAPTIVE), 5)
    ps = [float(metrics["augment/p"]) for metrics in seen]
    assert ps[:4] == pytest.approx([0.1] * 4)
    assert abs(ps[4] - 0.1) == pytest.approx(4 * 16 / 1000, rel=1e-4)
    assert float(after.extras["augment_p"]) == pytest.approx(ps[4])


def test_padding_counts_nothing_in_a_judgement(store):
    config = tiny_gan(model__name="dcgan")
    state, batch, home = start(config, store.spec), batch_of(store, config), home_of(store.spec)
    judge = programs.eval_step(config, store.spec)
    half = batch | {"slot": np.where(np.arange(16) < 8, batch["slot"], -1).astype(np.int32)}
    junk = half | {"image": np.where((np.arange(16) < 8)[:, None, None, None], batch["image"], 7)}
    assert float(judge(state, half, home)["examples"]) == 8
    close(judge(state, half, home), judge(state, junk, home), 1e-6)


def test_the_generator_hears_label_attributes_and_latent(store):
    config = tiny_gan()
    made = programs.generate(config, store.spec)
    batch = batch_of(store, config)
    z = gan.latents(config, 0, np.arange(16))
    # FiLM starts from zero: as training would, a wave moves every weight.
    weights = jax.tree.map(
        lambda leaf: (
            leaf + 0.05 * np.sin(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape)
        ),
        gan.weights(start(config, store.spec)),
    )
    plain = made(weights, z, batch)
    assert plain.shape == (16, 16, 16, 3)
    for other in (
        batch | {"label": 1 - batch["label"]},
        batch | {"attributes": batch["attributes"] + 1},
    ):
        assert float(np.abs(made(weights, z, other) - plain).max()) > 1e-3
    assert float(np.abs(made(weights, z[::-1], batch) - plain).max()) > 1e-3


def test_penalty_places_are_those_of_the_table():
    found = {name: list(game._groups(places)) for name, places in registry.PENALTIES.items()}
    assert found["none"] == [(("real", "fake"), False)]
    assert found["r1"] == [(("real",), True), (("fake",), False)]
    assert found["r1_r2"] == [(("real", "fake"), True)]
    assert found["gradient"] == [(("between",), True), (("real", "fake"), False)]
    assert penalties.zero_centred(2.0, 3.0) == 3.0
