"""Compare samples of runs on few images with the full data set that the few were taken from.

python benchmarks/transfer.py --workdirs=runs/tuned,runs/scratch \\
    --config=configs/gan.py:table --config.data.path=all_products.csv --out=transfer.png

The config defines the full data set. Prints JSON: the Frechet distance of each run's samples to the
full set, in features of a reference classifier (evaluation/classifier.py) that is trained on the
full set with another seed than that of the runs. "few" is the distance of the first run's training
images, and "floor" that between two halves of the full set. --out draws samples of each run.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen.model
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.data import prepare
from prodgen.evaluation.classifier import load_or_train
from prodgen.metrics import frechet
from prodgen.models import classifier

FLAGS = flags.FLAGS
flags.DEFINE_list("workdirs", [], "The runs, separated by commas.")
flags.DEFINE_integer("samples", 2048, "Samples of each run.")
flags.DEFINE_string("out", "", "The PNG file of a contact sheet; optional.")
BATCH_SIZE, SHEET_COLUMNS, CLASSIFIER_SEED = 64, 12, 1


def make_feature_function(params) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images uint8 [N, H, W, C] to the reference classifier's features [N, F]."""
    net = classifier.Classifier(params["head"]["bias"].shape[0])
    apply = jax.jit(lambda x: net.apply({"params": params}, pixels.to_float(x))[1])

    def features(images: np.ndarray) -> np.ndarray:
        parts = [
            np.asarray(apply(images[i : i + BATCH_SIZE])) for i in range(0, len(images), BATCH_SIZE)
        ]
        return np.concatenate(parts).astype(np.float64)

    return features


def main(argv: list[str]) -> None:
    config_name, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    if not FLAGS.workdirs:
        raise UsageError("no --workdirs were given", "name runs, separated by commas")
    config = commandline.read_config(config_name, overrides)
    models = {Path(path).name: prodgen.model.load(path, "latest") for path in FLAGS.workdirs}
    store = prepare.open_or_prepare(config.data)
    if mismatches := [
        name for name, model in models.items() if model.spec.shape != store.spec.shape
    ]:
        raise UsageError(
            f"{', '.join(mismatches)}: the images do not have the shape {store.spec.shape}"
        )
    params, record = load_or_train(store, config.data, print_error, CLASSIFIER_SEED)
    features = make_feature_function(params)
    full_features = features(store.fetch(np.arange(store.size))["image"])
    first = prepare.open_or_prepare(next(iter(models.values())).config.data)
    few_features = features(first.fetch(first.ids("train"))["image"])
    permutation = np.random.default_rng(0).permutation(len(full_features))
    result = {
        "many": len(full_features), "few": frechet.feature_distance(few_features, full_features),
        "floor": frechet.feature_distance(*np.array_split(full_features[permutation], 2)),
        "home": record,
    }  # fmt: skip
    rows = [first.fetch(first.ids("train")[:SHEET_COLUMNS])["image"]]
    for name, model in models.items():
        samples = model.sample(FLAGS.samples)
        result[name] = {
            "step": model.run.step,
            "frechet": frechet.feature_distance(features(samples), full_features),
        }
        rows.append(samples[:SHEET_COLUMNS])
    print(json.dumps(result, indent=1))
    if FLAGS.out:
        sheet = pixels.draw_contact_sheet(
            np.concatenate(rows), SHEET_COLUMNS, row_names=("real", *models), side=96
        )
        Path(FLAGS.out).write_bytes(pixels.encode_png(sheet))


def print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
