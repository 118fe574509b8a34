"""Names that have changed between versions: config fields, metrics, records and files.

A run's folder keeps the names of the version that wrote it. Everything that is read from a folder
is translated here first, so that old runs open, sample and continue. A run's fingerprint is
computed over the names of version 0.1.0 (`restore_first_names`), so that a rename does not change
it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prodgen.config.rules import flatten


@dataclasses.dataclass(frozen=True)
class Renames:
    """The renames of one version, each as old name -> new name.

    fields: of the config. values: (new name of the field, old value) -> new value.
    metrics: names in metrics.jsonl and timing.jsonl. record: top-level keys of config.json.
    attribute: keys of an attribute in a data spec. evaluation: keys of evaluation.json, at any
    depth. extractors: names in evaluation.json. files: names in a run's folder.
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

RENAMED_FIELDS: dict[str, str] = {
    old: new for version in HISTORY for old, new in version.fields.items()
}
RENAMED_VALUES: dict[tuple[str, Any], Any] = {
    old: new for version in HISTORY for old, new in version.values.items()
}
# Sections of evaluation.json whose keys are attribute names of the data set, never renamed.
ATTRIBUTE_SECTIONS = ("condition_accuracy", "shows")


def update_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Translate config values by dotted path to today's names and choices."""
    values = dict(values)
    for version in HISTORY:
        values = {version.fields.get(name, name): value for name, value in values.items()}
        values = {name: version.values.get((name, value), value) for name, value in values.items()}
    return values


def restore_first_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `update_fields`: translate to the names and choices of version 0.1.0."""
    values = dict(values)
    for version in reversed(HISTORY):
        old_values = {(name, new): old for (name, old), new in version.values.items()}
        old_names = {new: old for old, new in version.fields.items()}
        values = {name: old_values.get((name, value), value) for name, value in values.items()}
        values = {old_names.get(name, name): value for name, value in values.items()}
    return values


def update_metrics(record: Mapping[str, float]) -> dict[str, float]:
    """Translate one line of metrics.jsonl or timing.jsonl to today's names."""
    for version in HISTORY:
        record = {version.metrics.get(name, name): value for name, value in record.items()}
    return dict(record)


def update_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a data spec as JSON (`types.Spec.to_json`) to today's names."""
    if "attributes" not in spec:
        return dict(spec)
    attributes = [_rename_keys(attribute, "attribute") for attribute in spec["attributes"]]
    return {**spec, "attributes": attributes}


def restore_first_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a data spec to the names of version 0.1.0, for the digest of a data set."""
    old_names = {new: old for version in HISTORY for old, new in version.attribute.items()}
    attributes = [
        {old_names.get(name, name): value for name, value in attribute.items()}
        for attribute in spec["attributes"]
    ]
    return {**spec, "attributes": attributes}


def update_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the content of a run's config.json to today's names."""
    record = _rename_keys(record, "record")
    if "config" in record:
        # Rename by dotted path, since a field may move to another section; then nest again.
        sections: dict[str, Any] = {}
        for path, value in update_fields(flatten(record["config"])).items():
            section, _, leaf = path.rpartition(".")
            (sections.setdefault(section, {}) if section else sections)[leaf] = value
        record["config"] = sections
    if "spec" in record.get("data", {}):
        record["data"] = {**record["data"], "spec": update_spec(record["data"]["spec"])}
    return record


def update_evaluation(value: Any) -> Any:
    """Translate the content of an evaluation.json, or a part of it, to today's names."""
    if isinstance(value, list):
        return [update_evaluation(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    record = {
        name: item if name in ATTRIBUTE_SECTIONS else update_evaluation(item)
        for name, item in _rename_keys(value, "evaluation").items()
    }
    # An extractor is written as {"name": "home", ...}, and in keys as "home-3-...".
    for old, new in ((o, n) for version in HISTORY for o, n in version.extractors.items()):
        record = {
            new + name.removeprefix(old) if name.startswith(f"{old}-") else name: item
            for name, item in record.items()
        }
        if "sha256" in record and record.get("name") == old:
            record["name"] = new
    return record


def find_file(folder: Path, name: str) -> Path:
    """The path of a run's file under today's name, or under an old name where only that exists."""
    old_names = [old for version in HISTORY for old, new in version.files.items() if new == name]
    paths = [folder / n for n in (name, *old_names) if (folder / n).is_file()]
    return paths[0] if paths else folder / name


def _rename_keys(record: Mapping[str, Any], kind: str) -> dict[str, Any]:
    for version in HISTORY:
        names = getattr(version, kind)
        record = {names.get(name, name): value for name, value in record.items()}
    return dict(record)
