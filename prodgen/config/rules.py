"""One row of the table of config fields: its default, allowed values, help and readers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class Rule:
    """The allowed values of a field: a type, and either choices or a closed range."""

    kind: type
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        if self.kind in (bool, str):
            return {bool: "true or false", str: "text"}[self.kind]
        noun = "a whole number" if self.kind is int else "a finite number"
        if math.isinf(self.low) and math.isinf(self.high):
            return noun
        low, high = (f"{x:,}" if isinstance(x, int) else f"{x:g}" for x in (self.low, self.high))
        return f"{noun} of at least {low}" if high == "inf" else f"{noun} from {low} to {high}"

    def allows(self, value: Any) -> bool:
        """Whether a value has the right type, is finite, and is a choice or within the range."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        has_right_type = {
            bool: isinstance(value, bool),
            str: isinstance(value, str),
            int: is_number and isinstance(value, int),
            float: is_number and math.isfinite(value),
        }[self.kind]
        if not has_right_type or (self.choices and value not in self.choices):
            return False
        return self.kind in (bool, str) or self.low <= value <= self.high

    def parse(self, text: str) -> Any:
        """Convert a text of the command line; ValueError where it is not of the field's type."""
        if self.kind is bool:
            values = {"true": True, "1": True, "false": False, "0": False}
            if text.lower() not in values:
                raise ValueError(text)
            return values[text.lower()]
        return self.kind(text)


@dataclasses.dataclass(frozen=True)
class Not:
    """In a condition of `Field.read_by`: any value except this one."""

    value: Any


Condition = Mapping[str, "tuple[Any, ...] | Not"]  # field -> required values; all must hold


@dataclasses.dataclass(frozen=True)
class Field:
    """One config field.

    read_by: a run reads the field where at least one of these conditions holds; (): always.
    """

    default: Any
    rule: Rule
    help: str
    read_by: tuple[Condition, ...] = ()


def one_of(*choices: Any) -> Rule:
    """A rule that allows these values."""
    return Rule(type(choices[0]), choices=choices)


def flatten(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """All values by dotted path: {"train.num_steps": 3000, ...}."""
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, (ConfigDict, dict)):
            values |= flatten(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value
    return values
