"""What a training says of its run at the start: printed lines, and the files of a new run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from ml_collections import ConfigDict

from prodgen.core import trees
from prodgen.data.conditions import Conditions
from prodgen.data.store import SPLITS, Store
from prodgen.evaluation.evaluator import describe_spec
from prodgen.parallel import device_mesh
from prodgen.runs import workdir


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
    mode = "fsdp under jit" if config.parallel.fsdp else config.parallel.mode
    devices = format_devices(device_mesh.count_devices(mesh))
    yield f"model    {config.model.name}: {sizes} weights; {mode} on {devices}"


def write_run_files(
    path: Path, config: ConfigDict, store: Store, conditions: Conditions, origin: dict[str, Any]
) -> None:
    """Write what describes a new run: data report, conditions, config.json.

    origin: of its first weights, {} where they are random.
    """
    store.copy_report(path)
    data = {
        "digest": store.digest(),
        "counts": {name: store.counts[name] for name in SPLITS},
        "spec": store.spec.to_json(),
        "background": [int(value) for value in store.background],
    }
    conditions.save(path)
    workdir.write_record(path, config, data, origin)


def format_devices(entry: dict[str, Any]) -> str:
    """The devices of a run, as "4 x cpu of 2 processes"."""
    several = f" of {entry['processes']} processes" if entry["processes"] > 1 else ""
    return f"{entry['devices']} x {entry['kind']}{several}"


def record_devices(path: Path, step: int, mesh: Mesh) -> Iterator[str]:
    """Note in config.json the devices from `step` on; a line where the run had others before."""
    devices = device_mesh.count_devices(mesh)
    before = workdir.record_devices(path, step, devices)
    if before and before != devices:
        yield (
            f"devices  {format_devices(devices)} from step {step} on, {format_devices(before)} "
            "before: sums over them may differ in the last digits"
        )
