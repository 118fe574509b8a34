"""Likelihoods by hand, and in float64 against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import logistic

from prodgen.losses import likelihoods

ONE = jnp.ones(())
IMAGE = jnp.asarray([[[[-1.0], [0.0]], [[0.5], [1.0]]]])  # [1, 2, 2, 1]


def test_the_squared_error_is_summed_over_the_image():
    output = jnp.zeros((2, 2, 2, 1))
    image = jnp.concatenate([IMAGE, 2 * IMAGE])
    np.testing.assert_allclose(likelihoods.SquaredError().loss(output, image, ONE), [2.25, 9.0])


def test_the_calibrated_gaussian_has_the_given_variance():
    output, sigma2 = jnp.full((1, 2, 2, 1), 0.25), 0.3
    nll = likelihoods.CalibratedGaussian().loss(output, IMAGE, jnp.asarray(sigma2))
    errors = np.asarray(IMAGE).ravel() - 0.25
    expected = sum(e**2 / (2 * sigma2) + 0.5 * np.log(2 * np.pi * sigma2) for e in errors)
    np.testing.assert_allclose(nll, [expected], rtol=1e-6)


def test_the_calibrated_gaussian_has_the_gradient_of_the_log_mse():
    """With sigma2 the batch's mean squared error, as in the paper's D/2 log MSE."""
    rng = np.random.default_rng(0)
    image, output = (rng.normal(size=(3, 4, 4, 2)).astype(np.float32) for _ in range(2))

    def ours(output):
        mse = jnp.mean(jnp.square(output - image))
        return jnp.mean(
            likelihoods.CalibratedGaussian().loss(output, image, jax.lax.stop_gradient(mse))
        )

    def paper(output):
        return 32 / 2 * jnp.log(jnp.mean(jnp.square(output - image)))

    actual, expected = (jax.jit(jax.grad(loss))(output) for loss in (ours, paper))
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_the_bernoulli_likelihood_equals_the_hand_computed_values():
    output = jnp.zeros((1, 2, 2, 1))
    np.testing.assert_allclose(
        likelihoods.Bernoulli().loss(output, IMAGE, ONE), [4 * np.log(2)], rtol=1e-6
    )
    certain_nll = likelihoods.Bernoulli().loss(
        jnp.full((1, 1, 1, 1), 50.0), jnp.ones((1, 1, 1, 1)), ONE
    )
    np.testing.assert_allclose(certain_nll, [0.0], atol=1e-6)


GRID = 2 * np.arange(256) / 255 - 1


@pytest.mark.parametrize(("mean", "log_scale"), [(0.0, 0.0), (0.3, -3.0), (-1.2, -5.0), (0.9, 1.0)])
def test_the_discretised_logistic_is_a_distribution_and_matches_scipy(mean, log_scale):
    log_mass = jax.jit(likelihoods.logistic_log_mass)
    log_masses = np.asarray(log_mass(jnp.asarray(GRID), mean, log_scale), np.float64)
    assert np.exp(log_masses).sum() == pytest.approx(1.0, abs=1e-4)
    scale, half = np.exp(log_scale), 1 / 255
    upper = np.where(GRID > 0.999, np.inf, GRID + half)
    lower = np.where(GRID < -0.999, -np.inf, GRID - half)
    mass = logistic.cdf(upper, mean, scale) - logistic.cdf(lower, mean, scale)
    is_precise = mass > 1e-9  # below, scipy's difference of two cdfs loses its digits
    np.testing.assert_allclose(np.exp(log_masses)[is_precise], mass[is_precise], rtol=2e-3)


def test_the_logistic_likelihood_is_finite_far_from_the_mean():
    loss = lambda mean: likelihoods.logistic_log_mass(jnp.float32(-0.5), mean, jnp.float32(-7.0))  # noqa: E731
    value, slope = jax.jit(jax.value_and_grad(loss))(jnp.float32(0.9))
    assert np.isfinite(value) and np.isfinite(slope) and slope < 0


def test_a_mixture_of_equal_components_is_one_component():
    parameters = np.float32([0.0, 0.2, 1.0]) * np.ones((1, 2, 2, 1, 3, 1), np.float32)
    loss = lambda n: jax.jit(likelihoods.LogisticMixture(n).loss)  # noqa: E731
    three_components = loss(3)(parameters.reshape(1, 2, 2, 9), IMAGE, ONE)
    one_component = loss(1)(parameters[..., :1, :].reshape(1, 2, 2, 3), IMAGE, ONE)
    np.testing.assert_allclose(three_components, one_component, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["SquaredError", "CalibratedGaussian", "Bernoulli", "LogisticMixture"]
)
def test_shapes_that_differ_raise_and_means_are_images(name):
    likelihood = getattr(likelihoods, name)()
    wrong = jnp.zeros((1, 2, 1, likelihood.channels(1)))
    with pytest.raises(ValueError, match="shapes differ"):
        likelihood.loss(wrong, IMAGE, ONE)
    output = jnp.zeros((1, 2, 2, likelihood.channels(3)))
    assert likelihood.mean(output).shape == (1, 2, 2, 3)
    assert likelihood.loss(output, jnp.zeros((1, 2, 2, 3)), ONE).shape == (1,)
