"""Mixtures of Gaussians: SciPy's density, known clusters, and the hand-made values of shrinkage."""

import numpy as np
import pytest
from scipy import special, stats

from prodgen.models import gaussian_mixture
from prodgen.models.gaussian_mixture import GaussianMixture, Shrinkage

MEANS = np.array([[0.0, 0.0, 3.0], [6.0, 0.0, 0.0], [0.0, -6.0, 0.0]])
NONE = Shrinkage(np.zeros(3), np.eye(3), 0.0)


def make_factors(rng):
    """Lower-triangular factors [3, 3, 3] with diagonals near 0.5."""
    return np.tril(0.1 * rng.standard_normal((3, 3, 3))) + 0.5 * np.eye(3)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_density_is_that_of_scipy(covariance):
    rng = np.random.default_rng(0)
    weights, factors = np.array([0.2, 0.5, 0.3]), make_factors(rng)
    matrices = factors @ factors.transpose(0, 2, 1)
    if covariance == "diagonal":
        factors = np.exp(rng.standard_normal((3, 3)))
        matrices = np.stack([np.diag(std**2) for std in factors])
    mixture, x = GaussianMixture(weights, MEANS, factors), rng.standard_normal((50, 3)) * 3
    logs = np.stack(
        [
            np.log(w) + stats.multivariate_normal(m, c).logpdf(x)
            for w, m, c in zip(weights, MEANS, matrices, strict=True)
        ],
        axis=1,
    )
    np.testing.assert_allclose(mixture.log_density(x), special.logsumexp(logs, axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        mixture.responsibilities(x), special.softmax(logs, axis=1), rtol=1e-9, atol=1e-300
    )
    noise = mixture.whiten(x, 1)
    np.testing.assert_allclose(np.stack([mixture.colour(e, 1) for e in noise]), x, rtol=1e-12)


@pytest.mark.parametrize("covariance", gaussian_mixture.COVARIANCES)
def test_separate_clusters_are_recovered(covariance):
    rng = np.random.default_rng(1)
    group = rng.choice(3, 3000, p=[0.5, 0.3, 0.2])
    factors = make_factors(rng)
    x = MEANS[group] + np.einsum("nij,nj->ni", factors[group], rng.standard_normal((3000, 3)))
    mixture = gaussian_mixture.fit(x, 3, covariance, NONE, np.random.default_rng(2))
    order = [int(np.argmin(np.square(mixture.means - mean).sum(axis=1))) for mean in MEANS]
    assert sorted(order) == [0, 1, 2]
    for k, place in enumerate(order):
        rows = x[group == k]
        np.testing.assert_allclose(mixture.means[place], rows.mean(axis=0), atol=1e-3)
        assert mixture.weights[place] == pytest.approx((group == k).mean(), abs=1e-3)
        factor = mixture.factors[place]
        if covariance == "full":
            np.testing.assert_allclose(factor @ factor.T, np.cov(rows.T, bias=True), atol=1e-3)
        else:
            np.testing.assert_allclose(factor, rows.std(axis=0), atol=1e-3)


@pytest.mark.parametrize("covariance", gaussian_mixture.COVARIANCES)
def test_few_examples_are_drawn_towards_the_given_mean_and_variance(covariance):
    """Two values, 0 and 4, with the weight of six that have mean 0 and variance 1.

    Mean: (2 * 2 + 6 * 0) / 8 = 0.5. Variance: 2 values of variance 4, the distance 2 of the two
    means with weight 2 * 6 / 8, and 6 of variance 1: (2 * 4 + 1.5 * 4 + 6) / 8 = 2.5.
    """
    shrinkage = Shrinkage(np.zeros(1), np.eye(1), 6.0)
    for draws in (1, 5):  # five draws of each value weigh no more than one
        x = np.repeat([[0.0], [4.0]], draws, axis=0)
        mixture = gaussian_mixture.fit(x, 1, covariance, shrinkage, np.random.default_rng(0), draws)
        assert mixture.means[0, 0] == pytest.approx(0.5)
        assert mixture.factors.ravel()[0] ** 2 == pytest.approx(2.5)


@pytest.mark.parametrize("covariance", gaussian_mixture.COVARIANCES)
def test_equal_rows_get_the_least_variance(covariance):
    mixture = gaussian_mixture.fit(np.ones((9, 3)), 2, covariance, NONE, np.random.default_rng(0))
    variances = mixture.factors if covariance == "diagonal" else mixture.factors.diagonal(0, 1, 2)
    np.testing.assert_allclose(variances**2, gaussian_mixture.MIN_VARIANCE)
    assert np.isfinite(mixture.log_density(np.ones((1, 3)))).all()
