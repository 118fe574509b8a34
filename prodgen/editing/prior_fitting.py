"""Fits a prior to the codes of a run's training images: a mixture of Gaussians a category.

The codes are draws of q(z | x, c), not its means: their distribution is the aggregate posterior,
which the decoder was trained on. The number of components, the kind of covariance and the
shrinkage are those with the highest log-likelihood of the validation images' codes.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from prodgen.core.errors import BadData
from prodgen.editing.fitted_prior import FittedPrior
from prodgen.models import gaussian_mixture
from prodgen.models.gaussian_mixture import COVARIANCES, GaussianMixture, Shrinkage

MIN_IMAGES = 20  # of training, to fit a prior at all
MIN_CATEGORY_IMAGES = 8  # of a category, for a mixture of its own
MIN_COMPONENT_IMAGES = 4  # a category has at most one component for so many images
MAX_IMAGES = 16_384  # training images that are encoded
MAX_DRAWS, MAX_CODES = 4, 8192  # codes of an image, and of all images where one each is fewer
SHRINKAGE_COUNTS = (4.0, 16.0, 64.0)  # images
MAX_FULL_SIZE = 256  # latents; above, a full covariance has too many entries


@dataclasses.dataclass(frozen=True)
class Codes:
    """Draws of the posteriors of N images: z float64 [D N, Z] and their labels [D N].

    draws: D, of each image.
    """

    z: np.ndarray
    label: np.ndarray
    draws: int

    def select(self, label: int) -> np.ndarray:
        """The codes of one category."""
        return self.z[self.label == label]


@dataclasses.dataclass(frozen=True, order=True)
class Choice:
    """What is chosen by validation, and its mean log-likelihood per latent dimension, in nats."""

    log_likelihood: float
    components: int
    covariance: str
    shrinkage: float


def draw_codes(
    mean: np.ndarray, log_variance: np.ndarray, label: np.ndarray, rng: np.random.Generator
) -> Codes:
    """Codes of the posteriors with a mean and a log variance [N, Z]."""
    draws = max(1, min(MAX_DRAWS, MAX_CODES // max(len(mean), 1)))
    noise = rng.standard_normal((draws, *mean.shape))
    z = mean.astype(np.float64) + np.exp(0.5 * log_variance.astype(np.float64)) * noise
    return Codes(z.reshape(-1, mean.shape[1]), np.tile(label, draws), draws)


def base_log_likelihood(codes: Codes) -> float:
    """Of N(0, I): the mean log-likelihood of codes per latent dimension, in nats."""
    return float(-0.5 * (np.square(codes.z).mean() + math.log(2 * math.pi)))


def log_likelihood(prior: FittedPrior, codes: Codes) -> float:
    """The mean log-likelihood of codes per latent dimension, in nats, each by its own label."""
    total = sum(
        prior.mixture(label).log_density(codes.select(label)).sum()
        for label in np.unique(codes.label)
    )
    return float(total / codes.z.size)


def list_choices(max_components: int, size: int) -> list[list[tuple[int, str, float]]]:
    """(components, covariance, shrinkage) to compare, for latents of `size` dimensions.

    A list for each number of components: 1, 2, 4, ..., max_components.
    """
    numbers = [2**i for i in range(max_components.bit_length()) if 2**i < max_components]
    covariances = COVARIANCES if size <= MAX_FULL_SIZE else COVARIANCES[:1]
    return [
        list(itertools.product([number], covariances, SHRINKAGE_COUNTS))
        for number in (*numbers, max_components)
    ]


def fit_prior(
    codes: Codes, categories: Sequence[int], choice: tuple[int, str, float], seed: int
) -> FittedPrior:
    """The mixtures of some categories and that of all images, with the given choice."""
    components, covariance, count = choice
    mean, total_covariance = codes.z.mean(axis=0), np.cov(codes.z.T, bias=True)
    target = Shrinkage(mean, np.atleast_2d(total_covariance), count)
    rng = np.random.default_rng([seed, 1])
    overall = gaussian_mixture.fit(codes.z, components, covariance, target, rng, codes.draws)
    # A small category is drawn towards the mean of all and the covariance within categories.
    target = dataclasses.replace(target, covariance=within_covariance(codes))
    by_category: dict[int, GaussianMixture] = {}
    for label in categories:
        rows = codes.select(label)
        limit = max(1, len(rows) // codes.draws // MIN_COMPONENT_IMAGES)
        by_category[label] = gaussian_mixture.fit(
            rows, min(components, limit), covariance, target,
            np.random.default_rng([seed, 2, label]), codes.draws,
        )  # fmt: skip
    return FittedPrior(overall, by_category)


def within_covariance(codes: Codes) -> np.ndarray:
    """The mean covariance [Z, Z] of codes around their own category's mean."""
    deviations = codes.z.copy()
    for label in np.unique(codes.label):
        deviations[codes.label == label] -= codes.select(label).mean(axis=0)
    return deviations.T @ deviations / len(deviations)


def choose_prior(
    training: Codes, validation: Codes, max_components: int, seed: int
) -> tuple[FittedPrior, list[Choice]]:
    """The prior with the highest log-likelihood of the validation codes; all choices, best first.

    The number of components doubles as long as the log-likelihood rises. BadData where there are
    fewer than MIN_IMAGES training images, or no validation images.
    """
    num_images = len(training.z) // training.draws
    if num_images < MIN_IMAGES or not len(validation.z):
        raise BadData(
            f"{num_images} training images and {len(validation.z) // validation.draws} validation "
            f"images to fit a prior with; at least {MIN_IMAGES} and 1 are needed",
            "train on more images, with a share of them in config.data.validation",
        )
    counts = count_images(training)
    categories = [label for label, count in counts.items() if count >= MIN_CATEGORY_IMAGES]
    best, choices = None, []
    for level in list_choices(max_components, training.z.shape[1]):
        previous = best
        for choice in level:
            prior = fit_prior(training, categories, choice, seed)
            choices.append(Choice(log_likelihood(prior, validation), *choice))
            best = prior if max(choices) is choices[-1] else best
        if best is previous:
            break
    return best, sorted(choices, reverse=True)


def count_images(codes: Codes) -> Mapping[int, int]:
    """The number of images of each known category."""
    labels, counts = np.unique(codes.label[codes.label >= 0], return_counts=True)
    return {int(k): int(n) // codes.draws for k, n in zip(labels, counts, strict=True)}
