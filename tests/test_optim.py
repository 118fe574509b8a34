"""Schedules, clipping and averaging by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from prodgen import optim
from tests.tiny import tiny


def test_cosine_warms_up_peaks_and_ends_near_zero():
    lr = optim.make_lr_schedule(tiny(train__num_steps=100, optim__warmup_steps=10, optim__lr=1.0))
    assert float(lr(0)) == pytest.approx(1 / 11)
    assert float(lr(10)) == pytest.approx(1.0)
    assert float(lr(55)) == pytest.approx(0.5, abs=0.01)
    assert float(lr(100)) == pytest.approx(0.0, abs=1e-6)


def test_constant_stays():
    lr = optim.make_lr_schedule(
        tiny(optim__schedule="constant", optim__lr=0.5, optim__warmup_steps=0)
    )
    assert [float(lr(t)) for t in (0, 3, 999)] == [0.5, 0.5, 0.5]


def test_a_constant_schedule_does_not_know_how_long_the_run_is():
    few, many = (
        optim.make_lr_schedule(
            tiny(optim__schedule="constant", optim__warmup_steps=9, train__num_steps=n)
        )
        for n in (5, 50)
    )
    assert [float(few(t)) for t in range(20)] == [float(many(t)) for t in range(20)]


def test_clipping_bounds_the_global_norm():
    config = tiny(optim__name="sgd", optim__lr=1.0, optim__clip=1.0, optim__warmup_steps=0,
                  optim__schedule="constant")  # fmt: skip
    rule = optim.make_optimiser(config)
    grads = {"a": jnp.asarray([3.0]), "b": jnp.asarray([4.0])}
    updates, _ = rule.update(grads, rule.init(grads), grads)
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-0.6, -0.8], rtol=1e-6)


def test_the_average_by_hand():
    found = optim.update_ema({"w": jnp.asarray(1.0)}, {"w": jnp.asarray(0.0)}, 0.9, jnp.asarray(0))
    assert float(found["w"]) == pytest.approx(0.1)  # young: (1 + 0) / (10 + 0)
    found = optim.update_ema(
        {"w": jnp.asarray(1.0)}, {"w": jnp.asarray(0.0)}, 0.9, jnp.asarray(1000)
    )
    assert float(found["w"]) == pytest.approx(0.9)


def test_burn_in_moves_along_half_a_cosine_and_stays():
    config = tiny(train__num_steps=100, optim__burn_in=0.4)
    value = optim.burn_in_schedule(config, 2.0, 1.0)
    found = [float(value(t)) for t in (0, 10, 20, 40, 99)]
    np.testing.assert_allclose(found, [2, 1 + 0.5 * (1 + np.cos(np.pi / 4)), 1.5, 1, 1], rtol=1e-6)


def test_a_burn_in_schedule_leaves_its_share_of_the_rate():
    config = tiny(optim__schedule="burn_in", optim__lr=1e-2, optim__lr_end=0.25, optim__burn_in=0.5,
                  optim__warmup_steps=0, train__num_steps=10)  # fmt: skip
    lr = optim.make_lr_schedule(config)
    assert float(lr(0)) == pytest.approx(1e-2)
    assert float(lr(9)) == pytest.approx(2.5e-3)


def test_adam_with_a_still_b2_is_adam():
    dice = np.random.default_rng(0)
    ours, theirs = (
        optim.scale_by_adam_with_b2_schedule(0.5, lambda t: 0.9),
        optax.scale_by_adam(0.5, 0.9),
    )
    weights = jnp.zeros(5)
    a, b = ours.init(weights), theirs.init(weights)
    for _ in range(4):
        gradient = jnp.asarray(dice.normal(size=5), jnp.float32)
        (x, a), (y, b) = ours.update(gradient, a), theirs.update(gradient, b)
        np.testing.assert_allclose(x, y, rtol=1e-5)


def test_a_moving_b2_is_corrected_by_the_product_of_its_values():
    """Equal gradients: whatever b2 does, the corrected second moment is their square."""
    rule = optim.scale_by_adam_with_b2_schedule(0.0, lambda t: jnp.where(t < 2, 0.9, 0.99))
    state = rule.init(jnp.zeros(3))
    for _ in range(5):
        updates, state = rule.update(jnp.float32([3.0, -3.0, 3.0]), state)
        np.testing.assert_allclose(updates, [1, -1, 1], rtol=1e-5)
    assert float(state.b2_product) == pytest.approx(0.9**2 * 0.99**3)


def test_schedules_count_steps_where_a_step_has_several_updates():
    """Two updates a step under a cosine to zero over 4 steps: the rate of update 7 is step 3's."""
    config = tiny(optim__name="sgd", optim__lr=1.0, optim__warmup_steps=0, optim__clip=0.0,
                  train__num_steps=4)  # fmt: skip
    rule, lr = (
        optim.make_optimiser(config, updates_per_step=2, lr_ratio=0.5),
        optim.make_lr_schedule(config),
    )
    state, found = rule.init(jnp.zeros(1)), []
    for _ in range(8):
        updates, state = rule.update(jnp.ones(1), state, jnp.zeros(1))
        found.append(-float(updates[0]))
    np.testing.assert_allclose(found, [0.5 * float(lr(t // 2)) for t in range(8)], rtol=1e-6)


def test_a_half_life_halves():
    config = tiny(train__batch_size=16, optim__ema_images=64)
    assert optim.ema_decay(config, jnp.asarray(0)) ** 4 == pytest.approx(0.5)
    config = tiny(optim__schedule="burn_in", optim__burn_in=0.5, train__num_steps=100,
                  optim__ema_images=64)  # fmt: skip
    at = lambda t: float(optim.ema_decay(config, jnp.asarray(t)))  # noqa: E731
    assert at(0) == pytest.approx(0, abs=1e-6) and at(25) == pytest.approx(
        0.5 ** (16 / 32), rel=1e-4
    )
    assert at(50) == pytest.approx(0.5**0.25, rel=1e-5)
