"""Setting fields of a config: presets, single values, the check of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import constraints, registry, renames
from prodgen.config.fields import FIELDS
from prodgen.config.lookup import field_of, flatten
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling


def preset(
    config: ConfigDict,
    presets: Mapping[str, Mapping[str, Any]],
    name: str,
    always: Mapping[str, Any] | None = None,
) -> ConfigDict:
    """`config` with the fields of `always` and of one preset set; "" is the default.

    A name that is not among the presets: UsageError.
    """
    chosen = {} if name in ("", "default") else presets.get(name)
    if chosen is None:
        known = registry.nearest(name, ["default", *presets])
        raise UsageError(f"the config has no preset {name!r}; {known}")
    for path, value in {**(always or {}), **chosen}.items():
        put(config, path, value)
    return config


def put(config: ConfigDict, path: str, value: Any) -> None:
    """Set one field by its dotted path; an unknown one or a value of the wrong kind: UsageError."""
    rule = field_of(path).rule
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


def parse(path: str, text: str) -> Any:
    """The value that `text` on a command line means for the field `path`."""
    try:
        return field_of(path).rule.parse(text)
    except ValueError:
        raise describe_refusal(path, text) from None


def describe_refusal(path: str, value: Any) -> UsageError:
    """The error for a value that the rule of its field does not allow, or that has a new name."""
    new_value = renames.RENAMED_VALUES.get((path, value))
    return UsageError(
        f"config.{path}={value!r} is not allowed: it must be {field_of(path).rule}",
        f"write --config.{path}={new_value}, its new name" if new_value
        else "docs/configs.md lists the fields",
    )  # fmt: skip


def validate(config: ConfigDict) -> ConfigDict:
    """Check every field against its rule and the fields against each other; UsageError if not."""
    values = flatten(config)
    for path, value in values.items():
        if not field_of(path).rule.allows(value):
            raise describe_refusal(path, value)
    missing = sorted(set(FIELDS) - set(values))
    if missing:
        raise UsageError(f"the config lacks the field config.{missing[0]}")
    constraints.check(config)
    return config
