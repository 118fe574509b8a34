"""The reference classifier: a small network trained on a data set's own labels.

Its features measure how far products are from each other, its outputs what they show; nothing is
downloaded. One is trained for each data set and seed, in seconds to a minute, and kept with its
hash beside the store. Data without labels take the embedded catalogue's. A run records which
classifier evaluated it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
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
from prodgen.core import pixels, tensor_files
from prodgen.core.files import hash_file, read_checksummed, write_checksummed
from prodgen.core.types import Array, Batch, Spec
from prodgen.data import order, prepare
from prodgen.data.shared_store import locate_cache
from prodgen.data.store import Store
from prodgen.models import classifier, lpips
from prodgen.report.clock import format_duration

TRAINING_VERSION = 3  # of the network and its training: part of every file's name
FILE_NAME = "classifier.msgpack"  # in the folder of a run
EXPORTED_FILE_NAME = "classifier.safetensors"  # in a folder of --mode=export
TRAINING_MONITOR_SEED = 0  # of the network used in training; offline evaluation takes another seed
BATCH_SIZE = 64
LEARNING_RATE = 2e-3
IMAGES_PER_STEP = 5  # training images for each step of training
MIN_STEPS, MAX_STEPS = 200, 500
ATTRIBUTE_LOSS_WEIGHT = 0.2  # at 1 a short training does not learn shapes
MAX_SHIFT_PX = 2  # random shift of the training images
CATALOGUE_SIZE = 4096  # images of the embedded catalogue, where data have no labels
# Fields that change no image of the catalogue, but the key of its store: all data share one.
TABLE_DEFAULTS = {
    "image_column": "", "category_column": "", "root": "", "columns": "", "split_by": "image"
}  # fmt: skip
NUM_TIMED_IMAGES = 4  # of the catalogue, for the estimate of its time
PROGRESS_SECONDS = 5.0  # between two lines of progress
MIN_ACCURACY = 0.8  # of held-out images: below, what the classifier says is doubtful
Say = Callable[[str], None]
Tree = Any
UpdateFn = Callable[[Tree, Tree, Batch], tuple[Tree, Tree]]


class ReferenceClassifier(NamedTuple):
    """Weights and record.

    The record holds sha256, seed, `data` (the digest of the training images), and `accuracy`: the
    share of held-out images that are classified correctly (absent without categories).
    """

    params: Tree
    record: dict[str, Any]


def describe_weakness(record: dict[str, Any]) -> str:
    """The caution about a classifier that recognises too few held-out images; "" for a good one."""
    accuracy = record.get("accuracy")
    if accuracy is None or accuracy >= MIN_ACCURACY:
        return ""
    return (
        f"the reference classifier recognises the category of only {accuracy:.0%} of held-out "
        f"images (at least {MIN_ACCURACY:.0%} are needed): what it says of categories and "
        "attributes is doubtful"
    )


def load_frozen_networks(
    family: ModuleType, config: ConfigDict, store: Store, say: Say, run: Path | None = None
) -> tuple[dict[str, Tree], dict[str, dict]]:
    """The networks that a family uses and does not train, and their records, by name.

    A run keeps the reference classifier in its folder, and continues with that one.
    """
    params, records = {}, {}
    for name in family.frozen_networks(config):
        if name != "classifier":
            path = Path(config.loss.perceptual_path).expanduser()
            params[name], records[name] = lpips.load(path), {"sha256": hash_file(path)}
            continue
        reference = load_from_run(run, say) if run else None
        if reference is None:
            reference = load_or_train(store, config.data, say)
            if run:
                save_to_run(run, *reference)
        params[name], records[name] = reference
    return params, records


def load_from_run(run: Path, say: Say) -> ReferenceClassifier | None:
    """The classifier in the folder of a run or of --mode=export; None where there is none yet."""
    if (run / EXPORTED_FILE_NAME).is_file():
        arrays, metadata = tensor_files.read_tensors(run / EXPORTED_FILE_NAME)
        weights = {name: np.float32(array) for name, array in arrays.items()}
        return ReferenceClassifier(tensor_files.nest(weights), json.loads(metadata["record"]))
    content = _read_file(renames.find_file(run, FILE_NAME), say)
    return None if content is None else ReferenceClassifier(**content)


def save_to_run(run: Path, params: Tree, record: dict) -> None:
    """Put a classifier into a run's folder."""
    content = {"params": params, "record": record}
    write_checksummed(run / FILE_NAME, flax.serialization.msgpack_serialize(content))


def cached_path(store: Store, seed: int = TRAINING_MONITOR_SEED) -> Path:
    """The file beside a store that keeps the classifier of its labels."""
    return store.path.parent / f"classifier{TRAINING_VERSION}-{store.digest()}-{seed}.msgpack"


def load_if_present(run: Path, store: Store) -> ReferenceClassifier | None:
    """The classifier in a run's folder or beside the store; None where there is none yet."""
    content = _read_file(cached_path(store), lambda text: None)
    return load_from_run(run, lambda text: None) or (
        None if content is None else ReferenceClassifier(**content)
    )


def load_or_train(
    store: Store, data: ConfigDict, say: Say, seed: int = TRAINING_MONITOR_SEED
) -> ReferenceClassifier:
    """The classifier of a data set: loaded from beside its store, or trained and kept there."""
    spec = store.spec
    if len(spec.classes) <= 1 and not spec.attributes:
        # Nothing to learn: take the embedded catalogue in the shape of this data set.
        catalogue = ConfigDict(data.to_dict() | TABLE_DEFAULTS)
        catalogue.source, catalogue.size = "catalogue", CATALOGUE_SIZE
        catalogue.resolution, catalogue.channels = spec.resolution, spec.channels
        _announce_catalogue(catalogue, say)
        store = prepare.open_or_prepare(catalogue, say)
    path = cached_path(store, seed)
    content = _read_file(path, say)
    if content is None:
        params, accuracy = _train(store, seed, say)
        sha256 = hashlib.sha256(flax.serialization.msgpack_serialize(params)).hexdigest()
        record = {"sha256": sha256, "seed": seed, "data": store.digest()} | accuracy
        content = {"params": params, "record": record}
        try:
            write_checksummed(path, flax.serialization.msgpack_serialize(content))
        except OSError as error:
            say(f"the reference classifier is not kept in {path.parent}: {error.strerror or error}")
    return ReferenceClassifier(**content)


def _announce_catalogue(data: ConfigDict, say: Say) -> None:
    """Before the catalogue is rendered for the first time: the time until its classifier exists."""
    source = prepare.source_from_config(data)
    store = f"{data.source}-{prepare.compute_key(source, data)}"
    if (locate_cache(data.cache_dir) / store / "meta.json").exists():
        return
    say("the data have no labels; timing the embedded catalogue and the training on it")
    # The first image loads what the others use; the next ones are timed, and then a step.
    next(source.stream(0, 1))
    start = time.monotonic()
    count = len(list(source.stream(1, 1 + NUM_TIMED_IMAGES)))
    seconds = (time.monotonic() - start) / count * len(source) / (os.cpu_count() or 1)
    spec = Spec(data.resolution, data.channels, source.classes(), source.schema())
    steps = _count_steps(round(len(source) * (1 - data.validation - data.test)))
    seconds += steps * _time_step(*_start_training(spec, 0, steps), _dummy_batch(spec))
    say(
        "the reference classifier is that of the embedded catalogue, made once for "
        f"{data.resolution} px: {len(source):,} images are rendered and a network is trained, in "
        f"about {format_duration(seconds)} (min:s)"
    )


def _dummy_batch(spec: Spec) -> Batch:
    """A batch of BATCH_SIZE empty images, to time a step with."""
    return {
        "image": np.zeros((BATCH_SIZE, *spec.shape), np.uint8),
        "label": np.zeros(BATCH_SIZE, np.int32),
        "attributes": np.zeros((BATCH_SIZE, spec.num_columns), np.float32),
        "known": np.zeros((BATCH_SIZE, spec.num_columns), bool),
        "id": np.zeros(BATCH_SIZE, np.int32),
    }


def _read_file(path: Path, say: Say) -> dict | None:
    """The content {"params", "record"} of a file; None where there is none or it is damaged."""
    content = read_checksummed(path)
    if content is None and path.is_file():
        say(f"{path} is damaged: the reference classifier is trained again")
    return None if content is None else flax.serialization.msgpack_restore(content)


def _count_steps(num_images: int) -> int:
    """The steps of a training on so many images."""
    return int(np.clip(num_images // IMAGES_PER_STEP, MIN_STEPS, MAX_STEPS))


def _start_training(spec: Spec, seed: int, steps: int) -> tuple[UpdateFn, Tree, Tree]:
    """The compiled update (params, opt, batch) -> (params, opt), and the first params and opt."""
    net = classifier.build(spec)
    params = net.init(jax.random.key(seed), classifier.dummy_image(spec))["params"]
    optimiser = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, steps))

    @jax.jit
    def update(params: Tree, opt: Tree, batch: Batch) -> tuple[Tree, Tree]:
        def mean_loss(params: Tree) -> Array:
            outputs, _, _ = net.apply({"params": params}, pixels.to_float(batch["image"]))
            return jnp.mean(loss(outputs, batch, spec))

        updates, opt = optimiser.update(jax.grad(mean_loss)(params), opt)
        return optax.apply_updates(params, updates), opt

    return update, params, optimiser.init(params)


def _time_step(update: UpdateFn, params: Tree, opt: Tree, batch: Batch) -> float:
    """The seconds of one step after its compilation; the results are dropped."""
    jax.block_until_ready(update(params, opt, batch))
    start = time.monotonic()
    jax.block_until_ready(update(params, opt, batch))
    return time.monotonic() - start


def _train(store: Store, seed: int, say: Say) -> tuple[Tree, dict[str, float]]:
    """Train on the training split: the weights, and the accuracy on the validation split."""
    ids = store.ids("train")
    size, steps = min(BATCH_SIZE, len(ids)), _count_steps(len(ids))
    update, params, opt = _start_training(store.spec, seed, steps)
    say("compiling the training of the reference classifier")
    step_seconds = _time_step(update, params, opt, store.fetch(ids[:size]))
    say(
        f"training the reference classifier, {steps} steps, about "
        f"{format_duration(steps * step_seconds)} (min:s); it is kept for later commands"
    )
    start = last_say = time.monotonic()
    for t in range(steps):
        rows = store.fetch(ids[order.select_batch(seed, t, len(ids), size)])
        # One shift for the whole batch, a function of (seed, t).
        bits = np.random.Philox(key=np.array([seed, t], np.uint64)).random_raw(2)
        shift = [int(b % np.uint64(2 * MAX_SHIFT_PX + 1)) - MAX_SHIFT_PX for b in bits]
        params, opt = update(params, opt, rows | {"image": np.roll(rows["image"], shift, (1, 2))})
        if time.monotonic() - last_say > PROGRESS_SECONDS:
            jax.block_until_ready(params)  # steps are queued: only finished ones count
            last_say = time.monotonic()
            seconds_left = (last_say - start) / (t + 1) * (steps - t - 1)
            say(
                f"reference classifier: step {t + 1} of {steps}, "
                f"{format_duration(seconds_left)} left"
            )
    params = jax.device_get(params)
    return params, _measure_accuracy(classifier.build(store.spec), params, store)


def loss(outputs: Array, batch: Batch, spec: Spec) -> Array:
    """The training loss [B] of outputs [B, K + A].

    The category's cross-entropy, and a fifth of the attributes' cross-entropies (categorical) and
    squared errors (numbers, angles). Unknown labels and attributes contribute 0.
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
        columns = spec.column_slices()[attribute.name]
        prediction, true = outputs[:, k:][:, columns], batch["attributes"][:, columns]
        if attribute.kind == "categorical":
            error = optax.softmax_cross_entropy(prediction, true)
        else:
            error = jnp.mean(jnp.square(prediction - true), axis=-1)
        is_known = batch["known"][:, columns].all(-1)
        total += jnp.where(is_known, ATTRIBUTE_LOSS_WEIGHT * error, 0.0)
    return total


def _measure_accuracy(net: classifier.Classifier, params: Tree, store: Store) -> dict[str, float]:
    """{"accuracy": the share of held-out images of a known category that are classified right}."""
    k, ids = len(store.spec.classes), store.evenly_spaced_ids("validation", 512)
    if k < 2 or not len(ids):
        return {}
    rows = store.fetch(ids)
    apply = jax.jit(lambda image: net.apply({"params": params}, pixels.to_float(image))[0])
    batches = [rows["image"][i : i + BATCH_SIZE] for i in range(0, len(ids), BATCH_SIZE)]
    outputs = np.concatenate([np.asarray(apply(batch)) for batch in batches])
    is_known = rows["label"] >= 0
    correct = outputs[is_known, :k].argmax(1) == rows["label"][is_known]
    return {"accuracy": float(correct.mean())} if is_known.any() else {}
