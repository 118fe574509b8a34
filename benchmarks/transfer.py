"""Do samples of runs on few pictures resemble the many that those few were taken from?

python benchmarks/transfer.py --workdirs=runs/tuned,runs/scratch \\
    --config=configs/gan.py:table --config.data.path=all_products.csv --out=transfer.png

The config names the many. Prints JSON: the Frechet distance of each run's samples to the many, in
features of a reference classifier (evaluation/classifier.py) that is trained on them with a seed
of its own and that no run has seen; "few" is the distance of the first run's training images, and
"floor" that of one half of the many to the other. --out draws samples of each run.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.data import prepare
from prodgen.evaluation import classifier as home
from prodgen.metrics import frechet
from prodgen.models import classifier

FLAGS = flags.FLAGS
flags.DEFINE_list("workdirs", [], "The runs, separated by commas.")
flags.DEFINE_integer("samples", 2048, "Samples of each run.")
flags.DEFINE_string("out", "", "A sheet to draw, a PNG; none without.")
BATCH, SHOWN, SEED = 64, 12, 1


def viewer(params) -> Callable[[np.ndarray], np.ndarray]:
    """A function of pictures uint8 [N, H, W, C] to the home network's features [N, F]."""
    net = classifier.Classifier(params["head"]["bias"].shape[0])
    see = jax.jit(lambda x: net.apply({"params": params}, pixels.to_float(x))[1])

    def features(pictures: np.ndarray) -> np.ndarray:
        parts = [np.asarray(see(pictures[i : i + BATCH])) for i in range(0, len(pictures), BATCH)]
        return np.concatenate(parts).astype(np.float64)

    return features


def main(argv: list[str]) -> None:
    chosen, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    if not FLAGS.workdirs:
        raise UsageError("no --workdirs were given", "name runs, separated by commas")
    config = commandline.read_config(chosen, overrides)
    models = {Path(path).name: prodgen.load(path, "latest") for path in FLAGS.workdirs}
    store = prepare.open_or_prepare(config.data)
    if wrong := [name for name, model in models.items() if model.spec.shape != store.spec.shape]:
        raise UsageError(f"{', '.join(wrong)}: not pictures of {store.spec.shape}")
    params, record = home.load_or_train(store, config.data, print_error, SEED)
    features = viewer(params)
    many = features(store.fetch(np.arange(store.size))["image"])
    first = prepare.open_or_prepare(next(iter(models.values())).config.data)
    few = features(first.fetch(first.ids("train"))["image"])
    shuffled = np.random.default_rng(0).permutation(len(many))
    result = {
        "many": len(many), "few": frechet.feature_distance(few, many),
        "floor": frechet.feature_distance(*np.array_split(many[shuffled], 2)), "home": record,
    }  # fmt: skip
    rows = [first.fetch(first.ids("train")[:SHOWN])["image"]]
    for name, model in models.items():
        made = model.sample(FLAGS.samples)
        result[name] = {
            "step": model.run.step,
            "frechet": frechet.feature_distance(features(made), many),
        }
        rows.append(made[:SHOWN])
    print(json.dumps(result, indent=1))
    if FLAGS.out:
        sheet = pixels.draw_contact_sheet(
            np.concatenate(rows), SHOWN, row_names=("real", *models), side=96
        )
        Path(FLAGS.out).write_bytes(pixels.encode_png(sheet))


def print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
