"""Measure what several devices cost at equal work: a train step on one and on N virtual devices.

python benchmarks/device_overhead.py [--config=configs/vae.py:quick] [--devices=8] [--rounds=7]

The devices are virtual ones of this machine's processor, so both sides have the same cores, and the
global batch is the same. Each side runs in its own process and waits while another is timed. A
round times each side once. The printed JSON has, for each mode (jit or pmap), the medians over the
rounds, their ratio, and the collectives of the compiled programs. With a lazy penalty, whole cycles
of step variants are timed. Images are noise, and trained networks that a step uses are zeros:
values do not change the time. Seconds are those of the clock and of the processor: the second do
not count what other programs do meanwhile. The ratios are meaningful, not the absolute times.
"""

import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.core import rng
from prodgen.core.errors import ProdgenError
from prodgen.parallel import compilation, device_mesh, program_counts
from prodgen.planning.program_inputs import build_batch, build_frozen_network, find_spec
from prodgen.runs.run import build_run_state, get_step_module

FLAGS = flags.FLAGS
flags.DEFINE_integer("devices", 8, "Virtual devices of the larger side.", lower_bound=2)
flags.DEFINE_list("modes", ["jit", "pmap"], "Modes of config.parallel.mode that are compared.")
flags.DEFINE_integer("rounds", 7, "Timed rounds; each side is timed once per round.")
flags.DEFINE_integer("steps", 5, "Timed steps per round, rounded up to whole cycles of variants.")
flags.DEFINE_boolean(
    "side", False, "Internal: run as one side, and time the steps for each line on standard input."
)


CLOCKS = ("seconds", "processor_seconds")


def make_batch(config, spec, seed: int) -> dict[str, np.ndarray]:
    """A batch of noise with labels of the data set's classes."""
    generator = np.random.default_rng(seed)
    shapes, size = build_batch(spec, config.train.batch_size), config.train.batch_size
    batch = {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in shapes.items()}
    batch["image"] = generator.integers(0, 256, shapes["image"].shape, np.uint8)
    batch["label"] = generator.integers(0, len(spec.classes), size, np.int32)
    return batch | {name: np.arange(size, dtype=np.int32) for name in ("id", "slot")}


def build_step(config):
    """(a function that runs one step, {variant: counts of collectives}, length of a cycle)."""
    mesh, family = device_mesh.make_mesh(config), get_step_module(config)
    spec, _ = find_spec(config, Path())
    on_all_devices = device_mesh.replicated_sharding(mesh)
    by_batch = device_mesh.batch_sharding(mesh)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, build_run_state(config, spec, mesh))
    state = compilation.jit_unoptimised(
        lambda: family.init(config, spec, rng.key(0, "init")), shardings
    )()
    batches = tuple(
        jax.device_put(make_batch(config, spec, seed), by_batch)
        for seed in range(family.real_batches(config))
    )
    frozen = {
        name: jax.tree.map(
            lambda leaf: np.zeros(leaf.shape, leaf.dtype), build_frozen_network(name, config, spec)
        )
        for name in family.frozen_networks(config)
    }
    frozen_and_seed = jax.device_put((frozen, np.int32(0)), on_all_devices)
    programs = compilation.compile_variants(
        family, config, spec, mesh, state, batches, frozen_and_seed
    )
    variants = compilation.list_variants(family, config, mesh)
    counts = {
        variant: count_collectives(program.as_text())
        for variant, program in zip(variants, programs, strict=True)
    }
    box, cycle = [state], itertools.cycle(programs)

    def run_step():
        box[0], metrics = next(cycle)(box[0], batches, frozen_and_seed)
        return metrics

    return run_step, counts, len(programs)


def count_collectives(text: str) -> dict[str, int]:
    """The collectives of an optimised program, and the bytes that they combine in a step."""
    counts = program_counts.count_instructions(text)
    return {"collectives": counts.collectives, "bytes": counts.collective_bytes}


def run_side(config) -> None:
    """Run as one side: print the counts, then seconds per step for each input line."""
    device_mesh.keep_freed_memory()  # as a run does
    run_step, counts, cycle_length = build_step(config)
    steps = math.ceil(FLAGS.steps / cycle_length) * cycle_length
    for _ in range(cycle_length + 1):
        jax.block_until_ready(run_step())
    print(json.dumps(counts), flush=True)
    for _ in sys.stdin:
        start = np.array([time.monotonic(), time.process_time()])
        for _ in range(steps):
            metrics = run_step()
        jax.block_until_ready(metrics)
        seconds = np.array([time.monotonic(), time.process_time()]) - start
        print(json.dumps(dict(zip(CLOCKS, seconds / steps, strict=True))), flush=True)


def start_side(argv: list[str], mode: str, num_devices: int) -> subprocess.Popen:
    """The process of one side."""
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}",
    }
    return subprocess.Popen(
        [sys.executable, *argv, "--side", f"--config.parallel.mode={mode}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def time_sides(argv: list[str]) -> tuple[dict, dict]:
    """({(mode, devices): counts of collectives}, {(mode, devices): [{clock: seconds a step}]})."""
    sides, counts = {}, {}
    for key in itertools.product(FLAGS.modes, (1, FLAGS.devices)):
        sides[key] = start_side(argv, *key)
        line = sides[key].stdout.readline()
        if not line:
            raise ProdgenError(f"the side {key} has ended", "read its error above")
        counts[key] = json.loads(line)
    seconds: dict[tuple, list[dict[str, float]]] = {key: [] for key in sides}
    for _ in range(FLAGS.rounds):
        for key, side in sides.items():
            side.stdin.write("go\n")
            side.stdin.flush()
            seconds[key].append(json.loads(side.stdout.readline()))
    for side in sides.values():
        side.communicate()
    return counts, seconds


def compare_rounds(one: list[dict], several: list[dict], clock: str) -> dict:
    """Medians of both sides, and the median and the range of their ratio in a round."""
    pairs = [(a[clock], b[clock]) for a, b in zip(one, several, strict=True)]
    ratios = [b / a for a, b in pairs]
    return {
        "a_step_on_1": statistics.median(a for a, _ in pairs),
        f"a_step_on_{FLAGS.devices}": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }


def main(argv: list[str]) -> None:
    config_name, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config_name = config_name or "configs/vae.py:quick"
    config = commandline.read_config(config_name, overrides)
    if FLAGS.side:
        run_side(config)
        return
    counts, seconds = time_sides([*argv, f"--config={config_name}"])
    result: dict = {"config": config_name, "batch_size": config.train.batch_size}
    for mode in FLAGS.modes:
        result[mode] = {
            "collectives": counts[mode, FLAGS.devices],
            **{
                clock: compare_rounds(seconds[mode, 1], seconds[mode, FLAGS.devices], clock)
                for clock in CLOCKS
            },
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
