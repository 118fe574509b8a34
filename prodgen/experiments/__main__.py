"""Run a study: python -m prodgen.experiments COMMAND configs/studies/NAME.py --workdir=DIR

plan     what the study would train: runs, time, disk, device hours; no run starts
run      train what is missing; the same command again continues
status   the state of every run, from the run folders alone
report   results.jsonl, study.html, study.md and study.tex
verify   train runs again and compare them with those of the study

`COMMAND --help` lists the flags of one. docs/studies.md explains studies.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from prodgen.cli import commandline, options
from prodgen.config import registry
from prodgen.core.errors import UsageError
from prodgen.experiments.session import StudySession, open_session

COMMANDS = {  # name -> module with Options and run(session, options)
    "plan": "plan", "run": "run_command", "status": "status", "report": "report",
    "verify": "verify",
}  # fmt: skip


def main(argv: list[str]) -> None:
    """Parse the command line, and run one command."""
    arguments = argv[1:]
    if not arguments or arguments[0].startswith("-"):
        if set(arguments) & commandline.HELP_FLAGS:
            print(__doc__)
            return
        raise UsageError("no command was given", f"begin with one of {', '.join(COMMANDS)}")
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        hint = registry.suggest_names(command, list(COMMANDS))
        raise UsageError(f"{command!r} is no command; {hint}", f"use {', '.join(COMMANDS)}")
    module = importlib.import_module(f"prodgen.experiments.{COMMANDS[command]}")
    if set(rest) & commandline.HELP_FLAGS:
        print(module.__doc__, "", options.format_flags_help(module.Options), sep="\n")
        return
    module.run(*parse(module, command, rest))


def parse(module: ModuleType, command: str, arguments: Sequence[str]) -> tuple[StudySession, Any]:
    """The study and the command's options. UsageError for a wrong flag."""
    values = flags.FlagValues()
    options.define_flags(module.Options, values)
    try:
        positionals = values(["experiments", *arguments])[1:]
    except flags.Error as error:
        raise UsageError(
            str(error).replace("\n", " "),
            f"python -m prodgen.experiments {command} --help lists the flags",
        ) from None
    if len(positionals) != 1:
        raise UsageError(
            f"{command} takes one study, and there are {len(positionals)}",
            "name it after the command: a file such as those of configs/studies/",
        )
    command_options = options.build_options(module.Options, values)
    return open_session(Path(positionals[0]), command_options), command_options


if __name__ == "__main__":
    commandline.run_program(main, sys.argv)
