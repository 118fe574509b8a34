"""64 inputs of each exported part, and what the run itself gives for them."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np

from prodgen.core.batches import BATCH_SIZE
from prodgen.core.types import Batch
from prodgen.export.programs import Part, Weights
from prodgen.model import Model

NUM_EXAMPLES = BATCH_SIZE
NUM_UNKNOWN = 8  # examples of which nothing is known, the last ones


def make_examples(
    model: Model, parts: Mapping[str, Part], weights: Mapping[str, Weights], seed: int = 0
) -> dict[str, np.ndarray]:
    """The arrays of example.safetensors: "PART/input/NAME" and "PART/output/NAME".

    weights: the flat arrays of each part by the part's name, as they are stored: the results are
    those of the run with these weights.
    """
    inputs, arrays = example_inputs(model, seed), {}
    for name, part in parts.items():
        values = [inputs[tensor.name] for tensor in part.inputs]
        outputs = compute_outputs(part, weights[name], values)
        for tensor, value in zip(part.inputs, values, strict=True):
            arrays[f"{name}/input/{tensor.name}"] = np.ascontiguousarray(value)
        for tensor, value in zip(part.outputs, outputs, strict=True):
            arrays[f"{name}/output/{tensor.name}"] = value
    return arrays


def example_inputs(model: Model, seed: int = 0) -> dict[str, np.ndarray]:
    """The inputs of all parts by name, NUM_EXAMPLES rows each.

    Latents are drawn from the run's prior. Conditions are those of training images, and the last
    rows have none. Images are the generator's own.
    """
    indices = np.arange(NUM_EXAMPLES)
    conditions = _hide_last(model.conditions.pick(seed, indices))
    z = model.latents(indices, seed, label=conditions["label"])
    return {"z": z, "image": model.decode(z, conditions), **conditions}


def compute_outputs(part: Part, weights: Weights, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a part for flat weights, as the run's own program computes them."""
    outputs = jax.jit(part.apply)(part.unflatten(weights), *inputs)
    return [np.asarray(value) for value in jax.tree.leaves(outputs)]


def _hide_last(conditions: Batch) -> Batch:
    """The conditions, of which nothing is known in the last NUM_UNKNOWN rows."""
    hidden_conditions = {name: value.copy() for name, value in conditions.items()}
    hidden_conditions["label"][-NUM_UNKNOWN:] = -1
    hidden_conditions["known"][-NUM_UNKNOWN:] = False
    return hidden_conditions
