"""Samples of a fitted prior have its moments; a variation of a sample is a sample."""

import numpy as np
import pytest

from prodgen.editing import prior_fitting
from prodgen.editing.fitted_prior import FittedPrior, pick_component
from prodgen.models.gaussian_mixture import GaussianMixture

WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[-2.0, 1.0], [1.0, 0.5]])
FACTORS = np.array([[[0.5, 0.0], [0.3, 0.4]], [[0.2, 0.0], [-0.1, 0.6]]])
MIXTURE = GaussianMixture(WEIGHTS, MEANS, FACTORS)
OTHER = GaussianMixture(np.ones(1), np.array([[9.0, 9.0]]), np.full((1, 2), 0.5))  # diagonal
PRIOR = FittedPrior(MIXTURE, {1: OTHER})


def check_moments(z, tolerance):
    """The mean and the covariance of latents are the mixture's own."""
    mean = WEIGHTS @ MEANS
    covariance = sum(
        w * (f @ f.T + np.outer(m - mean, m - mean))
        for w, m, f in zip(WEIGHTS, MEANS, FACTORS, strict=True)
    )
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=tolerance)
    np.testing.assert_allclose(np.cov(z.T, bias=True), covariance, atol=2 * tolerance)


def draw(n, seed=0, label=-1):
    rng = np.random.default_rng(seed)
    return PRIOR.transform(rng.standard_normal((n, 2)), rng.random(n), np.full(n, label))


def test_samples_have_the_moments_of_their_mixture():
    check_moments(draw(20_000), 0.03)
    z = draw(4000, label=1)
    np.testing.assert_allclose(z.mean(axis=0), [9, 9], atol=0.05)
    np.testing.assert_allclose(z.std(axis=0), 0.5, atol=0.03)


def test_the_temperature_scales_around_the_mean_of_the_component():
    noise, uniforms, label = np.ones((2, 2)), np.array([0.29, 0.31]), np.full(2, -1)
    np.testing.assert_allclose(PRIOR.transform(noise, uniforms, label, 0.0), MEANS, rtol=1e-6)
    halves = MEANS + 0.5 * FACTORS.sum(axis=2)
    np.testing.assert_allclose(PRIOR.transform(noise, uniforms, label, 0.5), halves, rtol=1e-6)


def test_a_component_is_chosen_in_proportion_to_its_weight():
    picks = [pick_component(np.array([0.25, 0.0, 0.75]), u) for u in (0.0, 0.2499, 0.25, 0.9999)]
    assert picks == [0, 0, 2, 2]


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_a_variation_of_a_sample_is_a_sample(strength):
    rng, n = np.random.default_rng(3), 12_000
    noise, uniforms, same = rng.standard_normal((n, 1, 2)), rng.random((n, 1, 3)), np.array([-1])
    z = draw(n)
    variations = [
        PRIOR.perturb(z[i], noise[i], uniforms[i], strength, -1, same)[0] for i in range(n)
    ]
    check_moments(np.stack(variations), 0.04)


def test_a_variation_of_strength_0_is_the_product_and_of_another_category_one_of_that():
    z = np.float32([0.4, -0.2])
    noise, uniforms = np.ones((2, 2)), np.full((2, 3), 0.5)
    rows = PRIOR.perturb(z, noise, uniforms, 0.0, -1, np.array([-1, 1]))
    np.testing.assert_allclose(rows[0], z, rtol=1e-6)
    # Its place in its component, in the units of the other category's.
    place = np.linalg.solve(FACTORS[1], z - MEANS[1])
    np.testing.assert_allclose(rows[1], 9 + 0.5 * place, rtol=1e-5)


def test_validation_prefers_the_mixture_that_the_codes_come_from():
    """Two categories, each with correlated codes around a mean of its own."""
    rng, count, factor = np.random.default_rng(0), 400, np.array([[0.6, 0.0], [0.5, 0.2]])
    label = np.arange(count) % 2
    mean = np.where(label[:, None] == 0, -1.0, 1.0) + rng.standard_normal((count, 2)) @ factor.T
    training, validation = (
        prior_fitting.draw_codes(mean[half], np.full((count // 2, 2), -9.0), label[half], rng)
        for half in (slice(0, count // 2), slice(count // 2, count))
    )
    prior, choices = prior_fitting.choose_prior(training, validation, 4, seed=0)
    best = choices[0]
    assert (best.components, best.covariance) == (1, "full")
    assert best.log_likelihood > prior_fitting.base_log_likelihood(validation) + 0.3
    assert prior_fitting.log_likelihood(prior, validation) == best.log_likelihood
    np.testing.assert_allclose(prior.by_category[1].means[0], [1, 1], atol=0.2)
    # The base prior: -0.5 (z^2 + log 2 pi), per dimension.
    expected = np.mean(-0.5 * (validation.z**2 + np.log(2 * np.pi)))
    assert prior_fitting.base_log_likelihood(validation) == pytest.approx(expected)


def test_a_small_category_takes_the_mixture_of_all_images():
    rng, label = np.random.default_rng(0), np.array([0] * 60 + [1] * 5)
    codes = prior_fitting.draw_codes(rng.standard_normal((65, 2)), np.zeros((65, 2)), label, rng)
    prior, _ = prior_fitting.choose_prior(codes, codes, 1, seed=0)
    assert set(prior.by_category) == {0} and prior.mixture(1) is prior.overall
