"""Judging generated pictures afterwards, against real ones that their generator never saw.

A `Subject` makes sets of pictures, one a sampling seed; they are judged by pictures of a held-back
split: distances in the features of any extractors, whether they show what was asked for, whether
they are copies of training pictures, and what a packshot must get right. The floor of every number
is what real training pictures get in the samples' place.

A run is asked in the conditions of training pictures drawn at random: those of the held-back
pictures themselves would bring samples nearer to them than real pictures come.
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
Made = tuple[np.ndarray, Batch | None]  # pictures uint8 [N, R, R, C], the conditions they follow
FEWEST = 20  # pictures on either side that can be judged at all
SEEN, SEEN_BYTES = 100_000, 2**31  # training pictures that samples are compared with, at most
CHUNK = 64  # pictures that reconstructions are compared in


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is judged. name: in reports, such as "runs/gan-1a2b3c4d, step 5000".

    make(N): sets of at most N pictures, all of one size, and their conditions (None: none are
    known). trained_with: the sha256 of the extractors that training has used, by which it is not
    ranked.
    """

    name: str
    make: Callable[[int], list[Made]]
    trained_with: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Material:
    """The pictures of a judgement: `real` rows of a held-back split, `seen` training rows, sets of
    `fakes` uint8 [N, R, R, C], and what the first set was `asked` for.

    `subject`: whose fakes they are; `digest`: of the store; `seed`: draws subsets and bootstraps;
    `cache`: the folder that keeps features of real pictures; `looked`: the fakes' features, by
    extractor.
    """

    subject: Subject
    split: str
    digest: str
    seed: int
    cache: Path
    real: Batch
    seen: Batch
    fakes: tuple[np.ndarray, ...]
    asked: Batch | None
    looked: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)

    def passport(self, metric: str, who: Extractor | None) -> MeasurementSpec:
        """Of a number that real and generated pictures in equal count stand behind."""
        identity, n = (who.identity if who else None), len(self.real["image"])
        return MeasurementSpec(metric, identity, self.digest, self.split, n, n, self.seed)

    def real_features(self, who: Extractor, rows: Batch) -> np.ndarray:
        """Features of real pictures, computed once and kept."""
        return features.load_or_extract(who, rows["image"], self.cache)

    def fake_features(self, who: Extractor) -> list[np.ndarray]:
        """Features [N, F] of each set, computed once."""
        name = str(who.identity)
        if name not in self.looked:
            self.looked[name] = [who(fake) for fake in self.fakes]
        return self.looked[name]

    def floor(self) -> Batch:
        """Training rows drawn at random, enough for the sets of a floor."""
        dice = np.random.default_rng(self.seed)
        most = scores.NUM_BASELINE_SETS * len(self.real["image"])
        chosen = dice.permutation(len(self.seen["image"]))[:most]
        return {name: rows[chosen] for name, rows in self.seen.items()}


def gather(
    subject: Subject, store: Store, split: str, seed: int, limit: int, cache: Path, say: Say
) -> Material:
    """At most `limit` held-back pictures, evenly spread, and the subject's sets.

    BadData where either side has fewer than 20 pictures.
    """
    held = len(store.ids(split))
    ids = store.evenly_spaced_ids(split, limit)
    if len(ids) < FEWEST:
        raise BadData(
            f"{len(ids)} pictures of the {split} split to judge by, at least {FEWEST} are needed",
            "ask for more with --n"
            if held >= FEWEST
            else "give more real pictures: the reference holds too few, or config.data.test does",
        )
    say(f"gathering {len(ids)} pictures to judge by, and as many a set to judge")
    made = subject.make(len(ids))
    if len(made[0][0]) < FEWEST:
        raise BadData(
            f"{len(made[0][0])} pictures to judge, at least {FEWEST} are needed",
            "give more; for a Frechet distance that tells models apart, thousands",
        )
    most = min(SEEN, SEEN_BYTES // int(np.prod(store.spec.shape)))
    real, seen = store.fetch(ids), store.fetch(store.evenly_spaced_ids("train", most))
    fakes = tuple(pictures for pictures, _ in made)
    return Material(subject, split, store.digest(), seed, cache, real, seen, fakes, made[0][1])


def distances(material: Material, who: Extractor, say: Say) -> dict[str, Measurement]:
    """Every number of metrics/scores.py in an extractor's features."""
    say(f"looking with {who.identity}")
    passport = dataclasses.replace(
        material.passport("", who), options=(("sets", len(material.fakes)),)
    )
    return scores.measure_distances(
        material.real_features(who, material.real),
        material.fake_features(who),
        material.real_features(who, material.floor()),
        passport,
        material.subject.name,
        material.subject.trained_with,
    )


def copies(material: Material, who: Extractor) -> memorisation.Report:
    """Whether the first set of samples gives training pictures back."""
    samples = memorisation.ImageSet(material.fakes[0], material.fake_features(who)[0])
    seen, real = (
        memorisation.ImageSet(rows["image"], material.real_features(who, rows))
        for rows in (material.seen, material.real)
    )
    return memorisation.examine(samples, seen, real, seed=material.seed)


def typicality(material: Material, who: Extractor) -> np.ndarray:
    """How typical each sample of the first set is of the real pictures, float64 [N]."""
    real, fakes = material.real_features(who, material.real), material.fake_features(who)
    return manifold.realism(real, fakes[0])


def shows(material: Material, spec: Spec, home: Any) -> dict[str, ConditionAccuracy]:
    """Whether the first set shows what it was asked for, as the weights of a home network see it.

    Empty where nothing was asked for.
    """
    if material.asked is None:
        return {}
    net = classifier.Classifier(home["head"]["bias"].shape[0])
    outputs = jax.jit(lambda x: net.apply({"params": home}, pixels.to_float(x))[0])
    said, said_real = (
        np.concatenate([np.asarray(outputs(x[i : i + CHUNK])) for i in range(0, len(x), CHUNK)])
        for x in (material.fakes[0], material.real["image"])
    )
    return condition_accuracy.measure(spec, material.asked, said, material.real, said_real)


def packshots(material: Material, spec: Spec) -> dict[str, dict[str, float]]:
    """Product measures of "samples", of "real" pictures, and of training pictures, the
    "real_baseline"."""
    floor = material.floor()
    found = {
        "samples": packshot.summarise(material.fakes[0]),
        "real": packshot.summarise(material.real["image"]),
        "real_baseline": packshot.summarise(floor["image"]),
    }
    if spec.channels == 3:
        sides = {
            "samples": (material.fakes[0], material.asked),
            "real_baseline": (floor["image"], floor),
        }
        for name, (pictures, asked) in sides.items():
            found[name] |= packshot.colour_differences(spec, pictures, asked, material.real)
    return found


def nearness(
    real: np.ndarray, decoded: np.ndarray, perceptual: Extractor | None = None
) -> dict[str, np.ndarray]:
    """How near pictures uint8 [N, R, R, C] are to others, one by one, each [N].

    "psnr" in dB and "ssim", and "lpips" where `perceptual` looks (features.perceptual).
    """
    compare = jax.jit(
        lambda a, b: {
            "psnr": reconstruction_quality.psnr(pixels.to_float(a), pixels.to_float(b)),
            "ssim": reconstruction_quality.ssim(pixels.to_float(a), pixels.to_float(b)),
        }
    )
    parts = []
    for start in range(0, len(decoded), CHUNK):
        pair = [x[start : start + CHUNK] for x in (real, decoded)]
        part = {name: np.asarray(value) for name, value in compare(*pair).items()}
        if perceptual:
            part["lpips"] = np.square(perceptual(pair[0]) - perceptual(pair[1])).sum(axis=1)
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def reconstructions(
    material: Material, decoded: np.ndarray, perceptual: Extractor | None = None
) -> dict[str, Measurement]:
    """How near the held-back pictures' reconstructions uint8 [N, R, R, C] are to them.

    Means over the pictures of what `nearness` says of each, with their 95 % intervals.
    """
    found = {}
    for name, values in nearness(material.real["image"], decoded, perceptual).items():
        who = perceptual if name == "lpips" else None
        mean, low, high = interval.normal_interval(values)
        found[name] = Measurement(
            mean, material.passport(name, who), low, high,
            subject=material.subject.name, trained_with=material.subject.trained_with,
        )  # fmt: skip
    return found
