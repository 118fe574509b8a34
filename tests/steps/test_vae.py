"""The VAE's step: what it minimises, what it skips, what it keeps."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.core import images, rng
from prodgen.core.errors import UsageError
from prodgen.losses import divergence
from prodgen.models import conditioning
from prodgen.steps import vae
from prodgen.steps.state import load_pretrained
from tests import programs
from tests.tiny import batch_of, close, spec_of, tiny


def start(config, spec, seed=0):
    return programs.initial_state(config, spec, rng.key(seed, "init"))


def sure(**fields):
    """A config without dropout, warm-up and clipping, of one learning rate: tests share its step.

    Its 60 steps are those of the test of training.
    """
    return tiny(
        loss__beta=0.5, loss__beta_schedule="constant", model__condition_dropout=0.0,
        optim__name="adam", optim__lr=1e-2, optim__warmup_steps=0, optim__clip=0.0,
        train__num_steps=60, **fields,
    )  # fmt: skip


def test_the_reported_loss_is_the_objective(store):
    config = sure()
    state, batch = start(config, store.spec), batch_of(store, config)
    _, metrics = programs.train_step(config, store.spec)(state, (batch,), {})
    noise = rng.normal(rng.key(0, "posterior", 0), batch["slot"], (4,))
    conditions = conditioning.vector(batch, store.spec)
    image = images.to_float(batch["image"])
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
    poisoned = batch | {"attributes": np.full_like(batch["attributes"], np.nan)}
    poisoned["known"] = np.ones_like(batch["known"])
    after, metrics = step(state, (poisoned,), {})
    close(state.nets, after.nets, 0.0)
    assert float(after.extras["sigma2"]) == float(state.extras["sigma2"])
    assert int(after.step) == int(state.step) + 1
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (1, 1)
    after, metrics = step(after, (poisoned,), {})
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (2, 2)
    after, metrics = step(after, (batch,), {})
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (2, 0)


def test_training_lowers_the_loss(store):
    config = sure()
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
def test_every_likelihood_trains_and_judges_grey_and_colour(store, grey_store, likelihood, grey):
    data = grey_store if grey else store
    config = tiny(loss__likelihood=likelihood)
    state, batch = start(config, data.spec), batch_of(data, config)
    state, metrics = programs.train_step(config, data.spec)(state, (batch,), {})
    assert int(metrics["skipped"]) == 0
    sums = programs.eval_step(config, data.spec)(state, batch, {})
    found = vae.summarise(config, data.spec, jax.device_get(sums))
    assert ("bits_per_dim" in found) == (likelihood == "logistic")
    assert all(np.isfinite(value) for value in found.values())


def test_padding_counts_nothing(store):
    config = tiny()
    state, batch = start(config, store.spec), batch_of(store, config)
    judge = programs.eval_step(config, store.spec)
    half = batch | {"slot": np.where(np.arange(16) < 8, batch["slot"], -1).astype(np.int32)}
    junk = half | {"image": np.where((np.arange(16) < 8)[:, None, None, None], batch["image"], 7)}
    assert float(judge(state, half, {})["examples"]) == 8
    close(judge(state, half, {}), judge(state, junk, {}), 0.0)


# Averaging changes nothing in a step's loss, so one program serves two tests.
HALF = {"model__dtype": "bfloat16", "optim__ema_images": 0}


def test_bfloat16_keeps_float32_weights_and_comes_close(store):
    plain, half = tiny(), tiny(**HALF)
    batch = batch_of(store, plain)
    found = {}
    for name, config in (("plain", plain), ("half", half)):
        state = start(config, store.spec)
        step = programs.train_step(config, store.spec)
        after, found[name] = step(state, (batch,), {})
        kinds = {leaf.dtype for leaf in jax.tree.leaves(after.nets["vae"].params)}
        assert kinds == {np.dtype("float32")}
    assert float(found["half"]["loss"]) == pytest.approx(float(found["plain"]["loss"]), rel=0.02)


def test_without_averaging_the_weights_themselves_are_judged(store):
    config = tiny(**HALF)
    state = start(config, store.spec)
    assert state.nets["vae"].ema is None
    step = programs.train_step(config, store.spec)
    state, _ = step(state, (batch_of(store, config),), {})
    assert vae.eval_params(state) is state.nets["vae"].params


def test_the_step_is_the_rule_of_the_config_applied_to_every_weight(store):
    """One vector inside the step, the tree outside: Adam by hand, and the averaged weights."""
    config = sure()
    state, batch = start(config, store.spec), batch_of(store, config)
    after, _ = programs.train_step(config, store.spec)(state, (batch,), {})
    before, net = state.nets["vae"], after.nets["vae"]
    moved = jax.tree.map(lambda a, b: np.abs(np.asarray(a - b)), before.params, net.params)
    for leaf in jax.tree.leaves(moved):  # Adam's first update is the learning rate, or zero
        assert np.all((leaf < 1e-7) | (np.abs(leaf - 1e-2) < 1e-4))
    decay = 1 / 10
    mixed = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, before.params, net.params)
    close(mixed, net.ema, 1e-6)


def test_latents_are_standard_normal_whatever_the_prior(store):
    """The learned prior is hidden: encode and decode speak of z, whose KL is that of the codes."""
    config = tiny()
    net = vae.build_network(config, store.spec)
    params = start(config, store.spec).nets["vae"].params
    wave = lambda leaf: 0.05 * np.sin(np.arange(leaf.size)).reshape(leaf.shape)  # noqa: E731
    params = jax.tree.map(lambda leaf: leaf + wave(leaf), params)
    batch = batch_of(store, config)
    image, conditions = images.to_float(batch["image"]), conditioning.vector(batch, store.spec)

    def parts(module):
        embedded = module.embedding(conditions)
        return module.encoder(image, embedded), module.prior(embedded)

    @jax.jit
    def outputs(params, image, conditions):
        """What the parts say, and what encode, decode and the whole network make of it."""
        apply = functools.partial(net.apply, {"params": params})
        mean, log_variance = apply(image, conditions, method="encode")
        decoded = apply(mean, conditions, method="decode")
        whole, _, _ = apply(image, jnp.zeros_like(mean), conditions)
        return apply(method=parts), (mean, log_variance), decoded, whole

    codes, (mean, log_variance), decoded, whole = outputs(params, image, conditions)
    (m, lv), (pm, plv) = jax.device_get(codes)
    assert np.abs(pm).max() > 0.1 and np.abs(plv).max() > 0.1
    between = 0.5 * (plv - lv + (np.exp(lv) + (m - pm) ** 2) / np.exp(plv) - 1)
    close(divergence.kl_to_standard_normal(mean, log_variance), between, 1e-4)
    close(mean, (m - pm) / np.exp(plv / 2), 1e-5)
    close(decoded, whole, 1e-5)


def test_generated_latents_follow_their_index():
    config = tiny()
    whole = np.asarray(vae.draw_latents(config, 3, np.arange(6)))
    np.testing.assert_array_equal(vae.draw_latents(config, 3, np.array([4])), whole[4:5])
    assert not np.array_equal(vae.draw_latents(config, 4, np.array([4])), whole[4:5])


def test_adopting_weights_names_what_does_not_fit(store):
    config = tiny()
    donor = start(config, store.spec, seed=1)
    mine, differences = load_pretrained(start(config, store.spec), donor, store.spec, store.spec)
    assert differences == []
    close(mine.nets["vae"].params, donor.nets["vae"].ema, 0.0)
    close(mine.nets["vae"].ema, donor.nets["vae"].ema, 0.0)

    plain = spec_of(conditional=False)
    mine, differences = load_pretrained(start(config, plain), donor, plain, store.spec)
    assert any(line.startswith("vae/encoder/head/kernel: [") for line in differences)
    stem = mine.nets["vae"].params["encoder"]["stem"]["kernel"]
    close(stem, donor.nets["vae"].ema["encoder"]["stem"]["kernel"], 0.0)

    others = dataclasses.replace(store.spec, classes=("ring", "star"))  # as many, but others
    mine, differences = load_pretrained(start(config, others), donor, others, store.spec)
    assert differences[0] == "categories: ('disc', 'square') there, ('ring', 'star') here"
    assert "vae/prior/Dense_0/kernel: reads other conditions there" in differences
    fresh = start(config, others).nets["vae"].params
    close(mine.nets["vae"].params["prior"], fresh["prior"], 0.0)
    close(mine.nets["vae"].params["encoder"], donor.nets["vae"].ema["encoder"], 0.0)

    wide = tiny(model__width=6, model__max_width=7, model__latent=3)
    stranger = programs.initial_shapes(wide, plain)  # already its shapes refuse it
    stranger = stranger.replace(nets={"other": stranger.nets["vae"]})
    with pytest.raises(UsageError, match="share no weights"):
        load_pretrained(start(config, store.spec), stranger, store.spec, store.spec)
