"""Samples for a person: candidates drawn towards their preferences, then picked to be diverse.

Some candidates are unconditional samples; others have the conditions of training rows drawn in
proportion to exp(PROPOSAL_SHARPNESS_NATS * utility), with fresh latents. n of them are picked one
after the other by the highest

    PICK_SHARPNESS_NATS u_i(x) + g_i(x) + l d(x),

where u_i is a posterior draw of the person's utility for pick i (Thompson sampling), g_i is Gumbel
noise, with which the highest is a draw in proportion to exp(PICK_SHARPNESS_NATS u_i), and d is the
distance to the nearest candidate picked before (maximal marginal relevance, Carbonell & Goldstein
1998). d is at most the distance of two random samples: farther ones would be odd rather than
diverse. l is the smallest weight that keeps the given diversity. A person without a history gets
unconditional samples.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.core.errors import MissingInput
from prodgen.core.types import Batch
from prodgen.editing.initialisation import Say
from prodgen.editing.inversion import Inverter
from prodgen.editing.preference import (
    FeatureSpace,
    Preference,
    PreferencePosterior,
    fit_posterior,
    list_preferences,
)

NUM_UNCONDITIONAL = 256  # unconditional candidates, or n where that is more
NUM_PROPOSED = 128  # candidates proposed by preference, or 2 n where that is more
PICK_SHARPNESS_NATS = 5.0  # weight of a utility of 1 against the noise, in picks
PROPOSAL_SHARPNESS_NATS = 2.5  # the same, in proposals
MIN_DIVERSITY = 0.85  # of unconditional samples'; other feature extractors measure a bit less
EXPLORATION = 0.2
NUM_REFERENCE_IMAGES = 256  # training images that the mean features are taken from
BISECTION_STEPS = 12  # of the search for l
MAX_DIVERSITY_WEIGHT = 4096


@dataclasses.dataclass(frozen=True)
class Candidates:
    """M images uint8 [M, R, R, C] with z, conditions and normalised features float64 [M, F]."""

    images: np.ndarray
    z: np.ndarray
    conditions: Batch
    features: np.ndarray

    def select(self, indices: np.ndarray) -> Candidates:
        """The candidates of some indices."""
        conditions = {name: value[indices] for name, value in self.conditions.items()}
        return Candidates(self.images[indices], self.z[indices], conditions, self.features[indices])


@dataclasses.dataclass(frozen=True)
class PersonalisedSamples:
    """What a person gets: the samples; mean and std [n] of their utility by the posterior;
    `diversity`, the mean distance of two samples over that of two unconditional ones."""

    samples: Candidates
    utility: np.ndarray
    std: np.ndarray
    diversity: float
    posterior: PreferencePosterior
    preferences: list[Preference]


@dataclasses.dataclass(frozen=True)
class FeatureNormaliser:
    """Centres features on the mean of their own kind.

    Generated images differ from photos in ways that are no one's preference.
    """

    mean: np.ndarray
    scale: float

    @staticmethod
    def fit(features: np.ndarray) -> FeatureNormaliser:
        """The normaliser of features [N, F]."""
        mean = features.mean(axis=0, dtype=np.float64)
        mean_square = np.square(features - mean).sum(axis=1).mean()
        return FeatureNormaliser(mean, float(1 / np.sqrt(max(mean_square, 1e-12))))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Rows [N, F] of mean square norm 1."""
        return (features - self.mean) * self.scale


class Personaliser:
    """Makes samples of one run for any number of people; what they share is computed once."""

    def __init__(self, inverter: Inverter, say: Say, seed: int = 0):
        model = inverter.model
        self.model, self.inverter, self.seed = model, inverter, seed
        indices = np.arange(NUM_UNCONDITIONAL)
        self._sample_normaliser: FeatureNormaliser | None = None
        self.unconditional = self._sample(indices, model.conditions.pick(seed, indices))
        self.space = FeatureSpace(model.conditions, self.unconditional.features.shape[1])
        # Real images have a mean of their own; where they are gone, that of samples is used.
        try:
            store = model.store()
        except MissingInput as error:
            say(f"{error.message}: features are compared with those of samples")
            self._photo_normaliser = self._sample_normaliser
        else:
            reference = store.fetch(store.evenly_spaced_ids("train", NUM_REFERENCE_IMAGES))["image"]
            self._photo_normaliser = FeatureNormaliser.fit(inverter.extract_features(reference))

    def rows(self, images: np.ndarray, conditions: Batch) -> np.ndarray:
        """The features [N, D] of products from their photos uint8 [N, R, R, C]."""
        features = self._photo_normaliser(self.inverter.extract_features(images))
        return self.space.rows(conditions, features)

    def __call__(
        self, rows: np.ndarray, weights: np.ndarray, n: int,
        exploration: float = EXPLORATION, min_diversity: float = MIN_DIVERSITY,
    ) -> PersonalisedSamples:  # fmt: skip
        """n samples for the person behind products [N, D] with weights [N].

        exploration: 0 uses what is known, 1 tries what may be liked; min_diversity: the least
        diversity, as a share of unconditional samples'. Without a history, unconditional samples.
        """
        posterior = fit_posterior(rows, weights)
        rng = np.random.default_rng([self.seed, 11])
        pool = self._draw_pool(posterior, n, exploration, rng)
        pool_rows = self.space.rows(pool.conditions, pool.features)
        picks = np.arange(n)
        if posterior.num_interactions:
            # Weights of its own for each pick (Thompson sampling); Gumbel noise: a softmax draw.
            score = PICK_SHARPNESS_NATS * posterior.sample(n, exploration, rng) @ pool_rows.T
            score = score + rng.gumbel(size=score.shape)
            picks = pick_diverse(score, pool.features, self.unit_distance, min_diversity)
        mean, std = posterior.utility(pool_rows[picks])
        samples = pool.select(picks)
        diversity = mean_distance(samples.features) / self.unit_distance if n > 1 else 1.0
        preferences = list_preferences(posterior, self.space)
        return PersonalisedSamples(samples, mean, std, diversity, posterior, preferences)

    @property
    def unit_distance(self) -> float:
        """The mean distance of two unconditional samples."""
        return max(mean_distance(self.unconditional.features), 1e-12)

    def _draw_pool(
        self,
        posterior: PreferencePosterior,
        n: int,
        exploration: float,
        rng: np.random.Generator,
    ) -> Candidates:
        """Unconditional candidates first, then those with conditions proposed by preference."""
        pool, conditions = self.unconditional, self.model.conditions
        count = max(NUM_UNCONDITIONAL, n)
        extra = np.arange(NUM_UNCONDITIONAL, count)
        if len(extra):
            more = self._sample(extra, conditions.pick(self.seed, extra))
            pool = concatenate_candidates(pool, more)
        if not posterior.num_interactions:
            return pool
        num_proposed = max(NUM_PROPOSED, 2 * n)
        weights = PROPOSAL_SHARPNESS_NATS * posterior.sample(num_proposed, exploration, rng)
        # The Gumbel trick: one training row for each draw of the weights.
        logits = weights @ self.space.rows(conditions).T
        rows = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
        proposals = {name: getattr(conditions, name)[rows] for name in pool.conditions}
        return concatenate_candidates(
            pool, self._sample(count + np.arange(num_proposed), proposals)
        )

    def _sample(self, indices: np.ndarray, conditions: Batch) -> Candidates:
        """The run's samples of some indices; the first call fits the samples' normaliser."""
        z = self.model.latents(indices, self.seed, label=conditions["label"])
        images = self.model.decode(z, conditions)
        features = self.inverter.extract_features(images)
        self._sample_normaliser = self._sample_normaliser or FeatureNormaliser.fit(features)
        return Candidates(images, z, conditions, self._sample_normaliser(features))


def concatenate_candidates(a: Candidates, b: Candidates) -> Candidates:
    """The candidates of a, then those of b."""
    return Candidates(
        np.concatenate([a.images, b.images]),
        np.concatenate([a.z, b.z]),
        {name: np.concatenate([a.conditions[name], b.conditions[name]]) for name in a.conditions},
        np.concatenate([a.features, b.features]),
    )


def pick_diverse(
    score: np.ndarray, features: np.ndarray, unit_distance: float, min_diversity: float
) -> np.ndarray:
    """n of M candidates by score [n, M], with the smallest diversity weight that is enough.

    The mean distance of two picks reaches min_diversity * unit_distance where the candidates can.
    """
    target = min_diversity * unit_distance

    def pick(weight: float) -> np.ndarray:
        return pick_greedily(score, features / unit_distance, weight)

    def is_diverse(picks: np.ndarray) -> bool:
        return mean_distance(features[picks]) >= target

    low, high = 0.0, 1.0
    picks = pick(low)
    if len(score) < 2 or is_diverse(picks):
        return picks
    # Double the weight until the picks are diverse enough, then bisect.
    while not is_diverse(pick(high)) and high < MAX_DIVERSITY_WEIGHT:
        low, high = high, 2 * high
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_diverse(pick(middle)) else (middle, high)
    return pick(high)


def pick_greedily(score: np.ndarray, features: np.ndarray, weight: float) -> np.ndarray:
    """One candidate for each row of score [n, M], none twice.

    The highest score plus `weight` times the distance, up to 1, to the nearest one picked before.
    """
    picks: list[int] = []
    penalty, distance = np.zeros(score.shape[1]), np.zeros(score.shape[1])
    for row in score:
        best = int(np.argmax(row + weight * distance + penalty))
        to_best = np.linalg.norm(features - features[best], axis=1)
        distance = np.minimum(distance if picks else 1.0, to_best)
        penalty[best] = -np.inf
        picks.append(best)
    return np.array(picks, int)


def mean_distance(rows: np.ndarray) -> float:
    """The mean Euclidean distance of two different rows [N, F]."""
    squares = np.square(rows).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0.0)
    np.fill_diagonal(distances, 0.0)
    return float(np.sqrt(distances).sum() / max(len(rows) * (len(rows) - 1), 1))
