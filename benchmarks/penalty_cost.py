"""What do gradient penalties cost? A step with R1, and one with R1 and R2, against one without.

python benchmarks/penalty_cost.py [--config=configs/gan.py] [--rounds=5] [--steps=10]

The three steps take turns in one process, so that a disturbance meets all of them; the ratio is
taken within each round, and the median over the rounds counts. A lazy penalty pays its share:
with R = ratio and a penalty on every n-th step, training takes (R + n - 1) / n times as long.
"""

import json
import statistics
import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import throughput  # with its flags --rounds and --steps
from prodgen.cli import commandline
from prodgen.config import set_field, validate
from prodgen.core.errors import UsageError
from prodgen.data import prepare
from prodgen.parallel import device_mesh
from prodgen.runs.run import get_step_module
from prodgen.steps import gan

FLAGS = flags.FLAGS
PENALTIES = ("none", "r1", "r1_r2")


def penalised(config: ConfigDict, penalty: str) -> ConfigDict:
    """The config with a penalty on every step."""
    own = ConfigDict(config.to_dict())
    set_field(own, "loss.penalty", penalty)
    set_field(own, "loss.penalty_every", 1)
    return validate(own).lock()


def measure(config: ConfigDict, store, rounds: int, steps: int) -> tuple[dict, dict]:
    """(FLOPs of a step, its seconds in each round), by penalty."""
    mesh = device_mesh.make_mesh(config)
    sides, flops = {}, {}
    for name in PENALTIES:
        once, flops[name], _ = throughput.our_step(penalised(config, name), store, mesh)
        throughput.timed(once, 1)
        sides[name] = once
    seconds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, once in sides.items():
            seconds[name].append(throughput.timed(once, steps))
    return flops, seconds


def main(argv: list[str]) -> None:
    chosen, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config = commandline.read_config(chosen or "configs/gan.py", overrides)
    if get_step_module(config) is not gan:
        raise UsageError(
            f"config.model.name={config.model.name} is no GAN", "choose --config=configs/gan.py"
        )
    device_mesh.keep_freed_memory()  # as a run does
    store = prepare.open_or_prepare(config.data)
    flops, seconds = measure(config, store, FLAGS.rounds, FLAGS.steps)
    plain = seconds["none"]
    ratios = {
        name: [a / b for a, b in zip(seconds[name], plain, strict=True)] for name in PENALTIES[1:]
    }
    result = {
        "ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "ratio_range": {name: [min(values), max(values)] for name, values in ratios.items()},
        "ratio_of_flops": {name: flops[name] / flops["none"] for name in ratios},
        "seconds_a_step": {name: statistics.median(values) for name, values in seconds.items()},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
