"""Ranks a shop's existing products for a person, and explains each rank.

The utility of a product is u(x) = m . f(x), the posterior mean of preference.py times its features.
It is a sum over the category, the attributes and the look, so each part's share of it is the
explanation. The features of a product with several images are their mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from prodgen.core.types import Batch, Spec
from prodgen.editing.preference import FeatureSpace, PreferencePosterior

MIN_SHARE = 0.02  # of a purchase's utility, 1: smaller parts are no reason
MAX_REASONS = 3  # for a product, and against it
LOOK = "look"  # the part of the image features


@dataclasses.dataclass(frozen=True)
class Reason:
    """What a part of a product adds to its utility, where a purchase is 1."""

    attribute: str
    value: str
    utility: float

    def __str__(self) -> str:
        is_whole = self.attribute in ("category", LOOK)
        name = self.value if is_whole else f"{self.attribute} {self.value}"
        return f"{name} ({self.utility:+.2f})"


@dataclasses.dataclass(frozen=True)
class RankedProduct:
    """A product: its name, the rows of its images, mean and std of its utility, and its reasons."""

    name: str
    rows: tuple[int, ...]
    utility: float
    std: float
    reasons: tuple[Reason, ...]

    def describe(self, sign: int) -> str:
        """The reasons for it (sign 1) or against it (-1), the strongest first; "" without any."""
        reasons = [reason for reason in self.reasons if sign * reason.utility >= MIN_SHARE]
        reasons.sort(key=lambda reason: -sign * reason.utility)
        return ", ".join(map(str, reasons[:MAX_REASONS]))


def rank_products(
    posterior: PreferencePosterior,
    space: FeatureSpace,
    features: np.ndarray,
    conditions: Batch,
    names: Sequence[str],
    n: int,
) -> list[RankedProduct]:
    """The n products of the highest utility, the best first; equal ones in the order of the rows.

    features float64 [N, D] of images (FeatureSpace.rows), their conditions, and names [N] of their
    products: images with one name are one product.
    """
    members: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        members.setdefault(name, []).append(row)
    means = np.stack([features[rows].mean(axis=0) for rows in members.values()])
    utility, std = posterior.utility(means)
    order = np.argsort(-utility, kind="stable")[:n]
    products = list(members.items())
    return [
        RankedProduct(
            products[i][0],
            tuple(products[i][1]),
            float(utility[i]),
            float(std[i]),
            explain(posterior, space, means[i], conditions, products[i][1][0]),
        )
        for i in order
    ]


def explain(
    posterior: PreferencePosterior,
    space: FeatureSpace,
    features: np.ndarray,
    conditions: Batch,
    row: int,
) -> tuple[Reason, ...]:
    """The parts of a product's utility m . f, features [D]; conditions[row] gives their values."""
    parts = posterior.mean * features
    spec, k = space.spec, len(space.spec.classes)
    reasons = []
    if k and conditions["label"][row] >= 0:
        value = spec.classes[int(conditions["label"][row])]
        reasons.append(Reason("category", value, float(parts[:k].sum())))
    for attribute in spec.attributes:
        columns = spec.column_slices()[attribute.name]
        if conditions["known"][row, columns].all():
            share = float(parts[k + columns.start : k + columns.stop].sum())
            value = format_value(spec, attribute.name, conditions["attributes"][row])
            reasons.append(Reason(attribute.name, value, share))
    look = float(parts[k + spec.num_columns :].sum())
    return (*reasons, Reason(LOOK, "its look", look))


def format_value(spec: Spec, name: str, columns: np.ndarray) -> str:
    """The value of an attribute, of encoded columns [A], in words."""
    attribute = next(attribute for attribute in spec.attributes if attribute.name == name)
    value = attribute.decode(columns[spec.column_slices()[name]])
    return value if isinstance(value, str) else f"{value:.3g} {attribute.unit}".strip()
