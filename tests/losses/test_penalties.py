"""Gradient penalties by hand where the gradient is known, and in float64 on a small network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.config import registry
from prodgen.losses import penalties


def make_images(n=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, 4, 4, 2)))


def test_the_gradient_of_a_linear_discriminator_is_its_weights():
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(4, 4, 2)))
    d_fn = lambda x: jnp.einsum("bhwc,hwc->b", x, weights)  # noqa: E731
    logits, grad_sq_norm = penalties.logits_and_grad_sq_norm(d_fn, make_images())
    np.testing.assert_allclose(logits, d_fn(make_images()), rtol=1e-6)
    np.testing.assert_allclose(grad_sq_norm, np.full(3, np.square(weights).sum()), rtol=1e-6)


def test_each_example_has_its_own_gradient_norm():
    """D(x) = |x|^2 / 2 has the gradient x."""
    d_fn = lambda x: 0.5 * jnp.sum(jnp.square(x), axis=(1, 2, 3))  # noqa: E731
    _, grad_sq_norm = penalties.logits_and_grad_sq_norm(d_fn, make_images())
    np.testing.assert_allclose(grad_sq_norm, np.square(make_images()).sum((1, 2, 3)), rtol=1e-6)


def test_penalties_equal_the_hand_computed_values():
    grad_sq_norm = jnp.asarray([0.0, 1.0, 9.0])
    np.testing.assert_allclose(penalties.zero_centred_penalty(grad_sq_norm, 0.5), [0, 0.25, 2.25])
    np.testing.assert_allclose(
        penalties.one_centred_penalty(grad_sq_norm, 10.0), [10, 0, 40], rtol=1e-5, atol=1e-5
    )


def test_the_penalty_of_a_zero_gradient_has_a_finite_derivative():
    penalty = lambda w: jnp.sum(  # noqa: E731
        penalties.one_centred_penalty(
            penalties.logits_and_grad_sq_norm(
                lambda x: w * jnp.sum(x, axis=(1, 2, 3)), make_images()
            )[1],
            1.0,
        )
    )
    assert np.isfinite(jax.jit(jax.grad(penalty))(0.0))


def test_interpolated_images_lie_on_the_line_from_real_to_fake():
    real, fake = make_images(seed=1), make_images(seed=2)
    images = penalties.interpolate(real, fake, alpha=jnp.asarray([0.0, 0.25, 0.5]))
    np.testing.assert_allclose(images[0], real[0])
    np.testing.assert_allclose(images[1], 0.75 * real[1] + 0.25 * fake[1], rtol=1e-6)


@pytest.mark.parametrize("penalty", [penalties.zero_centred_penalty, penalties.one_centred_penalty])
def test_the_gradient_for_the_weights_is_that_of_the_definition_in_float64(penalty):
    """One reverse pass over the sum against a Jacobian of each example by itself."""
    with jax.enable_x64(True):
        x = make_images().astype(jnp.float64)
        weights = jnp.asarray(np.random.default_rng(3).normal(size=(32, 5)))
        d_fn = lambda w, x: jnp.sum(jnp.tanh(x.reshape(len(x), -1) @ w), axis=-1)  # noqa: E731

        def ours(w):
            _, grad_sq_norm = penalties.logits_and_grad_sq_norm(lambda x: d_fn(w, x), x)
            return jnp.mean(penalty(grad_sq_norm, 0.7))

        def definition(w):
            logit = lambda row: d_fn(w, row[None])[0]  # noqa: E731
            grads = jax.vmap(jax.jacfwd(logit))(x).reshape(len(x), -1)
            return jnp.mean(penalty(jnp.sum(grads**2, axis=-1), 0.7))

        # The squared norm is computed in float32, so the result is exact to 1e-6.
        actual, expected = (jax.jit(jax.value_and_grad(f))(weights) for f in (ours, definition))
        np.testing.assert_allclose(actual[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(actual[1], expected[1], rtol=1e-5, atol=1e-7)


def test_penalties_name_known_inputs():
    assert {name for inputs in registry.PENALTIES.values() for name in inputs} == {
        "real", "fake", "interpolated",
    }  # fmt: skip
