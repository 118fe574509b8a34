"""Test the metrics: real images, degraded step by step, are evaluated in place of samples.

python benchmarks/ladder.py --out=ladder.png
python benchmarks/ladder.py --config=configs/vae.py:fashion_mnist --efficientnet=0

The images of a store are split into reference, training and test images. Each ladder degrades the
test images in rungs: blur, noise, missing categories, copies of training images, repetitions. The
last ladder only selects other real images, and so measures chance.

Prints JSON for each metric and ladder: the Spearman rank correlation with the rung, the mean over
seeds, +1 if the metric is worse at every rung; the change from the first to the last rung, in
standard deviations of chance; and the first rung from which on this change exceeds 3. --out draws a
figure.
"""

import dataclasses
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from absl import flags
from matplotlib.colors import LinearSegmentedColormap

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.core.errors import MissingInput, UsageError
from prodgen.data import prepare
from prodgen.data.store import Store
from prodgen.evaluation import classifier
from prodgen.metrics import features, likeness, memorisation, nearness, neighbours, product, scores
from prodgen.metrics.features import Extractor
from prodgen.report.plots import ACCENT, GRID, INK

FLAGS = flags.FLAGS
flags.DEFINE_integer("n", 750, "Number of reference, training and test images each.")
flags.DEFINE_integer("efficientnet", 96, "The same for efficientnet_lite0; 0: without it.")
flags.DEFINE_integer("seeds", 3, "Number of random splits.")
flags.DEFINE_string("out", "", "The PNG file of a figure; optional.")

NUM_COMPARED = 64  # test images that are compared pixel by pixel, and measured as packshots
MIN_EFFECT = 3.0  # standard deviations of chance with which a change counts as detected
BETTER_DIRECTION = scores.BETTER_DIRECTION | {
    "authenticity": scores.HIGHER, "gap": scores.LOWER, "data_copying": scores.HIGHER,
    "copies": scores.LOWER, "repeats": scores.LOWER, "blur": scores.LOWER,
}  # fmt: skip
"""The better direction of each metric. data_copying is a z score, which falls with copying."""
CHANCE = "nothing"
DISPLAY_NAMES = {"pictures/blur": "packshot blur"}  # in the figure; default: the metric's name
WRONG_COLOUR = "#c2410c"  # where a metric prefers the degraded images


@dataclasses.dataclass(frozen=True)
class DegradedImages:
    """Rows of a store in place of samples, and their degradation.

    ids int [n]; blur: standard deviation in pixels; noise: in levels of 255; seed: of the noise.
    """

    ids: np.ndarray
    blur: float = 0.0
    noise: float = 0.0
    seed: int = 0

    @property
    def is_degraded(self) -> bool:
        return bool(self.blur or self.noise)

    def fetch(self, store: Store, first: int | None = None) -> np.ndarray:
        """The images uint8 [n, R, R, C], or only the first ones."""
        images = store.fetch(self.ids[:first])["image"]
        return add_noise(blur_images(images, self.blur), self.noise, self.seed)


@dataclasses.dataclass(frozen=True)
class Split:
    """Disjoint rows of a store.

    reference, training: [n]. pool: all other rows in random order, of which n become test images.
    label: int [size], of every row.
    """

    reference: np.ndarray
    training: np.ndarray
    pool: np.ndarray
    label: np.ndarray
    n: int
    seed: int

    @classmethod
    def draw(cls, label: np.ndarray, n: int, seed: int) -> "Split":
        """A random split; UsageError for fewer than 3 n images."""
        if len(label) < 3 * n:
            raise UsageError(f"{len(label)} images are too few for 3 groups of {n}", "lower --n")
        order = np.random.default_rng(seed).permutation(len(label))
        return cls(order[:n], order[n : 2 * n], order[2 * n :], label, n, seed)


def blur_images(images: np.ndarray, std: float) -> np.ndarray:
    """Blur images uint8 [N, H, W, C] with a Gaussian; std in pixels; edge pixels are repeated."""
    if not std:
        return images
    x = images.astype(np.float32)
    for axis, letters in ((1, "yh,nhwc->nywc"), (2, "xw,nhwc->nhxc")):
        side, radius = x.shape[axis], math.ceil(4 * std)
        window = np.exp(-np.square(np.arange(-radius, radius + 1)) / (2 * std**2))
        weights = np.zeros((side, side), np.float32)
        for offset, weight in zip(range(-radius, radius + 1), window / window.sum(), strict=True):
            index = np.arange(side)
            weights[index, np.clip(index + offset, 0, side - 1)] += weight
        x = np.einsum(letters, weights, x, optimize=True)
    return x.round().clip(0, 255).astype(np.uint8)


def add_noise(images: np.ndarray, std: float, seed: int) -> np.ndarray:
    """Add normal noise to images uint8 [N, H, W, C]; std in levels of 255; the sum is clipped."""
    if not std:
        return images
    noise = np.random.default_rng(seed).normal(0, std, images.shape)
    return (images + noise).round().clip(0, 255).astype(np.uint8)


def blur(split: Split, pixels: float) -> DegradedImages:
    """The test images, blurred."""
    return DegradedImages(split.pool[: split.n], blur=pixels)


def noise(split: Split, levels: float) -> DegradedImages:
    """The test images with noise."""
    return DegradedImages(split.pool[: split.n], noise=levels, seed=split.seed)


def remove_categories(split: Split, count: float) -> DegradedImages:
    """Test images without `count` categories; fewer than n where the pool has too few others."""
    categories = np.random.default_rng(split.seed).permutation(np.unique(split.label))
    ids = split.pool[~np.isin(split.label[split.pool], categories[: int(count)])]
    return DegradedImages(ids[: split.n])


def insert_copies(split: Split, share: float) -> DegradedImages:
    """A share of the test images is replaced by training images, each once, at random positions."""
    ids, count = split.pool[: split.n].copy(), round(share * split.n)
    positions = np.random.default_rng(split.seed).permutation(split.n)[:count]
    ids[positions] = split.training[:count]
    return DegradedImages(ids)


def repeat(split: Split, times: float) -> DegradedImages:
    """Each test image that often, in random order."""
    ids = np.resize(split.pool[: math.ceil(split.n / times)], split.n)
    return DegradedImages(np.random.default_rng(split.seed).permutation(ids) if times > 1 else ids)


def select_others(split: Split, number: float) -> DegradedImages:
    """Other real images of the pool."""
    if not number:
        return DegradedImages(split.pool[: split.n])
    rng = np.random.default_rng((split.seed, int(number)))
    return DegradedImages(rng.permutation(split.pool)[: split.n])


@dataclasses.dataclass(frozen=True)
class Ladder:
    """A degradation. levels: from none to the strongest; degrade: the test images of a level."""

    levels: tuple[float, ...]
    degrade: Callable[[Split, float], DegradedImages]
    unit: str


def make_ladders(num_categories: int, max_missing: int) -> dict[str, Ladder]:
    """The ladders by name; max_missing: how many categories can be removed at most."""
    shares = np.unique(np.round(np.linspace(0, 5 / 8, 6) * num_categories))
    num_missing = tuple(float(count) for count in shares if count <= max_missing)
    ladders = {
        "blur": Ladder((0, 0.5, 1, 1.5, 2, 3), blur, "pixels"),
        "noise": Ladder((0, 5, 10, 20, 40, 80), noise, "levels of 255"),
        "missing categories": Ladder(num_missing, remove_categories, f"of {num_categories}"),
        "copies of training": Ladder((0, 0.1, 0.25, 0.5, 0.75, 1), insert_copies, "share"),
        "repetition": Ladder((1, 2, 4, 8, 16, 32), repeat, "times each"),
        CHANCE: Ladder((0, 1, 2, 3, 4, 5), select_others, "other real pictures"),
    }
    return {name: ladder for name, ladder in ladders.items() if len(ladder.levels) > 2}


def max_missing_categories(splits: list[Split]) -> int:
    """The largest number of removed categories with which every split has n test images."""
    count = len(np.unique(splits[0].label))
    is_possible = [
        all(len(remove_categories(split, k).ids) == split.n for split in splits)
        for k in range(count)
    ]
    return is_possible.index(False) - 1 if False in is_possible else count - 1


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """The rank correlation of two series [n]; equal values share their mean rank.

    0 where a series is constant.
    """
    a, b = (_ranks(np.asarray(series, float)) for series in (x, y))
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length else 0.0


def _ranks(series: np.ndarray) -> np.ndarray:
    below = (series[:, None] > series).sum(1)
    return below + ((series[:, None] == series).sum(1) - 1) / 2


class CachedExtractor:
    """An extractor with a cache of the features of a store's unmodified images."""

    def __init__(self, extractor: Extractor, store: Store):
        self.extractor, self.store = extractor, store
        self.cache: dict[int, np.ndarray] = {}

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """float32 [n, F] of the rows `ids` of the store."""
        new = np.array([i for i in np.unique(ids) if int(i) not in self.cache], int)
        if len(new):
            features = self.extractor(self.store.fetch(new)["image"])
            self.cache |= zip(new.tolist(), features, strict=True)
        return np.stack([self.cache[int(i)] for i in ids])

    def __call__(self, images: DegradedImages) -> np.ndarray:
        """float32 [n, F] of test images."""
        if images.is_degraded:
            return self.extractor(images.fetch(self.store))
        return self.rows(images.ids)


def measure_features(real: np.ndarray, fake: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """Every metric of features [n, F]; the real images count as held out."""
    metrics: dict[str, float] = {}
    for measure, _ in scores.MEASURES:
        metrics |= measure(real, fake)
    hint, distance = neighbours.find_nearest(fake, training)
    spacing = neighbours.find_nearest(training)[1]
    return metrics | {
        "authenticity": nearness.authenticity(hint, distance, spacing),
        "gap": nearness.generalisation_gap(fake, training, real, np.random.default_rng(0))[0],
        "data_copying": nearness.data_copying(distance, neighbours.find_nearest(real, training)[1]),
    }


def measure_images(
    extractor: CachedExtractor,
    split: Split,
    damaged_images: DegradedImages,
    features: np.ndarray,
    threshold: float,
) -> dict[str, float]:
    """Copies, repeats and sharpness of the first NUM_COMPARED images.

    features: of all images. threshold: the distance below which two images are copies.
    """
    store, training = extractor.store, extractor.rows(split.training)
    images, rows = damaged_images.fetch(store), slice(NUM_COMPARED)
    hint = neighbours.find_nearest(features[rows], training)[0]
    copies = likeness.find_matches(
        images[rows], store.fetch(split.training)["image"], hint[:, None]
    )
    repeats = likeness.find_matches(
        images[rows], images, neighbours.find_nearest(features)[0][rows, None], same=True
    )
    blurs = [product.measure(image).blur for image in images[rows]]
    return {
        "copies": float((copies.distance < threshold).mean()),
        "repeats": float((repeats.distance < threshold).mean()),
        "blur": float(np.nanmedian(blurs)),
    }


def find_copy_threshold(extractor: CachedExtractor, split: Split) -> float:
    """The distance below which an image is a copy, from the first reference images."""
    held_out, store = split.reference[:NUM_COMPARED], extractor.store
    hint = neighbours.find_nearest(extractor.rows(held_out), extractor.rows(split.training))[0]
    images = (store.fetch(ids)["image"] for ids in (held_out, split.training))
    return memorisation.copy_threshold(likeness.find_matches(*images, hint[:, None]).distance)[0]


Values = dict[str, dict[str, np.ndarray]]  # by metric and ladder: [seeds, rungs]


def measure_ladders(
    extractor: CachedExtractor, splits: list[Split], ladders: dict[str, Ladder], pixelwise: bool
) -> Values:
    """Every metric on every rung, with one extractor; pixelwise: also the metrics of images."""
    name = extractor.extractor.identity.name
    values: dict[str, dict[str, list]] = {}
    for split in splits:
        say(f"{name}: split {split.seed + 1} of {len(splits)}")
        real, training = extractor.rows(split.reference), extractor.rows(split.training)
        threshold = find_copy_threshold(extractor, split) if pixelwise else math.nan

        def measure(images, split=split, real=real, training=training, threshold=threshold):
            features = extractor(images)
            metrics = measure_features(real, features, training)
            rung = {f"{name}/{metric}": value for metric, value in metrics.items()}
            if pixelwise:
                metrics = measure_images(extractor, split, images, features, threshold)
                rung |= {f"pictures/{metric}": value for metric, value in metrics.items()}
            return rung

        # The first rung is the same in all ladders: no degradation.
        first_rung = measure(DegradedImages(split.pool[: split.n]))
        for column, ladder in ladders.items():
            levels = ladder.levels[1:]
            rungs = [first_rung, *(measure(ladder.degrade(split, level)) for level in levels)]
            for row in first_rung:
                series = [rung[row] for rung in rungs]
                values.setdefault(row, {}).setdefault(column, []).append(series)
    return {
        row: {column: np.array(series) for column, series in columns.items()}
        for row, columns in values.items()
    }


def summarise(
    row: str, columns: dict[str, np.ndarray], ladders: dict[str, Ladder]
) -> dict[str, dict]:
    """By ladder: rank, effect and from of a metric, and its mean at each rung.

    rank: the mean over seeds of the rank correlations, +1 if every rung is worse than the last.
    effect: the change of the mean from the first to the last rung, in standard deviations of
    chance, positive if worse. from: the first level from which on all means are MIN_EFFECT of them
    worse, or None.
    """
    metric = row.rpartition("/")[2]
    sign = -1 if BETTER_DIRECTION[metric] == scores.HIGHER else 1
    chance_std = _chance_std(columns[CHANCE], is_share=metric in ("copies", "repeats"))
    result = {}
    for column, values in columns.items():
        levels, means = ladders[column].levels, values.mean(0)
        ranks = [spearman(np.array(levels), sign * series) for series in values]
        change = sign * (means - means[0]) / chance_std
        last_undetected = np.flatnonzero(~(change > MIN_EFFECT))[-1]
        is_detected = last_undetected + 1 < len(levels)
        result[column] = {
            "rank": float(np.mean(ranks)),
            "effect": float(change[-1]),
            "from": levels[last_undetected + 1] if is_detected else None,
            "means": [float(value) for value in means],
        }
    return result


def _chance_std(chance: np.ndarray, is_share: bool) -> float:
    """The standard deviation of a metric by chance alone, from values [seeds, rungs].

    Its lower bound is one compared image for a share, else 0.001 of the largest value.
    """
    min_std = 1 / NUM_COMPARED if is_share else 1e-3 * float(np.abs(chance).max())
    return max(float(chance.std(ddof=1)), min_std, 1e-12)


def make_colour_map() -> LinearSegmentedColormap:
    """Orange: better; pale: no difference; blue: worse."""
    return LinearSegmentedColormap.from_list("ladder", [WRONG_COLOUR, "#f1f5f9", ACCENT])


def draw_figure(
    store: Store, split: Split, ladders: dict[str, Ladder], table: dict[str, dict], out: Path
) -> None:
    """Draw images of each ladder above bars: the colour is the rank, the width the effect."""
    rows, columns = list(table), list(ladders)
    figure = plt.figure(figsize=(2.05 * len(columns) + 2, 0.235 * len(rows) + 2.9))
    grid = figure.add_gridspec(
        2, len(columns), height_ratios=(0.95, 0.235 * len(rows) + 0.3),
        left=0.145, right=0.99, top=0.915, bottom=0.075, hspace=0.07, wspace=0.06,
    )  # fmt: skip
    for i, (name, ladder) in enumerate(ladders.items()):
        axis = figure.add_subplot(grid[0, i])
        _draw_images(axis, store, split, ladder)
        axis.set_title(name, fontsize=11, color=INK, loc="left", weight="bold", pad=16)
        axis.text(0, 1.06, ladder.unit, transform=axis.transAxes, fontsize=8, color=INK)
    _draw_bars(figure.add_subplot(grid[1, :]), rows, columns, table)
    _draw_legend(figure)
    figure.savefig(out, dpi=110, format="png", metadata={"Software": None})
    plt.close(figure)


def _draw_images(axis, store: Store, split: Split, ladder: Ladder) -> None:
    """Draw two images of every rung, with a frame around training images."""
    side, gap = store.spec.shape[0], max(2, store.spec.shape[0] // 16)
    count, step = len(ladder.levels), side + gap
    canvas = np.full((2 * step - gap, count * step - gap, 3), 255, np.uint8)
    for i, level in enumerate(ladder.levels):
        damaged_images = ladder.degrade(split, level)
        for j, image in enumerate(damaged_images.fetch(store, 2)):
            canvas[j * step : j * step + side, i * step : i * step + side] = image
            if damaged_images.ids[j] in split.training:
                corner = (i * step - 0.5, j * step - 0.5)
                axis.add_patch(
                    plt.Rectangle(corner, side, side, fill=False, ec=WRONG_COLOUR, lw=1.2)
                )
    axis.imshow(canvas, interpolation="antialiased", aspect="equal")
    axis.set_xticks([i * step + side / 2 for i in range(count)])
    axis.set_xticklabels([f"{level:g}" for level in ladder.levels], fontsize=8, color=INK)
    axis.set_yticks([])
    axis.tick_params(length=0, pad=2)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _bar_width(effect: float) -> float:
    """The width of a bar as a share of its cell: logarithmic, 1 from 100 standard deviations on."""
    return 0.2 + 0.8 * min(1.0, math.log1p(abs(effect)) / math.log(101))


def _draw_bars(axis, rows: list[str], columns: list[str], table: dict[str, dict]) -> None:
    colour_map, groups = make_colour_map(), [row.partition("/")[0] for row in rows]
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            cell = table[row][column]
            width, colour = 0.96 * _bar_width(cell["effect"]), colour_map((cell["rank"] + 1) / 2)
            corner = (x + 0.5 - width / 2, y + 0.08)
            axis.add_patch(plt.Rectangle(corner, width, 0.84, fc=colour, ec="none"))
            is_dark = abs(cell["rank"]) > 0.6
            text = f"{cell['rank']:+.2f}".replace("-", "\N{MINUS SIGN}")
            axis.text(
                x + 0.5, y + 0.52, text, ha="center", va="center", fontsize=8,
                color="white" if is_dark else INK,
            )  # fmt: skip
    starts = [i for i in range(len(rows)) if i == 0 or groups[i] != groups[i - 1]]
    for start in starts:
        size = groups.count(groups[start])
        axis.axhline(start, color=INK, lw=0.8)
        axis.text(
            -0.86, start + size / 2, groups[start], rotation=90, ha="center", va="center",
            fontsize=9, color=INK, weight="bold",
        )  # fmt: skip
    for x in range(len(columns) + 1):
        axis.axvline(x, color=GRID, lw=0.8, zorder=0)
    axis.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axis.set_yticks(np.arange(len(rows)) + 0.5)
    axis.set_yticklabels(
        [DISPLAY_NAMES.get(row, row.partition("/")[2]) for row in rows], fontsize=9, color=INK
    )
    axis.set_xticks([])
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _draw_legend(figure) -> None:
    figure.text(
        0.012,
        0.975,
        "Which metric detects which degradation?",
        fontsize=15,
        color=INK,
        weight="bold",
        va="center",
    )
    bar = figure.add_axes((0.16, 0.034, 0.2, 0.014))
    bar.imshow(
        np.linspace(0, 1, 256)[None], aspect="auto", cmap=make_colour_map(), extent=(-1, 1, 0, 1)
    )
    bar.set(yticks=[], xticks=[-1, 0, 1])
    bar.set_xticklabels(["better", "no difference", "worse"])
    bar.tick_params(length=0, labelsize=8, colors=INK)
    for spine in bar.spines.values():
        spine.set_visible(False)
    key = figure.add_axes((0.44, 0.004, 0.55, 0.062))
    key.set(xlim=(0, 10), ylim=(0, 1))
    key.axis("off")
    for i, effect in enumerate((1, 3, 10, 30, 100)):
        width = 0.9 * _bar_width(effect)
        key.add_patch(plt.Rectangle((i + 0.5 - width / 2, 0.32), width, 0.36, fc=GRID))
        key.text(i + 0.5, 0.5, f"{effect}", ha="center", va="center", fontsize=8, color=INK)
    key.text(5.1, 0.5, "width: change up to the last rung, in standard deviations of chance",
             va="center", fontsize=8, color=INK)  # fmt: skip


def run_study(
    store: Store, extractors: list[tuple[Extractor, int]], seeds: int, out: str = ""
) -> dict:
    """The results of all metrics and ladders.

    extractors: each with its number of images. The first one also gives copies, repeats and blur.
    """
    table: dict[str, dict] = {}
    all_splits = [
        [Split.draw(store.label, n, seed) for seed in range(seeds)] for _, n in extractors
    ]
    num_categories = len(np.unique(store.label))
    max_missing = min(max_missing_categories(splits) for splits in all_splits)
    ladders = make_ladders(num_categories, max_missing)
    for i, ((extractor, _), splits) in enumerate(zip(extractors, all_splits, strict=True)):
        cached_extractor = CachedExtractor(extractor, store)
        values = measure_ladders(cached_extractor, splits, ladders, pixelwise=i == 0)
        table |= {row: summarise(row, columns, ladders) for row, columns in values.items()}
    # Metrics of images come first, then those of the first extractor.
    order = {"pictures": 0, extractors[0][0].identity.name: 1}
    table = dict(sorted(table.items(), key=lambda item: order.get(item[0].partition("/")[0], 2)))
    if out:
        draw_figure(store, all_splits[0][0], ladders, table, Path(out))
    return {
        "pictures": {str(extractor.identity): n for extractor, n in extractors}
        | {"looked at": NUM_COMPARED},
        "seeds": seeds,
        "levels": {name: ladder.levels for name, ladder in ladders.items()},
        "metrics": table,
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str]) -> None:
    config_name, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config = commandline.read_config(config_name or "configs/vae.py", overrides)
    store = prepare.open_or_prepare(config.data, say)
    params, record = classifier.load_or_train(store, config.data, say, seed=1)
    extractors = [
        (features.classifier_features(params, record["sha256"]), FLAGS.n),
        (features.pixels(), FLAGS.n),
    ]
    if FLAGS.efficientnet:
        try:
            extractors.append((features.efficientnet_lite0(), FLAGS.efficientnet))
        except MissingInput as error:
            say(f"left out: {error}")
    print(json.dumps(run_study(store, extractors, FLAGS.seeds, FLAGS.out), indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
