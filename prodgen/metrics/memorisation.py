"""Does a generator give back its training pictures? Copies, nearness, repetition, and a verdict.

Three sets are compared: samples, the training pictures, and held-back pictures, real ones that the
generator never saw. What held-back pictures do, honest samples may do: they are the measure.

* Copies: samples whose likeness to a training picture is beyond what held-back pictures reach,
  also mirrored, moved a little, or recompressed (likeness.py; `copy_line` draws the line).
* Nearness in features: authenticity, the train-test gap, C_T (nearness.py).
* Repetition: samples whose likeness to another sample is beyond the same line.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from prodgen.core import pixels
from prodgen.metrics import likeness, nearness, neighbours

HELD_OUT_QUANTILE = (
    0.02  # share of the held-back pictures that come nearer than the one the line is drawn from
)
DISTANCE_MARGIN = (
    0.5  # of that one's distance: honest but blurred samples, means of several pictures, are
)
# up to twice as near as sharp ones, in squares
MAX_IDENTICAL_DISTANCE = (
    2e-3  # distance within which two pictures are one, whatever the held-back ones do
)
MIN_IMAGES = 20  # pictures of a set: fewer say nothing


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """A set of pictures: `image` uint8 [N, H, W, C], C of 1 or 3, and `features` float [N, F].

    The features are those of any extractor, the same for every set. ValueError for another type or
    shape, BadData for fewer than 20 pictures or features that are not finite.
    """

    image: np.ndarray
    features: np.ndarray

    def __post_init__(self) -> None:
        image = self.image
        if image.dtype != np.uint8 or image.ndim != 4 or image.shape[-1] not in (1, 3):
            raise ValueError(f"expected uint8 [N, H, W, 1 or 3], not {image.dtype} {image.shape}")
        if len(self.features) != len(image):
            raise ValueError(f"{len(image)} pictures have features of {len(self.features)}")
        neighbours.check_rows(self.features, MIN_IMAGES, "pictures to compare")

    def __len__(self) -> int:
        return len(self.image)


@dataclasses.dataclass(frozen=True)
class MatchedPair:
    """A sample and the training picture that it is most alike to, as places in their arrays.

    `likeness` is 1 for the same picture. `how`: "as is", "mirrored", "shifted by (down, right)" in
    pixels, or "mirrored, shifted by ...", where the shift is that of the sample mirrored back.
    `by_features` is the training picture nearest in features. `copy`: is it beyond the line?
    """

    sample: int
    training: int
    likeness: float
    how: str
    by_features: int
    copy: bool


@dataclasses.dataclass(frozen=True)
class Report:
    """What `examine` found; shares are of 0..1.

    `samples`, `training`, `held_back`: how many pictures. `line`: a likeness above it is a copy.
    `false_alarms`: the share of honest samples beyond it, at most (`copy_line`). `copies` and
    `held_back_copies`: the shares of samples and of held-back pictures beyond it. `repeats`: the
    share of samples that have another sample beyond it; `training_repeats`: the same of as many
    training pictures (fewer where there are fewer). `authenticity`, of samples, and
    `held_back_authenticity`; `gap` with `gap_low` and `gap_high`; `data_copying`: see nearness.py.
    `findings`: the most alike pairs, the most alike first.
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
    samples: ImageSet, training: ImageSet, held_back: ImageSet, *, seed: int = 0, most: int = 24
) -> Report:
    """Compare samples with the pictures that the generator saw, and with ones that it did not.

    Held-back pictures must stem from the same source as the training pictures, and must not be
    near-duplicates of them on purpose or for want of a check: they say what is normal. The report
    keeps `most` findings. `seed` draws subsets and the bootstrap; the same input gives the same
    report. ValueError where the pictures' shapes differ.
    """
    dice = np.random.Generator(np.random.Philox(seed))
    hint, distance = neighbours.find_nearest(samples.features, training.features)
    held_hint, held_distance = neighbours.find_nearest(held_back.features, training.features)
    _, spacing = neighbours.find_nearest(training.features)
    match = likeness.find_matches(samples.image, training.image, hint[:, None])
    held_match = likeness.find_matches(held_back.image, training.image, held_hint[:, None])
    line, false_alarms = copy_threshold(held_match.distance)
    some = dice.permutation(len(training))[: len(samples)]
    gap, low, high = nearness.generalisation_gap(
        samples.features, training.features, held_back.features, dice
    )
    order = np.argsort(match.distance, kind="stable")[:most]
    return Report(
        samples=len(samples),
        training=len(training),
        held_back=len(held_back),
        line=1 - line,
        false_alarms=false_alarms,
        copies=float((match.distance < line).mean()),
        held_back_copies=float((held_match.distance < line).mean()),
        repeats=_repeat_share(samples.image, samples.features, line),
        training_repeats=_repeat_share(training.image[some], training.features[some], line),
        authenticity=nearness.authenticity(hint, distance, spacing),
        held_back_authenticity=nearness.authenticity(held_hint, held_distance, spacing),
        gap=gap,
        gap_low=low,
        gap_high=high,
        data_copying=nearness.data_copying(distance, held_distance),
        findings=tuple(_finding(int(i), match, int(hint[i]), line) for i in order),
    )


def copy_threshold(held_back: np.ndarray) -> tuple[float, float]:
    """(distance below which a picture is a copy, share of honest samples below it, at most).

    `held_back` [T] are the distances of held-back pictures to their most alike training pictures.
    The line is half the k-th least of them, k = 0.02 (T + 1) rounded down, at least 1. An honest
    sample and the held-back pictures are exchangeable, so that it is nearer than the k-th of them
    with probability k / (T + 1) (the rank argument of conformal prediction, Vovk et al. 2005);
    halving makes it rarer. Data that hold pictures many times over would draw the line at 0: it is
    never below 0.002, and then the share counts the held-back pictures that are within.
    """
    count = len(held_back)
    rank = max(1, int(HELD_OUT_QUANTILE * (count + 1)))
    line = max(
        DISTANCE_MARGIN * float(np.partition(held_back, rank - 1)[rank - 1]), MAX_IDENTICAL_DISTANCE
    )
    rank = max(rank, 1 + int((held_back < line).sum()))
    return line, rank / (count + 1)


def _repeat_share(image: np.ndarray, features: np.ndarray, line: float) -> float:
    """The share of the pictures of a set that have another one within the distance `line`."""
    hint, _ = neighbours.find_nearest(features)
    return float(
        (likeness.find_matches(image, image, hint[:, None], same=True).distance < line).mean()
    )


def _finding(sample: int, match: likeness.Matches, by_features: int, line: float) -> MatchedPair:
    down, right = (int(x) for x in match.shift[sample])
    how = ["mirrored"] if match.mirrored[sample] else []
    how += [f"shifted by ({down}, {right})"] if down or right else []
    return MatchedPair(
        sample=sample,
        training=int(match.index[sample]),
        likeness=float(1 - match.distance[sample]),
        how=", ".join(how) or "as is",
        by_features=by_features,
        copy=bool(match.distance[sample] < line),
    )


def describe_verdict(report: Report) -> str:
    """What the report says, with its thresholds, for someone who sells the products."""
    return " ".join([_about_copies(report), *_about_the_rest(report)])


def _about_copies(report: Report) -> str:
    count = round(report.copies * report.samples)
    real = round(report.held_back_copies * report.held_back)
    line = (
        f"The line is a likeness of {report.line:.4f}, where 1 is the same picture: {real} of "
        f"{report.held_back} real pictures that were kept back from training are beyond it, and at "
        f"most {report.false_alarms:.1%} of honest samples."
    )
    if not count:
        return f"None of {report.samples} samples is a copy of a training picture. {line}"
    share = f"{count} of {report.samples} samples ({report.copies:.1%})"
    verb, noun = ("is", "a copy") if count == 1 else ("are", "copies")
    if report.copies <= report.held_back_copies:
        return (
            f"{share} {verb} as good as equal to a training picture, but real pictures that were "
            f"kept back are so no less often: the collection repeats itself. {line}"
        )
    few = report.copies <= report.false_alarms
    chance = " So few may also be products that happen to look alike." if few else ""
    return (
        f"{share} {verb} {noun} of training pictures: look at the sheet of pairs before you "
        f"publish any. {line}{chance}"
    )


def _about_the_rest(report: Report) -> list[str]:
    said = []
    if report.repeats > max(2 * report.training_repeats, report.false_alarms):
        said.append(
            f"The generator repeats itself: {report.repeats:.1%} of the samples have a twin among "
            f"them, of as many training pictures {report.training_repeats:.1%}."
        )
    if report.gap_low > 1:
        said.append(
            f"Samples lie {report.gap - 1:.1%} nearer to training pictures than to unseen ones "
            f"(99 % interval {report.gap_low - 1:.1%} to {report.gap_high - 1:.1%}): the generator "
            "has begun to learn its pictures by heart."
        )
    else:
        said.append("As a whole, samples lie no nearer to training pictures than to unseen ones.")
    said.append(
        f"{report.authenticity:.0%} of the samples keep their distance from the nearest training "
        f"picture, and {report.held_back_authenticity:.0%} of unseen real pictures do."
    )
    return said


def draw_pairs_sheet(
    report: Report, samples: np.ndarray, training: np.ndarray, *, columns: int = 8
) -> Image.Image:
    """The findings, the most alike first: rows of samples, and below each its training picture.

    `samples` and `training` uint8 [., H, W, C] are the pictures that were examined.
    """
    cells: list[np.ndarray] = []
    for start in range(0, len(report.findings), columns):
        row = report.findings[start : start + columns]
        blank = [np.full_like(samples[0], 255)] * (columns - len(row))
        cells += [samples[finding.sample] for finding in row] + blank
        cells += [training[finding.training] for finding in row] + blank
    names = ["sample", "training"] * (len(cells) // columns // 2)
    return pixels.draw_contact_sheet(np.stack(cells), columns, row_names=names, side=96)
