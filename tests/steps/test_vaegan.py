"""The VAE-GAN's step: which terms train the decoder, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.steps import vae, vaegan
from tests import programs
from tests.tiny import batch_of, close
from tests.tiny_gan import batches_of, init_reference_classifier, start, tiny_gan


def identity(x):
    return x


def config_of(**fields):
    defaults = {
        "model__name": "vaegan", "loss__adversarial": "hinge", "loss__penalty": "none",
        "model__condition_dropout": 0.0, "loss__gan_start": 5, "loss__gan_ramp": 10,
    }  # fmt: skip
    return tiny_gan(**(defaults | fields))


def stepper(store, config, state=None):
    """A function that makes one step from `state`, or the first state, as if at step `at`."""
    step = programs.train_step(config, store.spec)
    frozen_params, batches = init_reference_classifier(store.spec), batches_of(store, config)
    state = state or start(config, store.spec)
    return lambda at=0: step(state.replace(step=jnp.int32(at)), batches, frozen_params)


def test_the_adversarial_weight_is_zero_first_and_then_rises():
    config = config_of(loss__gan_weight=0.4)
    weight_at = lambda t: float(vaegan.gan_weight(config, jnp.int32(t)))  # noqa: E731
    assert [weight_at(t) for t in (0, 5)] == [0.0, 0.0]
    assert weight_at(10) == pytest.approx(0.2)
    assert weight_at(15) == weight_at(99) == pytest.approx(0.4)


def max_difference(params, others):
    """The largest absolute difference of two trees of arrays."""
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), params, others)
    return max(jax.tree.leaves(differences))


def test_before_gan_start_the_discriminator_does_not_change_the_vae(store):
    """Another discriminator gives the same VAE, and another one after gan_start; D is trained."""
    config = config_of(optim__name="sgd", optim__lr=1e-6, optim__warmup_steps=0)
    state, d = start(config, store.spec), start(config, store.spec).nets["d"]
    wave = lambda leaf: 0.1 * np.sin(np.arange(leaf.size)).reshape(leaf.shape)  # noqa: E731
    other_d = d.replace(
        params=jax.tree.map(lambda leaf: leaf + wave(leaf).astype(np.float32), d.params)
    )
    other_state = state.replace(nets=state.nets | {"d": other_d})
    step, other_step = (stepper(store, config, s) for s in (state, other_state))
    (after, _), (other_after, _) = step(), other_step()
    close(after.nets["vae"].params, other_after.nets["vae"].params, 1e-7)
    assert max_difference(d.params, after.nets["d"].params) > 0
    (after, _), (other_after, _) = step(at=20), other_step(at=20)
    assert max_difference(after.nets["vae"].params, other_after.nets["vae"].params) > 1e-6


@pytest.mark.slow
def test_before_gan_start_the_gan_weight_does_not_change_the_vae(store):
    """Another gan_weight gives the same VAE, and another one after gan_start; D is trained."""
    fields = {"optim__name": "sgd", "optim__lr": 1e-6, "optim__warmup_steps": 0}
    weak, strong = (config_of(loss__gan_weight=w, **fields) for w in (0.1, 9.0))
    weak_step, strong_step = stepper(store, weak), stepper(store, strong)
    (weak_after, _), (strong_after, _) = weak_step(), strong_step()
    close(weak_after.nets["vae"].params, strong_after.nets["vae"].params, 1e-7)
    d_params = start(weak, store.spec).nets["d"].params
    assert max_difference(d_params, weak_after.nets["d"].params) > 0
    (weak_after, _), (strong_after, _) = weak_step(at=20), strong_step(at=20)
    assert max_difference(weak_after.nets["vae"].params, strong_after.nets["vae"].params) > 1e-6


@pytest.mark.slow
def test_without_its_two_terms_the_update_is_that_of_the_vae(store):
    """Weights 0: the losses and the update are those of the VAE's objective."""
    fields = {"optim__name": "sgd", "optim__lr": 1e-6, "optim__warmup_steps": 0}
    config = config_of(loss__gan_weight=0.0, loss__perceptual_weight=0.0, **fields)
    state, metrics = stepper(store, config)()
    plain = config_of(model__name="vae", **fields)
    net = vae.build_network(plain, store.spec)
    batch = batches_of(store, config)[-1]
    image, conditions, noise = vaegan._draw_inputs(
        config, store.spec, batch, vaegan.rng.key(config.seed, "generator", 0)
    )
    params = start(config, store.spec).nets["vae"].params
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

    grads = jax.jit(jax.grad(objective))(params)
    expected = jax.tree.map(lambda p, g: p - 1e-6 * g, params, grads)
    close(expected, state.nets["vae"].params, 1e-5)
    # The update is large enough to be compared.
    assert max_difference(params, state.nets["vae"].params) > 1e-4


def test_the_adaptive_weight_is_a_ratio_of_gradient_norms():
    output_grad, other_grad = jnp.full((2, 3), 2.0), jnp.full((2, 3), 0.5)
    weight = vaegan.adaptive_weight(output_grad, other_grad, identity)
    assert float(weight) == pytest.approx(4.0)
    weight = vaegan.adaptive_weight(output_grad, jnp.zeros((2, 3)), identity)
    assert float(weight) <= vaegan.MAX_ADAPTIVE_WEIGHT


def test_an_evaluation_has_the_numbers_of_the_vae_and_of_the_samples(store):
    config = config_of()
    state, batch = start(config, store.spec), batch_of(store, config)
    sums = programs.eval_step(config, store.spec)(
        state, batch, init_reference_classifier(store.spec)
    )
    values = vaegan.summarise(config, store.spec, jax.device_get(sums))
    names = {"elbo", "psnr", "perceptual", "frechet", "spread", "condition_accuracy"}
    assert names <= set(values)
    assert all(np.isfinite(v) for v in values.values())
    assert vaegan.score(values) == -values["perceptual"]
