"""A run in the files of --mode=export: found, verified, and opened as a run is.

An exported folder has the run's config.json and conditions, and model.safetensors in place of
checkpoints. That file alone holds the run's record, too: a new run can start from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from prodgen.core import tensor_files, trees
from prodgen.core.errors import BadCheckpoint, MissingInput
from prodgen.core.files import hash_file
from prodgen.runs.workdir import EXPORT_FILE, FITNESS_FILE, MODEL_FILE

# Files that a later command may measure again.
CACHES = (FITNESS_FILE, "reach.msgpack", "regressor.msgpack", "prior.npz")


def find_model_file(path: Path) -> Path | None:
    """The model's file of an exported folder, or the file itself; None for a run of training."""
    if path.suffix == tensor_files.SUFFIX and not path.is_dir():
        return path
    return path / MODEL_FILE if (path / MODEL_FILE).is_file() else None


def verify_folder(folder: Path) -> None:
    """BadCheckpoint where a file of an exported folder has changed, or its format is not known.

    Files that are gone are no error here: each is reported where it is read.
    """
    try:
        content = json.loads((folder / EXPORT_FILE).read_text(encoding="utf-8"))
        version, files = content["format_version"], dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BadCheckpoint(
            f"{folder / EXPORT_FILE} is absent or damaged", tensor_files.EXPORT_AGAIN
        ) from None
    tensor_files.check_version(version, str(folder / EXPORT_FILE))
    for name, facts in sorted(files.items()):
        path = folder / name
        if name in CACHES or not path.is_file():
            continue
        if path.parent.resolve() != folder.resolve() or hash_file(path) != facts["sha256"]:
            raise BadCheckpoint(
                f"{path} has changed: its checksum is not that of {EXPORT_FILE}",
                tensor_files.EXPORT_AGAIN,
            )


def restore(path: Path, selector: str | int | None, shapes: Any) -> tuple[int, Any]:
    """The step and the state of an exported run: one network, with its evaluation weights.

    shapes: the run's whole state. float16 weights become those of `shapes`. BadCheckpoint where the
    file does not fit, MissingInput for another step than the one that was exported.
    """
    if path.is_dir():
        verify_folder(path)
    file = find_model_file(path)
    arrays, metadata = tensor_files.read_tensors(file)
    step, extras = int(metadata["step"]), json.loads(metadata["extras"])
    if selector not in (None, "best", "latest", step, str(step)):
        raise MissingInput(
            f"{path} has no checkpoint {selector!r}: it holds step {step} alone",
            "leave the step out, or name the run's own folder",
        )
    net = shapes.nets[metadata["net"]]
    params = fit_arrays(arrays, net.params, file)
    nets = {metadata["net"]: net.replace(params=params, vars={}, opt=None, ema=None)}
    extras = {
        name: np.asarray(extras.get(name, 0), leaf.dtype) for name, leaf in shapes.extras.items()
    }
    return step, shapes.replace(step=np.int32(step), nets=nets, extras=extras)


def fit_arrays(arrays: Mapping[str, np.ndarray], shapes: Any, file: Path) -> Any:
    """The arrays of a file as a tree like `shapes`; BadCheckpoint names the first that differs."""
    leaves = trees.flatten_with_paths(shapes)
    for name in sorted({*leaves, *arrays}):
        there = list(arrays[name].shape) if name in arrays else "absent"
        here = list(leaves[name].shape) if name in leaves else "absent"
        if there != here:
            raise BadCheckpoint(
                f"{file}: the array {name} is {there}, and the run's config asks for {here}",
                tensor_files.EXPORT_AGAIN,
            )
    values = [arrays[name].astype(leaf.dtype) for name, leaf in leaves.items()]
    return jax.device_put(jax.tree.unflatten(jax.tree.structure(shapes), values))
