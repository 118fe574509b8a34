"""Pictures for a person: candidates drawn towards their taste, picked by it and kept diverse.

Some candidates are what the run draws for anybody, some have the conditions of training rows drawn
in proportion to exp(WIDE utility), with fresh latents. n of them are picked one after the other by

    SHARP u_i(x) + g_i(x) + l d(x),

where u_i is a draw of the person's utility for place i (Thompson sampling), g_i Gumbel noise, by
which the highest is a draw in proportion to exp(SHARP u_i), and d the distance to the nearest one
picked before (maximal marginal relevance, Carbonell & Goldstein 1998), at most that of two samples
drawn at random: farther ones would be odd rather than various. l is the smallest that keeps the
diversity asked for. A person without a history gets what anybody gets.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.core.errors import MissingInput
from prodgen.core.types import Batch
from prodgen.editing.initialisation import Say
from prodgen.editing.inversion import Inverter
from prodgen.editing.preference import Leaning, Space, Taste, leanings, learn

POOL = 256  # candidates as anybody gets them, or as many as are asked for
PROPOSED = 128  # candidates that taste proposes, or twice as many as are asked for
SHARP, WIDE = 5.0, 2.5  # nats by which a utility of 1 outweighs chance: in picks, in proposals
FLOOR = 0.85  # of the diversity of unconditional samples: another eye than ours sees a bit less
EXPLORATION = 0.2
REFERENCE = 256  # training pictures that say how an average product looks
HALVINGS = 12  # of the search for l


@dataclasses.dataclass(frozen=True)
class Candidates:
    """M pictures uint8 [M, R, R, C] with z, conditions and looks float64 [M, F] (Looks)."""

    pictures: np.ndarray
    z: np.ndarray
    conditions: Batch
    looks: np.ndarray

    def rows(self, chosen: np.ndarray) -> Candidates:
        """Some of them."""
        conditions = {name: value[chosen] for name, value in self.conditions.items()}
        return Candidates(self.pictures[chosen], self.z[chosen], conditions, self.looks[chosen])


@dataclasses.dataclass(frozen=True)
class Personal:
    """What was made for a person: the samples; `utility` and `deviation` [n] as the taste sees
    them; `diversity`, the mean distance of two over that of two unconditional samples."""

    made: Candidates
    utility: np.ndarray
    std: np.ndarray
    diversity: float
    taste: Taste
    leanings: list[Leaning]


@dataclasses.dataclass(frozen=True)
class Looks:
    """Features about the average of their own kind: generated pictures differ from photographs in
    ways that are nobody's taste."""

    mean: np.ndarray
    scale: float

    @staticmethod
    def of(features: np.ndarray) -> Looks:
        mean = features.mean(axis=0, dtype=np.float64)
        spread = np.square(features - mean).sum(axis=1).mean()
        return Looks(mean, float(1 / np.sqrt(max(spread, 1e-12))))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Rows [N, F] of mean square length 1."""
        return (features - self.mean) * self.scale


class Personaliser:
    """Makes pictures of one run for any number of people; what they share is made once."""

    def __init__(self, inverter: Inverter, say: Say, seed: int = 0):
        model = inverter.model
        self.model, self.inverter, self.seed = model, inverter, seed
        self._drawn: Looks | None = None
        self.plain = self._made(np.arange(POOL), model.conditions.pick(seed, np.arange(POOL)))
        self.space = Space(model.conditions, self.plain.looks.shape[1])
        self._real = self._reference(say)

    def rows(self, pictures: np.ndarray, conditions: Batch) -> np.ndarray:
        """The features [N, D] of products from their photographs uint8 [N, R, R, C]."""
        return self.space.rows(conditions, self._real(self.inverter.features(pictures)))

    def __call__(
        self, rows: np.ndarray, weights: np.ndarray, n: int,
        exploration: float = EXPLORATION, floor: float = FLOOR,
    ) -> Personal:  # fmt: skip
        """n pictures for the person behind products [N, D] with weights [N].

        exploration: 0 trusts what is known, 1 tries what may be liked; floor: the least diversity,
        as a share of unconditional samples'. Without a history, what the run gives anybody.
        """
        taste = learn(rows, weights)
        dice = np.random.default_rng([self.seed, 11])
        pool = self._pool(taste, n, exploration, dice)
        looked = self.space.rows(pool.conditions, pool.looks)
        chosen = np.arange(n)
        if taste.seen:
            score = SHARP * taste.draw(n, exploration, dice) @ looked.T
            chosen = picked(score + dice.gumbel(size=score.shape), pool.looks, self.unit, floor)
        utility, deviation = taste.utility(looked[chosen])
        made = pool.rows(chosen)
        share = mean_distance(made.looks) / self.unit if n > 1 else 1.0
        return Personal(made, utility, deviation, share, taste, leanings(taste, self.space))

    @property
    def unit(self) -> float:
        """The mean distance of two unconditional samples."""
        return max(mean_distance(self.plain.looks), 1e-12)

    def _pool(
        self, taste: Taste, n: int, exploration: float, dice: np.random.Generator
    ) -> Candidates:
        """Unconditional candidates first, then those whose conditions taste proposes."""
        count, more, conditions = max(POOL, n), max(PROPOSED, 2 * n), self.model.conditions
        plain, extra = self.plain, np.arange(POOL, count)
        if len(extra):
            plain = joined(plain, self._made(extra, conditions.pick(self.seed, extra)))
        if not taste.seen:
            return plain
        weights = WIDE * taste.draw(more, exploration, dice)
        chances = weights @ self.space.rows(conditions).T
        chosen = np.argmax(chances + dice.gumbel(size=chances.shape), axis=1)
        asked = {name: getattr(conditions, name)[chosen] for name in plain.conditions}
        return joined(plain, self._made(count + np.arange(more), asked))

    def _made(self, indices: np.ndarray, conditions: Batch) -> Candidates:
        z = self.model.latents(indices, self.seed)
        pictures = self.model.decode(z, conditions)
        features = self.inverter.features(pictures)
        self._drawn = self._drawn or Looks.of(features)
        return Candidates(pictures, z, conditions, self._drawn(features))

    def _reference(self, say: Say) -> Looks:
        """How training pictures look on average; where they are gone, how samples do."""
        try:
            store = self.model.store()
        except MissingInput as gone:
            say(f"{gone.message}: looks are compared with those of samples")
            return self._drawn
        return Looks.of(
            self.inverter.features(
                store.fetch(store.evenly_spaced_ids("train", REFERENCE))["image"]
            )
        )


def joined(one: Candidates, other: Candidates) -> Candidates:
    both = (one.conditions, other.conditions)
    return Candidates(
        np.concatenate([one.pictures, other.pictures]),
        np.concatenate([one.z, other.z]),
        {name: np.concatenate([c[name] for c in both]) for name in one.conditions},
        np.concatenate([one.looks, other.looks]),
    )


def picked(score: np.ndarray, looks: np.ndarray, unit: float, floor: float) -> np.ndarray:
    """n of M candidates by score [n, M], no more apart than it takes.

    The mean distance of two reaches floor * unit where the candidates can.
    """
    low, high = 0.0, 1.0
    found = greedy(score, looks / unit, low)
    if len(score) < 2 or mean_distance(looks[found]) >= floor * unit:
        return found
    while mean_distance(looks[greedy(score, looks / unit, high)]) < floor * unit and high < 4096:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = mean_distance(looks[greedy(score, looks / unit, middle)]) >= floor * unit
        low, high = (low, middle) if enough else (middle, high)
    return greedy(score, looks / unit, high)


def greedy(score: np.ndarray, looks: np.ndarray, weight: float) -> np.ndarray:
    """One candidate for each row of score [n, M], none twice: the highest score plus `weight` times
    the distance to the nearest one picked before, up to 1."""
    taken: list[int] = []
    free, gap = np.zeros(score.shape[1]), np.zeros(score.shape[1])
    for row in score:
        best = int(np.argmax(row + weight * gap + free))
        distance = np.linalg.norm(looks - looks[best], axis=1)
        gap = np.minimum(gap if taken else 1.0, distance)
        free[best] = -np.inf
        taken.append(best)
    return np.array(taken, int)


def mean_distance(rows: np.ndarray) -> float:
    """The mean Euclidean distance of two different rows [N, F]."""
    squares = np.square(rows).sum(axis=1)
    gaps = np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0.0)
    np.fill_diagonal(gaps, 0.0)
    return float(np.sqrt(gaps).sum() / max(len(rows) * (len(rows) - 1), 1))
