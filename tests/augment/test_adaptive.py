"""The controller of p against steps computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.augment import adaptive

STEP = 4 * 100 / 10_000  # batch 100, 10,000 images a unit


@jax.jit
def update(extras, sign, step):
    return adaptive.update(extras, sign, step, 0.6, 10_000, 100)


def run_updates(signs, p=0.0, first=0):
    """The extras after each step, one sign a step."""
    extras, history = adaptive.init(p), []
    for step, sign in enumerate(signs, first):
        extras = update(extras, jnp.float32(sign), jnp.int32(step))
        history.append(extras)
    return history


def augment_p(history):
    return np.array([float(extras["augment_p"]) for extras in history])


def test_p_changes_every_fourth_step_by_the_number_of_images():
    np.testing.assert_allclose(
        augment_p(run_updates([1.0] * 9)),
        [0, 0, 0, STEP, STEP, STEP, STEP, 2 * STEP, 2 * STEP],
        rtol=1e-6,
    )


def test_p_falls_below_the_target_and_stays_on_it():
    np.testing.assert_allclose(augment_p(run_updates([0.5] * 4, p=0.3))[-1], 0.3 - STEP, rtol=1e-6)
    extras = adaptive.init(0.3)
    for step in range(4):
        extras = adaptive.update(extras, jnp.float32(0.5), jnp.int32(step), 0.5, 10_000, 100)
    assert float(extras["augment_p"]) == pytest.approx(0.3)


def test_the_mean_of_four_signs_decides_and_the_sum_restarts():
    history = run_updates([1.0, 1.0, 1.0, -0.9, 0.0, 0.5, 0.9, 0.9], p=0.3)
    np.testing.assert_allclose(augment_p(history)[[3, 7]], [0.3 - STEP, 0.3 - 2 * STEP], rtol=1e-6)
    sums = [float(extras["sign_sum"]) for extras in history]
    np.testing.assert_allclose(sums, [1, 2, 3, 0, 0, 0.5, 1.4, 0], atol=1e-6)


def test_p_stays_between_0_and_its_maximum():
    assert float(run_updates([-1.0] * 4)[-1]["augment_p"]) == 0.0
    history = augment_p(run_updates([1.0] * 100))
    assert history.max() == np.float32(adaptive.MAX_ADAPTIVE_P) == np.float32(0.8)
    assert history[-1] == history.max()


def test_a_resumed_controller_needs_the_two_scalars_alone():
    signs = np.random.default_rng(0).uniform(0.2, 1, 23)
    whole, first = run_updates(signs, p=0.2), run_updates(signs[:10], p=0.2)
    extras = {name: jnp.asarray(np.asarray(value)) for name, value in first[-1].items()}
    for step in range(10, 23):
        extras = update(extras, jnp.float32(signs[step]), jnp.int32(step))
    assert {k: float(v) for k, v in extras.items()} == {k: float(v) for k, v in whole[-1].items()}


def test_the_types_of_the_extras_never_change():
    start = adaptive.init(0)
    after = update(start, jnp.float32(1), jnp.int32(3))
    for name in ("augment_p", "sign_sum"):
        for extras in (start, after):
            assert extras[name].dtype == jnp.float32 and extras[name].shape == ()
    assert start.keys() == after.keys()
