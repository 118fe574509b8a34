"""A person's preferences: what the products in their history say about all others.

Utility is linear in a product's features, u(x) = w . f(x), and a history of N products with weights
y (bought 1, returned -1) is N noisy observations of it. With the prior w ~ N(0, I) and noise of
variance s2, the posterior is normal (Bishop 2006, section 3.3),

    C = (I + F^T F / s2)^-1,    m = C F^T y / s2,

so one interaction moves little and twenty move much. Features are deviations from the average
product of the run, scaled so that its own utility has the prior variance 1: an unknown attribute is
0, and has no effect on the utility. NumPy only, float64.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from prodgen.core.types import Attribute, Batch
from prodgen.data.conditions import Conditions

EVENT_WEIGHTS = {"viewed": 0.3, "bought": 1.0, "returned": -1.0}
# Of the weights, by kind of feature. "look": the image features, beyond the conditions.
PRIOR_STD = {"category": 1.0, "categorical": 1.0, "number": 0.5, "angle": 0.3, "look": 0.5}
NOISE_VARIANCE = 0.5  # s2: of one event about the utility
MIN_SECTOR_SHARE = 0.02  # of products: an eighth of the circle with fewer is left out
MIN_PROBABILITY = 0.8  # from which a preference is put into words


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Products with a value of an attribute against the average one.

    They add the utility vector [D] . w, with everything that goes along with the value.
    """

    attribute: str
    value: str
    vector: np.ndarray


@dataclasses.dataclass(frozen=True)
class Preference:
    """strength: the utility that a value adds, where a purchase is 1; std: of its posterior;
    probability, in 0.5..1, that its sign is right."""

    attribute: str
    value: str
    strength: float
    std: float
    probability: float

    def __str__(self) -> str:
        name = self.value if self.attribute == "category" else f"{self.attribute} {self.value}"
        percent = min(math.floor(100 * self.probability), 99)
        return f"{name}: {self.strength:+.2f} \N{PLUS-MINUS SIGN} {self.std:.2f}, {percent} %"


class FeatureSpace:
    """The features [D] of a product: category and attributes as in a run's conditions, then its
    normalised image features [F], of mean square norm 1."""

    def __init__(self, conditions: Conditions, num_image_features: int):
        self.spec, self.num_image_features = conditions.spec, num_image_features
        columns, known = self._columns(conditions.label, conditions.attributes, conditions.known)
        self.mean = np.sum(columns * known, axis=0) / np.maximum(known.sum(axis=0), 1)
        self._centred, self._known = (columns - self.mean) * known, known
        # Scale all features so that the average product's utility has the prior variance 1.
        kinds = ["category"] * len(self.spec.classes)
        for attribute in self.spec.attributes:
            kinds += [attribute.kind] * attribute.num_columns
        std = np.array([PRIOR_STD[kind] for kind in kinds])
        variance = np.sum(np.square(self._centred * std).mean(axis=0)) + PRIOR_STD["look"] ** 2
        self.scale = np.append(std, PRIOR_STD["look"]) / math.sqrt(variance)

    def rows(
        self, conditions: Batch | Conditions, image_features: np.ndarray | None = None
    ) -> np.ndarray:
        """float64 [N, D] of N products; without image_features [N, F] these are 0, the average."""
        batch = conditions if isinstance(conditions, dict) else vars(conditions)
        columns, known = self._columns(batch["label"], batch["attributes"], batch["known"])
        condition_part = (columns - self.mean) * known * self.scale[:-1]
        if image_features is None:
            image_part = np.zeros((len(condition_part), self.num_image_features))
        else:
            image_part = image_features * self.scale[-1]
        return np.concatenate([condition_part, image_part], axis=1)

    def _columns(self, label: np.ndarray, attributes: np.ndarray, known: np.ndarray) -> tuple:
        """Condition columns [N, K + A], the category one-hot, and which of them are known."""
        k, a = len(self.spec.classes), self.spec.num_columns
        one_hot = (label[:, None] == np.arange(k)).astype(np.float64)
        has_label = np.repeat((label >= 0)[:, None], k, axis=1)
        return (
            np.concatenate([one_hot, attributes[:, :a]], axis=1),
            np.concatenate([has_label, known[:, :a]], axis=1),
        )

    def contrasts(self, mean: np.ndarray) -> list[Contrast]:
        """One contrast for each value that a preference can be about.

        A number is contrasted as "high" or "low", whichever has the higher utility by the `mean`
        [D] of the weights.
        """
        contrasts = self._value_contrasts("category", self.spec.classes, 0)
        for attribute in self.spec.attributes:
            start = len(self.spec.classes) + self.spec.column_slices()[attribute.name].start
            if attribute.kind == "categorical":
                contrasts += self._value_contrasts(attribute.name, attribute.values, start)
            elif attribute.kind == "angle":
                contrasts += self._sector_contrasts(attribute, start)
            else:
                # A number one standard deviation up, or down.
                number = self._centred[:, start]
                # Regression of all columns on it: what changes along with one unit of the number.
                slope = number @ self._centred / max(float(number @ number), 1e-12)
                slope = self._to_features(slope)
                is_high = float(slope @ mean) >= 0
                value, vector = ("high", slope) if is_high else ("low", -slope)
                contrasts.append(Contrast(attribute.name, value, vector))
        return contrasts

    def _value_contrasts(self, name: str, values: tuple[str, ...], start: int) -> list[Contrast]:
        """The mean product of each value that occurs."""
        return [
            self._mean_contrast(name, value, has_value)
            for i, value in enumerate(values)
            if (has_value := self._centred[:, start + i] > 0).any()
        ]

    def _sector_contrasts(self, attribute: Attribute, start: int) -> list[Contrast]:
        """The mean product of each eighth of the circle that is not rare."""
        columns = slice(start, start + 2)
        sine, cosine = (self._centred[:, columns] + self.mean[columns]).T
        sector = np.round(np.arctan2(sine, cosine) / (np.pi / 4)).astype(int) % 8
        return [
            self._mean_contrast(attribute.name, f"about {45 * i} degrees", in_sector)
            for i in range(8)
            if (in_sector := self._known[:, start] & (sector == i)).mean() >= MIN_SECTOR_SHARE
        ]

    def _mean_contrast(self, name: str, value: str, rows: np.ndarray) -> Contrast:
        """Of the products in rows bool [N]."""
        return Contrast(name, value, self._to_features(self._centred[rows].mean(axis=0)))

    def _to_features(self, deviations: np.ndarray) -> np.ndarray:
        """Centred condition columns -> features [D], the image features 0."""
        return np.append(deviations * self.scale[:-1], np.zeros(self.num_image_features))


@dataclasses.dataclass(frozen=True)
class PreferencePosterior:
    """The posterior of the weights: mean [D], covariance [D, D]."""

    mean: np.ndarray
    covariance: np.ndarray
    num_interactions: int

    def utility(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, std) [N] of the utilities of rows [N, D]."""
        variance = np.einsum("nd,de,ne->n", rows, self.covariance, rows)
        return rows @ self.mean, np.sqrt(np.maximum(variance, 0.0))

    def sample(self, n: int, exploration: float, rng: np.random.Generator) -> np.ndarray:
        """n weights [n, D] that the person may have: Thompson 1933, with the posterior's deviation
        times `exploration` (Chapelle & Li 2011, section 3): 1 is the posterior, 0 its mean."""
        noise = rng.standard_normal((n, len(self.mean)))
        return self.mean + exploration * noise @ np.linalg.cholesky(self.covariance).T


def fit_posterior(
    rows: np.ndarray, weights: np.ndarray, noise: float = NOISE_VARIANCE
) -> PreferencePosterior:
    """The posterior given weights [N] of products with features [N, D]; N of 0 gives the prior."""
    precision = np.eye(rows.shape[1]) + rows.T @ rows / noise
    covariance = np.linalg.inv(precision)
    covariance = (covariance + covariance.T) / 2
    return PreferencePosterior(covariance @ (rows.T @ weights) / noise, covariance, len(rows))


def list_preferences(posterior: PreferencePosterior, space: FeatureSpace) -> list[Preference]:
    """What the person prefers (positive) and avoids (negative), the most probable first."""
    preferences = []
    for contrast in space.contrasts(posterior.mean):
        (strength,), (std,) = posterior.utility(contrast.vector[None])
        probability = 0.5 + 0.5 * math.erf(abs(strength) / max(std, 1e-12) / math.sqrt(2))
        values = (float(strength), float(std), probability)
        preferences.append(Preference(contrast.attribute, contrast.value, *values))
    return sorted(preferences, key=lambda preference: -preference.probability)
