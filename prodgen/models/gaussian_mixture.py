"""A mixture of Gaussians in NumPy, float64: its density, and the EM algorithm that fits it.

p(x) = sum_k w_k N(x; m_k, C_k). Expectation maximisation (Dempster et al. 1977) finds the mode of
the posterior under a normal-inverse-Wishart prior of each component: `Shrinkage` draws the means
and covariances of components with few examples towards given ones (Fraley & Raftery 2007, where
the prior's degrees of freedom are left out).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

COVARIANCES = ("diagonal", "full")
MIN_VARIANCE = 1e-4  # of any direction, in units of x squared
MAX_ITERATIONS = 50
MIN_GAIN = 5e-3  # nats an example: EM ends when the log-likelihood rises by less
BLOCK_PRODUCTS = 2**18  # of one matrix product: OpenBLAS computes smaller ones in one thread
MIN_COUNT = 1e-9  # examples of a component, against a division by zero


@dataclasses.dataclass(frozen=True)
class GaussianMixture:
    """weights [K], means [K, Z], factors: the Cholesky factors [K, Z, Z] of the covariances, or
    the standard deviations [K, Z] where these are diagonal."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @property
    def is_diagonal(self) -> bool:
        """Whether `factors` holds standard deviations."""
        return self.factors.ndim == 2

    def whiten(self, x: np.ndarray, k: int) -> np.ndarray:
        """e [N, Z] with x = m_k + F_k e."""
        deviations = x - self.means[k]
        if self.is_diagonal:
            return deviations / self.factors[k]
        return multiply(deviations, np.linalg.inv(self.factors[k]).T)

    def colour(self, noise: np.ndarray, k: int) -> np.ndarray:
        """m_k + F_k e of one e [Z]."""
        factor = self.factors[k]
        return self.means[k] + (factor * noise if self.is_diagonal else factor @ noise)

    def component_log_densities(self, x: np.ndarray) -> np.ndarray:
        """log w_k + log N(x; m_k, C_k), [N, K]."""
        size = x.shape[1]
        columns = []
        for k, weight in enumerate(self.weights):
            factor = self.factors[k]
            scales = factor if self.is_diagonal else np.diagonal(factor)
            log_norm = np.log(scales).sum() + 0.5 * size * math.log(2 * math.pi)
            log_weight = math.log(weight) if weight > 0 else -np.inf
            squares = np.square(self.whiten(x, k)).sum(axis=1)
            columns.append(log_weight - log_norm - 0.5 * squares)
        return np.stack(columns, axis=1)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """log p(x) in nats, [N]."""
        return log_sum_exp(self.component_log_densities(x))

    def responsibilities(self, x: np.ndarray) -> np.ndarray:
        """p(k | x), [N, K]."""
        logs = self.component_log_densities(x)
        return np.exp(logs - log_sum_exp(logs)[:, None])


@dataclasses.dataclass(frozen=True)
class Shrinkage:
    """Towards a mean [Z] and a covariance [Z, Z], as if `count` examples had them."""

    mean: np.ndarray
    covariance: np.ndarray
    count: float


def log_sum_exp(logs: np.ndarray) -> np.ndarray:
    """log sum_k exp(logs[:, k]), [N]."""
    highest = logs.max(axis=1)
    return highest + np.log(np.exp(logs - highest[:, None]).sum(axis=1))


def multiply(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """x [N, P] @ matrix [P, Q] in blocks of rows.

    Threads of a small product wait for each other, for seconds where other programs share the
    cores.
    """
    size = max(1, BLOCK_PRODUCTS // matrix.size)
    end = len(x) // size * size
    blocks = x[:end].reshape(-1, size, x.shape[1]) @ matrix
    return np.concatenate([blocks.reshape(end, matrix.shape[1]), x[end:] @ matrix])


def sum_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a [N, P]^T @ b [N, Q] in blocks of rows, as `multiply`."""
    size = max(1, BLOCK_PRODUCTS // (a.shape[1] * b.shape[1]))
    end = len(a) // size * size
    first, second = (x[:end].reshape(-1, size, x.shape[1]) for x in (a, b))
    return (first.transpose(0, 2, 1) @ second).sum(axis=0) + a[end:].T @ b[end:]


def fit(
    x: np.ndarray,
    num_components: int,
    covariance: str,
    shrinkage: Shrinkage,
    rng: np.random.Generator,
    draws: int = 1,
) -> GaussianMixture:
    """The mixture of K components fitted to rows x float64 [N, Z].

    covariance: one of COVARIANCES. draws: rows for each independent example, so that N / draws
    examples are weighed against the shrinkage.
    """
    # The start: each row belongs to the nearest of K rows that are far from each other.
    centres = choose_centres(x, num_components, rng)
    nearest = np.argmin(_squared_distances(x, centres), axis=1)
    mixture = _maximise(x, np.eye(num_components)[nearest], covariance, shrinkage, draws)
    previous = -np.inf
    for _ in range(MAX_ITERATIONS if num_components > 1 else 0):
        logs = mixture.component_log_densities(x)
        totals = log_sum_exp(logs)
        if totals.mean() - previous < MIN_GAIN:
            break
        previous = totals.mean()
        mixture = _maximise(x, np.exp(logs - totals[:, None]), covariance, shrinkage, draws)
    return mixture


def choose_centres(x: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows [K, Z] of x, each drawn in proportion to its squared distance to those before.

    k-means++, Arthur & Vassilvitskii 2007.
    """
    centres = [x[rng.integers(len(x))]]
    distances = np.full(len(x), np.inf)
    for _ in range(count - 1):
        distances = np.minimum(distances, np.square(x - centres[-1]).sum(axis=1))
        total = distances.sum()
        share = distances / total if total > 0 else np.full(len(x), 1 / len(x))
        centres.append(x[rng.choice(len(x), p=share)])
    return np.stack(centres)


def _squared_distances(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [N, K]."""
    return np.stack([np.square(x - centre).sum(axis=1) for centre in centres], axis=1)


def _maximise(
    x: np.ndarray, shares: np.ndarray, covariance: str, shrinkage: Shrinkage, draws: int
) -> GaussianMixture:
    """The M step: the mixture given the responsibilities [N, K]."""
    counts = np.maximum(shares.sum(axis=0) / draws, MIN_COUNT)
    total = counts + shrinkage.count
    sample_means = sum_products(shares, x) / (draws * counts[:, None])
    means, factors = [], []
    for k, count in enumerate(counts):
        sample_mean = sample_means[k]
        means.append((count * sample_mean + shrinkage.count * shrinkage.mean) / total[k])
        offset = sample_mean - shrinkage.mean
        offset_weight = count * shrinkage.count / total[k]
        if covariance == "diagonal":
            scatter = sum_products(shares[:, [k]], np.square(x - sample_mean))[0] / draws
            scatter += offset_weight * np.square(offset)
            scatter += shrinkage.count * np.diagonal(shrinkage.covariance)
            factors.append(np.sqrt(np.maximum(scatter / total[k], MIN_VARIANCE)))
        else:
            scatter = sum_products(shares[:, [k]] * x, x - sample_mean) / draws
            scatter += offset_weight * np.outer(offset, offset)
            scatter += shrinkage.count * shrinkage.covariance
            factors.append(factorise(scatter / total[k]))
    return GaussianMixture(counts / counts.sum(), np.stack(means), np.stack(factors))


def factorise(covariance: np.ndarray) -> np.ndarray:
    """The Cholesky factor [Z, Z] of a covariance whose variances are at least MIN_VARIANCE."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if values[0] < MIN_VARIANCE:
        covariance = (vectors * np.maximum(values, MIN_VARIANCE)) @ vectors.T
    return np.linalg.cholesky(covariance)
