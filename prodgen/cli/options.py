"""A mode's Options: one dataclass, from which its flags, checks, help and docs table are made.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options(RunOptions):
        n: int = option(8, "How many rows.", low=1)

A flag that the mode does not read is refused rather than ignored.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from absl import flags

from prodgen.config import registry
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling

Choices = Sequence[str]


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Choices = (),
    read_with: Mapping[str, Choices] | None = None,
) -> Any:
    """One field of an Options class.

    low, high: of numbers, ends included. choices: of a text, or of each text of a tuple. read_with:
    other options and the values of which one must be given for this one to be read.
    """
    facts = {"help": help, "low": low, "high": high, "choices": tuple(choices),
             "read_with": dict(read_with or {})}  # fmt: skip
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@dataclasses.dataclass(frozen=True)
class Option:
    """What an Options class says of one of its fields."""

    name: str
    kind: Any  # int, float, bool, str, float | None, tuple[str, ...] or dict[str, str]
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    read_with: dict[str, Choices]

    def describe(self) -> str:
        """The allowed values in words; "" where any text is."""
        if self.choices:
            return ("any of " if self.kind == tuple[str, ...] else "") + ", ".join(self.choices)
        if self.low is None and self.high is None:
            return ""
        if self.high is None:
            return f"at least {self.low:,}"
        return f"from {self.low:,} to {self.high:,}"

    def default_text(self) -> str:
        """The default as a user would write it."""
        match self.default:
            case None | "" | () | {}:
                return ""
            case bool():
                return str(self.default).lower()
            case tuple():
                return ",".join(self.default)
        return str(self.default)


def options_of(cls: type) -> list[Option]:
    """The fields of an Options class, in the order of its definition, its own before inherited."""
    kinds = typing.get_type_hints(cls)
    own = set(cls.__dict__.get("__annotations__", {}))
    fields = sorted(dataclasses.fields(cls), key=lambda field: field.name not in own)
    return [
        Option(
            field.name,
            kinds[field.name],
            field.default_factory() if field.default is dataclasses.MISSING else field.default,
            **field.metadata,
        )
        for field in fields
    ]


def define_flags(cls: type, values: flags.FlagValues) -> None:
    """Define the flags of an Options class in `values`."""
    for one in options_of(cls):
        common = {"name": one.name, "default": one.default, "help": one.help, "flag_values": values}
        bounds = {"lower_bound": one.low, "upper_bound": one.high}
        if one.kind is bool:
            flags.DEFINE_bool(**common)
        elif one.kind is int:
            flags.DEFINE_integer(**common, **bounds)
        elif one.kind in (float, float | None):
            flags.DEFINE_float(**common, **bounds)
        elif one.kind == tuple[str, ...]:
            flags.DEFINE_list(**common | {"default": list(one.default)})
        else:  # a text, or name=value pairs: read by `build`
            flags.DEFINE_string(**common | {"default": one.default or ""})


def build(cls: type, values: flags.FlagValues) -> Any:
    """An instance of an Options class from parsed flags; UsageError for a value not allowed."""
    by_name: dict[str, Any] = {}
    for one in options_of(cls):
        value = values[one.name].value
        if one.kind == tuple[str, ...]:
            value = tuple(_choice(one, text) for text in value)
        elif one.kind == dict[str, str]:
            value = parse_pairs(value, f"--{one.name}")
        elif one.choices:
            value = _choice(one, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{one.name}={value} is not a finite number", "write another one")
        by_name[one.name] = value
    options = cls(**by_name)
    refuse_unread(options, {name for name in by_name if values[name].present})
    return options


def _choice(one: Option, text: str) -> str:
    """The text as one of the choices, in either spelling; any text where there are no choices."""
    choice = find_spelling(text, one.choices)
    if one.choices and choice not in one.choices and text != one.default:
        raise UsageError(
            f"--{one.name}={text} is not known; {registry.nearest(text, list(one.choices))}",
            f"choose one of {', '.join(one.choices)}",
        )
    return choice


def refuse_unread(options: Any, given: Collection[str]) -> None:
    """UsageError for an option that was given and that the values of other options leave unread."""
    for one in options_of(type(options)):
        for name, wanted in one.read_with.items():
            value = getattr(options, name)
            if one.name in given and value not in wanted:
                raise UsageError(
                    f"--{one.name} has no effect with --{name}={value}",
                    f"leave it out; it is read with --{name}={' or '.join(wanted)}",
                )


def parse_pairs(text: str, flag: str) -> dict[str, str]:
    """ "colour=red,azimuth=30" -> {"colour": "red", "azimuth": "30"}; else UsageError."""
    pairs: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise UsageError(f"{flag}: {part!r} is not name=value", "as in colour=red,azimuth=30")
        pairs[name.strip()] = value.strip()
    return pairs


def help_text(cls: type, only: Callable[[Option], bool] = lambda one: True) -> str:
    """The flags of an Options class, a paragraph each, for --help."""
    paragraphs = []
    for one in options_of(cls):
        if not only(one):
            continue
        facts = [f"default {one.default_text()}"] if one.default_text() else []
        facts += [one.describe()] if one.describe() else []
        facts += [f"with --{name}={' or '.join(w)}" for name, w in one.read_with.items()]
        suffix = f" ({'; '.join(facts)})" if facts else ""
        negation = "[no]" if one.kind is bool else ""
        paragraphs.append(f"  --{negation}{one.name}\n      {one.help}{suffix}")
    return "\n".join(paragraphs)
