"""The KL term, free bits and beta's schedules by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.losses import divergence


def test_kl_by_hand():
    mean, log_variance = jnp.asarray([[0.0, 2.0, 0.0]]), jnp.asarray([[0.0, 0.0, np.log(4.0)]])
    expected = [0.0, 2.0, 0.5 * (4 - 1 - np.log(4))]
    np.testing.assert_allclose(
        divergence.kl_to_standard_normal(mean, log_variance)[0], expected, rtol=1e-6
    )


def test_kl_against_sampling():
    rng = np.random.default_rng(0)
    mean, deviation = 0.7, 0.4
    z = mean + deviation * rng.normal(size=400_000)
    log_q = -0.5 * ((z - mean) / deviation) ** 2 - np.log(deviation)
    found = divergence.kl_to_standard_normal(
        jnp.asarray([[mean]]), jnp.asarray([[2 * np.log(deviation)]])
    )
    assert float(found[0, 0]) == pytest.approx(np.mean(log_q + 0.5 * z**2), abs=0.01)


def test_free_bits_floor_each_latent_by_its_batch_mean():
    kl = jnp.asarray([[0.1, 3.0], [0.3, 1.0]])
    found = divergence.apply_free_bits(kl, kl.mean(0), 0.5)
    np.testing.assert_allclose(found, [3.5, 1.5])
    assert float(found.mean()) == pytest.approx(max(0.5, 0.2) + max(0.5, 2.0))


@pytest.mark.parametrize(
    ("schedule", "values"),
    [("constant", [1, 1, 1, 1, 1, 1]), ("linear", [0.25, 0.5, 0.75, 1, 1, 1]),
     ("falling", [8, 8**0.75, 8**0.5, 8**0.25, 1, 1]), ("cyclic", [0.5, 1, 1, 1, 0.5, 1])],
)  # fmt: skip
def test_schedules(schedule, values):
    found = [
        float(getattr(divergence, f"{schedule}_schedule")(jnp.asarray(t), 4)) for t in range(6)
    ]
    np.testing.assert_allclose(found, values)


def test_mismatched_shapes_raise():
    with pytest.raises(ValueError, match="shapes differ"):
        divergence.kl_to_standard_normal(jnp.zeros((2, 3)), jnp.zeros((2, 1)))
