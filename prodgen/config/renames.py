"""What has had another name in an older version: config fields, metrics, records, files.

A run's folder keeps what was written by the version that wrote it. Everything read from a folder
passes through here before it is compared, so that old runs open, sample and continue. A run's
fingerprint is computed over the names of version 0.1.0 (`restore_first_names`): a rename never
gives an existing run another fingerprint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prodgen.config.rules import flatten


@dataclasses.dataclass(frozen=True)
class Renames:
    """The renames of one version, each old name -> new name.

    fields: of the config. values: (field, old value) -> new value, by the field's new name.
    metrics: names in metrics.jsonl and timing.jsonl. record: top-level keys of config.json.
    attribute: keys of an attribute in a data spec. evaluation: keys of evaluation.json, at any
    depth. extractors: names in evaluation.json. files: in a run's folder.
    """

    version: str
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    values: Mapping[tuple[str, Any], Any] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, str] = dataclasses.field(default_factory=dict)
    record: Mapping[str, str] = dataclasses.field(default_factory=dict)
    attribute: Mapping[str, str] = dataclasses.field(default_factory=dict)
    evaluation: Mapping[str, str] = dataclasses.field(default_factory=dict)
    extractors: Mapping[str, str] = dataclasses.field(default_factory=dict)
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)


HISTORY: tuple[Renames, ...] = (  # oldest first
    Renames(
        version="0.2.0",
        fields={
            "augment.travel": "augment.ada_images",
            "optim.d_lr_share": "optim.d_lr_ratio",
        },
        values={("loss.perceptual", "home"): "classifier"},
        metrics={
            "augment/sure": "augment/r_t",
            "val/twins": "val/near_duplicates",
            "val/twins_real": "val/near_duplicates_real",
            "val/named": "val/condition_accuracy",
            "val/named_real": "val/condition_accuracy_real",
            "val/beyond": "val/out_of_range_fraction",
            "seconds/home network": "seconds/classifier",
        },
        record={"home": "classifier"},
        attribute={"deviation": "std"},
        evaluation={
            "home": "classifier",
            "shows": "condition_accuracy",
            "floor": "real_baseline",
            "floor_low": "real_baseline_low",
            "floor_high": "real_baseline_high",
            "passport": "measurement_spec",
        },
        extractors={"home": "classifier"},
        files={"home.msgpack": "classifier.msgpack"},
    ),
)

RENAMED_FIELDS: dict[str, str] = {old: new for one in HISTORY for old, new in one.fields.items()}
RENAMED_VALUES: dict[tuple[str, Any], Any] = {
    k: v for one in HISTORY for k, v in one.values.items()
}
KEYED_BY_DATA = ("condition_accuracy", "shows")  # of evaluation.json: by the attributes' own names


def update_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Config values by dotted path, under today's names and with today's choices."""
    values = dict(values)
    for version in HISTORY:
        values = {version.fields.get(name, name): value for name, value in values.items()}
        values = {name: version.values.get((name, value), value) for name, value in values.items()}
    return values


def restore_first_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `update_fields`: the names and choices of version 0.1.0."""
    values = dict(values)
    for version in reversed(HISTORY):
        old_values = {(name, new): old for (name, old), new in version.values.items()}
        old_names = {new: old for old, new in version.fields.items()}
        values = {name: old_values.get((name, value), value) for name, value in values.items()}
        values = {old_names.get(name, name): value for name, value in values.items()}
    return values


def update_metrics(record: Mapping[str, float]) -> dict[str, float]:
    """One line of metrics.jsonl or timing.jsonl under today's names."""
    for version in HISTORY:
        record = {version.metrics.get(name, name): value for name, value in record.items()}
    return dict(record)


def update_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A data spec as JSON (`types.Spec.to_json`) under today's names."""
    if "attributes" not in spec:
        return dict(spec)
    return {**spec, "attributes": [_rename_keys(one, "attribute") for one in spec["attributes"]]}


def restore_first_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A data spec as version 0.1.0 wrote it: the digest of a data set is computed over it."""
    old_names = {new: old for one in HISTORY for old, new in one.attribute.items()}
    attributes = [
        {old_names.get(name, name): value for name, value in one.items()}
        for one in spec["attributes"]
    ]
    return {**spec, "attributes": attributes}


def update_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a run's config.json under today's names."""
    record = _rename_keys(record, "record")
    if "config" in record:
        record["config"] = _update_sections(record["config"])
    if "spec" in record.get("data", {}):
        record["data"] = {**record["data"], "spec": update_spec(record["data"]["spec"])}
    return record


def update_evaluation(value: Any) -> Any:
    """The content of an evaluation.json, or a part of it, under today's names."""
    if isinstance(value, list):
        return [update_evaluation(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    record = {
        name: one if name in KEYED_BY_DATA else update_evaluation(one)
        for name, one in _rename_keys(value, "evaluation").items()
    }
    # An extractor stands as {"name": "home", ...}, and in keys as "home-3-...".
    for old, new in ((o, n) for version in HISTORY for o, n in version.extractors.items()):
        record = {
            new + name.removeprefix(old) if name.startswith(f"{old}-") else name: one
            for name, one in record.items()
        }
        if "sha256" in record and record.get("name") == old:
            record["name"] = new
    return record


def find_file(folder: Path, name: str) -> Path:
    """A file of a run's folder by today's name: it, or the one that an older version wrote."""
    older = [old for one in HISTORY for old, new in one.files.items() if new == name]
    there = [folder / one for one in (name, *older) if (folder / one).is_file()]
    return there[0] if there else folder / name


def _rename_keys(record: Mapping[str, Any], kind: str) -> dict[str, Any]:
    for version in HISTORY:
        names = getattr(version, kind)
        record = {names.get(name, name): value for name, value in record.items()}
    return dict(record)


def _update_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of nested sections, renamed; a field may move to another section."""
    nested: dict[str, Any] = {}
    for path, value in update_fields(flatten(config)).items():
        section, _, leaf = path.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[leaf] = value
    return nested
