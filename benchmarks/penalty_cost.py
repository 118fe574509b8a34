"""Measure the cost of gradient penalties: steps with R1, and with R1 and R2, against one without.

python benchmarks/penalty_cost.py [--config=configs/gan.py] [--rounds=5] [--steps=10]

The three steps alternate in one process, so that a disturbance affects all of them. The ratio is
computed within each round, and the median over the rounds counts. With the ratio R and a lazy
penalty on every n-th step, training takes (R + n - 1) / n times as long.
"""

import json
import statistics
import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import throughput  # defines the flags --rounds and --steps
from prodgen.cli import commandline
from prodgen.config import set_field, validate
from prodgen.core.errors import UsageError
from prodgen.data import prepare
from prodgen.parallel import device_mesh
from prodgen.runs.run import get_step_module
from prodgen.steps import gan

FLAGS = flags.FLAGS
PENALTIES = ("none", "r1", "r1_r2")


def set_penalty(config: ConfigDict, penalty: str) -> ConfigDict:
    """A copy of the config with a penalty on every step."""
    copy = ConfigDict(config.to_dict())
    set_field(copy, "loss.penalty", penalty)
    set_field(copy, "loss.penalty_every", 1)
    return validate(copy).lock()


def measure(config: ConfigDict, store, rounds: int, steps: int) -> tuple[dict, dict]:
    """(FLOPs of a step, its seconds in each round), by penalty."""
    mesh = device_mesh.make_mesh(config)
    run_steps, flops = {}, {}
    for name in PENALTIES:
        run_step, flops[name], _ = throughput.build_jax_step(set_penalty(config, name), store, mesh)
        throughput.measure_seconds(run_step, 1)
        run_steps[name] = run_step
    seconds = {name: [] for name in run_steps}
    for _ in range(rounds):
        for name, run_step in run_steps.items():
            seconds[name].append(throughput.measure_seconds(run_step, steps))
    return flops, seconds


def main(argv: list[str]) -> None:
    config_name, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config = commandline.read_config(config_name or "configs/gan.py", overrides)
    if get_step_module(config) is not gan:
        raise UsageError(
            f"config.model.name={config.model.name} is not a GAN", "choose --config=configs/gan.py"
        )
    device_mesh.keep_freed_memory()  # as a run does
    store = prepare.open_or_prepare(config.data)
    flops, seconds = measure(config, store, FLAGS.rounds, FLAGS.steps)
    baseline = seconds["none"]
    ratios = {
        name: [a / b for a, b in zip(seconds[name], baseline, strict=True)]
        for name in PENALTIES[1:]
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
