"""Condition accuracy: does a reference classifier read the requested conditions off the images?

The reference classifier (evaluation/classifier.py) has another seed than any that training has
used. The same measure on held-out real images, with their own conditions, is the comparison: plain
samples may be easier to read.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from prodgen.core.types import Attribute, Batch, Spec
from prodgen.metrics import interval


@dataclasses.dataclass(frozen=True)
class ConditionAccuracy:
    """The accuracy, or the error, of one condition.

    kind: "share" (of images classified as requested, 0..1, more is better) or "error" (mean
    absolute error in the attribute's unit, degrees for angles, less is better). value with its
    95 % interval low, high; real: the same of real images; count: the generated images used.
    worst: for the category, (name, share) of the one with the lowest share; None otherwise.
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
    spec: Spec, conditions: Batch, outputs: np.ndarray, real: Batch, real_outputs: np.ndarray
) -> dict[str, ConditionAccuracy]:
    """By "category" and the attributes' names; conditions that no image has are left out.

    conditions: of N generated images (label, attributes, known); outputs [N, K + A]: of the
    reference classifier for them; real and real_outputs: the same of held-out real images.
    """
    accuracies, k = {}, len(spec.classes)
    sides = ((conditions, outputs), (real, real_outputs))
    if k > 1 and (conditions["label"] >= 0).any():
        # Whether the predicted category is the label, of the rows that have a label.
        is_correct, is_correct_real = (
            (logits[:, :k].argmax(axis=1) == rows["label"])[rows["label"] >= 0]
            for rows, logits in sides
        )
        labels = conditions["label"][conditions["label"] >= 0]
        shares = {i: float(is_correct[labels == i].mean()) for i in np.unique(labels)}
        worst = min(shares, key=shares.get)
        accuracies["category"] = ConditionAccuracy(
            "share",
            float(is_correct.mean()),
            *interval.wilson_interval(int(is_correct.sum()), len(is_correct)),
            _mean(is_correct_real),
            len(is_correct),
            worst=(spec.classes[worst], shares[worst]),
        )
    for attribute in spec.attributes:
        columns = spec.column_slices()[attribute.name]
        errors, real_errors = (
            _attribute_errors(
                attribute,
                rows["attributes"][:, columns],
                predictions[:, k:][:, columns],
                rows["known"][:, columns].all(axis=1),
            )
            for rows, predictions in sides
        )
        n = len(errors)
        if n and attribute.kind == "categorical":
            num_correct = n - int(errors.sum())
            low, high = interval.wilson_interval(num_correct, n)
            accuracies[attribute.name] = ConditionAccuracy(
                "share", num_correct / n, low, high, 1 - _mean(real_errors), n
            )
        elif n:
            mean, low, high = interval.normal_interval(errors)
            unit = "degrees" if attribute.kind == "angle" else attribute.unit
            accuracies[attribute.name] = ConditionAccuracy(
                "error", mean, low, high, _mean(real_errors), n, unit
            )
    return accuracies


def _attribute_errors(
    attribute: Attribute, targets: np.ndarray, outputs: np.ndarray, is_known: np.ndarray
) -> np.ndarray:
    """One error for each known row: 0 or 1 of a category, absolute in the unit otherwise."""
    targets, outputs = targets[is_known].astype(np.float64), outputs[is_known].astype(np.float64)
    if attribute.kind == "categorical":
        return (targets.argmax(axis=1) != outputs.argmax(axis=1)).astype(np.float64)
    if attribute.kind == "number":
        return np.abs(targets - outputs)[:, 0] * attribute.std
    # Angles are stored as sine and cosine; the error is the shorter way around.
    angles = [np.arctan2(columns[:, 0], columns[:, 1]) for columns in (targets, outputs)]
    error = np.abs(angles[0] - angles[1]) % (2 * np.pi)
    return np.rad2deg(np.minimum(error, 2 * np.pi - error))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
