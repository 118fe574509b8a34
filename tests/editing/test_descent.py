"""Gradient descent to a latent, on generators whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np

from prodgen.editing import descent
from prodgen.editing.descent import Targets

MATRIX = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(48, 6)))[0], jnp.float32)
LATENT = np.float32([[0.5, -1, 0.2, 1]])
NO_ATTRIBUTES = np.zeros((1, 2), np.float32)


def generate(weights, z, conditions):
    """A linear image [B, 4, 4, 3] of z [B, 4] and two attribute columns."""
    code = jnp.concatenate([z, conditions["attributes"]], axis=-1)
    return 0.5 * (code @ weights.T).reshape(-1, 4, 4, 3)


def identity_features(frozen, image):
    return image


def mean_absolute_error(a, b):
    return jnp.mean(jnp.abs(a - b), axis=(1, 2, 3))


def make_conditions(attributes):
    n = len(attributes)
    return {
        "label": jnp.full(n, -1),
        "attributes": jnp.asarray(attributes, jnp.float32),
        "known": jnp.ones((n, 2), bool),
    }


def descend(image, region, z, attributes, free=(1.0, 1.0), steps=300):
    measure, start, step = descent.make_descent(
        generate, identity_features, mean_absolute_error, jnp.asarray(free), steps
    )
    targets, conditions = Targets(image, region, image), make_conditions(attributes)
    search = start(MATRIX, None, targets, z, conditions)
    program = jax.jit(step)
    for _ in range(steps):
        search = program(MATRIX, None, targets, conditions, search)
    return search, measure, targets, conditions


def test_descent_reaches_the_latent_of_a_linear_generator():
    latents = np.float32([[0.5, -1, 0.2, 1], [1, 1, -1, 0]])
    attributes = np.float32([[0.3, -0.2], [0.1, 0.4]])
    image = generate(MATRIX, jnp.asarray(latents), make_conditions(attributes))
    search, *_ = descend(image, jnp.ones((2, 4, 4, 1)), jnp.zeros((2, 4)), attributes)
    np.testing.assert_allclose(search.best["z"], latents, atol=0.1)


def test_fixed_columns_stay_and_free_ones_move():
    attributes = np.float32([[0.8, -0.7]])
    image = generate(MATRIX, jnp.asarray(LATENT), make_conditions(attributes))
    region = jnp.ones((1, 4, 4, 1))
    search, *_ = descend(image, region, jnp.zeros((1, 4)), NO_ATTRIBUTES, free=(1, 0))
    after = np.asarray(search.best["attributes"])[0]
    assert after[1] == 0 and abs(after[0] - 0.8) < 0.2


def test_pixels_outside_the_region_have_no_effect():
    """An image that is damaged outside gives the latent that the undamaged one gives."""
    image = generate(MATRIX, jnp.asarray(LATENT), make_conditions(NO_ATTRIBUTES))
    region = jnp.ones((1, 4, 4, 1)).at[:, :, 2:].set(0.0)
    damaged_image = jnp.where(region > 0, image, 1.0)
    latents = [
        np.asarray(descend(x, region, jnp.zeros((1, 4)), NO_ATTRIBUTES)[0].best["z"])
        for x in (image, damaged_image)
    ]
    np.testing.assert_allclose(latents[0], latents[1], atol=1e-5)
    np.testing.assert_allclose(latents[1], LATENT, atol=0.15)


def test_the_best_iterate_is_never_worse_than_the_initial_latent():
    """From a perfect latent every step leads away."""
    latent = jnp.asarray(LATENT)
    image = generate(MATRIX, latent, make_conditions(NO_ATTRIBUTES))
    search, measure, targets, conditions = descend(
        image, jnp.ones((1, 4, 4, 1)), latent, NO_ATTRIBUTES, steps=3
    )
    before = measure(MATRIX, None, targets, latent, conditions)
    after = measure(MATRIX, None, targets, search.best["z"], conditions)
    assert float(after[0][0]) <= max(float(before[0][0]), 1e-4)
    assert float(search.best_loss[0]) <= 0.05 * float(jnp.mean(latent**2)) + 1e-6


def test_the_error_is_the_mean_over_the_region():
    image = jnp.zeros((1, 4, 4, 3))
    region = jnp.zeros((1, 4, 4, 1)).at[:, :1].set(1.0)
    constant = lambda w, z, c: jnp.full((1, 4, 4, 3), 0.5)  # noqa: E731
    measure, *_ = descent.make_descent(
        constant, identity_features, mean_absolute_error, jnp.ones(2), 10
    )
    mse, _ = measure(None, None, Targets(image, region, image), None, None)
    np.testing.assert_allclose(mse, [0.25])


def test_the_learning_rate_rises_stays_and_falls():
    rate = descent.make_schedule(100)
    values = [float(rate(t)) for t in (0, 2, 10, 50, 74, 90, 100)]
    assert values[0] < values[1] < values[2]
    np.testing.assert_allclose(values[2:5], descent.LEARNING_RATE, rtol=1e-2)
    assert values[5] < descent.LEARNING_RATE / 2 and values[6] == 0
