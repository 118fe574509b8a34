"""The KL term, free bits and the schedules of beta by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.losses import divergence


def test_the_kl_term_equals_the_hand_computed_value():
    mean, log_variance = jnp.asarray([[0.0, 2.0, 0.0]]), jnp.asarray([[0.0, 0.0, np.log(4.0)]])
    expected = [0.0, 2.0, 0.5 * (4 - 1 - np.log(4))]
    np.testing.assert_allclose(
        divergence.kl_to_standard_normal(mean, log_variance)[0], expected, rtol=1e-6
    )


def test_the_kl_term_agrees_with_a_monte_carlo_estimate():
    rng = np.random.default_rng(0)
    mean, std = 0.7, 0.4
    z = mean + std * rng.normal(size=400_000)
    log_q = -0.5 * ((z - mean) / std) ** 2 - np.log(std)
    kl = divergence.kl_to_standard_normal(jnp.asarray([[mean]]), jnp.asarray([[2 * np.log(std)]]))
    assert float(kl[0, 0]) == pytest.approx(np.mean(log_q + 0.5 * z**2), abs=0.01)


def test_free_bits_apply_to_latents_with_a_small_batch_mean():
    kl = jnp.asarray([[0.1, 3.0], [0.3, 1.0]])
    kl_with_free_bits = divergence.apply_free_bits(kl, kl.mean(0), 0.5)
    np.testing.assert_allclose(kl_with_free_bits, [3.5, 1.5])
    assert float(kl_with_free_bits.mean()) == pytest.approx(max(0.5, 0.2) + max(0.5, 2.0))


@pytest.mark.parametrize(
    ("schedule", "values"),
    [("constant", [1, 1, 1, 1, 1, 1]), ("linear", [0.25, 0.5, 0.75, 1, 1, 1]),
     ("falling", [8, 8**0.75, 8**0.5, 8**0.25, 1, 1]), ("cyclic", [0.5, 1, 1, 1, 0.5, 1])],
)  # fmt: skip
def test_beta_schedules_equal_the_hand_computed_values(schedule, values):
    factors = [
        float(getattr(divergence, f"{schedule}_schedule")(jnp.asarray(t), 4)) for t in range(6)
    ]
    np.testing.assert_allclose(factors, values)


def test_shapes_that_differ_raise():
    with pytest.raises(ValueError, match="shapes differ"):
        divergence.kl_to_standard_normal(jnp.zeros((2, 3)), jnp.zeros((2, 1)))
