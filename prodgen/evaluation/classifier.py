"""The home network: a small classifier trained on a data set's own labels, kept beside its store.

Its features say how far products are from each other, its outputs what they are of; no download.
One is trained for each data set and seed, in seconds to a minute, and cached with its hash. Data
without labels borrow the catalogue's. A run records which one judged it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from prodgen.config import renames
from prodgen.core import pixels
from prodgen.core.files import hash_file, read_checksummed, write_checksummed
from prodgen.core.types import Array, Batch, Spec
from prodgen.data import order, prepare
from prodgen.data.store import Store
from prodgen.models import classifier, lpips

VERSION = 3  # of the network and its training: part of every file's name
FILE = "classifier.msgpack"  # in the folder of a run
SEED = 0  # of the network that watches training; judging afterwards takes another
BATCH, RATE = 64, 2e-3
FEWEST, MOST, EACH = 200, 500, 5  # training steps: a fifth of the pictures, within these
ATTRIBUTES = 0.2  # weight of the attributes' losses: at 1 a short training never gets to shapes
SHIFT = 2  # pixels that training pictures are moved by, at most
Say = Callable[[str], None]
Tree = Any


class ReferenceClassifier(NamedTuple):
    """Weights and record: sha256, seed, the digest of the images it was trained on, accuracy."""

    params: Tree
    record: dict[str, Any]


def frozen(
    family: ModuleType, config: ConfigDict, store: Store, say: Say, run: Path | None = None
) -> tuple[dict[str, Tree], dict[str, dict]]:
    """The networks that a family uses and does not train, and their records, by name.

    A run keeps the home network in its folder, and goes on with that one wherever it goes on.
    """
    found, records = {}, {}
    for name in family.frozen_networks(config):
        if name == "classifier":
            found[name], records[name] = _of_run(store, config.data, say, run)
        else:
            path = Path(config.loss.perceptual_path).expanduser()
            found[name], records[name] = lpips.load(path), {"sha256": hash_file(path)}
    return found, records


def _of_run(store: Store, data: ConfigDict, say: Say, run: Path | None) -> ReferenceClassifier:
    """The network in the run's folder; where there is none yet, the data's, put there."""
    if run and (found := of_run(run, say)):
        return found
    trained = network(store, data, say)
    if run:
        keep(run, *trained)
    return trained


def of_run(run: Path, say: Say) -> ReferenceClassifier | None:
    """The network kept in a run's folder; None where it keeps none."""
    found = _load(renames.find_file(run, FILE), say)
    return ReferenceClassifier(found["params"], found["record"]) if found else None


def keep(run: Path, params: Tree, record: dict) -> None:
    """Put a network into a run's folder."""
    write_checksummed(run / FILE, _packed({"params": params, "record": record}))


def network(store: Store, data: ConfigDict, say: Say, seed: int = SEED) -> ReferenceClassifier:
    """The network for a data set: loaded, or trained and kept.

    The record holds sha256, seed, the digest of the pictures it was trained on, and `accuracy`:
    the share of held-back pictures whose category it names (absent without categories).
    """
    if not _labelled(store.spec):
        store = _catalogue(store.spec, data, say)
    path = store.path.parent / f"classifier{VERSION}-{store.digest()}-{seed}.msgpack"
    found = _load(path, say)
    if found is None:
        params, facts = _fit(store, seed, say)
        content = hashlib.sha256(flax.serialization.msgpack_serialize(params)).hexdigest()
        record = {"sha256": content, "seed": seed, "data": store.digest()} | facts
        found = {"params": params, "record": record}
        try:
            write_checksummed(path, _packed(found))
        except OSError as error:
            say(f"the reference classifier is not kept in {path.parent}: {error.strerror or error}")
    return ReferenceClassifier(found["params"], found["record"])


def _packed(found: dict) -> bytes:
    return flax.serialization.msgpack_serialize(found)


def _labelled(spec: Spec) -> bool:
    return len(spec.classes) > 1 or bool(spec.attributes)


def _catalogue(spec: Spec, data: ConfigDict, say: Say) -> Store:
    """The embedded catalogue in the shape of another data set."""
    like = ConfigDict(data.to_dict())
    like.source, like.resolution, like.channels, like.size = (
        "catalogue", spec.resolution, spec.channels, 4096
    )  # fmt: skip
    return prepare.open_or_prepare(like, say)


def _load(path: Path, say: Say) -> dict | None:
    """The content of a kept network; None where there is none or its hash is wrong."""
    content = read_checksummed(path)
    if content is None and path.is_file():
        say(f"{path} is damaged: the reference classifier is trained again")
    return None if content is None else flax.serialization.msgpack_restore(content)


def _fit(store: Store, seed: int, say: Say) -> tuple[Tree, dict[str, float]]:
    """Train on the training split: (weights, facts)."""
    net, ids = classifier.build(store.spec), store.ids("train")
    size = min(BATCH, len(ids))
    steps = int(np.clip(len(ids) // EACH, FEWEST, MOST))
    params = net.init(jax.random.key(seed), classifier.dummy_image(store.spec))["params"]
    rule = optax.adam(optax.cosine_decay_schedule(RATE, steps))

    @jax.jit
    def update(params: Tree, opt: Tree, batch: Batch) -> tuple[Tree, Tree]:
        def loss_of(params: Tree) -> Array:
            outputs, _, _ = net.apply({"params": params}, pixels.to_float(batch["image"]))
            return jnp.mean(loss(outputs, batch, store.spec))

        updates, opt = rule.update(jax.grad(loss_of)(params), opt)
        return optax.apply_updates(params, updates), opt

    opt = rule.init(params)
    for t in range(steps):
        rows = store.fetch(ids[order.select_batch(seed, t, len(ids), size)])
        bits = np.random.Philox(key=np.array([seed, t], np.uint64)).random_raw(2)
        shift = [int(b % np.uint64(2 * SHIFT + 1)) - SHIFT for b in bits]
        params, opt = update(params, opt, rows | {"image": np.roll(rows["image"], shift, (1, 2))})
        if t % 20 == 0:
            say(f"reference classifier: step {t} of {steps}")
    params = jax.device_get(params)
    return params, _facts(net, params, store)


def loss(outputs: Array, batch: Batch, spec: Spec) -> Array:
    """What the network minimises, [B]: the category's cross-entropy, and a fifth of the attributes'
    cross-entropies (categorical) and squared errors (numbers, angles); unknown ones count nothing.
    """
    k = len(spec.classes)
    total = jnp.zeros(len(outputs))
    if k:
        label = batch["label"]
        entropy = optax.softmax_cross_entropy_with_integer_labels(
            outputs[:, :k], jnp.maximum(label, 0)
        )
        total += jnp.where(label >= 0, entropy, 0.0)
    for attribute in spec.attributes:
        place = spec.column_slices()[attribute.name]
        said, true = outputs[:, k:][:, place], batch["attributes"][:, place]
        if attribute.kind == "categorical":
            error = optax.softmax_cross_entropy(said, true)
        else:
            error = jnp.mean(jnp.square(said - true), axis=-1)
        total += jnp.where(batch["known"][:, place].all(-1), ATTRIBUTES * error, 0.0)
    return total


def _facts(net: classifier.Classifier, params: Tree, store: Store) -> dict[str, float]:
    """How often it names the category of held-back pictures."""
    k, held = len(store.spec.classes), store.evenly_spaced_ids("validation", 512)
    if k < 2 or not len(held):
        return {}
    rows = store.fetch(held)
    outputs = jax.jit(lambda image: net.apply({"params": params}, pixels.to_float(image))[0])
    said = np.concatenate(
        [np.asarray(outputs(rows["image"][i : i + BATCH])) for i in range(0, len(held), BATCH)]
    )
    known = rows["label"] >= 0
    right = said[known, :k].argmax(1) == rows["label"][known]
    return {"accuracy": float(right.mean())} if known.any() else {}
