"""A mode's Options: one dataclass that defines its flags, checks, help and table in the docs.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options(RunOptions):
        n: int = option(8, "How many rows.", low=1)

A flag that the mode does not read is refused, not ignored.
"""

from __future__ import annotations

import dataclasses
import keyword
import math
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from absl import flags

from prodgen.config import registry
from prodgen.core import pairs
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
    repeat: bool = False,
) -> Any:
    """One field of an Options class.

    low, high: the inclusive range of a number. choices: the allowed texts, for a tuple those of
    each item. read_with: other options, each with the values under which this option is read.
    repeat: a tuple's flag is written once for each item, else once with commas between the items.
    """
    metadata = {"help": help, "low": low, "high": high, "choices": tuple(choices),
                "read_with": dict(read_with or {}), "repeat": repeat}  # fmt: skip
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Option:
    """The description of one field of an Options class."""

    name: str
    kind: Any  # int, float, bool, str, float | None, tuple[str, ...] or dict[str, str]
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    read_with: dict[str, Choices]
    repeat: bool

    @property
    def field_name(self) -> str:
        """The name of the field: that of the flag, with "_" where it is a keyword, as in from_."""
        return f"{self.name}_" if keyword.iskeyword(self.name) else self.name

    def describe(self) -> str:
        """The allowed values in words; "" where every value is allowed."""
        if self.choices:
            return ("any of " if self.kind == tuple[str, ...] else "") + ", ".join(self.choices)
        if self.low is None and self.high is None:
            return ""
        if self.high is None:
            return f"at least {self.low:,}"
        return f"from {self.low:,} to {self.high:,}"

    def format_default(self) -> str:
        """The default as a user would write it on the command line."""
        match self.default:
            case None | "" | () | {}:
                return ""
            case bool():
                return str(self.default).lower()
            case tuple():
                return ",".join(self.default)
        return str(self.default)


def list_options(cls: type) -> list[Option]:
    """The fields of an Options class in the order of definition, inherited ones last."""
    kinds = typing.get_type_hints(cls)
    own_names = set(cls.__dict__.get("__annotations__", {}))
    fields = sorted(dataclasses.fields(cls), key=lambda field: field.name not in own_names)
    return [
        Option(
            field.name.removesuffix("_"),
            kinds[field.name],
            field.default_factory() if field.default is dataclasses.MISSING else field.default,
            **field.metadata,
        )
        for field in fields
    ]


def define_flags(cls: type, values: flags.FlagValues) -> None:
    """Define the flags of an Options class in `values`."""
    for opt in list_options(cls):
        common = {"name": opt.name, "default": opt.default, "help": opt.help, "flag_values": values}
        bounds = {"lower_bound": opt.low, "upper_bound": opt.high}
        if opt.kind is bool:
            flags.DEFINE_bool(**common)
        elif opt.kind is int:
            flags.DEFINE_integer(**common, **bounds)
        elif opt.kind in (float, float | None):
            flags.DEFINE_float(**common, **bounds)
        elif opt.repeat:
            flags.DEFINE_multi_string(**common | {"default": list(opt.default)})
        elif opt.kind == tuple[str, ...]:
            flags.DEFINE_list(**common | {"default": list(opt.default)})
        else:  # a text, or name=value pairs, which `build_options` parses
            flags.DEFINE_string(**common | {"default": opt.default or ""})


def build_options(cls: type, values: flags.FlagValues) -> Any:
    """An instance of an Options class from parsed flags; UsageError for an invalid value."""
    values_by_field: dict[str, Any] = {}
    for opt in list_options(cls):
        value = values[opt.name].value
        if opt.kind == tuple[str, ...]:
            value = tuple(_match_choice(opt, text) for text in value)
        elif opt.kind == dict[str, str]:
            value = parse_pairs(value, f"--{opt.name}")
        elif opt.choices:
            value = _match_choice(opt, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{opt.name}={value} is not a finite number", "write another one")
        values_by_field[opt.field_name] = value
    options = cls(**values_by_field)
    present_names = {opt.name for opt in list_options(cls) if values[opt.name].present}
    refuse_unread_options(options, present_names)
    return options


def _match_choice(opt: Option, text: str) -> str:
    """The choice that `text` stands for, in either spelling; any text where there are no choices.

    UsageError where no choice matches.
    """
    choice = find_spelling(text, opt.choices)
    if opt.choices and choice not in opt.choices and text != opt.default:
        raise UsageError(
            f"--{opt.name}={text} is not known; {registry.suggest_names(text, list(opt.choices))}",
            f"choose one of {', '.join(opt.choices)}",
        )
    return choice


def refuse_unread_options(options: Any, names: Collection[str]) -> None:
    """Raise UsageError for an option of `names` that has no effect with the other options.

    names: the options that the user set.
    """
    for opt in list_options(type(options)):
        for name, choices in opt.read_with.items():
            value = getattr(options, name)
            if opt.name in names and value not in choices:
                raise UsageError(
                    f"--{opt.name} has no effect with --{name}={value}",
                    f"leave it out; it is read with --{name}={' or '.join(choices)}",
                )


def parse_pairs(text: str, flag: str) -> dict[str, str]:
    """ "colour=red,azimuth=30" -> {"colour": "red", "azimuth": "30"}; UsageError if malformed."""
    try:
        return dict(pairs.parse_pairs(text))
    except ValueError as error:
        raise UsageError(f"{flag}: {error}", f"write it {pairs.PAIR_EXAMPLE}") from None


def format_flags_help(cls: type) -> str:
    """The flags of an Options class, one paragraph each, for --help."""
    paragraphs = []
    for opt in list_options(cls):
        notes = [f"default {opt.format_default()}"] if opt.format_default() else []
        notes += [opt.describe()] if opt.describe() else []
        notes += [f"with --{name}={' or '.join(w)}" for name, w in opt.read_with.items()]
        suffix = f" ({'; '.join(notes)})" if notes else ""
        negation = "[no]" if opt.kind is bool else ""
        paragraphs.append(f"  --{negation}{opt.name}\n      {opt.help}{suffix}")
    return "\n".join(paragraphs)
