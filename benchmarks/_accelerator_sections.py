"""The sections of benchmarks/accelerator.py: each returns its numbers as JSON."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from benchmarks import _accelerator_trace
from benchmarks._accelerator_plan import Options, read_workload
from benchmarks._accelerator_training import (
    Training,
    compile_training,
    count_flops_per_image,
    count_temporary_bytes,
    make_host_feed,
    make_resident_feed,
    make_store,
    make_synthetic_store,
    make_tensorflow_feed,
    measure_rate,
    reset,
    run_steps,
    start_training,
)
from prodgen.core import pixels
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.core.files import write_atomically
from prodgen.core.types import Spec
from prodgen.data import prepare
from prodgen.parallel import device_mesh, selftest, targets
from prodgen.parallel.lowering import select_lowering

PRECISION_STEPS, NUM_AVERAGED_STEPS = 200, 20
NUM_CATALOGUE_IMAGES = 2048
PACK_CHANNELS = {"native": 0, "packs": 128}  # of a lowering; 128 is one group of gan:gpu64
TRACE_SECONDS = 1.0
MAX_TRACE_STEPS = 200  # the trace holds a million events at most
SHEET_COLUMNS, REAL_ROWS, GENERATED_ROWS = 10, 1, 7
LOSS_INTERVAL_S = 5.0
TPU_CHIPS = {  # device_kind -> name in CHIPS; NVIDIA's kinds contain the name
    "TPU v5 lite": "v5e", "TPU v5": "v5p", "TPU v6 lite": "v6e",
}  # fmt: skip
SHEET_SECONDS = 30.0  # reserved in the time of a training: compiling its start and its sheet


@dataclasses.dataclass
class Session:
    """What the sections of one process share.

    remaining_s: of the whole measurement's time. programs: compiled before, by (workload, spec).
    """

    options: Options
    mesh: Mesh
    remaining_s: float = 0.0
    programs: dict[tuple[str, Spec], list[Callable]] = dataclasses.field(default_factory=dict)

    def pick(self, full: Any, tiny: Any) -> Any:
        """A setting of the whole measurement, or of --tiny."""
        return tiny if self.options.is_tiny else full

    def compile(self, training: Training, name: str) -> None:
        """Compile the training of a workload, unless a section of this process has."""
        key = (name, training.store.spec)
        if key not in self.programs:
            compile_training(training)
            self.programs[key] = training.programs
        training.programs = self.programs[key]

    def measure_rate(self, training: Training) -> dict[str, Any]:
        return measure_rate(training, self.pick(4.0, 0.05))


def start_session(options: Options, is_deterministic: bool) -> Session:
    """JAX as a run starts it, on one device. UsageError where that is the processor."""
    config = read_workload(
        "gan:gpu64", options.is_tiny, parallel__deterministic=str(is_deterministic).lower()
    )
    session = Session(options, device_mesh.initialise_jax(config))
    if session.mesh.devices.flat[0].platform == "cpu" and not options.is_tiny:
        raise UsageError("JAX sees no accelerator")
    return session


def describe_device(session: Session) -> dict[str, Any]:
    """The device and the versions of what computes."""
    device = session.mesh.devices.flat[0]
    return {
        "device_kind": device.device_kind,
        "platform": device.platform,
        "platform_version": device.client.platform_version.splitlines()[0],
        "jax": jax.__version__,
        "jaxlib": jax.lib.__version__,
    }


def run_self_test(session: Session) -> dict[str, Any]:
    """SelfTestError where an operation is wrong; else the largest relative error."""
    start = time.monotonic()
    selftest.run()
    seconds = time.monotonic() - start
    return {"largest_relative_error": max(selftest.measure_errors().values()), "seconds": seconds}


@functools.cache
def load_images(options: Options) -> np.ndarray | None:
    """--images: the first array of the file, uint8 [N, R, R, 3]; None without the flag."""
    if not options.images:
        return None
    path, resolution = Path(options.images), 16 if options.is_tiny else 128
    if not path.is_file():
        raise MissingInput(f"--images={path} is not a file", "name a file that np.savez wrote")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images = arrays[arrays.files[0]]
    except (OSError, ValueError, IndexError, AttributeError) as error:
        raise BadData(f"--images={path} cannot be read: {error}") from None
    if images.dtype != np.uint8 or images.shape[1:] != (resolution, resolution, 3):
        raise BadData(
            f"--images={path} holds {images.dtype} {list(images.shape)}",
            f"store uint8 [N, {resolution}, {resolution}, 3]",
        )
    return images


def open_store(session: Session, name: str, **fields: str | int) -> tuple[Any, Any]:
    """(config, synthetic store) of a workload.

    At the resolution of --images the conditions are those of its images: none. The programs are
    then the ones of the training.
    """
    config = read_workload(name, session.options.is_tiny, **fields)
    images = load_images(session.options)
    if images is not None and images.shape[1] == config.data.resolution:
        return config, make_store(images, Spec(config.data.resolution, 3))
    return config, make_synthetic_store(config.data.resolution)


def measure_speed(session: Session, name: str) -> dict[str, Any]:
    """Seconds to compile without and with the persistent cache; the speed after that."""
    config, store = open_store(session, name)
    training = start_training(config, store, session.mesh)
    compile_seconds = compile_training(training)
    result = {
        "compile_seconds": compile_seconds,
        "compile_seconds_from_cache": compile_training(training),
        "temporaries_gb": count_temporary_bytes(training) / 1e9,
    }
    session.programs[name, store.spec] = training.programs
    return result | _measure_utilisation(session, training)


def measure_groups(session: Session, form: str) -> dict[str, Any]:
    """The speed of one form of grouped convolutions: native, dense or packs.

    The dense form is another network: its blocks have no groups.
    """
    fields = {"model__group": 0} if form == "dense" else {}
    config, store = open_store(session, "groups", **fields)
    training = start_training(config, store, session.mesh)
    lowering = select_lowering(session.mesh.devices.flat[0].platform, 1)
    if form != "dense":
        lowering = dataclasses.replace(lowering, pack_channels=PACK_CHANNELS[form])
    result = {"compile_seconds": compile_training(training, lowering)}
    result["temporaries_gb"] = count_temporary_bytes(training) / 1e9
    return result | _measure_utilisation(session, training)


def _measure_utilisation(session: Session, training: Training) -> dict[str, Any]:
    """Images per second, operations by formula, and their share of the device's bfloat16 peak."""
    result = session.measure_rate(training)
    flops = count_flops_per_image(training)
    result |= {
        "gflop_per_image": flops / 1e9,
        "tflop_per_s": flops * result["images_per_s"] / 1e12,
    }
    peak = find_peak_flops(session.mesh.devices.flat[0].device_kind)
    if peak:
        result["share_of_peak"] = flops * result["images_per_s"] / peak
    return result


def find_peak_flops(device_kind: str) -> float | None:
    """Operations per second in bfloat16 of a device, as JAX names it; None where it is unknown."""
    words = set(re.split(r"[\s-]+", device_kind.lower()))  # as in NVIDIA A100-SXM4-80GB
    name = TPU_CHIPS.get(device_kind) or next((name for name in targets.CHIPS if name in words), "")
    return targets.CHIPS[name].bf16_flops if name else None


def measure_idle_share(session: Session, name: str) -> dict[str, Any]:
    """The share of time in which the device does nothing, and its largest gap, from a trace."""
    config, store = open_store(session, name)
    training = start_training(config, store, session.mesh)
    session.compile(training, name)
    cycle = len(training.programs)
    run_steps(training, 2 * cycle)
    cycle_seconds = run_steps(training, cycle)
    trace_seconds = session.pick(TRACE_SECONDS, 0.05)
    steps = min(max(2, round(trace_seconds / cycle_seconds)) * cycle, MAX_TRACE_STEPS)
    folder = session.options.out / "trace"
    events = _accelerator_trace.trace(lambda: run_steps(training, steps), folder)
    intervals = _accelerator_trace.find_device_intervals(events)
    if not intervals:
        return {"steps": steps, "note": "the profiler reported no events of the device"}
    return {"steps": steps} | _accelerator_trace.summarise_intervals(intervals)


def measure_precision(session: Session, precision: str) -> dict[str, Any]:
    """The loss of a VAE, mean of steps 181 to 200, and its speed, in one precision.

    float32 and tensorfloat32 are precisions of products of float32 numbers; bfloat16 is the type
    of the arithmetic. All start from the same weights, with the same images and noise.
    """
    dtype = "bfloat16" if precision == "bfloat16" else "float32"
    config, store = open_store(session, "precision", model__dtype=dtype)
    product_precision = None if precision == "bfloat16" else precision
    jax.config.update("jax_default_matmul_precision", product_precision)
    try:
        training = start_training(config, store, session.mesh)
        compile_seconds, losses = compile_training(training), []
        steps = session.pick(PRECISION_STEPS, NUM_AVERAGED_STEPS)
        run_steps(training, steps, lambda metrics: losses.append(float(metrics["loss"])))
        result = {"compile_seconds": compile_seconds, "steps": steps}
        result["loss"] = float(np.mean(losses[-NUM_AVERAGED_STEPS:]))
        return result | session.measure_rate(training)
    finally:
        jax.config.update("jax_default_matmul_precision", None)


def measure_determinism(session: Session, name: str) -> dict[str, Any]:
    """The speed with deterministic kernels, and whether two trainings are equal to the bit."""
    config, store = open_store(session, name)
    training = start_training(config, store, session.mesh)
    compile_seconds, hashes = compile_training(training), []
    for _ in range(2):
        reset(training)
        run_steps(training, 2 * len(training.programs))
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(jax.device_get(training.state)):
            digest.update(np.asarray(leaf).tobytes())
        hashes.append(digest.hexdigest())
    result = {"compile_seconds": compile_seconds, "is_equal_to_the_bit": hashes[0] == hashes[1]}
    return result | session.measure_rate(training)


def measure_feeds(session: Session, name: str) -> dict[str, Any]:
    """Images per second with the data in device memory, and fed by the host."""
    config, store = open_store(session, name)
    training = start_training(config, store, session.mesh)
    session.compile(training, name)
    feeds = {"resident": make_resident_feed, "numpy": make_host_feed}
    result = {}
    if importlib.util.find_spec("tensorflow") is None:
        result["note"] = "TensorFlow is not installed: tfdata is not measured"
    elif session.options.is_tiny:  # importing TensorFlow takes longer than all feeds
        result["note"] = "tfdata is not measured with --tiny"
    else:
        feeds["tfdata"] = make_tensorflow_feed
    for feed_name, make_feed in feeds.items():
        training.feed = make_feed(training)
        result[feed_name] = session.measure_rate(training)
        training.feed.close()
    return result


def open_training_images(session: Session, config: Any) -> tuple[Any, str]:
    """(store, what it holds) of the training: --images, or the embedded catalogue."""
    images = load_images(session.options)
    if images is not None:
        store = make_store(images, Spec(config.data.resolution, 3))
        return store, f"{len(images)} images of {Path(session.options.images).name}"
    data = config.data.copy_and_resolve_references().unlock()
    data.size = session.pick(NUM_CATALOGUE_IMAGES, 24)
    data.cache_dir = str(session.options.out / "data")
    store = prepare.open_or_prepare(data)
    return store, f"{len(store.ids('train'))} images of the embedded catalogue"


def train(session: Session, name: str) -> dict[str, Any]:
    """Train for minutes as a run does, and write its sheet: the first row is real images."""
    start = time.monotonic()
    config = read_workload(name, session.options.is_tiny)
    store, content = open_training_images(session, config)
    training = start_training(config, store, session.mesh)
    session.compile(training, name)
    remaining_s = session.remaining_s - (time.monotonic() - start) - SHEET_SECONDS
    limit_s = min(session.options.train_seconds, remaining_s)
    # Blocks of steps, with the losses of the last step of each.
    cycle, seconds, losses, last_metrics = len(training.programs), 0.0, [], {}
    while seconds < limit_s or not losses:
        block_seconds = 0.0
        while block_seconds < min(LOSS_INTERVAL_S, limit_s - seconds) or not block_seconds:
            block_seconds += run_steps(training, 10 * cycle, last_metrics.update)
        seconds += block_seconds
        losses.append({"step": training.step, "seconds": seconds} | _select_losses(last_metrics))
    sheet = draw_sheet(training)
    write_atomically(session.options.out / "sheet.png", pixels.encode_png(sheet))
    num_images = training.step * config.train.batch_size
    return {
        "data": content,
        "steps": training.step,
        "seconds": seconds,
        "images": num_images,
        "images_per_s": num_images / seconds,
        "batch_size": config.train.batch_size,
        "skipped_steps": int(last_metrics["skipped"]),
        "losses": losses,
        "sheet": "sheet.png",
    }


def _select_losses(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if name.endswith("loss")}


def draw_sheet(training: Training) -> Any:
    """Real images in the first row; below, images generated under conditions of the data."""
    store, config, family = training.store, training.config, training.family
    ids, count = store.ids("train"), SHEET_COLUMNS * GENERATED_ROWS
    rows = store.fetch(ids[np.linspace(0, len(ids) - 1, count).astype(int)])
    conditions = {name: rows[name] for name in ("label", "attributes", "known")}
    latents = family.draw_latents(config, config.seed, np.arange(count))
    generate = jax.jit(family.make_generate(config, store.spec))
    samples = generate(family.eval_params(training.state), latents, conditions)
    real_ids = np.linspace(0, count - 1, SHEET_COLUMNS * REAL_ROWS).astype(int)
    images = np.concatenate([rows["image"][real_ids], np.asarray(pixels.to_uint8(samples))])
    names = itertools.chain(["real"], itertools.repeat("", GENERATED_ROWS))
    return pixels.draw_contact_sheet(images, SHEET_COLUMNS, row_names=tuple(names))
