"""Do samples lie nearer to the training pictures than unseen real pictures do? Three answers.

All of them read distances in the features of any extractor, rows float [., F], and all of them are
about the whole set of samples: a single copy does not show here, but in memorisation.py.
"""

from __future__ import annotations

import numpy as np

from prodgen.metrics import neighbours

NUM_BOOTSTRAP_DRAWS = 1000  # bootstrap replicates
MIN_DISTANCE = np.finfo(np.float64).tiny


def authenticity(index: np.ndarray, distance: np.ndarray, spacing: np.ndarray) -> float:
    """AuthPct of Alaa et al. 2022 ("How Faithful is your Synthetic Data?"), a share of 0..1.

    The share of pictures that are farther from the nearest training picture, `index` [N] at
    `distance` [N], than that one is from its nearest other training picture, `spacing` [M]. What
    honest samples reach depends on the data and lies around a half: read it against the share of
    held-back pictures.
    """
    return float((distance > spacing[index]).mean())


def data_copying(samples: np.ndarray, held_back: np.ndarray) -> float:
    """C_T of Meehan et al. 2020 ("A Non-Parametric Test to Detect Data-Copying in Generative
    Models") over a single cell.

    The Mann-Whitney z of the distances to the nearest training picture, of samples [N] against
    held-back pictures [T]. It is standard normal where both have one distribution, far below 0
    where samples are nearer. That is copying, or samples that are blurred or all alike, which are
    near to everything: the gap tells these apart. Far above 0, samples do not look like the data.
    """
    held_back = np.sort(held_back)
    wins = sum(np.searchsorted(held_back, samples, side).sum() for side in ("left", "right")) / 2
    n, t = len(samples), len(held_back)
    return float((wins - n * t / 2) / np.sqrt(n * t * (n + t + 1) / 12))


def generalisation_gap(
    samples: np.ndarray, training: np.ndarray, held_back: np.ndarray, dice: np.random.Generator
) -> tuple[float, float, float]:
    """(gap, low, high) of features [N, F], [M, F], [T, F], with a 99 % interval.

    The mean distance of samples to the nearest of n held-back pictures over that to the nearest of
    n training pictures, n = min(T, M // 2): 1 where the samples know neither, above 1 where they
    know the training pictures. It is the generalisation gap of Jiralerspong et al. 2023 ("Feature
    Likelihood Divergence") read from distances; poor samples are as far from the ones as from the
    others and leave it at 1. Distances to training pictures are means over disjoint subsets of n.
    The interval is a bootstrap over samples, in which the one set of held-back pictures is given
    the luck of one subset; with few subsets it is rough.
    """
    size = min(len(held_back), len(training) // 2)
    order = dice.permutation(len(training))
    subsets = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    to_training = np.stack(
        [neighbours.find_nearest(samples, training[s])[1] for s in subsets], axis=1
    )
    some = dice.permutation(len(held_back))[:size]
    to_held_back = neighbours.find_nearest(samples, held_back[some])[1]
    power, draws = subset_variance_correction(to_training), np.empty(NUM_BOOTSTRAP_DRAWS)
    for draw in range(NUM_BOOTSTRAP_DRAWS):
        rows = dice.integers(len(samples), size=len(samples))
        weights = np.bincount(rows, minlength=len(samples)) / len(samples)
        means = np.maximum(weights @ to_training, MIN_DISTANCE)
        luck = (means[dice.integers(len(means))] / means.mean()) ** power
        draws[draw] = weights @ to_held_back / means.mean() * luck
    low, high = np.quantile(draws, (0.005, 0.995))
    return (
        float(to_held_back.mean() / max(to_training.mean(), MIN_DISTANCE)),
        float(low),
        float(high),
    )


def subset_variance_correction(distances: np.ndarray) -> float:
    """The power that turns a subset's mean distance, over the mean of all, into a subset's luck.

    `distances` [N, S] of N samples to S subsets. The means vary for two reasons: subsets differ,
    and each is a mean of N residuals, whose part (two-way analysis of variance) the bootstrap over
    samples brings already. Beyond that, S subsets deviate from their own mean less than one more
    subset would, by (S - 1) / (S + 1) in variance.
    """
    n, s = distances.shape
    means = distances.mean(0)
    rest = distances - distances.mean(1, keepdims=True) - means + means.mean()
    noise = np.square(rest).sum() / ((n - 1) * (s - 1)) / n
    kept = max(0.0, 1 - noise / max(means.var(ddof=1), MIN_DISTANCE))
    return float(np.sqrt(kept * (s + 1) / (s - 1)))
