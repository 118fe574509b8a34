"""Moves a latent along the direction of an attribute that the run's generator does not take.

The direction comes from the ridge regression of what the reference classifier reads from samples on
their latents (supervised directions; Shen et al. 2020, section 2.2, with numbers in the place of
classes). The classifier is not linear in the latent, so the images along the line are classified as
well, and the one nearest to the value is chosen.
"""

from __future__ import annotations

import functools

import numpy as np

from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Batch
from prodgen.editing.inversion import Inverter

NUM_SAMPLES = 512  # of the regression
RIDGE_PENALTY = 0.1  # times the number of samples; the latents' own variance is 1
MAX_DISTANCE = 4.0  # of the line's end, in the prior's standard deviations
NUM_LATENTS = 33  # on the line


def move_attribute(
    inverter: Inverter, z: np.ndarray, conditions: Batch, attribute: Attribute, text: str
) -> np.ndarray:
    """The latent [1, Z] of a product [1, Z] with the attribute at a value, as near as it gets.

    No latent on the line is farther away than MAX_DISTANCE, nor farther from the origin than the
    product itself or than the prior's latents. UsageError where the reference classifier was
    trained on other attributes.
    """
    require_matching_classifier(inverter, attribute.name)
    model, target = inverter.model, attribute.encode(text)
    # The attribute's columns among the classifier's outputs [K + A].
    attribute_columns = model.spec.column_slices()[attribute.name]
    k = len(model.spec.classes)
    columns = slice(k + attribute_columns.start, k + attribute_columns.stop)
    current = inverter.classify(model.decode(z, conditions))[:, columns]
    if attribute.kind == "categorical":  # the gradient of the value's log probability
        exponentials = np.exp(current - current.max(axis=1, keepdims=True))
        current = exponentials / exponentials.sum(axis=1, keepdims=True)
    direction = (target - current) @ _regress_outputs(inverter)[:, columns].T
    direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
    line = z + np.linspace(0, MAX_DISTANCE, NUM_LATENTS)[:, None] * direction
    norms = np.linalg.norm(line, axis=1, keepdims=True)
    max_norm = max(float(np.linalg.norm(z)), z.shape[1] ** 0.5)
    line = (line * np.minimum(1, max_norm / np.maximum(norms, 1e-12))).astype(np.float32)
    line_conditions = {
        name: np.repeat(rows, NUM_LATENTS, axis=0) for name, rows in conditions.items()
    }
    # The latent whose decoded image the classifier reads as nearest to the target.
    outputs = inverter.classify(model.decode(line, line_conditions))[:, columns]
    if attribute.kind == "categorical":  # the cross-entropy
        highest = outputs.max(axis=1)
        log_sum = highest + np.log(np.exp(outputs - highest[:, None]).sum(axis=1))
        errors = log_sum - outputs @ target
    else:
        errors = np.linalg.norm(target - outputs, axis=1)
    return line[np.argmin(errors)][None]


def require_matching_classifier(inverter: Inverter, name: str) -> None:
    """UsageError where the reference classifier was trained on other attributes."""
    if not inverter.classifier_matches:
        raise UsageError(
            f"{name}: this run was trained without it, and its reference classifier does not read "
            "it",
            "take a run that was trained with it",
        )


@functools.lru_cache(maxsize=1)  # all images of a folder are moved with the same inverter
def _regress_outputs(inverter: Inverter) -> np.ndarray:
    """The slope of each classifier output [K + A] along each latent [Z]: [Z, K + A]."""
    model, indices = inverter.model, np.arange(NUM_SAMPLES)
    z = model.base_latents(indices, 0)
    outputs = inverter.classify(model.decode(z, model.conditions.pick(0, indices)))
    ridge = RIDGE_PENALTY * NUM_SAMPLES * np.eye(z.shape[1])
    return np.linalg.solve(z.T @ z + ridge, z.T @ (outputs - outputs.mean(axis=0)))
