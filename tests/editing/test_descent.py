"""Descending to a latent: on generators whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np

from prodgen.editing import descent
from prodgen.editing.descent import Targets

MATRIX = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(48, 6)))[0], jnp.float32)


def generate(weights, z, conditions):
    """A linear picture [B, 4, 4, 3] of z [B, 4] and two attribute columns."""
    code = jnp.concatenate([z, conditions["attributes"]], axis=-1)
    return 0.5 * (code @ weights.T).reshape(-1, 4, 4, 3)


def see(frozen, picture):
    return picture


def apart(a, b):
    return jnp.mean(jnp.abs(a - b), axis=(1, 2, 3))


def conditions_of(attributes):
    n = len(attributes)
    return {
        "label": jnp.full(n, -1),
        "attributes": jnp.asarray(attributes, jnp.float32),
        "known": jnp.ones((n, 2), bool),
    }


def descend(target, region, z, attributes, free=(1.0, 1.0), steps=300):
    measure, start, step = descent.make(generate, see, apart, jnp.asarray(free), steps)
    targets, conditions = Targets(target, region, target), conditions_of(attributes)
    search = start(MATRIX, None, targets, z, conditions)
    program = jax.jit(step)
    for _ in range(steps):
        search = program(MATRIX, None, targets, conditions, search)
    return search, measure, targets, conditions


def test_the_latent_of_a_linear_generator_is_found():
    truth = np.float32([[0.5, -1, 0.2, 1], [1, 1, -1, 0]])
    asked = np.float32([[0.3, -0.2], [0.1, 0.4]])
    target = generate(MATRIX, jnp.asarray(truth), conditions_of(asked))
    search, *_ = descend(target, jnp.ones((2, 4, 4, 1)), jnp.zeros((2, 4)), asked)
    np.testing.assert_allclose(search.best["z"], truth, atol=0.1)


def test_held_columns_stay_and_free_ones_move():
    truth, asked = np.float32([[0.5, -1, 0.2, 1]]), np.float32([[0.8, -0.7]])
    target = generate(MATRIX, jnp.asarray(truth), conditions_of(asked))
    start = np.zeros((1, 2), np.float32)
    search, *_ = descend(target, jnp.ones((1, 4, 4, 1)), jnp.zeros((1, 4)), start, free=(1, 0))
    found = np.asarray(search.best["attributes"])[0]
    assert found[1] == 0 and abs(found[0] - 0.8) < 0.2


def test_pixels_outside_the_region_count_nothing():
    """A target that is spoilt outside gives the latent that the unspoilt one gives."""
    truth, asked = jnp.float32([[0.5, -1, 0.2, 1]]), np.zeros((1, 2), np.float32)
    target = generate(MATRIX, truth, conditions_of(asked))
    region = jnp.ones((1, 4, 4, 1)).at[:, :, 2:].set(0.0)
    spoilt = jnp.where(region > 0, target, 1.0)
    found = [
        np.asarray(descend(picture, region, jnp.zeros((1, 4)), asked)[0].best["z"])
        for picture in (target, spoilt)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    np.testing.assert_allclose(found[1], truth, atol=0.15)


def test_the_best_iterate_is_never_worse_than_the_guess():
    """From a perfect guess every step leads away."""
    truth, asked = jnp.float32([[0.5, -1, 0.2, 1]]), np.zeros((1, 2), np.float32)
    target = generate(MATRIX, truth, conditions_of(asked))
    search, measure, targets, conditions = descend(
        target, jnp.ones((1, 4, 4, 1)), truth, asked, steps=3
    )
    before = measure(MATRIX, None, targets, truth, conditions)
    after = measure(MATRIX, None, targets, search.best["z"], conditions)
    assert float(after[0][0]) <= max(float(before[0][0]), 1e-4)
    assert float(search.lowest[0]) <= 0.05 * float(jnp.mean(truth**2)) + 1e-6


def test_the_region_is_what_the_error_is_measured_over():
    target = jnp.zeros((1, 4, 4, 3))
    region = jnp.zeros((1, 4, 4, 1)).at[:, :1].set(1.0)
    flat = lambda w, z, c: jnp.full((1, 4, 4, 3), 0.5)  # noqa: E731
    measure, *_ = descent.make(flat, see, apart, jnp.ones(2), 10)
    mse, _ = measure(None, None, Targets(target, region, target), None, None)
    np.testing.assert_allclose(mse, [0.25])


def test_the_rate_rises_holds_and_falls():
    rate = descent.schedule(100)
    values = [float(rate(t)) for t in (0, 2, 10, 50, 74, 90, 100)]
    assert values[0] < values[1] < values[2]
    np.testing.assert_allclose(values[2:5], descent.RATE, rtol=1e-2)
    assert values[5] < descent.RATE / 2 and values[6] == 0
