"""Where a descent starts: what a picture shows, and the latent that it may come from.

Conditions are read off a picture by the run's home network. Latents come from the run's encoder;
a family without one gets a regressor, trained on the generator's own samples (Zhu et al. 2016,
section 3.1), which costs nothing but seconds and is kept in the run's folder.
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

SURE = 0.5  # probability from which a category or a value counts as recognised
STEPS, BATCH, RATE = 400, 64, 1e-3  # of the regressor's training
FILE = "regressor.msgpack"
VERSION = 1
Say = Callable[[str], None]


def recognise(outputs: np.ndarray, spec: Spec) -> Batch:
    """Conditions of N pictures from a home network's outputs [N, K + A].

    A category, or the value of a categorical attribute, that has less than half of the probability
    is unknown; numbers are taken as they are said, angles brought to the unit circle.
    """
    n, k = len(outputs), len(spec.classes)
    label = np.full(n, -1, np.int32)
    if k:
        share = _softmax(outputs[:, :k])
        label = np.where(share.max(-1) >= SURE, share.argmax(-1), -1).astype(np.int32)
    attributes = np.zeros((n, spec.num_columns), np.float32)
    known = np.zeros((n, spec.num_columns), bool)
    for attribute in spec.attributes:
        place = spec.column_slices()[attribute.name]
        attributes[:, place], sure = _read(attribute.kind, outputs[:, k:][:, place])
        known[:, place] = sure[:, None]
    return {"label": label, "attributes": attributes * known, "known": known}


def _read(kind: str, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns [N, c] of one attribute and whether they are sure [N]."""
    if kind == "categorical":
        share = _softmax(said)
        return np.eye(said.shape[1], dtype=np.float32)[share.argmax(-1)], share.max(-1) >= SURE
    if kind == "angle":
        length = np.linalg.norm(said, axis=-1, keepdims=True)
        return said / np.maximum(length, 1e-6), length[:, 0] >= SURE
    return said, np.ones(len(said), bool)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def free_columns(spec: Spec) -> np.ndarray:
    """float32 [A]: 1 for columns of numbers and angles, which have neighbours; 0 for one-hot."""
    free = np.zeros(spec.num_columns, np.float32)
    for attribute in spec.attributes:
        free[spec.column_slices()[attribute.name]] = attribute.kind != "categorical"
    return free


def on_circles(attributes: np.ndarray, known: np.ndarray, spec: Spec) -> np.ndarray:
    """Attribute columns [N, A] with the known angles back at radius 1."""
    found = attributes.copy()
    for attribute in spec.attributes:
        place = spec.column_slices()[attribute.name]
        if attribute.kind == "angle":
            length = np.linalg.norm(found[:, place], axis=-1, keepdims=True)
            found[:, place] = found[:, place] / np.maximum(length, 1e-6) * known[:, place]
    return found


def regressor(
    run: Path, latent: int, shape: tuple[int, ...], sample: Callable, origin: str, say: Say
) -> Callable[[np.ndarray], np.ndarray]:
    """pictures uint8 [N, R, R, C] -> latents float32 [N, Z], for a generator without an encoder.

    sample(seed) -> (pictures uint8 [64, R, R, C], latents [64, Z]) are what it is trained on.
    `origin` names the generator's weights: a regressor of others is trained anew.
    """
    net = Classifier(latent)
    key = hashlib.sha256(f"{VERSION} {origin}".encode()).hexdigest()
    params = cached_tree(
        run / FILE, key, lambda: {"params": _trained(net, latent, shape, sample, say)}
    )["params"]
    apply = jax.jit(lambda x: net.apply({"params": params}, pixels.to_float(x))[0])
    return lambda pictures: np.asarray(apply(pictures))


def _trained(
    net: Classifier, latent: int, shape: tuple[int, ...], sample: Callable, say: Say
) -> Any:
    """Weights after STEPS steps of Adam on fresh samples; the loss is the latents' MSE."""
    params = net.init(rng.key(0, "init"), jnp.zeros((1, *shape)))["params"]
    rule = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

    @jax.jit
    def update(params, opt, pictures: Array, z: Array):
        def loss(params):
            said = net.apply({"params": params}, pixels.to_float(pictures))[0]
            return jnp.mean(jnp.square(said - z))

        value, grads = jax.value_and_grad(loss)(params)
        updates, opt = rule.update(grads, opt)
        return optax.apply_updates(params, updates), opt, value

    opt = rule.init(params)
    for t in range(STEPS):
        params, opt, value = update(params, opt, *sample(t))
        if t % 50 == 0:
            say(f"learning to read pictures: step {t} of {STEPS}, error {float(value):.2f}")
    return jax.device_get(params)
