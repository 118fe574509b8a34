"""The first lines that a training prints: its folder, data, model and devices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from ml_collections import ConfigDict

from prodgen.core import trees
from prodgen.data.store import SPLITS, Store
from prodgen.evaluation.evaluator import describe_spec


def describe_run(
    path: Path, config: ConfigDict, store: Store, state: Any, step: int, mesh: Mesh
) -> Iterator[str]:
    """The lines about a run that starts or, where `step` is above 0, continues."""
    yield f"run      {path}" + (f", continued at step {step}" if step else "")
    split = ", ".join(f"{store.counts[name]} {name}" for name in SPLITS)
    yield f"data     {config.data.source}: {describe_spec(store.spec)}; {split}"
    sizes = ", ".join(
        f"{name} {trees.count_elements(net.params) / 1e6:.2f}M" for name, net in state.nets.items()
    )
    devices = f"{mesh.size} x {mesh.devices.flat[0].device_kind}"
    num_processes = len({device.process_index for device in mesh.devices.flat})
    devices += f" of {num_processes} processes" if num_processes > 1 else ""
    yield f"model    {config.model.name}: {sizes} weights; {config.parallel.mode} on {devices}"
