"""Measures what a finished run can draw: the evidence of evaluation/fitness.py, in seconds.

Samples and reconstructions are made as the modes make them, in batches of one size. Held-out photos
are those of the validation and the test split; a small data set adds training images, and the
evidence counts the photos that were held out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from prodgen.core import pixels
from prodgen.core.batches import split_padded
from prodgen.core.types import Array, Batch
from prodgen.data.conditions import Conditions
from prodgen.data.store import Store
from prodgen.evaluation.classifier import ReferenceClassifier
from prodgen.evaluation.fitness import CategoryEvidence, Evidence
from prodgen.losses import perceptual
from prodgen.metrics import condition_accuracy, frechet, reconstruction_quality
from prodgen.models.classifier import Classifier
from prodgen.runs.run import Run

MAX_PHOTOS = 256  # held-out photos, and as many samples, of the Frechet distance
MAX_RECONSTRUCTIONS = 64
CATEGORY_SAMPLES = 16  # of each category; fewer where there are many
MAX_CATEGORY_SAMPLES = 512  # of all categories
MIN_FRECHET_IMAGES = 20  # of either side
SEED = 7  # of latents and conditions: not one that modes use by default


def measure(
    run: Run, store: Store, conditions: Conditions, reference: ReferenceClassifier | None
) -> Evidence:
    """The evidence about a run at its checkpoint.

    conditions: those that the run's generator receives. reference: None leaves out what a
    classifier measures. It reads no categories where it was trained on other labels.
    """
    subject, spec = _RunUnderTest(run), store.spec
    photos, num_held_out = _fetch_photos(store)
    judge = _Judge(reference) if reference else None
    matches = judge is not None and judge.num_outputs == len(spec.classes) + spec.num_columns
    facts: dict[str, Any] = {
        "family": run.config.model.name,
        "resolution": spec.resolution,
        "training_images": len(store.ids("train")),
        "held_out_photos": num_held_out,
        "has_encoder": subject.has_encoder,
        "has_classifier": judge is not None,
        "knows_labels": matches,
        "attribute_names": tuple(a.name for a in spec.attributes),
    }
    if matches:
        facts["classifier_accuracy"] = reference.record.get("accuracy")
    facts |= _measure_samples(subject, conditions, photos, store, judge, matches)
    if subject.has_encoder and num_held_out:
        rows = {name: value[:num_held_out][:MAX_RECONSTRUCTIONS] for name, value in photos.items()}
        facts |= _measure_reconstructions(subject, rows, store, judge)
    reader = judge if matches else None
    facts["categories"] = _measure_categories(subject, conditions, store, reader)
    return Evidence(**facts)


class _RunUnderTest:
    """Samples and reconstructs with a run's weights."""

    def __init__(self, run: Run):
        module, config = run.step_module, run.config
        self._draw_latents, self._config = module.draw_latents, config
        self._weights = module.eval_params(run.state)
        generate = module.make_generate(config, run.spec)
        self._generate = jax.jit(lambda *inputs: pixels.to_uint8(generate(*inputs)))
        self.has_encoder = hasattr(module, "make_encode")
        self._encode = jax.jit(module.make_encode(config, run.spec)) if self.has_encoder else None

    def sample(self, indices: np.ndarray, conditions: Batch) -> np.ndarray:
        """Images uint8 [N, R, R, C] of the base prior."""
        z = self._draw_latents(self._config, SEED, indices)
        return self._decode(np.asarray(z), conditions)

    def reconstruct(self, rows: Batch) -> np.ndarray:
        """Images uint8 [N, R, R, C] encoded and decoded again, under their own conditions."""
        means = [
            np.asarray(self._encode(self._weights, part)[0])[:n] for part, n in split_padded(rows)
        ]
        return self._decode(np.concatenate(means), rows)

    def _decode(self, z: np.ndarray, conditions: Batch) -> np.ndarray:
        batch = {name: conditions[name] for name in ("label", "attributes", "known")}
        batch["z"] = np.asarray(z, np.float32)
        return np.concatenate(
            [
                np.asarray(self._generate(self._weights, part.pop("z"), part))[:n]
                for part, n in split_padded(batch)
            ]
        )


class _Judge:
    """A reference classifier: outputs [N, K + A], features [N, F] and activations of images."""

    def __init__(self, reference: ReferenceClassifier):
        self._params = reference.params
        self.num_outputs = reference.params["head"]["bias"].shape[0]
        net = Classifier(self.num_outputs)
        self._apply = jax.jit(lambda p, x: net.apply({"params": p}, pixels.to_float(x)))

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[Array, ...]]:
        rows = {"image": images, "label": np.zeros(len(images), np.int32)}
        parts = [
            jax.tree.map(
                lambda value, n=n: np.asarray(value)[:n], self._apply(self._params, x["image"])
            )
            for x, n in split_padded(rows)
        ]
        return jax.tree.map(lambda *values: np.concatenate(values), *parts)


def _fetch_photos(store: Store) -> tuple[Batch, int]:
    """At most MAX_PHOTOS photos, held-out ones first, and how many were held out."""
    held_out = [store.evenly_spaced_ids(split, MAX_PHOTOS) for split in ("test", "validation")]
    ids = np.concatenate(held_out)[:MAX_PHOTOS]
    num_held_out = len(ids)
    if num_held_out < MIN_FRECHET_IMAGES:
        ids = np.concatenate([ids, store.evenly_spaced_ids("train", MIN_FRECHET_IMAGES)])
    # Interleaved, so that the first photos are of both splits and of all parts of the data.
    order = np.random.default_rng(SEED).permutation(num_held_out)
    ids[:num_held_out] = ids[:num_held_out][order]
    return store.fetch(ids), num_held_out


def _measure_samples(
    subject: _RunUnderTest, conditions: Conditions, photos: Batch, store: Store,
    judge: _Judge | None, reads_labels: bool,
) -> dict[str, Any]:  # fmt: skip
    """Samples under the conditions of training images, drawn at random, beside photos."""
    indices = np.arange(len(photos["label"]))
    rows = np.random.default_rng(SEED).integers(len(conditions.label), size=len(indices))
    sample_conditions = _conditions_of_rows(conditions, rows)
    samples = subject.sample(indices, sample_conditions)
    facts: dict[str, Any] = {
        "sharpness": edge_contrast(samples) / max(edge_contrast(photos["image"]), 1e-9)
    }
    if judge is None:
        return facts
    outputs, features, _ = judge(photos["image"])
    sample_outputs, sample_features, _ = judge(samples)
    facts |= _measure_frechet(features, sample_features, store, judge)
    # A generator without conditions shows none on request.
    if reads_labels and conditions.spec.attributes:
        accuracies = condition_accuracy.measure(
            conditions.spec, sample_conditions, sample_outputs, photos, outputs
        )
        facts["attributes"] = {
            name: (accuracy.kind, accuracy.value, accuracy.real)
            for name, accuracy in accuracies.items()
            if name != "category"
        }
    return facts


def _measure_reconstructions(
    subject: _RunUnderTest, rows: Batch, store: Store, judge: _Judge | None
) -> dict[str, float]:
    """How near reconstructions are to their photos, beside the mean photo and another photo."""
    images, copies = rows["image"], subject.reconstruct(rows)
    training = store.fetch(store.evenly_spaced_ids("train", MAX_PHOTOS))["image"]
    mean_photo = training.astype(np.float32).mean(axis=0)
    values = {
        "psnr": _mean_psnr(images, copies),
        "mean_photo_psnr": _mean_psnr(images, mean_photo[None]),
        "explained_variance": 1.0
        - _mse(images, copies) / max(_mse(images, mean_photo[None]), 1e-9),
        "explained_edges": float(reconstruction_quality.explained_edges(images, copies).mean()),
    }
    if judge is None or len(images) < 2:
        return values
    _, features, layers = judge(images)
    _, copy_features, copy_layers = judge(copies)
    other_layers = jax.tree.map(lambda x: np.roll(x, 1, axis=0), layers)
    distances = np.linalg.norm(copy_features[:, None] - features[None], axis=-1)
    return values | {
        "perceptual_distance": float(np.mean(perceptual.distance(copy_layers, layers))),
        "perceptual_distance_of_others": float(np.mean(perceptual.distance(other_layers, layers))),
        "recognised_share": float(np.mean(distances.argmin(axis=1) == np.arange(len(images)))),
    }


def edge_contrast(images: np.ndarray) -> float:
    """The root mean square of the edges of images uint8 [N, H, W, C], in levels of 255."""
    differences = reconstruction_quality.edges(images)
    squares = [float(np.mean(np.square(difference))) for difference in differences]
    return float(np.sqrt(np.mean(squares)))


def _mse(images: np.ndarray, others: np.ndarray) -> float:
    return float(np.mean(np.square(images.astype(np.float32) - others)))


def _mean_psnr(images: np.ndarray, others: np.ndarray) -> float:
    """The mean over images of the PSNR in dB, uint8 values, at most 100 dB each."""
    errors = np.square(images.astype(np.float32) - others).mean(axis=(1, 2, 3))
    return float(np.mean(10 * np.log10(255.0**2 / np.maximum(errors, 255.0**2 * 1e-10))))


def _measure_frechet(
    features: np.ndarray, sample_features: np.ndarray, store: Store, judge: Callable
) -> dict[str, float]:
    """The Frechet distance of samples to photos, and of as many training images to photos."""
    ids = store.ids("train")
    ids = np.random.default_rng(SEED).permutation(ids)[: len(features)]
    if len(ids) < MIN_FRECHET_IMAGES:
        return {}
    _, training_features, _ = judge(store.fetch(np.sort(ids))["image"])
    return {
        "frechet": frechet.feature_distance(features, sample_features),
        "real_frechet": frechet.feature_distance(features, training_features),
    }


def _measure_categories(
    subject: _RunUnderTest, conditions: Conditions, store: Store, judge: _Judge | None
) -> tuple[CategoryEvidence, ...]:
    """Each category: training images, and how many samples and photos are read as it."""
    classes, spec = conditions.spec.classes, store.spec
    if len(classes) < 2:
        return ()
    counts = conditions.label_counts
    trained_names = conditions.trained_classes()
    sample_shares, real_shares = {}, {}
    if judge is not None:
        size = int(np.clip(MAX_CATEGORY_SAMPLES // len(trained_names), 1, CATEGORY_SAMPLES))
        rng = np.random.default_rng(SEED)
        labels = [classes.index(name) for name in trained_names]
        rows = [np.flatnonzero(conditions.label == label) for label in labels]
        rows = [rng.choice(candidates, size) for candidates in rows if len(candidates)]
        batch = _conditions_of_rows(conditions, np.concatenate(rows))
        outputs, _, _ = judge(subject.sample(np.arange(len(batch["label"])), batch))
        sample_shares = _shares(outputs[:, : len(classes)].argmax(axis=1), batch["label"])
        held_out = np.concatenate([store.ids("validation"), store.ids("test")])
        held_out = _limit_per_category(held_out, store.label[held_out])
        if len(held_out):
            photos = store.fetch(held_out)
            outputs, _, _ = judge(photos["image"])
            real_shares = _shares(outputs[:, : len(spec.classes)].argmax(axis=1), photos["label"])
    return tuple(
        CategoryEvidence(
            name,
            None if counts is None else int(counts[i]),
            *sample_shares.get(i, (None, 0)),
            *real_shares.get(i, (None, 0)),
        )
        for i, name in enumerate(classes)
    )


def _conditions_of_rows(conditions: Conditions, rows: np.ndarray) -> Batch:
    """The conditions of training images, as a batch."""
    return {name: getattr(conditions, name)[rows] for name in ("label", "attributes", "known")}


def _shares(predictions: np.ndarray, labels: np.ndarray) -> dict[int, tuple[float, int]]:
    """By label: the share of its rows that are predicted as it, and their number."""
    return {
        int(label): (
            float(np.mean(predictions[labels == label] == label)),
            int(np.sum(labels == label)),
        )
        for label in np.unique(labels[labels >= 0])
    }


def _limit_per_category(ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """At most CATEGORY_SAMPLES ids of each category."""
    parts = [ids[labels == label][:CATEGORY_SAMPLES] for label in np.unique(labels[labels >= 0])]
    return np.concatenate(parts) if parts else ids[:0]
