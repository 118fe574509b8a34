"""Evaluating generated images after training, against real ones that their generator never saw.

A `SampleSource` makes sets of images, one set for each sampling seed. They are compared with a
held-out split: distances in the features of any extractors, condition accuracy, copies of training
images, and product measures. The real baseline of every number is what real training images get in
the samples' place.

A run samples with the conditions of training images drawn at random. With the conditions of the
held-out images themselves, samples would come nearer to them than real images do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from prodgen.core import pixels
from prodgen.core.errors import BadData
from prodgen.core.types import Batch, Spec
from prodgen.data import fit
from prodgen.data.store import Store
from prodgen.metrics import (
    condition_accuracy,
    features,
    interval,
    manifold,
    memorisation,
    packshot,
    reconstruction_quality,
    scores,
)
from prodgen.metrics.condition_accuracy import ConditionAccuracy
from prodgen.metrics.features import Extractor
from prodgen.metrics.measurement_spec import Measurement, MeasurementSpec
from prodgen.models import classifier

Say = Callable[[str], None]
SampleSet = tuple[np.ndarray, Batch | None]  # images uint8 [N, R, R, C], their conditions
MIN_IMAGES = 20  # real ones, and samples of a set
MAX_TRAINING_IMAGES, MAX_TRAINING_BYTES = 100_000, 2**31  # that samples are compared with
CHUNK_SIZE = 64  # images for each call of a compiled program


@dataclasses.dataclass(frozen=True)
class SampleSource:
    """Where samples come from. name: in reports, such as "runs/gan-1a2b3c4d, step 5000".

    generate(N): sets of at most N images, all of one size, and their conditions (None: unknown).
    trained_with: the sha256 of the extractors used in training, which must not rank it. Of images
    of another program: fitting, see MeasurementSpec; is_grey: real images, too, are compared as
    grey; cautions: what a reader must know of all numbers; record: more for evaluation.json.
    """

    name: str
    generate: Callable[[int], list[SampleSet]]
    trained_with: tuple[str, ...] = ()
    fitting: str = ""
    is_grey: bool = False
    cautions: tuple[str, ...] = ()
    record: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class EvaluationInputs:
    """The images of an evaluation: `real` rows of a held-out split, `training` rows, sets of
    `fakes` uint8 [N, R, R, C], and the `conditions` of the first set.

    `source`: of the fakes; `digest`: of the store; `seed`: of subsets and bootstraps; `cache_dir`:
    the folder that keeps features of real images; `fake_feature_cache`: the fakes' features, by
    extractor.
    """

    source: SampleSource
    split: str
    digest: str
    seed: int
    cache_dir: Path
    real: Batch
    training: Batch
    fakes: tuple[np.ndarray, ...]
    conditions: Batch | None
    fake_feature_cache: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)

    def measurement_spec(self, metric: str, extractor: Extractor | None) -> MeasurementSpec:
        """Of a number measured on real and generated images in equal count."""
        identity, n = (extractor.identity if extractor else None), len(self.real["image"])
        return MeasurementSpec(
            metric, identity, self.digest, self.split, n, n, self.seed, fitting=self.source.fitting
        )

    def real_features(self, extractor: Extractor, rows: Batch) -> np.ndarray:
        """Features [N, F] of real images, computed once and kept in files."""
        return features.load_or_extract(extractor, rows["image"], self.cache_dir)

    def fake_features(self, extractor: Extractor) -> list[np.ndarray]:
        """Features [N, F] of each set, computed once."""
        name = str(extractor.identity)
        if name not in self.fake_feature_cache:
            self.fake_feature_cache[name] = [extractor(fake) for fake in self.fakes]
        return self.fake_feature_cache[name]

    def real_baseline(self) -> Batch:
        """Training rows drawn at random, enough for the sets of a baseline."""
        rng = np.random.default_rng(self.seed)
        count = scores.NUM_BASELINE_SETS * len(self.real["image"])
        indices = rng.permutation(len(self.training["image"]))[:count]
        return {name: rows[indices] for name, rows in self.training.items()}


def gather_inputs(
    source: SampleSource,
    store: Store,
    split: str,
    seed: int,
    limit: int,
    cache_dir: Path,
    say: Say,
) -> EvaluationInputs:
    """At most `limit` held-out images, evenly spread, and the source's sets.

    BadData where either side has fewer than MIN_IMAGES.
    """
    num_held_out = len(store.ids(split))
    ids = store.evenly_spaced_ids(split, limit)
    if len(ids) < MIN_IMAGES:
        raise BadData(
            f"{len(ids)} images of the {split} split to evaluate with, at least {MIN_IMAGES} are "
            "needed",
            "set a higher --n"
            if num_held_out >= MIN_IMAGES
            else "give more real images: of a folder or a table without splits, half are held out; "
            "of a run, the share config.data.test",
        )
    say(f"gathering {len(ids)} real images, and as many in each set of samples")
    sets = source.generate(len(ids))
    if len(sets[0][0]) < MIN_IMAGES:
        raise BadData(
            f"{len(sets[0][0])} images to evaluate, at least {MIN_IMAGES} are needed",
            "give more; a Frechet distance that can rank models needs thousands",
        )
    limit = min(MAX_TRAINING_IMAGES, MAX_TRAINING_BYTES // int(np.prod(store.spec.shape)))
    real, training = store.fetch(ids), store.fetch(store.evenly_spaced_ids("train", limit))
    if source.is_grey:
        for rows in (real, training):
            rows["image"] = fit.remove_colour(rows["image"])
    fakes = tuple(samples for samples, _ in sets)
    return EvaluationInputs(
        source, split, store.digest(), seed, cache_dir, real, training, fakes, sets[0][1]
    )


def measure_distances(
    inputs: EvaluationInputs, extractor: Extractor, say: Say
) -> dict[str, Measurement]:
    """Every number of metrics/scores.py in an extractor's features."""
    say(f"measuring distances in the features of {extractor.identity}")
    spec = dataclasses.replace(
        inputs.measurement_spec("", extractor), options=(("sets", len(inputs.fakes)),)
    )
    return scores.measure_distances(
        inputs.real_features(extractor, inputs.real),
        inputs.fake_features(extractor),
        inputs.real_features(extractor, inputs.real_baseline()),
        spec,
        inputs.source.name,
        inputs.source.trained_with,
    )


def find_copies(inputs: EvaluationInputs, extractor: Extractor) -> memorisation.Report:
    """Whether the first set of samples gives training images back."""
    samples = memorisation.ImageSet(inputs.fakes[0], inputs.fake_features(extractor)[0])
    training, real = (
        memorisation.ImageSet(rows["image"], inputs.real_features(extractor, rows))
        for rows in (inputs.training, inputs.real)
    )
    return memorisation.examine(samples, training, real, seed=inputs.seed)


def measure_typicality(inputs: EvaluationInputs, extractor: Extractor) -> np.ndarray:
    """How typical each sample of the first set is of the real images, float64 [N]."""
    real, fakes = inputs.real_features(extractor, inputs.real), inputs.fake_features(extractor)
    return manifold.realism(real, fakes[0])


def measure_condition_accuracy(
    inputs: EvaluationInputs, spec: Spec, params: Any
) -> dict[str, ConditionAccuracy]:
    """Whether the first set shows its conditions, as a reference classifier's `params` read it.

    Empty where the conditions are unknown.
    """
    if inputs.conditions is None:
        return {}
    net = classifier.Classifier(params["head"]["bias"].shape[0])
    apply = jax.jit(lambda x: net.apply({"params": params}, pixels.to_float(x))[0])
    fake_outputs, real_outputs = (
        np.concatenate(
            [np.asarray(apply(x[i : i + CHUNK_SIZE])) for i in range(0, len(x), CHUNK_SIZE)]
        )
        for x in (inputs.fakes[0], inputs.real["image"])
    )
    return condition_accuracy.measure(
        spec, inputs.conditions, fake_outputs, inputs.real, real_outputs
    )


def measure_packshots(inputs: EvaluationInputs, spec: Spec) -> dict[str, dict[str, float]]:
    """Product measures of "samples", of "real" images, and of training images, the
    "real_baseline"."""
    baseline = inputs.real_baseline()
    measures = {
        "samples": packshot.summarise(inputs.fakes[0]),
        "real": packshot.summarise(inputs.real["image"]),
        "real_baseline": packshot.summarise(baseline["image"]),
    }
    if spec.channels == 3 and not inputs.source.is_grey:
        sides = {
            "samples": (inputs.fakes[0], inputs.conditions),
            "real_baseline": (baseline["image"], baseline),
        }
        for name, (rgb, conditions) in sides.items():
            measures[name] |= packshot.colour_differences(spec, rgb, conditions, inputs.real)
    return measures


def compare_images(
    real: np.ndarray, reconstructions: np.ndarray, perceptual: Extractor | None = None
) -> dict[str, np.ndarray]:
    """How near images uint8 [N, R, R, C] are to others, one by one, each [N].

    "psnr" in dB and "ssim", and "lpips" where `perceptual` is given (features.perceptual).
    """
    compare = jax.jit(
        lambda a, b: {
            "psnr": reconstruction_quality.psnr(pixels.to_float(a), pixels.to_float(b)),
            "ssim": reconstruction_quality.ssim(pixels.to_float(a), pixels.to_float(b)),
        }
    )
    chunks = []
    for start in range(0, len(reconstructions), CHUNK_SIZE):
        a, b = real[start : start + CHUNK_SIZE], reconstructions[start : start + CHUNK_SIZE]
        chunk = {name: np.asarray(value) for name, value in compare(a, b).items()}
        if perceptual:
            chunk["lpips"] = np.square(perceptual(a) - perceptual(b)).sum(axis=1)
        chunks.append(chunk)
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def measure_reconstructions(
    inputs: EvaluationInputs, reconstructions: np.ndarray, perceptual: Extractor | None = None
) -> dict[str, Measurement]:
    """How near the reconstructions uint8 [N, R, R, C] of the held-out images are to them.

    Means over the images of the values of `compare_images`, with their 95 % intervals.
    """
    numbers = {}
    for name, values in compare_images(inputs.real["image"], reconstructions, perceptual).items():
        extractor = perceptual if name == "lpips" else None
        mean, low, high = interval.normal_interval(values)
        numbers[name] = Measurement(
            mean, inputs.measurement_spec(name, extractor), low, high,
            subject=inputs.source.name, trained_with=inputs.source.trained_with,
        )  # fmt: skip
    return numbers
