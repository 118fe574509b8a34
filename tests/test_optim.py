"""Schedules, clipping and averaging by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from prodgen import optim
from tests.tiny import tiny


def test_cosine_warms_up_peaks_and_ends_near_zero():
    lr = optim.schedule(tiny(train__num_steps=100, optim__warmup_steps=10, optim__lr=1.0))
    assert float(lr(0)) == pytest.approx(1 / 11)
    assert float(lr(10)) == pytest.approx(1.0)
    assert float(lr(55)) == pytest.approx(0.5, abs=0.01)
    assert float(lr(100)) == pytest.approx(0.0, abs=1e-6)


def test_constant_stays():
    lr = optim.schedule(tiny(optim__schedule="constant", optim__lr=0.5, optim__warmup_steps=0))
    assert [float(lr(t)) for t in (0, 3, 999)] == [0.5, 0.5, 0.5]


def test_a_constant_schedule_does_not_know_how_long_the_run_is():
    few, many = (
        optim.schedule(tiny(optim__schedule="constant", optim__warmup_steps=9, train__num_steps=n))
        for n in (5, 50)
    )
    assert [float(few(t)) for t in range(20)] == [float(many(t)) for t in range(20)]


def test_clipping_bounds_the_global_norm():
    config = tiny(optim__name="sgd", optim__lr=1.0, optim__clip=1.0, optim__warmup_steps=0,
                  optim__schedule="constant")  # fmt: skip
    rule = optim.chain(config)
    grads = {"a": jnp.asarray([3.0]), "b": jnp.asarray([4.0])}
    updates, _ = rule.update(grads, rule.init(grads), grads)
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-0.6, -0.8], rtol=1e-6)


def test_the_average_by_hand():
    found = optim.average({"w": jnp.asarray(1.0)}, {"w": jnp.asarray(0.0)}, 0.9, jnp.asarray(0))
    assert float(found["w"]) == pytest.approx(0.1)  # young: (1 + 0) / (10 + 0)
    found = optim.average({"w": jnp.asarray(1.0)}, {"w": jnp.asarray(0.0)}, 0.9, jnp.asarray(1000))
    assert float(found["w"]) == pytest.approx(0.9)
