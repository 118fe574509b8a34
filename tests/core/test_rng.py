"""Keys are functions: of seed, stream, step and slot, of nothing else."""

import jax
import numpy as np
import pytest

from prodgen.core import rng


def test_rows_follow_their_slot_and_nothing_else():
    key = rng.key(3, "posterior", 7)
    whole = np.asarray(rng.normal(key, np.arange(8), (5,)))
    share = np.asarray(rng.normal(key, np.array([6, 2]), (5,)))
    np.testing.assert_array_equal(share, whole[[6, 2]])


def test_seed_stream_and_step_each_change_the_key():
    keys = [rng.key(0, "posterior", 0), rng.key(1, "posterior", 0),
            rng.key(0, "condition", 0), rng.key(0, "posterior", 1)]  # fmt: skip
    data = {tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}
    assert len(data) == 4


def test_a_traced_step_gives_the_key_of_the_number():
    traced_key = jax.jit(lambda t: jax.random.key_data(rng.key(0, "posterior", t)))(11)
    np.testing.assert_array_equal(traced_key, jax.random.key_data(rng.key(0, "posterior", 11)))


def test_an_unknown_stream_is_an_error():
    with pytest.raises(ValueError):
        rng.key(0, "nonsense")


def test_noise_is_standard():
    noise = np.asarray(rng.normal(rng.key(0, "generate"), np.arange(4000), (4,)))
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    flat = np.asarray(rng.uniform(rng.key(0, "condition"), np.arange(4000)))
    assert flat.min() >= 0 and flat.max() < 1 and abs(flat.mean() - 0.5) < 0.02
