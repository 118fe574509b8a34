"""Evaluate a run on a whole held-out split: evidence lower bound, bits per dimension, PSNR.

python benchmarks/held_out.py --workdir=runs/vae-fashion_mnist-... [--split=test] [--step=best]
"""

import json
import sys
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.data import prepare
from prodgen.evaluation import classifier
from prodgen.evaluation.evaluator import Evaluator
from prodgen.parallel import device_mesh
from prodgen.runs.run import open_run

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_enum("split", "test", ["validation", "test"], "Which images.")
flags.DEFINE_string("step", "best", "The checkpoint.")


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    run = open_run(Path(FLAGS.workdir), FLAGS.step)
    store, config = prepare.open_or_prepare(run.config.data), run.config
    config.train.evaluate_examples = 0  # all
    mesh = device_mesh.make_mesh(config)
    frozen, _ = classifier.load_frozen_networks(run.step_module, config, store, lambda text: None)
    values = Evaluator(run.step_module, config, store, mesh, FLAGS.split)(run.state, frozen)
    split = {"split": FLAGS.split, "pictures": len(store.ids(FLAGS.split)), "step": run.step}
    print(json.dumps(split | values, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
