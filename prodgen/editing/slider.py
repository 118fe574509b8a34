"""An attribute that a run's generator does not hear, moved along its latent.

The way is the ridge regression of what the home network reads from samples on their latents
(supervised directions; Shen et al. 2020, section 2.2, with numbers in the place of classes). The
reading is not linear in the latent, so the pictures on the way are read as well, and the one
nearest to the value is taken.
"""

from __future__ import annotations

import functools

import numpy as np

from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Batch
from prodgen.editing.inversion import Inverter

SAMPLES = 512  # that the way is learnt from
RIDGE = 0.1  # of the samples' number, beside the latents' own variance of 1
REACH = 4.0  # the longest way, in the prior's deviations
STOPS = 33  # latents on it


def moved(
    inverter: Inverter, z: np.ndarray, conditions: Batch, one: Attribute, text: str
) -> np.ndarray:
    """The latent [1, Z] of a product [1, Z] with the attribute at a value, as near as it gets.

    No stop is farther away than REACH, nor farther from the origin than the product itself or than
    the prior's latents. UsageError where the home network was trained on other attributes.
    """
    check(inverter, one.name)
    asked, place = one.encode(text), _place(inverter, one)
    gap = _gap(one, inverter.outputs(inverter.model.decode(z, conditions))[:, place], asked)
    way = gap @ _weights(inverter)[:, place].T
    unit = way / max(float(np.linalg.norm(way)), 1e-12)
    line = z + np.linspace(0, REACH, STOPS)[:, None] * unit
    length = np.linalg.norm(line, axis=1, keepdims=True)
    most = max(float(np.linalg.norm(z)), z.shape[1] ** 0.5)
    line = (line * np.minimum(1, most / np.maximum(length, 1e-12))).astype(np.float32)
    repeated = {name: np.repeat(rows, STOPS, axis=0) for name, rows in conditions.items()}
    read = inverter.outputs(inverter.model.decode(line, repeated))[:, place]
    return line[np.argmin(_miss(one, read, asked))][None]


def check(inverter: Inverter, name: str) -> None:
    """UsageError where the home network was trained on other attributes."""
    if not inverter.reads:
        raise UsageError(
            f"{name}: this run does not hear it, and its home network does not read it",
            "take a run that was trained with it",
        )


def _place(inverter: Inverter, one: Attribute) -> slice:
    """The attribute's columns among the home network's outputs."""
    spec = inverter.model.spec
    place = spec.column_slices()[one.name]
    return slice(len(spec.classes) + place.start, len(spec.classes) + place.stop)


@functools.lru_cache(maxsize=1)  # the pictures of a folder are moved by the same inverter
def _weights(inverter: Inverter) -> np.ndarray:
    """What each output [K + A] of the home network gains along each latent [Z]: [Z, K + A]."""
    model, indices = inverter.model, np.arange(SAMPLES)
    z = model.latents(indices, 0)
    read = inverter.outputs(model.decode(z, model.conditions.pick(0, indices)))
    ridge = RIDGE * SAMPLES * np.eye(z.shape[1])
    return np.linalg.solve(z.T @ z + ridge, z.T @ (read - read.mean(axis=0)))


def _gap(one: Attribute, read: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """What the outputs [N, columns] lack; of a category the gradient of its log probability."""
    if one.kind != "categorical":
        return asked - read
    shifted = np.exp(read - read.max(axis=1, keepdims=True))
    return asked - shifted / shifted.sum(axis=1, keepdims=True)


def _miss(one: Attribute, read: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """How far outputs [N, columns] are from the value, [N]: a distance; of a category, surprise."""
    if one.kind != "categorical":
        return np.linalg.norm(asked - read, axis=1)
    highest = read.max(axis=1)
    total = highest + np.log(np.exp(read - highest[:, None]).sum(axis=1))
    return total - read @ asked
