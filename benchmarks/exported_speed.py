"""Measure the StableHLO generator of an export against the run's own program, in one process.

python benchmarks/exported_speed.py [--configs=configs/vaegan.py,configs/gan.py] [--rounds=15]

For each config: images per second of both at batches of 64, from NumPy to NumPy, without
compilation. A round times each once. The printed JSON has medians over the rounds and their ratio;
1 is equal speed. Processor seconds do not count what other programs do meanwhile. It also says
whether the two compiled programs have equally many operations of each kind, and how many branches
the exported one has. The weights are random: values do not change the time.
"""

import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.core import rng, trees
from prodgen.core.batches import BATCH_SIZE
from prodgen.data.conditions import Conditions
from prodgen.export import programs
from prodgen.model import Model
from prodgen.parallel import compilation
from prodgen.planning.program_inputs import find_spec
from prodgen.runs.run import Run, get_step_module

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "configs", ["configs/vaegan.py", "configs/dcgan.py", "configs/gan.py"], "Config files."
)
flags.DEFINE_integer("rounds", 15, "Timed rounds; each program is timed once per round.")
MIN_SECONDS = 0.3  # of a timing
CLOCKS = {"seconds": time.perf_counter, "processor_seconds": time.process_time}


def open_untrained(config, folder: Path) -> Model:
    """The model of a config with its first weights."""
    spec, _ = find_spec(config, Path())
    shape = (1, spec.num_columns)
    rows = np.zeros(1, np.int32), np.zeros(shape, np.float32), np.ones(shape, bool)
    Conditions(spec, *rows).save(folder)
    family = get_step_module(config)
    state = compilation.jit_unoptimised(
        lambda: family.init(config, spec, rng.key(0, "init")),
        jax.sharding.SingleDeviceSharding(jax.local_devices()[0]),
    )()
    return Model(Run(folder, {}, config, spec, family, 0, state))


def measure(model: Model, rounds: int) -> dict[str, float]:
    """Images per second of both programs and their ratios, and counts of the compiled programs."""
    weights = jax.device_put(trees.flatten_with_paths(model.generator[1]))
    part = programs.make_parts(model)["generator"]
    data = programs.export_program(part, weights)
    program = jax.jit(jax.export.deserialize(bytearray(data)).call)
    indices = np.arange(BATCH_SIZE)
    conditions, z = model.conditions.pick(0, indices), model.latents(indices)
    inputs = [{"z": z, **conditions}[tensor.name] for tensor in part.inputs]
    calls = {
        "own": lambda: model.decode(z, conditions),
        "exported": lambda: np.asarray(program(weights, *inputs)),
    }
    difference = np.abs(np.int32(calls["own"]()) - calls["exported"]()).max()
    text = program.lower(weights, *inputs).compile().as_text()
    own_text = jax.jit(part.apply).lower(part.unflatten(weights), *inputs).compile().as_text()
    return {
        "largest_difference_levels": int(difference),
        "operations_are_equal": count_operations(text) == count_operations(own_text),
        "branches": text.count(" conditional("),
        **compare_speed(calls, rounds),
    }


def count_operations(text: str) -> dict[str, int]:
    """How many instructions of each kind an optimised program has, without its parameters."""
    names = re.findall(r"^ +(?:ROOT )?%?\S+ = \S+ ([\w-]+)\(", text, re.MULTILINE)
    return Counter(name for name in names if name != "parameter")


def compare_speed(calls: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Images per second of both calls, and the speed of the second as a share of the first's."""
    repeats = max(1, round(MIN_SECONDS / time_call(calls["own"], 1)["seconds"]))
    times = {name: [] for name in calls}
    for index in range(rounds):
        # Either program goes first in turn.
        for name in list(calls)[:: 1 if index % 2 else -1]:
            times[name].append(time_call(calls[name], repeats))
    results = {}
    for clock in CLOCKS:
        own, other = (statistics.median(x[clock] for x in times[name]) for name in calls)
        results[f"ratio_by_{clock}"] = round(own / other, 3)
        if clock == "seconds":
            results["own_images_per_second"] = round(BATCH_SIZE / own, 1)
            results["exported_images_per_second"] = round(BATCH_SIZE / other, 1)
    return results


def time_call(call: Callable, repeats: int) -> dict[str, float]:
    """The seconds of a call by each clock, the mean of some repetitions."""
    start = {name: clock() for name, clock in CLOCKS.items()}
    for _ in range(repeats):
        call()
    return {name: (clock() - start[name]) / repeats for name, clock in CLOCKS.items()}


def main(argv):
    commandline.parse_flags(argv)
    results = {}
    for name in FLAGS.configs:
        with tempfile.TemporaryDirectory() as folder:
            model = open_untrained(commandline.read_config(name), Path(folder))
            results[name] = measure(model, FLAGS.rounds)
        print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
