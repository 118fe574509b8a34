"""An existing run, opened for reading: its config, its data's spec, its family, its weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from ml_collections import ConfigDict

from prodgen.config import load_config, registry
from prodgen.core import rng
from prodgen.core.types import Spec
from prodgen.runs import checkpoint, folder


@dataclasses.dataclass(frozen=True)
class Run:
    """What a finished or living run holds, restored at one checkpoint."""

    path: Path
    record: dict[str, Any]  # config.json
    config: ConfigDict
    spec: Spec
    family: ModuleType  # the step module
    step: int
    state: Any


def family(config: ConfigDict) -> ModuleType:
    """The step module that trains config.model.name."""
    return registry.resolve(registry.STEPS, config.model.name, "config.model.name")


def abstract_state(config: ConfigDict, spec: Spec, sharding: Any) -> Any:
    """The state's shapes and types, without computing anything; every leaf with `sharding`."""
    shapes = jax.eval_shape(lambda: family(config).init(config, spec, rng.key(config.seed, "init")))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def open_run(path: Path, which: str | int | None = None) -> Run:
    """Open a run at its best (None), latest or a numbered checkpoint, verified.

    Raises MissingInput, BadCheckpoint or UsageError, each saying what to do.
    """
    path = Path(path)
    record = folder.read(path)
    config = load_config(path / folder.CONFIG)
    spec = Spec.from_json(record["data"]["spec"])
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    step, state = checkpoint.open_step(path, which, abstract_state(config, spec, here))
    return Run(path, record, config, spec, family(config), step, state)
