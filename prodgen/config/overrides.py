"""Setting the fields of a config: presets, single values, and the final validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import constraints, registry, renames
from prodgen.config.fields import FIELDS
from prodgen.config.lookup import find_field, flatten
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling


def apply_preset(
    config: ConfigDict,
    presets: Mapping[str, Mapping[str, Any]],
    name: str,
    always: Mapping[str, Any] | None = None,
) -> ConfigDict:
    """Set the fields of `always`, then those of one preset, in `config`, and return it.

    name: the preset; "" and "default" stand for none. UsageError for an unknown preset.
    """
    preset = {} if name in ("", "default") else presets.get(name)
    if preset is None:
        hint = registry.suggest_names(name, ["default", *presets])
        raise UsageError(
            f"the config has no preset {name!r}; {hint}", "choose one of the known names"
        )
    for path, value in {**(always or {}), **preset}.items():
        set_field(config, path, value)
    return config


def set_field(config: ConfigDict, path: str, value: Any) -> None:
    """Set one field by its dotted path; UsageError for an unknown field or an invalid value."""
    rule = find_field(path).rule
    if rule.choices and isinstance(value, str):
        value = find_spelling(value, rule.choices)
    if rule.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not rule.allows(value):
        raise describe_refusal(path, value)
    *parents, leaf = path.split(".")
    for parent in parents:
        config = config[parent]
    config[leaf] = value


def parse_value(path: str, text: str) -> Any:
    """The value of the field `path` that `text` on a command line stands for."""
    try:
        return find_field(path).rule.parse(text)
    except ValueError:
        raise describe_refusal(path, text) from None


def describe_refusal(path: str, value: Any) -> UsageError:
    """The error for a value that its field does not allow; it names a renamed value's new name."""
    new_value = renames.RENAMED_VALUES.get((path, value))
    return UsageError(
        f"config.{path}={value!r} is not allowed: it must be {find_field(path).rule}",
        f"write config.{path}={new_value}, its new name" if new_value
        else "docs/configs.md lists the fields",
    )  # fmt: skip


def validate(config: ConfigDict) -> ConfigDict:
    """Check every field against its rule, and the combinations of fields; UsageError if invalid."""
    values = flatten(config)
    for path, value in values.items():
        if not find_field(path).rule.allows(value):
            raise describe_refusal(path, value)
    missing_fields = sorted(set(FIELDS) - set(values))
    if missing_fields:
        raise UsageError(
            f"the config lacks the field config.{missing_fields[0]}",
            "begin the config file with that of configs/base.py",
        )
    constraints.check(config)
    return config
