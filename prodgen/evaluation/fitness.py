"""What a run is fit for, in words for a shop: a verdict for each use, from measured evidence.

`judge` is a pure function of the evidence, which evaluation/fitness_evidence.py measures. Its
limits are absolute: a run that is bad on all photos is not called fit. docs/judging.md says how the
limits were chosen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from prodgen.evaluation.classifier import MIN_ACCURACY

FIT, WITH_LIMITS, UNFIT = LEVELS = ("fit", "limited", "unfit")
USES = {  # the use -> what it is, after "for"
    "sample": "drawing new products",
    "vary": "variations of a product from its photo",
    "attribute": "another attribute of a product in a photo",
    "mix": "images between two products",
    "inpaint": "filling a part of a photo",
    "batch": "the missing images of a catalogue",
    "personalise": "drawing products for one person",
    "views": "a product from other sides",
}
# A pair of limits: at least the first is fit, at least the second is limited.
MIN_EXPLAINED_VARIANCE = 0.85, 0.75  # share of held-out photos' difference from the mean photo
MIN_EXPLAINED_EDGES = 0.40, 0.25  # share of the squared differences of neighbouring pixels
MIN_PSNR_DB = 20.0, 17.0
MIN_SHARPNESS = 0.60, 0.50  # edge contrast of samples over that of photos
MAX_SHARPNESS = 1.6  # above it, samples are noise rather than products
MAX_FRECHET_RATIO = 3.0, 6.0  # over that of real images: at most the first is fit
MIN_SAMPLE_ACCURACY = 0.75, 0.50  # share of a category's samples that are recognised as it
MIN_PHOTO_ACCURACY = 0.50  # of held-out photos, for samples to be judged by the classifier
MIN_CATEGORY_IMAGES = 20, 8  # training images
MIN_DRAWN_SHARE = 0.75, 0.50  # share of the categories that are not unfit
MIN_ATTRIBUTE_RATIO = 0.75  # accuracy of samples over that of photos
MAX_ATTRIBUTE_ERROR_RATIO = 1.5  # error of samples over that of photos
LISTING_SIDE_PX = 500  # the least side that marketplaces take (docs/judging.md)


@dataclasses.dataclass(frozen=True)
class CategoryEvidence:
    """Of one category: training images (None: not recorded), and the shares of `samples` and of
    held-out `photos` that the reference classifier recognises as it; None: not measured."""

    name: str
    training_images: int | None
    sample_accuracy: float | None = None
    samples: int = 0
    photo_accuracy: float | None = None
    photos: int = 0


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured on a run; None where it was not.

    resolution: pixels a side. classifier_accuracy: of the reference classifier, on held-out photos.
    Means over held-out photos: psnr in dB, of their reconstructions, and mean_photo_psnr, of the
    mean training image; explained_variance and explained_edges, at most 1; perceptual_distance, to
    the reconstruction, and perceptual_distance_of_others, to another photo, in 0..4.
    recognised_share: reconstructions that are nearest to their own photo. sharpness: edge contrast
    of samples over that of photos. frechet: of samples; real_frechet: of as many training images.
    attributes: by name (kind, value of samples, value of photos), as in metrics.condition_accuracy.
    """

    family: str
    resolution: int
    training_images: int
    held_out_photos: int
    has_encoder: bool
    has_classifier: bool
    knows_labels: bool
    classifier_accuracy: float | None = None
    psnr: float | None = None
    mean_photo_psnr: float | None = None
    explained_variance: float | None = None
    explained_edges: float | None = None
    perceptual_distance: float | None = None
    perceptual_distance_of_others: float | None = None
    recognised_share: float | None = None
    sharpness: float | None = None
    frechet: float | None = None
    real_frechet: float | None = None
    attributes: dict[str, tuple[str, float, float]] = dataclasses.field(default_factory=dict)
    attribute_names: tuple[str, ...] = ()
    categories: tuple[CategoryEvidence, ...] = ()


@dataclasses.dataclass(frozen=True)
class Verdict:
    """level: one of LEVELS; reason: a clause in plain words."""

    level: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Fitness:
    """The verdicts on a run: by use (the keys of USES), and by the name of a category."""

    evidence: Evidence
    uses: dict[str, Verdict]
    categories: dict[str, Verdict]

    def names(self, level: str) -> list[str]:
        """The uses of one level."""
        return [use for use, verdict in self.uses.items() if verdict.level == level]


def judge(evidence: Evidence) -> Fitness:
    """The verdicts that follow from the evidence."""
    copies = _judge_reconstructions(evidence)
    quality = _worst([_judge_sample_quality(evidence), _judge_recognition(evidence, copies)])
    categories = {c.name: _judge_category(c, quality) for c in evidence.categories}
    sample = _worst([quality, _judge_category_share(categories), _judge_classifier(evidence)])
    uses = {
        "sample": sample,
        "vary": _worst([copies, _limit(sample, WITH_LIMITS)]),
        "attribute": _worst([copies, _judge_attributes(evidence)]),
        "mix": copies,
        "inpaint": copies,
        "batch": sample,
        "personalise": sample,
        "views": _worst([copies, _judge_views(evidence)]),
    }
    return Fitness(evidence, uses, categories)


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The lowest level of all, with the reasons of that level."""
    verdicts = list(verdicts)
    level = max((verdict.level for verdict in verdicts), key=LEVELS.index)
    reasons = dict.fromkeys(v.reason for v in verdicts if v.level == level and v.reason)
    return Verdict(level, "; ".join(reasons))


def _limit(verdict: Verdict, level: str) -> Verdict:
    """The verdict, no lower than a level."""
    return Verdict(min(verdict.level, level, key=LEVELS.index), verdict.reason)


def _level(value: float, limits: tuple[float, float]) -> str:
    """Of a value that is better where it is higher."""
    return FIT if value >= limits[0] else WITH_LIMITS if value >= limits[1] else UNFIT


def _judge_reconstructions(e: Evidence) -> Verdict:
    """How well photos that the run has not seen come back."""
    if not e.has_encoder:
        return Verdict(
            WITH_LIMITS,
            f"a {e.family} run has no encoder, so how well it gives a photo back is only known "
            "photo by photo",
        )
    if e.psnr is None:
        return Verdict(
            WITH_LIMITS, "no photo was held out, so it is not known how photos come back"
        )
    levels = [
        _level(e.psnr, MIN_PSNR_DB),
        _level(e.explained_variance, MIN_EXPLAINED_VARIANCE),
        _level(e.explained_edges, MIN_EXPLAINED_EDGES),
    ]
    level = max(levels, key=LEVELS.index)
    words = {
        FIT: "photos that it has not seen come back with their shapes and main edges",
        WITH_LIMITS: "photos that it has not seen come back recognisably but blurred",
        UNFIT: "photos that it has not seen come back as blurred patches",
    }[level]
    return Verdict(
        level,
        f"{words} (PSNR {e.psnr:.1f} dB; {max(e.explained_variance, 0):.0%} of shapes and colours, "
        f"{max(e.explained_edges, 0):.0%} of edges)",
    )


def _judge_sample_quality(e: Evidence) -> Verdict:
    """Whether samples are as sharp as photos, and as near to photos as real images are."""
    verdicts = []
    if e.sharpness is not None:
        level = _level(e.sharpness, MIN_SHARPNESS)
        words = {FIT: "sharp enough", WITH_LIMITS: "blurred", UNFIT: "very blurred"}[level]
        if e.sharpness > MAX_SHARPNESS:
            level, words = UNFIT, "full of noise"
        verdicts.append(
            Verdict(level, f"new images are {words} ({e.sharpness:.0%} of the photos' edges)")
        )
    if e.frechet is not None and e.real_frechet:
        ratio = e.frechet / e.real_frechet
        level = _level(-ratio, (-MAX_FRECHET_RATIO[0], -MAX_FRECHET_RATIO[1]))
        words = {FIT: "near to", WITH_LIMITS: "some way from", UNFIT: "far from"}[level]
        verdicts.append(
            Verdict(level, f"new images are {words} photos ({ratio:.1f} times as real images are)")
        )
    return _worst(verdicts or [Verdict(WITH_LIMITS, "the new images were not measured")])


def _judge_recognition(e: Evidence, copies: Verdict) -> Verdict:
    """Whether anything shows that new images are products: of a decoder that gives no photo back,
    only a classifier that recognises photos can."""
    accuracy = e.classifier_accuracy if e.knows_labels else None
    if copies.level != UNFIT or (accuracy is not None and accuracy >= MIN_PHOTO_ACCURACY):
        return Verdict(FIT, "")
    return Verdict(UNFIT, f"nothing shows that new images are products: {copies.reason}")


def _judge_category(c: CategoryEvidence, quality: Verdict) -> Verdict:
    """Whether the run draws a category; no better than the run's samples are at all."""
    if c.training_images == 0:
        return Verdict(UNFIT, "it has no training image")
    verdicts = [quality]
    if c.training_images is not None and c.training_images < MIN_CATEGORY_IMAGES[0]:
        level = _level(c.training_images, MIN_CATEGORY_IMAGES)
        verdicts.append(Verdict(level, f"it has only {c.training_images} training images"))
    if c.sample_accuracy is None:
        verdicts.append(Verdict(WITH_LIMITS, "it was not measured whether it is recognised"))
    elif c.photos and c.photo_accuracy < MIN_PHOTO_ACCURACY:
        verdicts.append(Verdict(WITH_LIMITS, "even its photos are not recognised"))
    else:
        share = f"{c.sample_accuracy:.0%} of its new images are recognised as it"
        verdicts.append(Verdict(_level(c.sample_accuracy, MIN_SAMPLE_ACCURACY), share))
    return _worst(verdicts)


def _judge_category_share(categories: dict[str, Verdict]) -> Verdict:
    """How many of the categories the run draws."""
    if not categories:
        return Verdict(FIT, "")
    poor = [name for name, verdict in categories.items() if verdict.level == UNFIT]
    level = _level(1 - len(poor) / len(categories), MIN_DRAWN_SHARE)
    if level == FIT:
        return Verdict(FIT, f"not for {list_names(poor)}" if poor else "")
    return Verdict(level, f"{len(poor)} of {len(categories)} categories are not drawn")


def _judge_classifier(e: Evidence) -> Verdict:
    """Whether the reference classifier can be relied on."""
    if not e.knows_labels:
        return Verdict(FIT, "")
    accuracy = e.classifier_accuracy
    if accuracy is None or accuracy >= MIN_ACCURACY:
        return Verdict(FIT, "")
    return Verdict(
        WITH_LIMITS, f"the reference classifier recognises only {accuracy:.0%} of held-out photos"
    )


def is_shown(kind: str, value: float, real: float) -> bool:
    """Whether samples show an attribute nearly as well as photos do."""
    if kind == "share":
        return value >= MIN_ATTRIBUTE_RATIO * real
    return value <= MAX_ATTRIBUTE_ERROR_RATIO * real


def _judge_attributes(e: Evidence) -> Verdict:
    """Whether the run has learnt its attributes."""
    if not e.attribute_names:
        return Verdict(UNFIT, "it was trained without attributes")
    if not e.attributes:
        return Verdict(WITH_LIMITS, "it was not measured whether it shows its attributes")
    poor = [name for name, values in e.attributes.items() if not is_shown(*values)]
    if not poor:
        return Verdict(FIT, "new images show its attributes")
    level = UNFIT if len(poor) == len(e.attributes) else WITH_LIMITS
    return Verdict(level, f"new images do not show {list_names(poor)}")


def _judge_views(e: Evidence) -> Verdict:
    """Whether the run has learnt from which side a product is seen."""
    if "azimuth" not in e.attribute_names:
        return Verdict(UNFIT, "it was trained without the attribute azimuth")
    values = e.attributes.get("azimuth")
    if values is None:
        return Verdict(WITH_LIMITS, "it was not measured whether it turns products")
    if is_shown(*values):
        return Verdict(FIT, "")
    return Verdict(UNFIT, "new images do not show the azimuth")


def list_names(names: list[str], limit: int = 6) -> str:
    """Names in a row, at most `limit` and how many more."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def describe(fitness: Fitness) -> list[str]:
    """The verdict in sentences for a shop: what the run draws, at which size, and what not."""
    e = fitness.evidence
    side = f"{e.resolution} x {e.resolution} pixels"
    levels = [verdict.level for verdict in fitness.categories.values()]
    num_drawn = len(levels) - levels.count(UNFIT)
    what = "new images"
    if fitness.categories:
        what = f"{num_drawn} of {len(fitness.categories)} categories"
    lines = [f"It draws {what}, at {side}."]
    if fitness.uses["sample"].level == UNFIT:
        lines = [f"It draws no products that can be used: {fitness.uses['sample'].reason}."]
    elif e.resolution < LISTING_SIDE_PX:
        lines.append(
            f"That is enough for thumbnails and drafts. A product page needs {LISTING_SIDE_PX} "
            "pixels or more, and enlarging adds no detail."
        )
    for level, words in (
        (FIT, "Fit for"),
        (WITH_LIMITS, "With limits for"),
        (UNFIT, "Not fit for"),
    ):
        if names := fitness.names(level):
            lines.append(f"{words}: {'; '.join(USES[name] for name in names)}.")
    return lines


def to_json(fitness: Fitness) -> dict[str, Any]:
    """The fitness as plain values; `from_json` reads the evidence and judges it again."""
    return {
        "summary": describe(fitness),
        "uses": {use: dataclasses.asdict(verdict) for use, verdict in fitness.uses.items()},
        "categories": {
            name: dataclasses.asdict(verdict) for name, verdict in fitness.categories.items()
        },
        "evidence": dataclasses.asdict(fitness.evidence),
    }


def from_json(content: dict[str, Any]) -> Fitness:
    """The fitness by today's limits. KeyError or TypeError where evidence is of another version."""
    facts = dict(content["evidence"])
    facts["categories"] = tuple(CategoryEvidence(**c) for c in facts["categories"])
    facts["attributes"] = {name: tuple(v) for name, v in facts["attributes"].items()}
    facts["attribute_names"] = tuple(facts["attribute_names"])
    return judge(Evidence(**facts))
