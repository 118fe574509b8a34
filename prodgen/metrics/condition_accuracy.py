"""Do pictures show what was asked for? Category and each attribute, by a network that names them.

The network is a reference classifier (evaluation/classifier.py) of another seed than any that
training has used.
What it reads off held-back pictures, of their own conditions, stands beside it for comparison:
plain samples may well be easier to read.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from prodgen.core.types import Attribute, Batch, Spec
from prodgen.metrics import interval


@dataclasses.dataclass(frozen=True)
class ConditionAccuracy:
    """How often, or how nearly, one condition is shown.

    kind: "share" (of pictures named as asked, 0..1, more is better) or "error" (mean absolute
    error in the attribute's unit, degrees for angles, less is better). value with its 95 %
    interval low, high; real: the same of real pictures; count: generated pictures it stands on.
    worst: for the category, (name, share) of the one shown least often; None otherwise.
    """

    kind: str
    value: float
    low: float
    high: float
    real: float
    count: int
    unit: str = ""
    worst: tuple[str, float] | None = None


def measure(
    spec: Spec, asked: Batch, said: np.ndarray, real: Batch, said_real: np.ndarray
) -> dict[str, ConditionAccuracy]:
    """By "category" and the attributes' names; what nothing asks for is left out.

    asked: conditions of N generated pictures (label, attributes, known), said [N, K + A] what the
    network puts out for them; real and said_real the same of held-back pictures.
    """
    found, k = {}, len(spec.classes)
    if k > 1 and (asked["label"] >= 0).any():
        right, right_real = (
            _named(rows["label"], outputs[:, :k]) for rows, outputs in ((asked, said),
                                                                        (real, said_real))
        )  # fmt: skip
        labels = asked["label"][asked["label"] >= 0]
        shares = {i: float(right[labels == i].mean()) for i in np.unique(labels)}
        least = min(shares, key=shares.get)
        low, high = interval.wilson_interval(int(right.sum()), len(right))
        found["category"] = ConditionAccuracy(
            "share", float(right.mean()), low, high, _mean(right_real), len(right),
            worst=(spec.classes[least], shares[least]),
        )  # fmt: skip
    for attribute in spec.attributes:
        place = spec.column_slices()[attribute.name]
        errors, real_errors = (
            _errors(attribute, rows["attributes"][:, place], outputs[:, k:][:, place],
                    rows["known"][:, place].all(axis=1))
            for rows, outputs in ((asked, said), (real, said_real))
        )  # fmt: skip
        if len(errors):
            found[attribute.name] = _of_attribute(attribute, errors, real_errors)
    return found


def _named(label: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Whether the category is the one of the label, bool, of the rows that have a label."""
    known = label >= 0
    return logits[known].argmax(axis=1) == label[known]


def _errors(
    attribute: Attribute, asked: np.ndarray, said: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """One error a known row: 0 or 1 of a category, absolute in its unit of a number or angle."""
    asked, said = asked[known].astype(np.float64), said[known].astype(np.float64)
    if attribute.kind == "categorical":
        return (asked.argmax(axis=1) != said.argmax(axis=1)).astype(np.float64)
    if attribute.kind == "number":
        return np.abs(asked - said)[:, 0] * attribute.std
    turns = [np.arctan2(columns[:, 0], columns[:, 1]) for columns in (asked, said)]
    apart = np.abs(turns[0] - turns[1]) % (2 * np.pi)
    return np.rad2deg(np.minimum(apart, 2 * np.pi - apart))


def _of_attribute(attribute: Attribute, errors: np.ndarray, real: np.ndarray) -> ConditionAccuracy:
    n = len(errors)
    if attribute.kind == "categorical":
        right = n - int(errors.sum())
        return ConditionAccuracy(
            "share", right / n, *interval.wilson_interval(right, n), 1 - _mean(real), n
        )
    unit = "degrees" if attribute.kind == "angle" else attribute.unit
    return ConditionAccuracy("error", *interval.normal_interval(errors), _mean(real), n, unit)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
