"""How many images precision, recall, density and coverage need.

python benchmarks/sample_size.py [--sizes=20,40,80,150,300,600] [--draws=40]

Catalogue images of 32 px stand for samples, against as many other catalogue images: other real
images ("equal"), only half of the categories ("half"), and images with noise of 60 levels
("noise"). Prints a Markdown table: for each size, the mean over draws +- the standard deviation
of a draw, in features of `pixels`. A size is large enough where a fault differs from "equal" in a
single draw.
"""

import sys
from pathlib import Path

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.config import build_default_config
from prodgen.data import prepare
from prodgen.metrics import features, manifold, scores

FLAGS = flags.FLAGS
flags.DEFINE_list("sizes", ["20", "40", "80", "150", "300", "600"], "Images on either side.")
flags.DEFINE_integer("draws", 40, "Random subsets of each size.")

RESOLUTION = 32
NOISE_LEVELS = 60  # standard deviation


def collect_features() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Features [N, F] of real images, and those of the samples by their fault."""
    data = build_default_config().data
    with data.unlocked():
        data.source, data.resolution = "catalogue", RESOLUTION
        store = prepare.open_or_prepare(data, lambda text: print(text, file=sys.stderr))
    rng = np.random.default_rng(0)
    rows = store.fetch(rng.permutation(store.size))
    extract, half = features.pixels(), store.size // 2
    image, label = rows["image"][half:], rows["label"][half:]
    noise = rng.normal(0, NOISE_LEVELS, image.shape)
    return extract(rows["image"][:half]), {
        "equal": extract(image),
        "half": extract(image[label < len(store.spec.classes) // 2]),
        "noise": extract((image + noise).clip(0, 255).astype(np.uint8)),
    }


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    real, faults = collect_features()
    rng = np.random.default_rng(1)
    print("| | images | " + " | ".join(scores.MANIFOLD_METRICS) + " |\n|---|---|---|---|---|---|")
    for fault, fake in faults.items():
        for size in map(int, FLAGS.sizes):
            draws = []
            for _ in range(FLAGS.draws):
                sides = (side[rng.permutation(len(side))[:size]] for side in (real, fake))
                values = manifold.compute_prdc(*sides, scores.NUM_NEIGHBOURS)
                draws.append([values[name] for name in scores.MANIFOLD_METRICS])
            cells = zip(np.mean(draws, axis=0), np.std(draws, axis=0), strict=True)
            text = " | ".join(f"{mean:.2f} ± {std:.2f}" for mean, std in cells)
            print(f"| {fault} | {size} | {text} |", flush=True)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
