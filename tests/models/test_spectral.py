"""Weights divided by their largest singular value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.models import spectral


def weights():
    rng = np.random.default_rng(0)
    return {
        "conv": {"kernel": jnp.asarray(rng.normal(size=(3, 3, 4, 6)), jnp.float32),
                 "bias": jnp.ones(6)},
        "dense": {"kernel": jnp.asarray(rng.normal(size=(7, 5)), jnp.float32)},
    }  # fmt: skip


def test_after_some_iterations_the_largest_singular_value_is_one():
    params = weights()
    vectors = spectral.init(params, jax.random.key(0))
    for _ in range(200):
        normalised_params, vectors = spectral.normalise(params, vectors)
    for name in ("conv", "dense"):
        matrix = np.asarray(normalised_params[name]["kernel"]).reshape(
            -1, normalised_params[name]["kernel"].shape[-1]
        )
        assert np.linalg.svd(matrix, compute_uv=False)[0] == np.float32(1) or np.isclose(
            np.linalg.svd(matrix, compute_uv=False)[0], 1, rtol=1e-4
        )
    np.testing.assert_array_equal(normalised_params["conv"]["bias"], 1.0)


def test_the_gradient_treats_the_vectors_as_constants():
    """d/dW (sum A W / s) with s = v W u: (A - (sum A W / s) v u^T) / s (Miyato 2018, eq. 12)."""
    params = {"dense": weights()["dense"]}
    vectors = spectral.init(params, jax.random.key(0))
    a = jnp.asarray(np.random.default_rng(1).normal(size=(7, 5)), jnp.float32)
    total = lambda p: jnp.sum(a * spectral.normalise(p, vectors)[0]["dense"]["kernel"])  # noqa: E731
    result = jax.grad(total)(params)["dense"]["kernel"]
    w = np.asarray(params["dense"]["kernel"], np.float64)
    u = np.asarray(next(iter(vectors.values())), np.float64)
    v = w @ u / np.linalg.norm(w @ u)
    u = w.T @ v / np.linalg.norm(w.T @ v)
    s = v @ w @ u
    expected = (a - (a * w).sum() / s * np.outer(v, u)) / s
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-5)


def test_a_kernel_of_zeros_is_left_alone_and_normalised_once_it_grows():
    params = {"dense": {"kernel": jnp.zeros((7, 5))}}
    normalised_params, vectors = spectral.normalise(
        params, spectral.init(params, jax.random.key(0))
    )
    assert float(jnp.abs(normalised_params["dense"]["kernel"]).max()) == 0
    nonzero = {"dense": {"kernel": jnp.full((7, 5), 5e-3)}}
    for _ in range(3):
        normalised_params, vectors = spectral.normalise(nonzero, vectors)
    assert np.linalg.svd(normalised_params["dense"]["kernel"], compute_uv=False)[
        0
    ] == pytest.approx(1.0)
