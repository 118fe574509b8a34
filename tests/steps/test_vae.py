"""The VAE's step: its objective, skipped steps, evaluation, pretrained weights."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.core import pixels, rng
from prodgen.core.errors import UsageError
from prodgen.losses import divergence
from prodgen.models import conditioning
from prodgen.steps import vae
from prodgen.steps.state import Transfer, load_pretrained
from tests import programs
from tests.tiny import batch_of, close, spec_of, tiny


def start(config, spec, seed=0):
    return programs.initial_state(config, spec, rng.key(seed, "init"))


def deterministic_config(**fields):
    """A config without dropout, warm-up and clipping; tests share its compiled step.

    Its 60 steps are those of the test that trains.
    """
    return tiny(
        loss__beta=0.5, loss__beta_schedule="constant", model__condition_dropout=0.0,
        optim__name="adam", optim__lr=1e-2, optim__warmup_steps=0, optim__clip=0.0,
        train__num_steps=60, **fields,
    )  # fmt: skip


def test_the_loss_in_the_metrics_is_the_objective(store):
    config = deterministic_config()
    state, batch = start(config, store.spec), batch_of(store, config)
    _, metrics = programs.train_step(config, store.spec)(state, (batch,), {})
    noise = rng.normal(rng.key(0, "posterior", 0), batch["slot"], (4,))
    conditions = conditioning.vector(batch, store.spec)
    image = pixels.to_float(batch["image"])
    apply = jax.jit(vae.build_network(config, store.spec).apply)
    output, mean, log_variance = apply(
        {"params": state.nets["vae"].params}, image, noise, conditions
    )
    mse = float(jnp.mean((output - image) ** 2))
    nll = 16 * 16 * 3 / 2 * (1 + np.log(2 * np.pi * mse))  # the Gaussian at its own variance
    kl = float(divergence.kl_to_standard_normal(mean, log_variance).sum(1).mean())
    assert float(metrics["sigma2"]) == pytest.approx(mse, rel=1e-4)
    assert float(metrics["nll"]) == pytest.approx(nll, rel=1e-4)
    assert float(metrics["kl"]) == pytest.approx(kl, rel=1e-4)
    assert float(metrics["loss"]) == pytest.approx(nll + 0.5 * kl, rel=1e-4)


def test_a_step_that_is_not_finite_changes_nothing_but_the_counters(store):
    config = tiny()
    step = programs.train_step(config, store.spec)
    state, batch = start(config, store.spec), batch_of(store, config)
    state, _ = step(state, (batch,), {})
    nan_batch = batch | {"attributes": np.full_like(batch["attributes"], np.nan)}
    nan_batch["known"] = np.ones_like(batch["known"])
    after, metrics = step(state, (nan_batch,), {})
    close(state.nets, after.nets, 0.0)
    assert float(after.extras["sigma2"]) == float(state.extras["sigma2"])
    assert int(after.step) == int(state.step) + 1
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (1, 1)
    after, metrics = step(after, (nan_batch,), {})
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (2, 2)
    after, metrics = step(after, (batch,), {})
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (2, 0)


def test_training_lowers_the_loss(store):
    config = deterministic_config()
    step = programs.train_step(config, store.spec)
    state, losses = start(config, store.spec), []
    for t in range(60):
        state, metrics = step(state, (batch_of(store, config, t),), {})
        losses.append(float(metrics["nll"]))
    assert losses[-1] < losses[0] - 300


@pytest.mark.parametrize(
    "likelihood",
    ["sigma", pytest.param("mse", marks=pytest.mark.slow),
     pytest.param("bernoulli", marks=pytest.mark.slow),
     pytest.param("logistic", marks=pytest.mark.slow)],
)  # fmt: skip
@pytest.mark.parametrize("grey", [True, False])
def test_every_likelihood_trains_and_evaluates_on_grey_and_colour_images(
    store, grey_store, likelihood, grey
):
    data = grey_store if grey else store
    config = tiny(loss__likelihood=likelihood)
    state, batch = start(config, data.spec), batch_of(data, config)
    state, metrics = programs.train_step(config, data.spec)(state, (batch,), {})
    assert int(metrics["skipped"]) == 0
    sums = programs.eval_step(config, data.spec)(state, batch, {})
    values = vae.summarise(config, data.spec, jax.device_get(sums))
    assert ("bits_per_dim" in values) == (likelihood == "logistic")
    assert all(np.isfinite(value) for value in values.values())


def test_padding_counts_nothing_in_an_evaluation(store):
    config = tiny()
    state, batch = start(config, store.spec), batch_of(store, config)
    eval_step = programs.eval_step(config, store.spec)
    is_example = np.arange(16) < 8
    half = batch | {"slot": np.where(is_example, batch["slot"], -1).astype(np.int32)}
    grey = half | {"image": np.where(is_example[:, None, None, None], batch["image"], 7)}
    assert float(eval_step(state, half, {})["examples"]) == 8
    close(eval_step(state, half, {}), eval_step(state, grey, {}), 0.0)


# One program for two tests: averaging does not change a step's loss.
BFLOAT16_WITHOUT_EMA = {"model__dtype": "bfloat16", "optim__ema_images": 0}


def test_bfloat16_has_float32_weights_and_nearly_the_same_loss(store):
    float32, bfloat16 = tiny(), tiny(**BFLOAT16_WITHOUT_EMA)
    batch = batch_of(store, float32)
    losses = []
    for config in (float32, bfloat16):
        state = start(config, store.spec)
        step = programs.train_step(config, store.spec)
        after, metrics = step(state, (batch,), {})
        losses.append(float(metrics["loss"]))
        dtypes = {leaf.dtype for leaf in jax.tree.leaves(after.nets["vae"].params)}
        assert dtypes == {np.dtype("float32")}
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_without_averaging_the_weights_themselves_are_evaluated(store):
    config = tiny(**BFLOAT16_WITHOUT_EMA)
    state = start(config, store.spec)
    assert state.nets["vae"].ema is None
    step = programs.train_step(config, store.spec)
    state, _ = step(state, (batch_of(store, config),), {})
    assert vae.eval_params(state) is state.nets["vae"].params


def test_the_optimiser_updates_every_weight(store):
    """The step updates one vector of all weights: Adam by hand, and the averaged weights."""
    config = deterministic_config()
    state, batch = start(config, store.spec), batch_of(store, config)
    after, _ = programs.train_step(config, store.spec)(state, (batch,), {})
    before, net = state.nets["vae"], after.nets["vae"]
    changes = jax.tree.map(lambda a, b: np.abs(np.asarray(a - b)), before.params, net.params)
    for leaf in jax.tree.leaves(changes):  # Adam's first update is the learning rate, or zero
        assert np.all((leaf < 1e-7) | (np.abs(leaf - 1e-2) < 1e-4))
    decay = 1 / 10
    average = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, before.params, net.params)
    close(average, net.ema, 1e-6)


def test_latents_are_standard_normal_under_any_learned_prior(store):
    """encode and decode use z, whose KL to N(0, I) is that of the codes to the learned prior."""
    config = tiny()
    net = vae.build_network(config, store.spec)
    params = start(config, store.spec).nets["vae"].params
    wave = lambda leaf: 0.05 * np.sin(np.arange(leaf.size)).reshape(leaf.shape)  # noqa: E731
    params = jax.tree.map(lambda leaf: leaf + wave(leaf), params)
    batch = batch_of(store, config)
    image, conditions = pixels.to_float(batch["image"]), conditioning.vector(batch, store.spec)

    def codes_and_prior(module):
        embedding = module.embedding(conditions)
        return module.encoder(image, embedding), module.prior(embedding)

    @jax.jit
    def outputs(params, image, conditions):
        """Posterior and prior of the codes; the results of encode, decode and the network."""
        apply = functools.partial(net.apply, {"params": params})
        mean, log_variance = apply(image, conditions, method="encode")
        decoder_output = apply(mean, conditions, method="decode")
        output, _, _ = apply(image, jnp.zeros_like(mean), conditions)
        return apply(method=codes_and_prior), (mean, log_variance), decoder_output, output

    codes, (mean, log_variance), decoder_output, output = outputs(params, image, conditions)
    (m, lv), (pm, plv) = jax.device_get(codes)
    assert np.abs(pm).max() > 0.1 and np.abs(plv).max() > 0.1
    kl_to_prior = 0.5 * (plv - lv + (np.exp(lv) + (m - pm) ** 2) / np.exp(plv) - 1)
    close(divergence.kl_to_standard_normal(mean, log_variance), kl_to_prior, 1e-4)
    close(mean, (m - pm) / np.exp(plv / 2), 1e-5)
    close(decoder_output, output, 1e-5)


def test_each_latent_depends_on_its_seed_and_index_alone():
    config = tiny()
    latents = np.asarray(vae.draw_latents(config, 3, np.arange(6)))
    np.testing.assert_array_equal(vae.draw_latents(config, 3, np.array([4])), latents[4:5])
    assert not np.array_equal(vae.draw_latents(config, 4, np.array([4])), latents[4:5])


def test_pretrained_weights_are_loaded_where_they_fit_and_the_others_are_listed(store):
    config = tiny()
    donor = start(config, store.spec, seed=1)
    state, transfer = load_pretrained(start(config, store.spec), donor, store.spec, store.spec)
    assert transfer.differences == []
    assert transfer.describe("runs/a at step 5") == (
        "all 42 arrays are those of runs/a at step 5; new: the optimiser"
    )
    close(state.nets["vae"].params, donor.nets["vae"].ema, 0.0)
    close(state.nets["vae"].ema, donor.nets["vae"].ema, 0.0)

    unconditional = spec_of(conditional=False)
    state, transfer = load_pretrained(
        start(config, unconditional), donor, unconditional, store.spec
    )
    assert any(line.startswith("vae/encoder/head/kernel: [") for line in transfer.differences)
    stem = state.nets["vae"].params["encoder"]["stem"]["kernel"]
    close(stem, donor.nets["vae"].ema["encoder"]["stem"]["kernel"], 0.0)

    other_classes = dataclasses.replace(store.spec, classes=("ring", "star"))
    state, transfer = load_pretrained(
        start(config, other_classes), donor, other_classes, store.spec
    )
    # New are 4 arrays of FiLM layers with (1 + 128) (8 + 16) weights, 6 of the embedding with
    # 128 (1 + 13) + 128 (1 + 128) + 2 128, and 4 of the prior with 256 (1 + 128) + 8 (1 + 256).
    num_new = 129 * 24 + 128 * 14 + 128 * 129 + 256 + 256 * 129 + 8 * 257
    assert transfer.num_weights - transfer.num_loaded_weights == num_new == 56736
    assert transfer.describe("runs/a at step 5") == (  # 23,367 of 80,103
        "28 of 42 arrays (29 % of the weights) are those of runs/a at step 5; new: the FiLM layers "
        "of the VAE, the embedding of the conditions of the VAE, the conditional prior of the VAE "
        "and the optimiser"
    )
    assert transfer.differences[0] == "categories: ('disc', 'square') there, ('ring', 'star') here"
    assert "vae/prior/Dense_0/kernel: reads other conditions there" in transfer.differences
    initial_params = start(config, other_classes).nets["vae"].params
    close(state.nets["vae"].params["prior"], initial_params["prior"], 0.0)
    close(state.nets["vae"].params["encoder"], donor.nets["vae"].ema["encoder"], 0.0)

    wide = tiny(model__width=6, model__max_width=7, model__latent=3)
    other_model = programs.initial_shapes(wide, unconditional)  # its shapes alone do not fit
    other_model = other_model.replace(nets={"other": other_model.nets["vae"]})
    with pytest.raises(UsageError, match="share no weights"):
        load_pretrained(start(config, store.spec), other_model, store.spec, store.spec)


def test_a_transfer_of_nearly_all_or_nearly_nothing_is_not_called_all_or_nothing():
    nearly_all = Transfer(44, 43, 10_000, 9_999, ["head of the discriminator"])
    assert nearly_all.describe("a") == (
        "43 of 44 arrays (99 % of the weights) are those of a; "
        "new: head of the discriminator and the optimiser"
    )
    names = [f"layer{i}" for i in range(10)]
    assert Transfer(44, 1, 10_000, 1, names).describe("a") == (
        "1 of 44 arrays (1 % of the weights) are those of a; new: layer0, layer1, layer2, layer3, "
        "layer4, layer5, layer6, layer7, 2 more layers and the optimiser"
    )


def test_with_a_standard_prior_the_kl_of_the_codes_is_that_to_n_0_1(store):
    config = deterministic_config(model__prior="standard")
    state, batch = start(config, store.spec), batch_of(store, config)
    params = state.nets["vae"].params
    assert "prior" not in params and "embedding" in params
    _, metrics = programs.train_step(config, store.spec)(state, (batch,), {})
    net, conditions = vae.build_network(config, store.spec), conditioning.vector(batch, store.spec)
    encode = jax.jit(
        lambda x, c: net.apply(
            {"params": params}, x, c, method=lambda net, x, c: net.encoder(x, net.embedding(c))
        )
    )
    codes = encode(pixels.to_float(batch["image"]), conditions)
    mean, log_variance = (np.asarray(x, np.float64) for x in codes)
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1).mean()
    assert float(metrics["kl"]) == pytest.approx(kl, rel=1e-4)
