"""Measure the quality, the verdicts and the speed of the cut-out methods.

python benchmarks/cutout.py --model=u2netp.onnx --backgrounds=my_photos/

The scenes have true masks (_cutout_scenes.py). Three tables: for each scene and method the mean
intersection over union (IoU), the boundary error (mean distance between both outlines, in pixels at
512 pixels a side) and the mean error of the coverage in points; for each method how far a verdict
can be trusted; the seconds of one core per image at several sizes. The thresholds of `auto` were
chosen with the seeds 7, 100 and 101, those of holes with `clutter` of the seeds 201 to 210, too.
Methods without their package or file are left out; without --model, `auto` works without the
network.
"""

import dataclasses
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _cutout_scenes
from benchmarks._cutout_scenes import SCENES
from prodgen.cli import commandline
from prodgen.config import registry
from prodgen.core.errors import MissingInput, RejectedItem
from prodgen.photo import auto, background_removal, grabcut
from prodgen.photo.mask_estimate import Segmenter

FLAGS = flags.FLAGS
flags.DEFINE_integer("n", 16, "Products of each scene.")
flags.DEFINE_integer("seed", 11, "Seed of the scenes.")
flags.DEFINE_integer("first", 0, "Number of the first product: its kind is this modulo 16.")
flags.DEFINE_integer("side", 256, "Pixels per side of the images.")
flags.DEFINE_string("model", "", "The file u2netp.onnx; without it the method neural is left out.")
flags.DEFINE_string("backgrounds", "", "A folder of photos; without it `clutter` is left out.")
flags.DEFINE_list("scenes", list(SCENES), "Scenes.")
flags.DEFINE_list("sizes", ["512", "1024", "2048", "4000"], "Pixels per side for the timing.")
flags.DEFINE_string("sheet", "", "A PNG to write: every scene over the mask of auto.")
MAX_CLEAN_ERROR, MIN_WRONG_ERROR = 2.0, 5.0  # points of coverage: well cut out, and spoilt
BOUNDARY_SIDE = 512  # pixels a side that boundary errors are given for


@dataclasses.dataclass(frozen=True)
class Score:
    """iou in [0, 1]; boundary_error: pixels at 512 a side; coverage_error: points, 0..100."""

    iou: float
    boundary_error: float
    coverage_error: float
    doubts: tuple[str, ...]


def load_segmenters(model: str) -> dict[str, Segmenter]:
    """The methods whose package and file are installed; the network runs once an image."""
    segmenters = {}
    for name in registry.CUTOUTS:
        try:
            segmenters[name] = background_removal.load_segmenter(name, model)
        except MissingInput as error:
            print(f"left out: {error}", file=sys.stderr)
    if "neural" in segmenters and model:
        segment_neural, estimates = segmenters["neural"], {}

        def segment_once(image: np.ndarray):
            key = hash(image.tobytes())
            if key not in estimates:
                estimates.clear()
                estimates[key] = segment_neural(image)
            return estimates[key]

        segmenters["neural"] = segment_once
        opencv = grabcut.find_opencv()
        segmenters["auto"] = lambda image: auto.segment(image, segment_once(image), opencv)
    return segmenters


def score_cutout(image: np.ndarray, truth: np.ndarray, segmenter: Segmenter
                 ) -> tuple[Score, np.ndarray]:  # fmt: skip
    """The score of a method on an image with its true mask bool [S, S], and its mask."""
    try:
        result = background_removal.cut_out(image, segmenter)
    except RejectedItem as refusal:
        worst = Score(0.0, float(BOUNDARY_SIDE), 100 * truth.mean(), (str(refusal),))
        return worst, np.zeros_like(truth)
    mask = result.alpha > 127
    iou = (mask & truth).sum() / (mask | truth).sum()
    error = 100 * abs(mask.mean() - truth.mean())
    doubts = tuple(finding.key for finding in result.quality.doubts)
    return Score(float(iou), measure_boundary_error(mask, truth), float(error), doubts), mask


def measure_boundary_error(mask: np.ndarray, truth: np.ndarray) -> float:
    """The mean distance from each outline to the other, pixels at 512 pixels a side."""
    outlines = [region ^ ndimage.binary_erosion(region) for region in (mask, truth)]
    if not all(outline.any() for outline in outlines):
        return float(BOUNDARY_SIDE)
    distances = [ndimage.distance_transform_edt(~outline) for outline in outlines]
    mean = (distances[0][outlines[1]].mean() + distances[1][outlines[0]].mean()) / 2
    return float(mean) * BOUNDARY_SIDE / max(mask.shape)


def print_scores(scores: dict[tuple[str, str], list[Score]], methods: list[str]) -> None:
    """IoU / boundary error / coverage error, a row a scene and a column a method."""
    print(f"| scene | {' | '.join(methods)} |\n|---{'|---' * len(methods)}|")
    for scene in [*dict.fromkeys(scene for scene, _ in scores), "all"]:
        cells = []
        for method in methods:
            group = [score for (name, column), values in scores.items() for score in values
                     if column == method and scene in (name, "all")]  # fmt: skip
            means = np.mean([(s.iou, s.boundary_error, s.coverage_error) for s in group], axis=0)
            cells.append(f"{means[0]:.3f} / {means[1]:.1f} / {means[2]:.1f}")
        print(f"| {scene} | {' | '.join(cells)} |")


def print_verdicts(scores: dict[tuple[str, str], list[Score]], methods: list[str]) -> None:
    """Of spoilt and of good cut-outs, the shares that have no doubt.

    Glass is left out: an opaque cut-out of it is wrong whatever its outline.
    """
    print(
        "\n| method | off by more than 5 points | of them clean | within 2 points | of them clean |"
    )
    print("|---|---|---|---|---|")
    for method in methods:
        group = [score for (name, column), values in scores.items() for score in values
                 if column == method and name != "glass"]  # fmt: skip
        wrong = [score for score in group if score.coverage_error > MIN_WRONG_ERROR]
        good = [score for score in group if score.coverage_error <= MAX_CLEAN_ERROR]
        cells = [method]
        for part in (wrong, good):
            count = sum(not score.doubts for score in part)
            cells += [f"{len(part)}", f"{count} ({count / max(1, len(part)):.0%})"]
        print(f"| {' | '.join(cells)} |")


def measure_seconds(side: int, segmenter: Segmenter) -> float:
    """The median of three timings, seconds of one core, for a product before a wall."""
    image, _ = _cutout_scenes.shoot("wall", 0, 8, 256, ())
    image = np.asarray(Image.fromarray(image).resize((side, side)))
    times = []
    for k in range(3):
        image = np.roll(image, k, axis=1)  # no image is seen twice
        start = time.process_time()
        background_removal.cut_out(image, segmenter)
        times.append(time.process_time() - start)
    return statistics.median(times)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    segmenters = load_segmenters(FLAGS.model)
    methods = list(segmenters)
    photos = _cutout_scenes.read_backgrounds(FLAGS.backgrounds, FLAGS.side, FLAGS.seed)
    scores: dict[tuple[str, str], list[Score]] = {}
    rows = []
    for scene in FLAGS.scenes:
        if scene == "clutter" and not photos:
            continue
        rows.append([])
        for index in range(FLAGS.first, FLAGS.first + FLAGS.n):
            image, alpha = _cutout_scenes.shoot(scene, FLAGS.seed, index, FLAGS.side, photos)
            for method, segmenter in segmenters.items():
                score, mask = score_cutout(image, alpha > 0.5, segmenter)
                scores.setdefault((scene, method), []).append(score)
                if method == "auto":
                    print(scene, index, f"{score.iou:.3f}", *score.doubts, file=sys.stderr)
                    overlay = np.stack([mask, alpha > 0.5, mask], axis=-1) * np.uint8(255)
                    rows[-1].append(np.concatenate([image, overlay]))
    print_scores(scores, methods)
    print_verdicts(scores, methods)
    if FLAGS.sheet:
        sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
        Image.fromarray(sheet).reduce(2).save(FLAGS.sheet)
    if not FLAGS.sizes:
        return
    print(f"\n| seconds of a core | {' | '.join(f'{size} px' for size in FLAGS.sizes)} |")
    print("|---" * (1 + len(FLAGS.sizes)) + "|")
    for method, segmenter in segmenters.items():
        times = (f"{measure_seconds(int(size), segmenter):.2f}" for size in FLAGS.sizes)
        print(f"| {method} | {' | '.join(times)} |", flush=True)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
