"""Three tests of whether samples lie nearer to training images than held-out real images do.

All use distances in the features of any extractor, rows float [., F], and describe the whole set
of samples. memorisation.py finds single copies.
"""

from __future__ import annotations

import numpy as np

from prodgen.metrics import neighbours

NUM_BOOTSTRAP_DRAWS = 1000  # bootstrap replicates
MIN_DISTANCE = np.finfo(np.float64).tiny  # keeps a mean distance from being a divisor of 0


def authenticity(index: np.ndarray, distance: np.ndarray, spacing: np.ndarray) -> float:
    """AuthPct of Alaa et al. 2022 ("How Faithful is your Synthetic Data?"), a share of 0..1.

    The share of images that are farther from the nearest training image, `index` [N] at
    `distance` [N], than that one is from its nearest other training image, `spacing` [M]. The
    value of honest samples depends on the data and lies around a half: compare it with the share
    of held-out images.
    """
    return float((distance > spacing[index]).mean())


def data_copying(samples: np.ndarray, held_out: np.ndarray) -> float:
    """C_T of Meehan et al. 2020 ("A Non-Parametric Test to Detect Data-Copying in Generative
    Models") over a single cell.

    The Mann-Whitney z of the distances to the nearest training image, of samples [N] against
    held-out images [T]. It is standard normal where both have one distribution, far below 0 where
    samples are nearer. Samples are nearer if they are copies, but also if they are blurred or all
    alike; the gap separates these cases. Far above 0, samples do not resemble the data.
    """
    held_out = np.sort(held_out)
    # Pairs in which the sample is farther, ties counted as a half.
    wins = sum(np.searchsorted(held_out, samples, side).sum() for side in ("left", "right")) / 2
    n, t = len(samples), len(held_out)
    return float((wins - n * t / 2) / np.sqrt(n * t * (n + t + 1) / 12))


def generalisation_gap(
    samples: np.ndarray, training: np.ndarray, held_out: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """(gap, low, high) of features [N, F], [M, F], [T, F], with a 99 % interval.

    The mean distance of samples to the nearest of n held-out images over that to the nearest of n
    training images, n = min(T, M // 2). It is 1 for a generator that generalises and above 1 for
    one that memorises. It is the generalisation gap of Jiralerspong et al. 2023 ("Feature
    Likelihood Divergence") computed from distances. Poor samples are equally far from both sets,
    so their gap is 1. Distances to training images are means over disjoint subsets of n. The
    interval is a bootstrap over samples; the one set of held-out images gets the variance of one
    training subset. With few subsets the interval is rough.
    """
    size = min(len(held_out), len(training) // 2)
    order = rng.permutation(len(training))
    subsets = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    to_training = np.stack(
        [neighbours.find_nearest(samples, training[s])[1] for s in subsets], axis=1
    )
    subset = rng.permutation(len(held_out))[:size]
    to_held_out = neighbours.find_nearest(samples, held_out[subset])[1]
    # The bootstrap over samples, with the variance between subsets added to the held-out distance.
    power, gaps = _subset_variance_correction(to_training), np.empty(NUM_BOOTSTRAP_DRAWS)
    for draw in range(NUM_BOOTSTRAP_DRAWS):
        rows = rng.integers(len(samples), size=len(samples))
        weights = np.bincount(rows, minlength=len(samples)) / len(samples)
        means = np.maximum(weights @ to_training, MIN_DISTANCE)
        subset_factor = (means[rng.integers(len(means))] / means.mean()) ** power
        gaps[draw] = weights @ to_held_out / means.mean() * subset_factor
    low, high = np.quantile(gaps, (0.005, 0.995))
    return (
        float(to_held_out.mean() / max(to_training.mean(), MIN_DISTANCE)),
        float(low),
        float(high),
    )


def _subset_variance_correction(distances: np.ndarray) -> float:
    """The power that gives a subset's relative mean distance the variance of one more subset.

    `distances` [N, S] of N samples to S subsets. The subsets' means vary because subsets differ,
    and because each is a mean of N residuals. The bootstrap over samples contains the second part
    already (two-way analysis of variance), so it is taken out. S subsets also deviate from their
    own mean less than one more subset would, by (S - 1) / (S + 1) in variance.
    """
    n, s = distances.shape
    means = distances.mean(0)
    residuals = distances - distances.mean(1, keepdims=True) - means + means.mean()
    noise = np.square(residuals).sum() / ((n - 1) * (s - 1)) / n
    subset_share = max(0.0, 1 - noise / max(means.var(ddof=1), MIN_DISTANCE))
    return float(np.sqrt(subset_share * (s + 1) / (s - 1)))
