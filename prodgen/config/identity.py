"""Which run a config describes: fingerprints, and what may change when a run is continued."""

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
from prodgen.config.overrides import put, validate
from prodgen.core.errors import UsageError

# What may differ when a run is continued: nothing here changes which numbers a step computes.
MAY_CHANGE = frozenset(
    {
        "data.downloads", "data.cache_dir", "data.workers", "data.feed", "data.path",
        "data.cutout_model",
        "train.log_every", "train.sample_every", "train.evaluate_every", "train.checkpoint_every",
        "train.sheet_columns", "train.keep", "train.keep_best", "train.evaluate_examples",
        "train.max_bad_steps", "train.tensorboard", "parallel.mode", "parallel.devices",
        "parallel.require_platform",
    }
)  # fmt: skip


# Fields that came after runs had been made without them. At these values, which do what was done
# before, they count as absent: an older config is filled up and keeps its fingerprint.
ADDED: dict[str, Any] = {"data.cutout": "none", "data.cutout_model": ""}


def fingerprint(config: ConfigDict) -> str:
    """8 hex digits of what the run computes: all fields but those that may change on resume."""
    free = may_change(config) - {"data.path"}  # two folders are two runs, a moved folder is not
    fixed = {
        path: value
        for path, value in flatten(config).items()
        if path not in free and not (path in ADDED and value == ADDED[path])
    }
    text = json.dumps(renames.restore_first_names(fixed), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def may_change(config: ConfigDict) -> frozenset[str]:
    """The fields a continued run may change; its length only where nothing depends on it."""
    moves = config.optim.schedule != "constant" or config.optim.b2_end
    ramps = config.augment.ramp and not config.augment.adaptive
    moves = moves or config.loss.gamma_end != 1 or ramps
    free = MAY_CHANGE if moves else MAY_CHANGE | {"train.num_steps"}
    # A Frechet distance depends on the number of images and chooses the best checkpoint.
    return free if config.model.name == "vae" else free - {"train.evaluate_examples"}


def differences(old: Mapping[str, Any], new: ConfigDict) -> list[str]:
    """What keeps a run with config `old` from being continued as `new`, one line a field."""
    before, after = ADDED | renames.update_fields(flatten(old)), flatten(new)
    fixed = (set(before) | set(after)) - may_change(new)
    # A field that neither run reads was accepted by older versions: it changes nothing.
    old_values = after | before  # complete, where the old config lacks a field
    fixed -= {path for path in after if not is_read(path, after) and not is_read(path, old_values)}
    return [
        f"config.{path}: {before.get(path, 'absent')!r} -> {after.get(path, 'absent')!r}"
        for path in sorted(fixed)
        if before.get(path) != after.get(path)
    ]


def load(path: str | Path) -> ConfigDict:
    """The locked config of a run, from its config.json, under today's names.

    Fields of ADDED that it lacks get their value. UsageError names any other field that it lacks,
    and any that this version does not know, with the version that wrote the run.
    """
    record = renames.update_record(json.loads(Path(path).read_text(encoding="utf-8")))
    config, values = ConfigDict(record["config"]), flatten(record["config"])
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        writer = record.get("versions", {}).get("prodgen", "an unknown version")
        raise UsageError(
            f"{path} has the field config.{unknown[0]}, which this version of prodgen does not "
            f"know; the run was written by prodgen {writer}",
            f"open it with prodgen {writer}",
        )
    for field, value in ADDED.items():
        if field not in values:
            put(config, field, value)
    return validate(config.lock())
