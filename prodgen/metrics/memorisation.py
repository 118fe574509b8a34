"""Memorisation: does a generator reproduce its training images? Copies, nearness and repetition.

Three sets are compared: samples, the training images, and held-out real images, which the generator
has never seen. Held-out images show what is normal for samples that are not copies.

* Copies: samples whose likeness to a training image is above what held-out images reach, even if
  mirrored, moved a little or recompressed (likeness.py; `copy_threshold` sets the limit).
* Nearness in features: authenticity, the generalisation gap, C_T (nearness.py).
* Repetition: samples whose likeness to another sample is above the same limit.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from prodgen.core import pixels
from prodgen.metrics import likeness, nearness, neighbours
from prodgen.metrics.features import check_images

HELD_OUT_QUANTILE = 0.02  # of the held-out images' distances, which the threshold is computed from
DISTANCE_MARGIN = 0.5  # of that distance: blurred samples are up to twice as near as sharp ones
MAX_IDENTICAL_DISTANCE = 2e-3  # of two images that count as the same in any data set
MIN_IMAGES = 20  # in a set
SHEET_SIDE = 96  # pixels of an image on the sheet of pairs


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """A set of images: `image` uint8 [N, H, W, C], C of 1 or 3, and `features` float [N, F].

    The features are those of any extractor, the same for every set. ValueError for another type or
    shape, BadData for fewer than 20 images or features that are not finite.
    """

    image: np.ndarray
    features: np.ndarray

    def __post_init__(self) -> None:
        check_images(self.image)
        if len(self.features) != len(self.image):
            raise ValueError(f"{len(self.image)} images have features of {len(self.features)}")
        neighbours.check_rows(self.features, MIN_IMAGES, "images to compare")

    def __len__(self) -> int:
        return len(self.image)


@dataclasses.dataclass(frozen=True)
class MatchedPair:
    """A sample and its most similar training image, as indices.

    `likeness` is 1 for the same image. `how`: "as is", "mirrored", "shifted by (down, right)" in
    pixels, or "mirrored, shifted by ...", where the shift is that of the sample mirrored back.
    `by_features` is the training image nearest in features. `copy`: is the likeness above the line?
    """

    sample: int
    training: int
    likeness: float
    how: str
    by_features: int
    copy: bool


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of `examine`; shares are of 0..1.

    `samples`, `training`, `held_back`: the numbers of samples, training and held-out images.
    `line`: a likeness above it is a copy. `false_alarms`: the share of honest samples above it, at
    most (`copy_threshold`). `copies` and `held_back_copies`: the shares of samples and of held-out
    images above it. `repeats`: the share of samples with another sample above it;
    `training_repeats`: the same of as many training images (fewer where there are fewer).
    `authenticity`, of samples, and `held_back_authenticity`; `gap` with `gap_low` and `gap_high`;
    `data_copying`: see nearness.py. `findings`: the most similar pairs, in order of likeness.
    """

    samples: int
    training: int
    held_back: int
    line: float
    false_alarms: float
    copies: float
    held_back_copies: float
    repeats: float
    training_repeats: float
    authenticity: float
    held_back_authenticity: float
    gap: float
    gap_low: float
    gap_high: float
    data_copying: float
    findings: tuple[MatchedPair, ...]


def examine(
    samples: ImageSet, training: ImageSet, held_out: ImageSet, *, seed: int = 0, max_pairs: int = 24
) -> Report:
    """Compare samples with the images that the generator was trained on, and with held-out ones.

    Held-out images must come from the same source as the training images, without near duplicates
    of them: they define what is normal. The report holds `max_pairs` pairs. `seed` selects subsets
    and bootstrap draws; the same input gives the same report. ValueError where the images' shapes
    differ.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    # By features: the nearest training image of each image, and the distance to it.
    nearest, distance = neighbours.find_nearest(samples.features, training.features)
    held_out_nearest, held_out_distance = neighbours.find_nearest(
        held_out.features, training.features
    )
    _, spacing = neighbours.find_nearest(training.features)
    # By pixels: the most similar training image, shifted and mirrored ones included.
    match = likeness.find_matches(samples.image, training.image, nearest[:, None])
    held_out_match = likeness.find_matches(
        held_out.image, training.image, held_out_nearest[:, None]
    )
    threshold, false_alarms = copy_threshold(held_out_match.distance)
    # As many as samples, because a larger set holds more repeats.
    subset = rng.permutation(len(training))[: len(samples)]
    gap, low, high = nearness.generalisation_gap(
        samples.features, training.features, held_out.features, rng
    )
    order = np.argsort(match.distance, kind="stable")[:max_pairs]
    return Report(
        samples=len(samples),
        training=len(training),
        held_back=len(held_out),
        line=1 - threshold,
        false_alarms=false_alarms,
        copies=float((match.distance < threshold).mean()),
        held_back_copies=float((held_out_match.distance < threshold).mean()),
        repeats=_repeat_share(samples.image, samples.features, threshold),
        training_repeats=_repeat_share(
            training.image[subset], training.features[subset], threshold
        ),
        authenticity=nearness.authenticity(nearest, distance, spacing),
        held_back_authenticity=nearness.authenticity(held_out_nearest, held_out_distance, spacing),
        gap=gap,
        gap_low=low,
        gap_high=high,
        data_copying=nearness.data_copying(distance, held_out_distance),
        findings=tuple(_describe_pair(int(i), match, int(nearest[i]), threshold) for i in order),
    )


def copy_threshold(held_out: np.ndarray) -> tuple[float, float]:
    """(distance below which an image is a copy, share of honest samples below it, at most).

    `held_out` [T] are the distances of held-out images to their most similar training images. The
    threshold is half the k-th least of them, k = 0.02 (T + 1) rounded down, at least 1. An honest
    sample and the held-out images are exchangeable, so it is nearer than the k-th of them with
    probability k / (T + 1) (the rank argument of conformal prediction, Vovk et al. 2005). Halving
    makes this rarer. In data with many duplicates half the distance could be 0, so the threshold is
    at least 0.002, and the share then counts the held-out images below it.
    """
    count = len(held_out)
    rank = max(1, int(HELD_OUT_QUANTILE * (count + 1)))
    quantile = float(np.partition(held_out, rank - 1)[rank - 1])
    threshold = max(DISTANCE_MARGIN * quantile, MAX_IDENTICAL_DISTANCE)
    rank = max(rank, 1 + int((held_out < threshold).sum()))
    return threshold, rank / (count + 1)


def _repeat_share(image: np.ndarray, features: np.ndarray, threshold: float) -> float:
    """The share of the images of a set that have another one within the distance `threshold`."""
    nearest, _ = neighbours.find_nearest(features)
    match = likeness.find_matches(image, image, nearest[:, None], same=True)
    return float((match.distance < threshold).mean())


def _describe_pair(
    sample: int, match: likeness.Matches, by_features: int, threshold: float
) -> MatchedPair:
    down, right = (int(x) for x in match.shift[sample])
    changes = ["mirrored"] if match.is_mirrored[sample] else []
    changes += [f"shifted by ({down}, {right})"] if down or right else []
    return MatchedPair(
        sample=sample,
        training=int(match.index[sample]),
        likeness=float(1 - match.distance[sample]),
        how=", ".join(changes) or "as is",
        by_features=by_features,
        copy=bool(match.distance[sample] < threshold),
    )


def describe_verdict(report: Report) -> str:
    """The result in sentences, with its thresholds, for someone who sells the products."""
    sentences = [_describe_copies(report)]
    if report.repeats > max(2 * report.training_repeats, report.false_alarms):
        sentences.append(
            f"The generator repeats itself: {report.repeats:.1%} of the samples have a near "
            f"duplicate among them, of as many training images {report.training_repeats:.1%}."
        )
    if report.gap_low > 1:
        sentences.append(
            f"Samples lie {report.gap - 1:.1%} nearer to training images than to unseen ones "
            f"(99 % interval {report.gap_low - 1:.1%} to {report.gap_high - 1:.1%}): the generator "
            "has begun to memorise its training images."
        )
    else:
        sentences.append(
            "As a whole, samples lie no nearer to training images than to unseen ones."
        )
    sentences.append(
        f"{report.authenticity:.0%} of the samples are farther from the nearest training image "
        f"than that image is from its own nearest neighbour. Of unseen real images, "
        f"{report.held_back_authenticity:.0%} are."
    )
    return " ".join(sentences)


def _describe_copies(report: Report) -> str:
    count = round(report.copies * report.samples)
    held_out_count = round(report.held_back_copies * report.held_back)
    limit = (
        f"The limit is a likeness of {report.line:.4f}, where 1 is the same image. "
        f"{held_out_count} of {report.held_back} held-out real images are above it, and at most "
        f"{report.false_alarms:.1%} of honest samples."
    )
    if not count:
        return f"None of {report.samples} samples is a copy of a training image. {limit}"
    share = f"{count} of {report.samples} samples ({report.copies:.1%})"
    verb, noun = ("is", "a copy") if count == 1 else ("are", "copies")
    if report.copies <= report.held_back_copies:
        return (
            f"{share} {verb} almost equal to a training image, but held-out real images are so at "
            f"least as often: the collection repeats itself. {limit}"
        )
    few = report.copies <= report.false_alarms
    chance = " So few may also be products that are alike by chance." if few else ""
    return (
        f"{share} {verb} {noun} of training images: check the sheet of pairs before you publish "
        f"any. {limit}{chance}"
    )


def draw_pairs_sheet(
    report: Report, samples: np.ndarray, training: np.ndarray, *, columns: int = 8
) -> Image.Image:
    """The pairs in order of likeness: rows of samples, and below each its training image.

    `samples` and `training` uint8 [., H, W, C] are the images that were examined.
    """
    cells: list[np.ndarray] = []
    for start in range(0, len(report.findings), columns):
        row = report.findings[start : start + columns]
        blank = [np.full_like(samples[0], 255)] * (columns - len(row))
        cells += [samples[pair.sample] for pair in row] + blank
        cells += [training[pair.training] for pair in row] + blank
    names = ["sample", "training"] * (len(cells) // columns // 2)
    return pixels.draw_contact_sheet(np.stack(cells), columns, row_names=names, side=SHEET_SIDE)
