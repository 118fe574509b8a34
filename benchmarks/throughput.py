"""Measure the speed of training, against PyTorch and against the limits of this machine.

python benchmarks/throughput.py [--config=configs/vae.py] [--rounds=5]

Prints JSON: the training step of the config against the same network in PyTorch (if installed), in
PyTorch's default layout and in channels_last; the arithmetic throughput of the step against that of
a matrix product and of a convolution; and the cost of a batch from each feed. With a lazy penalty,
whole cycles of step variants are timed, so that each variant counts as often as in a run. Each side
runs in its own process and waits while another is timed, so that thread pools do not disturb each
other. The ratios are meaningful, not the absolute times.
"""

import functools
import importlib.util
import itertools
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen import optim
from prodgen.cli import commandline
from prodgen.core import rng
from prodgen.core.errors import UsageError
from prodgen.data import order, prepare, resident
from prodgen.parallel import compilation, device_mesh
from prodgen.runs.run import get_step_module

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 5, "Timed rounds; each side is timed once per round.")
flags.DEFINE_integer("steps", 10, "Timed steps per round, rounded up to whole cycles of variants.")
flags.DEFINE_string(
    "side", "", "Internal: run as this side, and time the steps for each line on standard input."
)

SIDES = ("prodgen", "torch", "torch channels_last")
MODELS = ("vae", "dcgan", "r3gan")  # the models with a PyTorch implementation


def check_config(config) -> None:
    """Raise UsageError for a config without a PyTorch implementation."""
    if config.model.name not in MODELS:
        names = ", ".join(MODELS)
        raise UsageError(f"config.model.name={config.model.name} is not compared; known: {names}")
    if config.model.name != "vae" and importlib.util.find_spec("torch"):
        from benchmarks.torch_gan import check_support

        check_support(config)


def build_jax_step(config, store, mesh):
    """(a function that runs one step, its mean FLOPs as counted by XLA, compile seconds).

    The step's variants alternate as in a run.
    """
    family = get_step_module(config)
    on_all_devices, by_batch = (
        device_mesh.replicated_sharding(mesh),
        device_mesh.batch_sharding(mesh),
    )
    state = compilation.jit_unoptimised(
        lambda: family.init(config, store.spec, rng.key(0, "init")), on_all_devices
    )()
    feed = resident.iterate_batches(store, 0, config.train.batch_size, 0, on_all_devices, by_batch)
    cycle, programs = family.variants(config), {}

    def next_batches():
        return tuple(itertools.islice(feed, family.real_batches(config)))

    start = time.monotonic()
    for variant in dict.fromkeys(cycle):
        make = functools.partial(family.make_train_step, config, store.spec, variant=variant)
        step = compilation.compile_train_step(make, mesh, "jit")
        programs[variant] = compilation.compile_aot(step, state, next_batches(), {})
    seconds = time.monotonic() - start
    flops = statistics.mean(programs[variant].cost_analysis()["flops"] for variant in cycle)
    box, variants = [state], itertools.cycle(cycle)

    def run_step():
        box[0], metrics = programs[next(variants)](box[0], next_batches(), {})
        return metrics

    return run_step, flops, seconds


def build_torch_step(config, store, channels_last: bool):
    """A function that runs the same step in PyTorch: standard layers, Adam and EMA (foreach)."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(2)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    if config.model.name == "vae":
        update = make_vae_update(config, store.spec, layout)
    else:
        from benchmarks.torch_gan import make_update

        update = make_update(config, store.spec, layout)
    family, ids, counter = get_step_module(config), store.ids("train"), itertools.count()
    variants = itertools.cycle(family.variants(config))

    def next_batch():
        indices = order.select_batch(0, next(counter), len(ids), config.train.batch_size)
        return {k: torch.from_numpy(v) for k, v in store.fetch(ids[indices]).items()}

    def run_step():
        return update([next_batch() for _ in range(family.real_batches(config))], next(variants))

    return run_step


def make_vae_update(config, spec, layout):
    """A function ([batch], variant) -> loss: the update of prodgen/steps/vae.py in PyTorch."""
    import torch

    from benchmarks.torch_vae import VAE, compute_loss

    net = VAE(config, spec).to(memory_format=layout)
    ema_params = [p.detach().clone() for p in net.parameters()]
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.99), foreach=True)

    def update(batches, variant: str) -> float:
        optimiser.zero_grad()
        loss = compute_loss(net, batches[0], layout)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), config.optim.clip, foreach=True)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(ema_params, list(net.parameters()), 1 - optim.ema_decay(config, 0))
        return float(loss.detach())

    return update


def measure_seconds(run_step: Callable, steps: int) -> float:
    """Seconds per step, after one warm-up step that is not counted."""
    jax.block_until_ready(run_step())
    start = time.monotonic()
    for _ in range(steps):
        result = run_step()
    jax.block_until_ready(result)
    return (time.monotonic() - start) / steps


def run_side(config, store, side: str) -> None:
    """Run as one side: print statistics, then seconds per step for each input line."""
    step_statistics = {}
    if side == "prodgen":
        device_mesh.keep_freed_memory()  # as a run does; without its compile cache
        mesh = device_mesh.make_mesh(config)
        run_step, step_statistics["flops"], step_statistics["compile_seconds"] = build_jax_step(
            config, store, mesh
        )
    else:
        run_step = build_torch_step(config, store, side.endswith("channels_last"))
    cycle_length = len(get_step_module(config).variants(config))
    measure_seconds(run_step, cycle_length + 1)
    print(json.dumps(step_statistics), flush=True)
    for _ in sys.stdin:
        steps = math.ceil(FLAGS.steps / cycle_length) * cycle_length
        print(measure_seconds(run_step, steps), flush=True)


def time_sides(argv: list[str], rounds: int) -> tuple[dict, dict[str, list[float]]]:
    """(statistics that the sides print, seconds per step in each round by side)."""
    step_statistics, sides, seconds = {}, {}, {}
    for name in SIDES if importlib.util.find_spec("torch") else SIDES[:1]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        side = subprocess.Popen([sys.executable, *argv, f"--side={name}"], **pipes)
        step_statistics |= json.loads(side.stdout.readline())
        sides[name], seconds[name] = side, []
    for _ in range(rounds):
        for name, side in sides.items():
            side.stdin.write("go\n")
            side.stdin.flush()
            seconds[name].append(float(side.stdout.readline()))
    for side in sides.values():
        side.communicate()
    return step_statistics, seconds


def time_feeds(config, store, mesh) -> dict[str, float]:
    """Seconds per batch of each feed, when nothing else runs."""
    from prodgen.data import tfdata

    size = config.train.batch_size
    on_all_devices, by_batch = (
        device_mesh.replicated_sharding(mesh),
        device_mesh.batch_sharding(mesh),
    )
    feeds = {
        "resident": resident.iterate_batches(store, 0, size, 0, on_all_devices, by_batch),
        "tfdata": tfdata.iterate_batches(store, 0, size, np.arange(size, dtype=np.int32), 0),
    }
    seconds = {}
    for name, batches in feeds.items():
        jax.block_until_ready([next(batches) for _ in range(10)])
        start = time.monotonic()
        jax.block_until_ready([next(batches) for _ in range(100)])
        seconds[name] = (time.monotonic() - start) / 100
    return seconds


def measure_ceilings() -> dict[str, float]:
    """GFLOP/s of a large matrix product and of a 128-channel convolution on this machine."""
    from prodgen.models.blocks import convolve

    m = jax.numpy.ones((2048, 2048))
    x, k = jax.numpy.ones((64, 8, 8, 128)), jax.numpy.ones((3, 3, 128, 128))
    work = {
        "matmul": (jax.jit(lambda: m @ m), 2 * 2048**3),
        "convolution": (jax.jit(lambda: convolve(x, k, "SAME")), 2 * math.prod(x.shape) * 9 * 128),
    }
    return {name: flops / measure_seconds(call, 20) / 1e9 for name, (call, flops) in work.items()}


def main(argv: list[str]) -> None:
    config_name, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config = commandline.read_config(config_name or "configs/vae.py", overrides)
    check_config(config)
    store = prepare.open_or_prepare(config.data)
    if FLAGS.side:
        run_side(config, store, FLAGS.side)
        return
    step_statistics, seconds = time_sides(argv, FLAGS.rounds)
    if len(seconds) < len(SIDES):
        print("PyTorch is not installed: no comparison", file=sys.stderr)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    seconds_per_step = medians["prodgen"]
    ratios = {
        name: [a / b for a, b in zip(values, seconds["prodgen"], strict=True)]
        for name, values in seconds.items()
    }
    result = {
        "seconds_a_step": medians,
        "images_per_s": {name: config.train.batch_size / value for name, value in medians.items()},
        "speed_against": {name: statistics.median(values) for name, values in ratios.items()},
        "speed_against_range": {name: [min(v), max(v)] for name, v in ratios.items()},
        "gflop_a_step": step_statistics["flops"] / 1e9,
        "gflop_per_s": step_statistics["flops"] / seconds_per_step / 1e9,
        "ceilings_gflop_per_s": measure_ceilings(),
        "compile_seconds": step_statistics["compile_seconds"],
        "seconds_a_batch": time_feeds(config, store, device_mesh.make_mesh(config)),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
