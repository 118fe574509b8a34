"""Gradient penalties by hand on critics whose slope is known, and in float64 on a small network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.config import registry
from prodgen.losses import penalties


def pictures(n=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, 4, 4, 2)))


def test_the_slope_of_a_linear_critic_is_its_weights():
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(4, 4, 2)))
    critic = lambda x: jnp.einsum("bhwc,hwc->b", x, weights)  # noqa: E731
    logits, square = penalties.with_square(critic, pictures())
    np.testing.assert_allclose(logits, critic(pictures()), rtol=1e-6)
    np.testing.assert_allclose(square, np.full(3, np.square(weights).sum()), rtol=1e-6)


def test_each_example_has_its_own_slope():
    """D(x) = |x|^2 / 2 has the gradient x."""
    critic = lambda x: 0.5 * jnp.sum(jnp.square(x), axis=(1, 2, 3))  # noqa: E731
    _, square = penalties.with_square(critic, pictures())
    np.testing.assert_allclose(square, np.square(pictures()).sum((1, 2, 3)), rtol=1e-6)


def test_the_rules_by_hand():
    square = jnp.asarray([0.0, 1.0, 9.0])
    np.testing.assert_allclose(penalties.zero_centred(square, 0.5), [0, 0.25, 2.25])
    np.testing.assert_allclose(
        penalties.one_centred(square, 10.0), [10, 0, 40], rtol=1e-5, atol=1e-5
    )


def test_a_flat_critic_has_a_finite_gradient_penalty_gradient():
    flat = lambda w: jnp.sum(  # noqa: E731
        penalties.one_centred(
            penalties.with_square(lambda x: w * jnp.sum(x, axis=(1, 2, 3)), pictures())[1], 1.0
        )
    )
    assert np.isfinite(jax.jit(jax.grad(flat))(0.0))


def test_between_lies_on_the_line():
    real, fake = pictures(seed=1), pictures(seed=2)
    share = jnp.asarray([0.0, 0.25, 0.5])
    found = penalties.between(real, fake, share)
    np.testing.assert_allclose(found[0], real[0])
    np.testing.assert_allclose(found[1], 0.75 * real[1] + 0.25 * fake[1], rtol=1e-6)


@pytest.mark.parametrize("rule", [penalties.zero_centred, penalties.one_centred])
def test_the_gradient_to_the_weights_is_that_of_the_definition_in_float64(rule):
    """One reverse pass over the sum against a Jacobian of each example by itself."""
    with jax.enable_x64(True):
        x = pictures().astype(jnp.float64)
        weights = jnp.asarray(np.random.default_rng(3).normal(size=(32, 5)))
        critic = lambda w, x: jnp.sum(jnp.tanh(x.reshape(len(x), -1) @ w), axis=-1)  # noqa: E731

        def ours(w):
            _, square = penalties.with_square(lambda x: critic(w, x), x)
            return jnp.mean(rule(square, 0.7))

        def defined(w):
            one = lambda row: critic(w, row[None])[0]  # noqa: E731
            slopes = jax.vmap(jax.jacfwd(one))(x).reshape(len(x), -1)
            return jnp.mean(rule(jnp.sum(slopes**2, axis=-1), 0.7))

        # The square itself is kept in float32: 1e-6 is what it can promise.
        mine, expected = (jax.jit(jax.value_and_grad(f))(weights) for f in (ours, defined))
        np.testing.assert_allclose(mine[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(mine[1], expected[1], rtol=1e-5, atol=1e-7)


def test_every_penalty_has_its_places():
    assert {place for places in registry.PENALTIES.values() for place in places} == {
        "real", "fake", "between",
    }  # fmt: skip
