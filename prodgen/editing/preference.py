"""A person's taste: what the products in their history say about all others.

Utility is linear in a product's features, u(x) = w . f(x), and a history of N products with weights
y (bought 1, returned -1) is N noisy looks at it. With the prior w ~ N(0, I) and noise of variance
s2, the posterior is normal (Bishop 2006, section 3.3),

    C = (I + F^T F / s2)^-1,    m = C F^T y / s2,

so one interaction moves little and twenty move much. Features are deviations from the average
product of the run, scaled so that its own utility has the prior variance 1: an unknown attribute is
0, a product that nobody asked about is neither liked nor disliked. NumPy only, float64.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from prodgen.core.types import Attribute, Batch
from prodgen.data.conditions import Conditions

EVENTS = {"viewed": 0.3, "bought": 1.0, "returned": -1.0}
PRIOR = {"category": 1.0, "categorical": 1.0, "number": 0.5, "angle": 0.3, "look": 0.5}
"""Prior deviation of the weights, by what a feature is; a look is what conditions do not say."""
NOISE = 0.5  # s2: how far one event is from the utility
RARE = 0.02  # of products: an eighth of the circle with fewer is not spoken of
SURE = 0.8  # probability from which a leaning is put into words


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Products with a value of an attribute against the average one: they add vector [D] . w, with
    all that goes along with the value."""

    attribute: str
    value: str
    vector: np.ndarray


@dataclasses.dataclass(frozen=True)
class Leaning:
    """strength: the utility that a value adds, where a purchase is 1; its posterior deviation;
    sure: the probability, of 0.5..1, that its sign is right."""

    attribute: str
    value: str
    strength: float
    std: float
    sure: float

    def __str__(self) -> str:
        name = self.value if self.attribute == "category" else f"{self.attribute} {self.value}"
        sure = min(math.floor(100 * self.sure), 99)
        return f"{name}: {self.strength:+.2f} \N{PLUS-MINUS SIGN} {self.std:.2f}, {sure} %"


class Space:
    """The features [D] of a product: category and attributes as a run's conditions have them, then
    its look [F], a row of mean square length 1 about the average."""

    def __init__(self, conditions: Conditions, look: int):
        self.spec, self.look = conditions.spec, look
        self.columns = len(self.spec.classes) + self.spec.num_columns
        raw, known = self._raw(conditions.label, conditions.attributes, conditions.known)
        self.mean = np.sum(raw * known, axis=0) / np.maximum(known.sum(axis=0), 1)
        centred = (raw - self.mean) * known
        self._told, self._known = centred, known
        prior = self._prior()
        total = np.sum(np.square(centred * prior).mean(axis=0)) + PRIOR["look"] ** 2
        self.scale = np.append(prior, PRIOR["look"]) / math.sqrt(total)

    def rows(self, conditions: Batch | Conditions, look: np.ndarray | None = None) -> np.ndarray:
        """float64 [N, D] of N products; without `look` [N, F] as if all looked average."""
        given = conditions if isinstance(conditions, dict) else vars(conditions)
        raw, known = self._raw(given["label"], given["attributes"], given["known"])
        told = (raw - self.mean) * known * self.scale[:-1]
        seen = np.zeros((len(told), self.look)) if look is None else look * self.scale[-1]
        return np.concatenate([told, seen], axis=1)

    def _raw(self, label: np.ndarray, attributes: np.ndarray, known: np.ndarray) -> tuple:
        """Condition columns [N, K + A] and which of them are known."""
        k, a = len(self.spec.classes), self.spec.num_columns
        one_hot = (label[:, None] == np.arange(k)).astype(np.float64)
        labelled = np.repeat((label >= 0)[:, None], k, axis=1)
        return (
            np.concatenate([one_hot, attributes[:, :a]], axis=1),
            np.concatenate([labelled, known[:, :a]], axis=1),
        )

    def _prior(self) -> np.ndarray:
        kinds = ["category"] * len(self.spec.classes)
        for attribute in self.spec.attributes:
            kinds += [attribute.kind] * attribute.num_columns
        return np.array([PRIOR[kind] for kind in kinds])

    def contrasts(self, mean: np.ndarray) -> list[Contrast]:
        """Every value that a leaning can be about; by the `mean` [D] of the weights a number's is
        high or low."""
        found = self._values("category", self.spec.classes, 0)
        for attribute in self.spec.attributes:
            start = len(self.spec.classes) + self.spec.column_slices()[attribute.name].start
            if attribute.kind == "categorical":
                found += self._values(attribute.name, attribute.values, start)
            elif attribute.kind == "angle":
                found += self._sectors(attribute, start)
            else:
                found.append(self._slope(attribute, start, mean))
        return found

    def _values(self, name: str, values: tuple[str, ...], start: int) -> list[Contrast]:
        """The mean product of each value that there is."""
        has = [self._told[:, start + i] > 0 for i in range(len(values))]
        return [
            self._mean(name, v, rows) for v, rows in zip(values, has, strict=True) if rows.any()
        ]

    def _sectors(self, attribute: Attribute, start: int) -> list[Contrast]:
        """The mean product of each eighth of the circle that is not rare."""
        place = slice(start, start + 2)
        sine, cosine = (self._told[:, place] + self.mean[place]).T
        sector = np.round(np.arctan2(sine, cosine) / (np.pi / 4)).astype(int) % 8
        has = [self._known[:, start] & (sector == i) for i in range(8)]
        return [
            self._mean(attribute.name, f"about {45 * i} degrees", rows)
            for i, rows in enumerate(has)
            if rows.mean() >= RARE
        ]

    def _slope(self, attribute: Attribute, start: int, mean: np.ndarray) -> Contrast:
        """A number one deviation up, or down where that is liked more."""
        along = self._told[:, start]
        slope = self._padded(along @ self._told / max(float(along @ along), 1e-12))
        high = float(slope @ mean) >= 0
        return Contrast(attribute.name, "high" if high else "low", slope if high else -slope)

    def _mean(self, name: str, value: str, rows: np.ndarray) -> Contrast:
        return Contrast(name, value, self._padded(self._told[rows].mean(axis=0)))

    def _padded(self, told: np.ndarray) -> np.ndarray:
        """Condition columns in deviations -> features [D], the look unknown."""
        return np.append(told * self.scale[:-1], np.zeros(self.look))


@dataclasses.dataclass(frozen=True)
class Taste:
    """The posterior of the weights: mean [D], covariance [D, D], from `seen` interactions."""

    mean: np.ndarray
    covariance: np.ndarray
    seen: int

    def utility(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, deviation) [N] of the utilities of rows [N, D]."""
        variance = np.einsum("nd,de,ne->n", rows, self.covariance, rows)
        return rows @ self.mean, np.sqrt(np.maximum(variance, 0.0))

    def draw(self, n: int, exploration: float, dice: np.random.Generator) -> np.ndarray:
        """n weights [n, D] that the person may have: Thompson 1933, with the posterior's deviation
        times `exploration` (Chapelle & Li 2011, section 3): 1 is the posterior, 0 its mean."""
        noise = dice.standard_normal((n, len(self.mean)))
        return self.mean + exploration * noise @ np.linalg.cholesky(self.covariance).T


def learn(rows: np.ndarray, weights: np.ndarray, noise: float = NOISE) -> Taste:
    """The taste behind weights [N] of products with features [N, D]; N of 0 gives the prior."""
    precision = np.eye(rows.shape[1]) + rows.T @ rows / noise
    covariance = np.linalg.inv(precision)
    covariance = (covariance + covariance.T) / 2
    return Taste(covariance @ (rows.T @ weights) / noise, covariance, len(rows))


def leanings(taste: Taste, space: Space) -> list[Leaning]:
    """What the person leans to (positive) and away from, the surest first."""
    found = []
    for contrast in space.contrasts(taste.mean):
        (strength,), (deviation,) = taste.utility(contrast.vector[None])
        sure = 0.5 + 0.5 * math.erf(abs(strength) / max(deviation, 1e-12) / math.sqrt(2))
        values = (float(strength), float(deviation), sure)
        found.append(Leaning(contrast.attribute, contrast.value, *values))
    return sorted(found, key=lambda one: -one.sure)
