"""A training that is measured: the programs, feed and loop of a run, without its files."""

from __future__ import annotations

import dataclasses
import itertools
import queue
import statistics
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from prodgen.catalogue.products import KINDS
from prodgen.config import registry
from prodgen.core import rng
from prodgen.core.types import Batch, Metrics, Spec
from prodgen.data import order, resident
from prodgen.data.catalogue import SCHEMA
from prodgen.models import classifier
from prodgen.parallel import compilation, device_mesh
from prodgen.parallel.flops import count_flops
from prodgen.parallel.lowering import Lowering, use_lowering

NUM_SQUARES = 8  # along a side of a synthetic image
NUM_SYNTHETIC_IMAGES = 1024
PREFETCH_BATCHES = 4
ROUNDS = 3


@dataclasses.dataclass
class MemoryStore:
    """Training images and their conditions in memory, as a feed reads them from a store."""

    spec: Spec
    rows: Batch

    def ids(self, split: str) -> np.ndarray:
        """int32 [N] for "train"; other splits are empty."""
        return np.arange(len(self.rows["image"]) if split == "train" else 0, dtype=np.int32)

    def fetch(self, ids: np.ndarray) -> Batch:
        """The rows `ids` [B], as `Store.fetch` returns them."""
        return {name: values[ids] for name, values in self.rows.items()}


def make_store(images: np.ndarray, spec: Spec) -> MemoryStore:
    """Images uint8 [N, R, R, C] with random conditions of the spec."""
    n, generator = len(images), np.random.Generator(np.random.Philox(1))
    rows = {
        "image": images,
        "label": generator.integers(0, max(len(spec.classes), 1), n).astype(np.int32),
        "attributes": generator.normal(size=(n, spec.num_columns)).astype(np.float32),
        "known": np.ones((n, spec.num_columns), bool),
        "id": np.arange(n, dtype=np.int32),
    }
    if not spec.classes:
        rows["label"] = np.full(n, -1, np.int32)
    return MemoryStore(spec, rows)


def make_synthetic_store(resolution: int) -> MemoryStore:
    """Images of 8 x 8 random coloured squares, under conditions as of the embedded catalogue."""
    generator = np.random.Generator(np.random.Philox(0))
    side = min(NUM_SQUARES, resolution)
    colours = generator.integers(0, 256, (NUM_SYNTHETIC_IMAGES, side, side, 3), np.uint8)
    images = colours.repeat(resolution // side, axis=1).repeat(resolution // side, axis=2)
    return make_store(images, Spec(resolution, 3, tuple(kind.name for kind in KINDS), SCHEMA))


@dataclasses.dataclass
class Training:
    """What the loop of a run holds. programs: of the steps in turn; step: the next one's number."""

    config: ConfigDict
    store: Any
    mesh: Mesh
    family: types.ModuleType
    frozen_and_seed: tuple[Any, Any]
    state: Any = None
    feed: Iterator[Batch] | None = None
    programs: list[Callable] = dataclasses.field(default_factory=list)
    step: int = 0

    def take_batches(self) -> tuple[Batch, ...]:
        """The batches of the next step."""
        return tuple(itertools.islice(self.feed, self.family.real_batches(self.config)))


def start_training(config: ConfigDict, store: Any, mesh: Mesh) -> Training:
    """A training at step 0 with the resident feed, not compiled yet.

    The reference classifier is untrained: its weights do not change the speed.
    """
    family = registry.resolve(registry.STEPS, config.model.name, "config.model.name")
    sharding = device_mesh.replicated_sharding(mesh)
    frozen, num_outputs = {}, len(store.spec.classes) + store.spec.num_columns
    if "classifier" in family.frozen_networks(config):
        net = classifier.Classifier(num_outputs or 1)
        image = classifier.dummy_image(store.spec)
        init = compilation.jit_unoptimised(lambda key: net.init(key, image)["params"], sharding)
        frozen["classifier"] = init(jax.random.key(0))
    seed = jax.device_put(np.int32(config.seed), sharding)
    training = Training(config, store, mesh, family, (frozen, seed))
    reset(training)
    return training


def reset(training: Training) -> None:
    """Back to step 0, with the programs that are there."""
    config, sharding = training.config, device_mesh.replicated_sharding(training.mesh)
    init = compilation.jit_unoptimised(
        lambda key: training.family.init(config, training.store.spec, key), sharding
    )
    training.state = init(rng.key(config.seed, "init"))
    training.feed, training.step = make_resident_feed(training), 0


def compile_training(training: Training, lowering: Lowering | None = None) -> float:
    """Compile the variants as a run does, with another lowering where it is given; the seconds."""
    family = training.family
    if lowering is not None:

        def make_train_step(*arguments: Any) -> Callable:
            train_step = training.family.make_train_step(*arguments)

            def lowered_step(*inputs: Any) -> Any:
                with use_lowering(lowering):
                    return train_step(*inputs)

            return lowered_step

        family = types.SimpleNamespace(variants=family.variants, make_train_step=make_train_step)
    batches = training.take_batches()
    start = time.monotonic()
    training.programs = compilation.compile_variants(
        family, training.config, training.store.spec, training.mesh,
        training.state, batches, training.frozen_and_seed,
    )  # fmt: skip
    return time.monotonic() - start


def run_steps(
    training: Training, steps: int, receive: Callable[[Metrics], None] = lambda metrics: None
) -> float:
    """Run steps as a run does, the metrics of each read one step late; the seconds.

    The device has finished at the start and at the end. receive: gets the metrics of each step.
    """
    pending_metrics = None
    jax.block_until_ready(training.state)
    start = time.monotonic()
    for _ in range(steps):
        batches = training.take_batches()
        program = training.programs[training.step % len(training.programs)]
        training.state, metrics = program(training.state, batches, training.frozen_and_seed)
        training.step += 1
        if pending_metrics is not None:
            int(pending_metrics["skipped_in_a_row"])  # waits for the step before, as a run does
            receive(pending_metrics)
        pending_metrics = metrics
    jax.block_until_ready(training.state)
    seconds = time.monotonic() - start
    receive(pending_metrics)
    return seconds


def measure_rate(training: Training, seconds: float) -> dict[str, Any]:
    """Images per second: the median of rounds of whole cycles of variants, and their range."""
    cycle = len(training.programs)
    run_steps(training, 2 * cycle)
    cycle_seconds = run_steps(training, cycle)
    cycles = max(1, round(seconds / ROUNDS / cycle_seconds))
    steps, batch_size = cycles * cycle, training.config.train.batch_size
    rates = [steps * batch_size / run_steps(training, steps) for _ in range(ROUNDS)]
    return {
        "images_per_s": statistics.median(rates),
        "images_per_s_range": [min(rates), max(rates)],
        "batch_size": batch_size,
        "timed_steps": ROUNDS * steps,
    }


def count_flops_per_image(training: Training) -> float:
    """Floating-point operations for each image of a batch, the mean over the cycle of variants."""
    config, batches = training.config, training.take_batches()
    arguments = (training.state, batches, training.frozen_and_seed[0])
    variants = training.family.variants(config)
    flops = {}
    for name in dict.fromkeys(variants):
        step = training.family.make_train_step(
            config, training.store.spec, compilation.identity, name
        )
        flops[name] = count_flops(step, *arguments)
    return statistics.fmean(flops[name] for name in variants) / config.train.batch_size


def count_temporary_bytes(training: Training) -> int:
    """The largest temporaries of the programs, in bytes on one device."""
    return max(program.memory_analysis().temp_size_in_bytes for program in training.programs)


def make_resident_feed(training: Training) -> Iterator[Batch]:
    """The feed from device memory."""
    shardings = (
        device_mesh.replicated_sharding(training.mesh),
        device_mesh.batch_sharding(training.mesh),
    )
    config = training.config
    return resident.iterate_batches(
        training.store, config.seed, config.train.batch_size, 0, *shardings
    )


def make_host_feed(training: Training) -> Iterator[Batch]:
    """The feed from host memory by NumPy: one thread gathers a few batches ahead."""
    ids, config = training.store.ids("train"), training.config
    size, batches = config.train.batch_size, queue.Queue(PREFETCH_BATCHES)
    slots, is_open = np.arange(size, dtype=np.int32), [True]

    def gather_batches() -> None:
        for t in itertools.count():
            indices = order.select_batch(config.seed, t, len(ids), size)
            batch = training.store.fetch(ids[indices]) | {"slot": slots}
            while is_open:
                try:
                    batches.put(batch, timeout=0.5)
                    break
                except queue.Full:
                    continue
            if not is_open:
                return

    threading.Thread(target=gather_batches, daemon=True).start()
    try:
        while True:
            yield device_mesh.to_global_arrays(training.mesh, batches.get())
    finally:
        is_open.clear()


def make_tensorflow_feed(training: Training) -> Iterator[Batch]:
    """The tf.data feed of a run."""
    from prodgen.data import tfdata

    config, size = training.config, training.config.train.batch_size
    slots = device_mesh.local_slots(training.mesh, size)
    host_batches = tfdata.iterate_batches(training.store, config.seed, size, slots, 0)
    return (device_mesh.to_global_arrays(training.mesh, batch) for batch in host_batches)
