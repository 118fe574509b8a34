"""Programs with several commands: python -m PROGRAM COMMAND --FLAGS. Each is one module."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from absl import flags

from prodgen.cli import options
from prodgen.cli.commandline import HELP_FLAGS
from prodgen.config import registry
from prodgen.core.errors import UsageError


def import_command(
    package: str, commands: Mapping[str, str], arguments: Sequence[str]
) -> ModuleType | None:
    """The module of the command that begins the arguments; None where they ask for help instead.

    commands: {name: module of `package`}. UsageError where there is no command of this name.
    """
    command = arguments[0] if arguments else ""
    if command in HELP_FLAGS:
        return None
    if not command or command.startswith("-"):
        raise UsageError("no command was given", f"begin with one of {', '.join(commands)}")
    if command not in commands:
        hint = registry.suggest_names(command, list(commands))
        raise UsageError(f"{command!r} is no command; {hint}", f"use {', '.join(commands)}")
    return importlib.import_module(f"{package}.{commands[command]}")


def has_help_flag(arguments: Sequence[str]) -> bool:
    """Whether the arguments ask for help."""
    return bool(HELP_FLAGS & set(arguments))


def format_command_help(module: ModuleType) -> str:
    """What a command does, and its flags."""
    return f"{module.__doc__}\n\n{options.format_flags_help(module.Options)}"


def parse_arguments(
    module: ModuleType, program: str, arguments: Sequence[str]
) -> tuple[Any, list[str]]:
    """A command's Options, and the arguments that are no flag. UsageError for a wrong flag.

    program: the program and its command, as "python -m prodgen.launch local".
    """
    values = flags.FlagValues()
    options.define_flags(module.Options, values)
    try:
        positionals = values([program, *arguments])[1:]
    except flags.Error as error:
        message = str(error).replace("\n", " ")
        raise UsageError(message, f"{program} --help lists the flags") from None
    return options.build_options(module.Options, values), positionals
