"""Judging a run afterwards: its samples against pictures that it never saw.

Each sampling seed makes as many pictures as there are held-back ones, in conditions of training
pictures drawn at random: those of the held-back pictures themselves would bring samples nearer to
them than real pictures come. What they are judged by: distances in the features of any extractors,
whether they show what was asked for, whether they are copies of training pictures, and what a
packshot must get right. The floor of every distance is what training pictures get in the samples'
place.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from prodgen.data.store import Store
from prodgen.errors import BadData
from prodgen.metrics import memorisation, product, scores
from prodgen.metrics.features import Extractor
from prodgen.metrics.passport import Number, Passport
from prodgen.types import Batch

Say = Callable[[str], None]
FEWEST = 20  # pictures of a split that can be judged by
PACKSHOTS = 200  # pictures that product measures look at


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is judged. name: in reports, such as "runs/gan-1a2b3c4d, step 5000".

    make(seed, N) -> pictures uint8 [N, R, R, C] and the conditions they follow. trained_with: the
    sha256 of the extractors that training has used, by which it is not ranked.
    """

    name: str
    make: Callable[[int, int], tuple[np.ndarray, Batch]]
    trained_with: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Material:
    """The pictures of a judgement: `real` rows of a held-back split, `seen` training rows, and one
    set of generated pictures uint8 [N, R, R, C] a seed; `asked`: the first set's conditions."""

    split: str
    digest: str
    seed: int
    real: Batch
    seen: Batch
    fakes: tuple[np.ndarray, ...]
    asked: Batch


def gather(
    subject: Subject, store: Store, split: str, seed: int, sets: int, limit: int, say: Say
) -> Material:
    """Held-back pictures (at most `limit`; 0: all), and `sets` sets of as many samples.

    Seeds are seed, seed + 1, and so on. BadData where the split has fewer than 20 pictures.
    """
    ids = store.some(split, limit) if limit else store.ids(split)
    if len(ids) < FEWEST:
        raise BadData(
            f"the {split} split has {len(ids)} pictures, at least {FEWEST} are needed to judge by",
            "judge another split, or hold more pictures back with config.data.test",
        )
    made = []
    for number in range(sets):
        say(f"sampling: set {number + 1} of {sets}, {len(ids)} pictures")
        made.append(subject.make(seed + number, len(ids)))
    fakes, asked = tuple(pictures for pictures, _ in made), made[0][1]
    real, seen = store.fetch(ids), store.fetch(store.ids("train"))
    return Material(split, store.digest(), seed, real, seen, fakes, asked)


def distances(
    subject: Subject, material: Material, extractor: Extractor, say: Say
) -> dict[str, Number]:
    """Every number of metrics/scores.py in an extractor's features."""
    say(f"looking with {extractor.identity}")
    size = len(material.real["image"])
    chosen = np.random.default_rng(material.seed).permutation(len(material.seen["image"]))[:size]
    passport = Passport(
        "", extractor.identity, material.digest, material.split, 0, 0, material.seed,
        (("sets", len(material.fakes)),),
    )  # fmt: skip
    return scores.distances(
        extractor(material.real["image"]),
        [extractor(fake) for fake in material.fakes],
        extractor(material.seen["image"][chosen]),
        passport,
        subject.name,
        subject.trained_with,
    )


def copies(material: Material, extractor: Extractor) -> memorisation.Report:
    """Whether the first set of samples gives training pictures back."""
    sides = [material.fakes[0], material.seen["image"], material.real["image"]]
    pictures = (memorisation.Pictures(image, extractor(image)) for image in sides)
    return memorisation.examine(*pictures, seed=material.seed)


def packshots(pictures: np.ndarray) -> dict[str, float]:
    """Medians of the product measures over the pictures that show a product, and their share.

    fill and area are shares of the frame, white_mean levels from white, halo levels, blur pixels,
    off_centre the larger offset as a share of the side.
    """
    found = [product.measure(picture) for picture in pictures[:PACKSHOTS]]
    shown = [m for m in found if not m.blank]
    result = {"shown": len(shown) / len(found)}
    if not shown:
        return result
    return result | {
        "off_centre": _median([max(map(abs, m.offset)) for m in shown]),
        **{
            name: _median([getattr(m, name) for m in shown])
            for name in ("white_mean", "evenness", "fill", "area", "halo", "blur")
        },
    }


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return float(statistics.median(known)) if known else float("nan")
