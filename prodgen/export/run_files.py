"""The files of an exported folder with which prodgen itself opens it: weights and the run's record.

Nothing of the user's machine is in them: paths keep their last name alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from prodgen.config import FIELDS, flatten, set_field
from prodgen.core import tensor_files, trees
from prodgen.core.errors import UsageError
from prodgen.core.files import hash_file, write_atomically
from prodgen.data import conditions
from prodgen.editing import fitted_prior
from prodgen.evaluation import classifier
from prodgen.evaluation.classifier import ReferenceClassifier
from prodgen.model import Model
from prodgen.runs.run_export import CACHES
from prodgen.runs.workdir import CONFIG_FILE, EXPORT_FILE, MODEL_FILE

SUMS_FILE = "SHA256SUMS"
# Fields of the config that are paths on the machine that trained the run: files keep their last
# name, folders of the machine alone get their default.
FILE_FIELDS = ("data.path", "data.root", "data.cutout_model", "loss.perceptual_path")
FOLDER_FIELDS = ("data.cache_dir", "data.downloads")


def take_weights(params: Any, dtype: str) -> dict[str, np.ndarray]:
    """The weights by path, as float32 or float16.

    UsageError where one is not finite in this type: float16 ends at 65504.
    """
    arrays = {}
    for name, leaf in trees.flatten_with_paths(jax.device_get(params)).items():
        with np.errstate(over="ignore"):  # the next line says it
            arrays[name] = np.asarray(leaf).astype(dtype)
        if not np.isfinite(arrays[name]).all():
            raise UsageError(
                f"the weights {name} do not fit into {dtype}", "export them as float32"
            )
    return arrays


def write_model(model: Model, folder: Path, dtype: str) -> dict[str, np.ndarray]:
    """Write model.safetensors with the run's record, and return its arrays by name."""
    run, (_, params) = model.run, model.generator
    arrays = take_weights(params, dtype)
    extras = {name: np.asarray(value).item() for name, value in run.state.extras.items()}
    metadata = {
        "part": "model",
        "net": "vae" if "vae" in run.state.nets else "g",
        "step": str(run.step),
        "extras": json.dumps(extras),
        "record": json.dumps(strip_paths(run.record)),
    }
    tensor_files.write_tensors(folder / MODEL_FILE, arrays, metadata)
    return arrays


def write_classifier(
    reference: ReferenceClassifier, folder: Path, dtype: str
) -> dict[str, np.ndarray]:
    """Write classifier.safetensors with its record, and return its arrays by name."""
    arrays = take_weights(reference.params, dtype)
    metadata = {"part": "classifier", "record": json.dumps(reference.record)}
    tensor_files.write_tensors(folder / classifier.EXPORTED_FILE_NAME, arrays, metadata)
    return arrays


def copy_run_files(model: Model, folder: Path, dtype: str) -> list[str]:
    """Write config.json and the conditions, and copy what was measured of the run before.

    A fitted prior belongs to float32 weights: it is copied with these alone. The names of the files
    that were left out are returned.
    """
    run = model.run
    record = json.dumps(strip_paths(run.record), indent=2)
    write_atomically(folder / CONFIG_FILE, record.encode())
    names = [name for name in (conditions.FILE, *CACHES) if (run.path / name).is_file()]
    omissions = [fitted_prior.FILE] if dtype != "float32" and fitted_prior.FILE in names else []
    for name in names:
        if name not in omissions:
            shutil.copyfile(run.path / name, folder / name)
    return omissions


def strip_paths(record: Mapping[str, Any]) -> dict[str, Any]:
    """A run's record without the paths of its machine: of each, the last name stays."""
    config = ConfigDict(record["config"])
    values = flatten(record["config"])
    for path in set(FILE_FIELDS) & set(values):
        set_field(config, path, PurePath(values[path]).name)
    for path in set(FOLDER_FIELDS) & set(values):
        set_field(config, path, FIELDS[path].default)
    origin = {name: record["init_from"][name] for name in ("fingerprint", "step")
              if name in record["init_from"]}  # fmt: skip
    return {**record, "config": config.to_dict(), "init_from": origin}


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """The hash and size of each file of a folder but export.json and SHA256SUMS, by name."""
    return {
        path.name: {"sha256": hash_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in (EXPORT_FILE, SUMS_FILE)
    }


def seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write export.json, with the hash of every file, and SHA256SUMS."""
    files = describe_files(folder)
    head = {"format": tensor_files.FORMAT, "format_version": tensor_files.FORMAT_VERSION}
    content = json.dumps(head | dict(facts) | {"files": files}, indent=1)
    write_atomically(folder / EXPORT_FILE, content.encode())
    sums = {name: entry["sha256"] for name, entry in files.items()}
    sums[EXPORT_FILE] = hash_file(folder / EXPORT_FILE)
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    write_atomically(folder / SUMS_FILE, "".join(lines).encode())
