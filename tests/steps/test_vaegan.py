"""The VAE-GAN's step: what pulls at the decoder, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.steps import vae, vaegan
from tests import programs
from tests.tiny import batch_of, close
from tests.tiny_gan import batches_of, home_of, start, tiny_gan


def identity(x):
    return x


def config_of(**fields):
    given = {
        "model__name": "vaegan", "loss__adversarial": "hinge", "loss__penalty": "none",
        "model__condition_dropout": 0.0, "loss__gan_start": 5, "loss__gan_ramp": 10,
    }  # fmt: skip
    return tiny_gan(**(given | fields))


def stepper(store, config, state=None):
    """One step from a state, or from a config's start, as if at step `at`: compiled once."""
    step = programs.train_step(config, store.spec)
    frozen, batches = home_of(store.spec), batches_of(store, config)
    state = state or start(config, store.spec)
    return lambda at=0: step(state.replace(step=jnp.int32(at)), batches, frozen)


def test_the_discriminator_trains_alone_first_then_its_weight_rises():
    config = config_of(loss__gan_weight=0.4)
    at = lambda t: float(vaegan.gan_weight(config, jnp.int32(t)))  # noqa: E731
    assert [at(t) for t in (0, 5)] == [0.0, 0.0]
    assert at(10) == pytest.approx(0.2)
    assert at(15) == at(99) == pytest.approx(0.4)


def test_while_it_trains_alone_the_decoder_does_not_feel_it(store):
    """Before gan_start another discriminator changes nothing in the VAE; D has moved."""
    config = config_of(optim__name="sgd", optim__lr=1e-6, optim__warmup_steps=0)
    fresh, d = start(config, store.spec), start(config, store.spec).nets["d"]
    wave = lambda leaf: 0.1 * np.sin(np.arange(leaf.size)).reshape(leaf.shape)  # noqa: E731
    stirred = d.replace(
        params=jax.tree.map(lambda leaf: leaf + wave(leaf).astype(np.float32), d.params)
    )
    other = fresh.replace(nets=fresh.nets | {"d": stirred})
    of_one, of_other = (stepper(store, config, state) for state in (fresh, other))
    (one, _), (two, _) = of_one(), of_other()
    close(one.nets["vae"].params, two.nets["vae"].params, 1e-7)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), d.params, one.nets["d"].params)
    assert max(jax.tree.leaves(moved)) > 0
    (one, _), (two, _) = of_one(at=20), of_other(at=20)
    gaps = jax.tree.map(
        lambda a, b: np.abs(a - b).max(), one.nets["vae"].params, two.nets["vae"].params
    )
    assert max(jax.tree.leaves(gaps)) > 1e-6


@pytest.mark.slow
def test_while_it_trains_alone_its_weight_is_nothing_to_the_decoder(store):
    """Before gan_start another gan_weight changes nothing in the VAE; D has moved."""
    fields = {"optim__name": "sgd", "optim__lr": 1e-6, "optim__warmup_steps": 0}
    weak, strong = (config_of(loss__gan_weight=w, **fields) for w in (0.1, 9.0))
    weakly, strongly = stepper(store, weak), stepper(store, strong)
    (one, _), (two, _) = weakly(), strongly()
    close(one.nets["vae"].params, two.nets["vae"].params, 1e-7)
    before = start(weak, store.spec).nets["d"].params
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, one.nets["d"].params)
    assert max(jax.tree.leaves(moved)) > 0
    (one, _), (two, _) = weakly(at=20), strongly(at=20)
    gaps = jax.tree.map(
        lambda a, b: np.abs(a - b).max(), one.nets["vae"].params, two.nets["vae"].params
    )
    assert max(jax.tree.leaves(gaps)) > 1e-6


@pytest.mark.slow
def test_without_its_terms_it_is_the_vae(store):
    """Weights 0: the gradient and the update are those of the VAE's own step."""
    fields = {"optim__name": "sgd", "optim__lr": 1e-6, "optim__warmup_steps": 0}
    bare = config_of(loss__gan_weight=0.0, loss__perceptual_weight=0.0, **fields)
    state, metrics = stepper(store, bare)()
    plain = config_of(model__name="vae", **fields)
    net = vae.build_network(plain, store.spec)
    batch = batches_of(store, bare)[-1]
    image, conditions, noise = vaegan._draw_inputs(
        bare, store.spec, batch, vaegan.rng.key(bare.seed, "generator", 0)
    )
    params = start(bare, store.spec).nets["vae"].params
    output, mu, log_variance = net.apply({"params": params}, image, noise, conditions)
    mse = float(jnp.mean((output - image) ** 2))
    nll = 16 * 16 * 3 / 2 * (1 + np.log(2 * np.pi * mse))
    assert float(metrics["nll"]) == pytest.approx(nll, rel=1e-4)
    kl = 0.5 * (mu**2 + jnp.exp(log_variance) - 1 - log_variance).sum(1).mean()
    assert float(metrics["kl"]) == pytest.approx(float(kl), rel=1e-4)

    def objective(params):
        output, mu, log_variance = net.apply({"params": params}, image, noise, conditions)
        squares = ((output - image) ** 2).sum((1, 2, 3)).mean() / (2 * mse)
        kl = 0.5 * (mu**2 + jnp.exp(log_variance) - 1 - log_variance).sum(1).mean()
        return squares + float(metrics["beta"]) * kl

    moved = jax.tree.map(lambda p, g: p - 1e-6 * g, params, jax.jit(jax.grad(objective))(params))
    close(moved, state.nets["vae"].params, 1e-5)
    far = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), params, state.nets["vae"].params)
    assert max(jax.tree.leaves(far)) > 1e-4  # so that the comparison compares something


def test_balance_is_a_ratio_of_norms():
    pull, other = jnp.full((2, 3), 2.0), jnp.full((2, 3), 0.5)
    assert float(vaegan.adaptive_weight(pull, other, identity)) == pytest.approx(4.0)
    assert (
        float(vaegan.adaptive_weight(pull, jnp.zeros((2, 3)), identity))
        <= vaegan.MAX_ADAPTIVE_WEIGHT
    )


def test_a_judgement_has_the_vaes_numbers_and_the_samples(store):
    config = config_of()
    state, batch = start(config, store.spec), batch_of(store, config)
    judge = programs.eval_step(config, store.spec)
    sums = jax.device_get(judge(state, batch, home_of(store.spec)))
    found = vaegan.summarise(config, store.spec, sums)
    assert {"elbo", "psnr", "perceptual", "frechet", "spread", "condition_accuracy"} <= set(found)
    assert all(np.isfinite(v) for v in found.values())
    assert vaegan.score(found) == -found["perceptual"]
