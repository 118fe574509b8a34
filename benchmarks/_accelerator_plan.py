"""What benchmarks/accelerator.py measures: its sections in order, and the configs that they train.

Without JAX: the process that supervises the measuring does not open the device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from prodgen.cli import commandline
from prodgen.core.errors import UsageError

ROOT = Path(__file__).parents[1]
# A schedule that fits minutes of training; the same in all measurements, which then share programs.
SHORT_RUN = {"train.num_steps": 3000, "optim.ema_images": 10_000}
WORKLOADS = {  # name -> config file, and fields that differ from it
    "gan:gpu64": ("gan.py:gpu64", {}),
    "gan:gpu128": ("gan.py:gpu128", SHORT_RUN),
    "vaegan:gpu128": ("vaegan.py:gpu128", {}),
    "dcgan at 64 px": (
        "dcgan.py",
        {"data.resolution": 64, "model.dtype": "bfloat16", "train.batch_size": 128},
    ),
    # The 3x3 convolutions of gan:gpu64 in three forms, with less to compile.
    "groups": (
        "gan.py:gpu64",
        {"data.resolution": 32, "model.blocks": 1, "train.batch_size": 128},
    ),
    # The loss of a VAE falls steadily, that of a GAN does not.
    "precision": (
        "vae.py",
        {"data.resolution": 64, "model.width": 64, "model.max_width": 256},
    ),
}
TINY_FIELDS = {
    "data.resolution": 16, "model.width": 4, "model.max_width": 8, "model.latent": 4,
    "train.batch_size": 8,
}  # fmt: skip
TINY_BLOCKS = {"model.blocks": 1, "model.block_side": 4}
TINY_GAN = ("gan.py:gpu64", {**TINY_BLOCKS, "model.group": 4})
TINY_WORKLOADS = {
    "gan:gpu64": TINY_GAN,
    "gan:gpu128": TINY_GAN,
    "vaegan:gpu128": ("vaegan.py:gpu128", {**TINY_BLOCKS, "loss.penalty": "none"}),
    "dcgan at 64 px": ("dcgan.py", {"loss.penalty": "none"}),
    "groups": TINY_GAN,
    "precision": ("vae.py", {"model.block_side": 4}),
}


@dataclasses.dataclass(frozen=True)
class Section:
    """One part of the measurement.

    function: of _accelerator_sections.py, called with the session and `arguments`. estimate_s:
    seconds on an H200; the section is left out where less time remains. is_deterministic: it runs
    in a process with deterministic kernels.
    """

    name: str
    estimate_s: float
    function: str
    arguments: tuple[str, ...] = ()
    is_deterministic: bool = False


GROUP_FORMS = ("native", "dense", "packs")  # of grouped convolutions; dense: without groups
SECTIONS = (
    Section("self-test", 15, "run_self_test"),
    Section("gan:gpu64", 60, "measure_speed", ("gan:gpu64",)),
    Section("dcgan at 64 px", 30, "measure_speed", ("dcgan at 64 px",)),
    Section("gan:gpu128", 60, "measure_speed", ("gan:gpu128",)),
    Section("vaegan:gpu128", 60, "measure_speed", ("vaegan:gpu128",)),
    Section("groups: native", 30, "measure_groups", ("native",)),
    Section("groups: dense", 25, "measure_groups", ("dense",)),
    Section("groups: packs", 45, "measure_groups", ("packs",)),
    Section("idle: gan:gpu64", 20, "measure_idle_share", ("gan:gpu64",)),
    Section("idle: dcgan at 64 px", 15, "measure_idle_share", ("dcgan at 64 px",)),
    Section("precision: float32", 20, "measure_precision", ("float32",)),
    Section("precision: tensorfloat32", 15, "measure_precision", ("tensorfloat32",)),
    Section("precision: bfloat16", 15, "measure_precision", ("bfloat16",)),
    Section("feeds: dcgan at 64 px", 20, "measure_feeds", ("dcgan at 64 px",)),
    Section("deterministic: dcgan at 64 px", 35, "measure_determinism", ("dcgan at 64 px",), True),
    Section("training: gan:gpu128", 110, "train", ("gan:gpu128",)),
)


def select_sections(prefixes: Sequence[str]) -> list[Section]:
    """The sections whose names begin with one of `prefixes`; all without any."""
    for prefix in prefixes:
        if not any(section.name.startswith(prefix) for section in SECTIONS):
            names = ", ".join(section.name for section in SECTIONS)
            raise UsageError(f"--sections={prefix} names no section", f"choose from: {names}")
    return [s for s in SECTIONS if not prefixes or s.name.startswith(tuple(prefixes))]


@dataclasses.dataclass(frozen=True)
class Options:
    """The command's flags, as its processes receive them."""

    out: Path
    images: str = ""
    is_tiny: bool = False
    train_seconds: float = 180.0


def read_workload(name: str, is_tiny: bool, **fields: str | int) -> ConfigDict:
    """The config of a workload; fields: more of them, as in model__group=0."""
    file, workload_fields = (TINY_WORKLOADS if is_tiny else WORKLOADS)[name]
    values = dict(workload_fields) | (TINY_FIELDS if is_tiny else {})
    values |= {"parallel.devices": 1}
    values |= {path.replace("__", "."): value for path, value in fields.items()}
    overrides = [(path, str(value)) for path, value in values.items()]
    return commandline.read_config(str(ROOT / "configs" / file), overrides)
