"""Asking the table of fields: a row by its name, and whether a run reads it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import renames
from prodgen.config.fields import FIELDS
from prodgen.config.rules import Condition, Field, Not, flatten
from prodgen.core.errors import UsageError


def field_of(path: str) -> Field:
    """The row of a dotted path; UsageError names the nearest field, or the new name of an old."""
    if path in FIELDS:
        return FIELDS[path]
    if path in renames.RENAMED_FIELDS:
        new_name = renames.RENAMED_FIELDS[path]
        raise UsageError(
            f"config.{path} has a new name: config.{new_name}", f"write --config.{new_name}=..."
        )
    inside = [name for name in FIELDS if name.startswith(path + ".")]
    if inside:
        raise UsageError(f"config.{path} is a section, not a field; it holds {', '.join(inside)}")
    raise UsageError(f"config.{path} is not a field of the config; {_nearest(path)}")


def _nearest(path: str) -> str:
    """The nearest known field: by the whole path, then by the leaf alone."""
    by_path = difflib.get_close_matches(path, FIELDS, n=1, cutoff=0.6)
    leaves = {name.split(".")[-1]: name for name in FIELDS}
    by_leaf = difflib.get_close_matches(path.split(".")[-1], leaves, n=1, cutoff=0.6)
    best = by_path or [leaves[name] for name in by_leaf]
    return f"did you mean config.{best[0]}?" if best else "docs/configs.md lists the fields"


def is_read(path: str, values: Mapping[str, Any]) -> bool:
    """Whether a run with these values, by dotted path, reads the field."""
    conditions = field_of(path).read_by
    return not conditions or any(not _unmet_fields(condition, values) for condition in conditions)


def _unmet_fields(condition: Condition, values: Mapping[str, Any]) -> list[str]:
    """The fields whose value does not meet a condition."""
    return [
        name
        for name, wanted in condition.items()
        if (values[name] == wanted.value if isinstance(wanted, Not) else values[name] not in wanted)
    ]


def refuse_unread(config: ConfigDict, paths: Iterable[str], origin: str = "") -> None:
    """UsageError for the first field among `paths` that a run with this config does not read.

    It names the setting that keeps the field from being read, and the settings that read it.
    origin: where the field is set, as " of configs/x.py".
    """
    values = flatten(config)
    for path in paths:
        if is_read(path, values):
            continue
        condition = field_of(path).read_by[0]
        unmet = _unmet_fields(condition, values)
        here = ", ".join(f"config.{name}={values[name]}" for name in unmet)
        raise UsageError(
            f"config.{path}{origin} is not read with {here}; it is read with "
            f"{describe_readers(path)}",
            "leave it out, or change the field that it depends on",
        )


def describe_readers(path: str) -> str:
    """Which settings read a field, in words: "model.name vae or vaegan"; "" where all do."""
    return "; or ".join(
        " and ".join(f"{name} {_values_in_words(name, wanted)}" for name, wanted in one.items())
        for one in field_of(path).read_by
    )


def _values_in_words(name: str, wanted: tuple[Any, ...] | Not) -> str:
    if isinstance(wanted, Not):
        choices = FIELDS[name].rule.choices
        if not choices:
            return f"other than {wanted.value:g}"
        wanted = tuple(choice for choice in choices if choice != wanted.value)
    words = [str(value).lower() if isinstance(value, bool) else str(value) for value in wanted]
    return ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1]
