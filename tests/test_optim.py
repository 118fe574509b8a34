"""Schedules, clipping and averaging by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from prodgen import optim
from tests.tiny import tiny


def test_the_cosine_schedule_warms_up_and_ends_near_zero():
    lr = optim.make_lr_schedule(tiny(train__num_steps=100, optim__warmup_steps=10, optim__lr=1.0))
    assert float(lr(0)) == pytest.approx(1 / 11)
    assert float(lr(10)) == pytest.approx(1.0)
    assert float(lr(55)) == pytest.approx(0.5, abs=0.01)
    assert float(lr(100)) == pytest.approx(0.0, abs=1e-6)


def test_the_constant_schedule_is_constant():
    lr = optim.make_lr_schedule(
        tiny(optim__schedule="constant", optim__lr=0.5, optim__warmup_steps=0)
    )
    assert [float(lr(t)) for t in (0, 3, 999)] == [0.5, 0.5, 0.5]


def test_the_constant_schedule_does_not_depend_on_the_number_of_steps():
    short, long = (
        optim.make_lr_schedule(
            tiny(optim__schedule="constant", optim__warmup_steps=9, train__num_steps=n)
        )
        for n in (5, 50)
    )
    assert [float(short(t)) for t in range(20)] == [float(long(t)) for t in range(20)]


def test_clipping_bounds_the_global_norm():
    config = tiny(optim__name="sgd", optim__lr=1.0, optim__clip=1.0, optim__warmup_steps=0,
                  optim__schedule="constant")  # fmt: skip
    optimiser = optim.make_optimiser(config)
    grads = {"a": jnp.asarray([3.0]), "b": jnp.asarray([4.0])}
    updates, _ = optimiser.update(grads, optimiser.init(grads), grads)
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-0.6, -0.8], rtol=1e-6)


def test_the_moving_average_equals_the_hand_computed_values():
    ema = optim.update_ema({"w": jnp.asarray(1.0)}, {"w": jnp.asarray(0.0)}, 0.9, jnp.asarray(0))
    assert float(ema["w"]) == pytest.approx(0.1)  # first step: (1 + 0) / (10 + 0)
    ema = optim.update_ema({"w": jnp.asarray(1.0)}, {"w": jnp.asarray(0.0)}, 0.9, jnp.asarray(1000))
    assert float(ema["w"]) == pytest.approx(0.9)


def test_the_burn_in_schedule_is_half_a_cosine_then_constant():
    config = tiny(train__num_steps=100, optim__burn_in=0.4)
    schedule = optim.burn_in_schedule(config, 2.0, 1.0)
    values = [float(schedule(t)) for t in (0, 10, 20, 40, 99)]
    np.testing.assert_allclose(values, [2, 1 + 0.5 * (1 + np.cos(np.pi / 4)), 1.5, 1, 1], rtol=1e-6)


def test_the_burn_in_learning_rate_ends_at_its_share():
    config = tiny(optim__schedule="burn_in", optim__lr=1e-2, optim__lr_end=0.25, optim__burn_in=0.5,
                  optim__warmup_steps=0, train__num_steps=10)  # fmt: skip
    lr = optim.make_lr_schedule(config)
    assert float(lr(0)) == pytest.approx(1e-2)
    assert float(lr(9)) == pytest.approx(2.5e-3)


def test_adam_with_a_constant_b2_schedule_is_adam():
    rng = np.random.default_rng(0)
    ours, theirs = (
        optim.scale_by_adam_with_b2_schedule(0.5, lambda t: 0.9),
        optax.scale_by_adam(0.5, 0.9),
    )
    weights = jnp.zeros(5)
    a, b = ours.init(weights), theirs.init(weights)
    for _ in range(4):
        gradient = jnp.asarray(rng.normal(size=5), jnp.float32)
        (x, a), (y, b) = ours.update(gradient, a), theirs.update(gradient, b)
        np.testing.assert_allclose(x, y, rtol=1e-5)


def test_a_scheduled_b2_is_corrected_by_the_product_of_its_values():
    """Equal gradients: for any b2 the corrected second moment is their square."""
    optimiser = optim.scale_by_adam_with_b2_schedule(0.0, lambda t: jnp.where(t < 2, 0.9, 0.99))
    state = optimiser.init(jnp.zeros(3))
    for _ in range(5):
        updates, state = optimiser.update(jnp.float32([3.0, -3.0, 3.0]), state)
        np.testing.assert_allclose(updates, [1, -1, 1], rtol=1e-5)
    assert float(state.b2_product) == pytest.approx(0.9**2 * 0.99**3)


def test_schedules_count_steps_where_a_step_has_several_updates():
    """Two updates a step under a cosine to zero over 4 steps: the rate of update 7 is step 3's."""
    config = tiny(optim__name="sgd", optim__lr=1.0, optim__warmup_steps=0, optim__clip=0.0,
                  train__num_steps=4)  # fmt: skip
    optimiser, lr = (
        optim.make_optimiser(config, updates_per_step=2, lr_ratio=0.5),
        optim.make_lr_schedule(config),
    )
    state, rates = optimiser.init(jnp.zeros(1)), []
    for _ in range(8):
        updates, state = optimiser.update(jnp.ones(1), state, jnp.zeros(1))
        rates.append(-float(updates[0]))
    np.testing.assert_allclose(rates, [0.5 * float(lr(t // 2)) for t in range(8)], rtol=1e-6)


def test_the_ema_decay_over_a_half_life_is_one_half():
    config = tiny(train__batch_size=16, optim__ema_images=64)
    assert optim.ema_decay(config, jnp.asarray(0)) ** 4 == pytest.approx(0.5)
    config = tiny(optim__schedule="burn_in", optim__burn_in=0.5, train__num_steps=100,
                  optim__ema_images=64)  # fmt: skip
    decay_at = lambda t: float(optim.ema_decay(config, jnp.asarray(t)))  # noqa: E731
    assert decay_at(0) == pytest.approx(0, abs=1e-6) and decay_at(25) == pytest.approx(
        0.5 ** (16 / 32), rel=1e-4
    )
    assert decay_at(50) == pytest.approx(0.5**0.25, rel=1e-5)
