"""Where an inversion starts: the conditions read off an image, and an initial latent.

Conditions are read by the run's reference classifier. Latents come from the run's encoder. A family
without one gets a regressor, trained on the generator's own samples (Zhu et al. 2016, section 3.1)
in seconds and kept in the run's folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from prodgen.core import pixels, rng
from prodgen.core.cache import cached_tree
from prodgen.core.types import Array, Batch, Spec
from prodgen.models.classifier import Classifier

MIN_PROBABILITY = 0.5  # from which a category or a value counts as recognised
NUM_STEPS, BATCH_SIZE, LEARNING_RATE = 400, 64, 1e-3  # of the regressor's training
FILE_NAME = "regressor.msgpack"
REGRESSOR_VERSION = 1
Say = Callable[[str], None]


def recognise_conditions(outputs: np.ndarray, spec: Spec) -> Batch:
    """Conditions of N images from a reference classifier's outputs [N, K + A].

    A category, or the value of a categorical attribute, with less than half of the probability is
    unknown. Numbers are taken as predicted, angles are scaled to the unit circle.
    """
    n, k = len(outputs), len(spec.classes)
    label = np.full(n, -1, np.int32)
    if k:
        probability = _softmax(outputs[:, :k])
        is_sure = probability.max(-1) >= MIN_PROBABILITY
        label = np.where(is_sure, probability.argmax(-1), -1).astype(np.int32)
    attributes = np.zeros((n, spec.num_columns), np.float32)
    known = np.zeros((n, spec.num_columns), bool)
    for attribute in spec.attributes:
        columns = spec.column_slices()[attribute.name]
        prediction = outputs[:, k:][:, columns]
        if attribute.kind == "categorical":
            probability = _softmax(prediction)
            one_hot = np.eye(prediction.shape[1], dtype=np.float32)
            values, is_sure = (
                one_hot[probability.argmax(-1)],
                probability.max(-1) >= MIN_PROBABILITY,
            )
        elif attribute.kind == "angle":
            radius = np.linalg.norm(prediction, axis=-1, keepdims=True)
            values, is_sure = prediction / np.maximum(radius, 1e-6), radius[:, 0] >= MIN_PROBABILITY
        else:
            values, is_sure = prediction, np.ones(n, bool)
        attributes[:, columns], known[:, columns] = values, is_sure[:, None]
    return {"label": label, "attributes": attributes * known, "known": known}


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def free_column_mask(spec: Spec) -> np.ndarray:
    """float32 [A]: 1 for columns of numbers and angles, which are continuous; 0 for one-hot."""
    mask = np.zeros(spec.num_columns, np.float32)
    for attribute in spec.attributes:
        mask[spec.column_slices()[attribute.name]] = attribute.kind != "categorical"
    return mask


def normalise_angles(attributes: np.ndarray, known: np.ndarray, spec: Spec) -> np.ndarray:
    """Attribute columns [N, A] with the known angles scaled to radius 1, unknown ones at 0."""
    unit_attributes = attributes.copy()
    for attribute in spec.attributes:
        if attribute.kind == "angle":
            columns = spec.column_slices()[attribute.name]
            angle = attributes[:, columns]
            radius = np.linalg.norm(angle, axis=-1, keepdims=True)
            unit_attributes[:, columns] = angle / np.maximum(radius, 1e-6) * known[:, columns]
    return unit_attributes


def load_or_train_regressor(
    run: Path,
    latent: int,
    shape: tuple[int, ...],
    sample: Callable,
    origin: str,
    say: Say,
    is_read_only: bool = False,
) -> Callable[[np.ndarray], np.ndarray]:
    """images uint8 [N, R, R, C] -> latents float32 [N, Z], for a generator without an encoder.

    sample(step) -> (images uint8 [64, R, R, C], latents [64, Z]) are what it is trained on.
    `origin` names the generator's weights: with others, the regressor is trained again. With
    `is_read_only` it is trained each time, and not kept.
    """
    net = Classifier(latent)
    key = hashlib.sha256(f"{REGRESSOR_VERSION} {origin}".encode()).hexdigest()
    params = cached_tree(
        run / FILE_NAME,
        key,
        lambda: {"params": _train_regressor(net, shape, sample, say)},
        is_read_only,
    )["params"]
    apply = jax.jit(lambda x: net.apply({"params": params}, pixels.to_float(x))[0])
    return lambda x: np.asarray(apply(x))


def _train_regressor(net: Classifier, shape: tuple[int, ...], sample: Callable, say: Say) -> Any:
    """Weights after NUM_STEPS steps of Adam on fresh samples; the loss is the latents' MSE."""
    params = net.init(rng.key(0, "init"), jnp.zeros((1, *shape)))["params"]
    optimiser = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, NUM_STEPS))

    @jax.jit
    def update(params, opt, image: Array, z: Array):
        def mse(params):
            prediction = net.apply({"params": params}, pixels.to_float(image))[0]
            return jnp.mean(jnp.square(prediction - z))

        value, grads = jax.value_and_grad(mse)(params)
        updates, opt = optimiser.update(grads, opt)
        return optax.apply_updates(params, updates), opt, value

    opt = optimiser.init(params)
    for t in range(NUM_STEPS):
        params, opt, value = update(params, opt, *sample(t))
        if t % 50 == 0:
            say(f"training the latent regressor: step {t} of {NUM_STEPS}, error {float(value):.2f}")
    return jax.device_get(params)
