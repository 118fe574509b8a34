"""A run opened for reading: its config, data spec, step module and restored state."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from prodgen.config import package_models, registry, restore_config
from prodgen.core import rng
from prodgen.core.types import Spec
from prodgen.parallel.state_sharding import make_shardings
from prodgen.runs import checkpoint, run_export
from prodgen.runs.workdir import CONFIG_FILE, read_record


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished or unfinished run, restored at one checkpoint."""

    path: Path
    record: dict[str, Any]  # config.json
    config: ConfigDict
    spec: Spec
    step_module: ModuleType
    step: int
    state: Any

    @property
    def is_pretrained(self) -> bool:
        """Whether it is a model that the package brings along."""
        return self.path.parent == package_models.FOLDER


def get_step_module(config: ConfigDict) -> ModuleType:
    """The module of prodgen.steps that trains config.model.name."""
    return registry.resolve(registry.STEPS, config.model.name, "config.model.name")


def build_abstract_state(config: ConfigDict, spec: Spec, sharding: Any) -> Any:
    """The state as jax.ShapeDtypeStruct leaves with `sharding`; nothing is computed."""
    init = get_step_module(config).init
    shapes = jax.eval_shape(lambda: init(config, spec, rng.key(config.seed, "init")))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def build_run_state(config: ConfigDict, spec: Spec, mesh: Mesh) -> Any:
    """The state as shapes with the shardings that a run has on `mesh`; nothing is computed."""
    shapes = build_abstract_state(config, spec, None)
    shardings = make_shardings(mesh, shapes, config.parallel.fsdp)

    def add_sharding(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(add_sharding, shapes, shardings)


def open_run(path: Path, selector: str | int | None = None) -> Run:
    """Open a run at its best (None), latest or a numbered checkpoint, after verification.

    A folder or a model's file of --mode=export has one step, with the weights that sample alone.
    Raises MissingInput, BadCheckpoint or UsageError, each with the next step for the user.
    """
    path = Path(path)
    record = read_record(path)
    config = restore_config(record, path / CONFIG_FILE if path.is_dir() else path)
    spec = Spec.from_json(record["data"]["spec"])
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    abstract_state = build_abstract_state(config, spec, sharding)
    is_exported = run_export.find_model_file(path) is not None
    restore = run_export.restore if is_exported else checkpoint.open_step
    step, state = restore(path, selector, abstract_state)
    return Run(path, record, config, spec, get_step_module(config), step, state)
