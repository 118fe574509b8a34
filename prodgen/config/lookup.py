"""Lookups in the table of fields: a row by its name, and whether a run reads a field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import renames
from prodgen.config.fields import FIELDS
from prodgen.config.rules import Condition, Field, Not, flatten
from prodgen.core.errors import UsageError


def find_field(path: str) -> Field:
    """The row of a dotted path, such as "optim.lr".

    UsageError suggests the most similar field, or the new name of a renamed one.
    """
    if path in FIELDS:
        return FIELDS[path]
    if path in renames.RENAMED_FIELDS:
        new_name = renames.RENAMED_FIELDS[path]
        raise UsageError(
            f"config.{path} has a new name: config.{new_name}", f"write config.{new_name}=VALUE"
        )
    section = [name for name in FIELDS if name.startswith(path + ".")]
    if section:
        raise UsageError(
            f"config.{path} is a section, not a field; it holds {', '.join(section)}",
            f"set a field, as in config.{section[0]}=VALUE",
        )
    # Suggest the most similar field: by the whole path, else by the last part alone.
    matches = difflib.get_close_matches(path, FIELDS, n=1, cutoff=0.6)
    if not matches:
        leaves = {name.split(".")[-1]: name for name in FIELDS}
        leaf = path.split(".")[-1]
        matches = [leaves[name] for name in difflib.get_close_matches(leaf, leaves, 1, 0.6)]
    hint = f"did you mean config.{matches[0]}?" if matches else "no field is similar"
    raise UsageError(
        f"config.{path} is not a field of the config; {hint}", "docs/configs.md lists the fields"
    )


def is_read(path: str, values: Mapping[str, Any]) -> bool:
    """Whether a run with these values, by dotted path, reads the field."""
    conditions = find_field(path).read_by
    return not conditions or any(not _find_violations(c, values) for c in conditions)


def _find_violations(condition: Condition, values: Mapping[str, Any]) -> list[str]:
    """The fields whose value does not meet a condition."""
    return [
        name
        for name, rule in condition.items()
        if (values[name] == rule.value if isinstance(rule, Not) else values[name] not in rule)
    ]


def refuse_unread_fields(config: ConfigDict, paths: Iterable[str], origin: str = "") -> None:
    """Raise UsageError for the first field among `paths` that a run with this config ignores.

    The message names the current setting and the settings with which the field is read.
    origin: where the field is set, as " of configs/x.py".
    """
    values = flatten(config)
    for path in paths:
        if is_read(path, values):
            continue
        condition = find_field(path).read_by[0]
        violations = _find_violations(condition, values)
        settings = ", ".join(f"config.{name}={values[name]}" for name in violations)
        raise UsageError(
            f"config.{path}{origin} is not read with {settings}; it is read with "
            f"{describe_readers(path)}",
            "leave it out, or change the field that it depends on",
        )


def describe_readers(path: str) -> str:
    """The settings with which a field is read: "model.name vae or vaegan"; "" for all runs."""
    conditions = []
    for condition in find_field(path).read_by:
        phrases = []
        for name, rule in condition.items():
            choices = rule
            if isinstance(rule, Not):
                choices = tuple(x for x in FIELDS[name].rule.choices if x != rule.value)
            if choices:
                words = [str(x).lower() if isinstance(x, bool) else str(x) for x in choices]
                text = ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1]
            else:  # the field is a number
                text = f"other than {rule.value:g}"
            phrases.append(f"{name} {text}")
        conditions.append(" and ".join(phrases))
    return "; or ".join(conditions)
