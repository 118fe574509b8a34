"""A run's identity: its fingerprint, its stored config, and what a continued run may change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import renames
from prodgen.config.fields import FIELDS
from prodgen.config.lookup import flatten, is_read
from prodgen.config.overrides import set_field, validate
from prodgen.core.errors import UsageError

# Fields that a continued run may change: no number that a step computes depends on them.
CHANGEABLE_FIELDS = frozenset(
    {
        "data.downloads", "data.cache_dir", "data.workers", "data.feed", "data.path",
        "data.root", "data.cutout_model",
        "train.log_every", "train.sample_every", "train.evaluate_every", "train.checkpoint_every",
        "train.sheet_columns", "train.keep", "train.keep_best", "train.evaluate_examples",
        "train.max_bad_steps", "train.tensorboard", "train.hook", "train.microbatches",
        "model.remat", "parallel.mode", "parallel.devices", "parallel.require_platform",
        "parallel.require_devices", "parallel.port", "parallel.start_timeout_s",
        "parallel.heartbeat_timeout_s", "parallel.watchdog_s", "parallel.compile_timeout_s",
    }
)  # fmt: skip


# Fields that older versions lack, and the values that reproduce the older behaviour. At these
# values a field is left out of the fingerprint, so that older runs keep theirs.
NEW_FIELD_DEFAULTS: dict[str, Any] = {
    "data.cutout": "none", "data.cutout_model": "", "data.root": "", "data.columns": "",
    "data.split_by": "image", "model.prior": "conditional", "model.remat": False,
    "train.microbatches": 1, "train.hook": "", "parallel.require_devices": 0, "parallel.port": 8476,
    "parallel.start_timeout_s": 1800.0, "parallel.heartbeat_timeout_s": 60.0,
    "parallel.watchdog_s": 100.0, "parallel.compile_timeout_s": 3600.0, "parallel.fsdp": False,
}  # fmt: skip


def compute_fingerprint(config: ConfigDict) -> str:
    """The run's fingerprint: 8 hex digits over all fields except those that may change."""
    # These may change when a folder is moved, but they separate the runs of two folders.
    changeable = find_changeable_fields(config) - {"data.path", "data.root"}
    all_values = flatten(config)
    values = {path: value for path, value in all_values.items() if path not in changeable}
    # A new field changes nothing where the run does not read it, or has what older runs had.
    for path, old_default in NEW_FIELD_DEFAULTS.items():
        if path in values and (values[path] == old_default or not is_read(path, all_values)):
            del values[path]
    text = json.dumps(renames.restore_first_names(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def find_changeable_fields(config: ConfigDict) -> frozenset[str]:
    """The fields that a continued run may change.

    `train.num_steps` is one of them only where no schedule depends on the length of the run.
    """
    has_ramp = config.augment.ramp and not config.augment.adaptive
    has_schedule = (
        config.optim.schedule != "constant"
        or config.optim.b2_end
        or config.loss.gamma_end != 1
        or has_ramp
    )
    fields = CHANGEABLE_FIELDS if has_schedule else CHANGEABLE_FIELDS | {"train.num_steps"}
    # The Frechet distance chooses a GAN's best checkpoint, and depends on the number of images.
    return fields if config.model.name == "vae" else fields - {"train.evaluate_examples"}


def find_differences(old: Mapping[str, Any], new: ConfigDict) -> list[str]:
    """The differences that prevent a run with config `old` from continuing as `new`.

    One text per field, as "config.a.b: 1 -> 2".
    """
    old_values = NEW_FIELD_DEFAULTS | renames.update_fields(flatten(old))
    new_values = flatten(new)
    fixed_fields = (set(old_values) | set(new_values)) - find_changeable_fields(new)
    # Older versions accepted fields that no run reads. Such a field changes nothing.
    complete_old_values = new_values | old_values
    fixed_fields -= {
        path
        for path in new_values
        if not is_read(path, new_values) and not is_read(path, complete_old_values)
    }
    return [
        f"config.{path}: {old_values.get(path, 'absent')!r} -> {new_values.get(path, 'absent')!r}"
        for path in sorted(fixed_fields)
        if old_values.get(path) != new_values.get(path)
    ]


def load_config(path: str | Path) -> ConfigDict:
    """The config in a run's config.json, see `restore_config`."""
    record = renames.update_record(json.loads(Path(path).read_text(encoding="utf-8")))
    return restore_config(record, path)


def restore_config(record: Mapping[str, Any], path: str | Path) -> ConfigDict:
    """The locked config of a run's record, under today's names; `path` is the record's file.

    Missing fields of NEW_FIELD_DEFAULTS get their value there. UsageError names any other missing
    field, and any unknown field with the version that wrote the run.
    """
    config, values = ConfigDict(record["config"]), flatten(record["config"])
    unknown_fields = sorted(set(values) - set(FIELDS))
    if unknown_fields:
        writer_version = record.get("versions", {}).get("prodgen", "an unknown version")
        raise UsageError(
            f"{path} has the field config.{unknown_fields[0]}, which this version of prodgen "
            f"does not know; the run was written by prodgen {writer_version}",
            f"open it with prodgen {writer_version}",
        )
    for field, value in NEW_FIELD_DEFAULTS.items():
        if field not in values:
            set_field(config, field, value)
    return validate(config.lock())
