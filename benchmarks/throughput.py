"""How fast is training, and against what? Both sides in one run, in turn.

python benchmarks/throughput.py [--config=configs/vae.py] [--rounds=5]

Prints the train step of the config against the same network in PyTorch (where it is installed), in
PyTorch's default layout and in channels_last; the arithmetic of the step against what a matrix
product and a convolution reach here; and the cost of taking batches from either feed. A step whose
penalty comes only now and then is timed over whole turns, so that each counts as often as in a run.
Each side has a process of its own and waits while another has its turn, so that no thread pool
spins beside another's work. Ratios count, not milliseconds.
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
flags.DEFINE_integer("rounds", 5, "Timed rounds; each side has one turn a round.")
flags.DEFINE_integer("steps", 10, "Timed steps a turn, rounded up to whole turns of variants.")
flags.DEFINE_string("side", "", "Internal: be this side, and time a turn for each line read.")

SIDES = ("prodgen", "torch", "torch channels_last")
MODELS = ("vae", "dcgan", "r3gan")  # those whose step is written down for PyTorch as well


def check(config) -> None:
    """UsageError before anything starts, where there is nothing to compare with."""
    if config.model.name not in MODELS:
        known = ", ".join(MODELS)
        raise UsageError(f"config.model.name={config.model.name} is not compared; known: {known}")
    if config.model.name != "vae" and importlib.util.find_spec("torch"):
        from benchmarks.torch_gan import refuse

        refuse(config)


def our_step(config, store, mesh):
    """(a function that makes one step, the mean FLOPs of a step by XLA's count, compile seconds).

    The family's variants follow each other as in a run.
    """
    family = get_step_module(config)
    whole, rows = device_mesh.replicated_sharding(mesh), device_mesh.batch_sharding(mesh)
    state = compilation.jit_unoptimised(
        lambda: family.init(config, store.spec, rng.key(0, "init")), whole
    )()
    feed = resident.iterate_batches(store, 0, config.train.batch_size, 0, whole, rows)
    turns, programs = family.variants(config), {}

    def take():
        return tuple(itertools.islice(feed, family.real_batches(config)))

    begun = time.monotonic()
    for variant in dict.fromkeys(turns):
        make = functools.partial(family.make_train_step, config, store.spec, variant=variant)
        step = compilation.compile_train_step(make, mesh, "jit")
        programs[variant] = compilation.compile_aot(step, state, take(), {})
    seconds = time.monotonic() - begun
    flops = statistics.mean(programs[variant].cost_analysis()["flops"] for variant in turns)
    box, variants = [state], itertools.cycle(turns)

    def once():
        box[0], metrics = programs[next(variants)](box[0], take(), {})
        return metrics

    return once, flops, seconds


def torch_step(config, store, channels_last: bool):
    """The same step in PyTorch: textbook layers, Adam and averaging (foreach)."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(2)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    if config.model.name == "vae":
        update = vae_update(config, store.spec, layout)
    else:
        from benchmarks.torch_gan import make_update

        update = make_update(config, store.spec, layout)
    family, ids, counter = get_step_module(config), store.ids("train"), itertools.count()
    variants = itertools.cycle(family.variants(config))

    def take():
        chosen = order.select_batch(0, next(counter), len(ids), config.train.batch_size)
        return {k: torch.from_numpy(v) for k, v in store.fetch(ids[chosen]).items()}

    def once():
        return update([take() for _ in range(family.real_batches(config))], next(variants))

    return once


def vae_update(config, spec, layout):
    """(one batch, variant) -> loss: the update of prodgen/steps/vae.py in PyTorch."""
    import torch

    from benchmarks.torch_vae import VAE, loss_of

    net = VAE(config, spec).to(memory_format=layout)
    averaged = [p.detach().clone() for p in net.parameters()]
    rule = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.99), foreach=True)

    def update(batches, variant: str) -> float:
        rule.zero_grad()
        loss = loss_of(net, batches[0], layout)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), config.optim.clip, foreach=True)
        rule.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, list(net.parameters()), 1 - optim.ema_decay(config, 0))
        return float(loss.detach())

    return update


def timed(once, steps: int) -> float:
    """Seconds a step, after one that is not counted: it wakes the threads and fills the caches."""
    jax.block_until_ready(once())
    begun = time.monotonic()
    for _ in range(steps):
        result = once()
    jax.block_until_ready(result)
    return (time.monotonic() - begun) / steps


def serve(config, store, side: str) -> None:
    """Be one side: print a line of facts, then seconds a step for each line read."""
    facts = {}
    if side == "prodgen":
        device_mesh.keep_freed_memory()  # as a run does; without its compile cache
        mesh = device_mesh.make_mesh(config)
        once, facts["flops"], facts["compile_seconds"] = our_step(config, store, mesh)
    else:
        once = torch_step(config, store, side.endswith("channels_last"))
    every = len(get_step_module(config).variants(config))
    timed(once, every + 1)
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(timed(once, math.ceil(FLAGS.steps / every) * every), flush=True)


def compare(argv: list[str], rounds: int) -> tuple[dict, dict[str, list[float]]]:
    """(what the sides say of themselves, seconds a step in each round by side)."""
    facts, sides, seconds = {}, {}, {}
    for name in SIDES if importlib.util.find_spec("torch") else SIDES[:1]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        side = subprocess.Popen([sys.executable, *argv, f"--side={name}"], **pipes)
        facts |= json.loads(side.stdout.readline())
        sides[name], seconds[name] = side, []
    for _ in range(rounds):
        for name, side in sides.items():
            side.stdin.write("go\n")
            side.stdin.flush()
            seconds[name].append(float(side.stdout.readline()))
    for side in sides.values():
        side.communicate()
    return facts, seconds


def feed_seconds(config, store, mesh) -> dict[str, float]:
    """Seconds a batch costs the loop, when nothing else runs."""
    from prodgen.data import tfdata

    size = config.train.batch_size
    whole, rows = device_mesh.replicated_sharding(mesh), device_mesh.batch_sharding(mesh)
    feeds = {
        "resident": resident.iterate_batches(store, 0, size, 0, whole, rows),
        "tfdata": tfdata.iterate_batches(store, 0, size, np.arange(size, dtype=np.int32), 0),
    }
    found = {}
    for name, batches in feeds.items():
        jax.block_until_ready([next(batches) for _ in range(10)])
        begun = time.monotonic()
        jax.block_until_ready([next(batches) for _ in range(100)])
        found[name] = (time.monotonic() - begun) / 100
    return found


def ceilings() -> dict[str, float]:
    """GFLOP/s that a large matrix product and a 128-channel convolution reach here and now."""
    from prodgen.models.blocks import convolve

    m = jax.numpy.ones((2048, 2048))
    x, k = jax.numpy.ones((64, 8, 8, 128)), jax.numpy.ones((3, 3, 128, 128))
    work = {
        "matmul": (jax.jit(lambda: m @ m), 2 * 2048**3),
        "convolution": (jax.jit(lambda: convolve(x, k, "SAME")), 2 * math.prod(x.shape) * 9 * 128),
    }
    return {name: flops / timed(once, 20) / 1e9 for name, (once, flops) in work.items()}


def main(argv: list[str]) -> None:
    chosen, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config = commandline.read_config(chosen or "configs/vae.py", overrides)
    check(config)
    store = prepare.open_or_prepare(config.data)
    if FLAGS.side:
        serve(config, store, FLAGS.side)
        return
    facts, seconds = compare(argv, FLAGS.rounds)
    if len(seconds) < len(SIDES):
        print("PyTorch is not installed: no comparison", file=sys.stderr)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    mine = medians["prodgen"]
    pairs = {
        name: [a / b for a, b in zip(values, seconds["prodgen"], strict=True)]
        for name, values in seconds.items()
    }
    result = {
        "seconds_a_step": medians,
        "images_per_s": {name: config.train.batch_size / value for name, value in medians.items()},
        "speed_against": {name: statistics.median(values) for name, values in pairs.items()},
        "speed_against_range": {name: [min(v), max(v)] for name, v in pairs.items()},
        "gflop_a_step": facts["flops"] / 1e9,
        "gflop_per_s": facts["flops"] / mine / 1e9,
        "ceilings_gflop_per_s": ceilings(),
        "compile_seconds": facts["compile_seconds"],
        "seconds_a_batch": feed_seconds(config, store, device_mesh.make_mesh(config)),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
