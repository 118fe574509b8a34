"""Start a program in several processes: python -m prodgen.launch COMMAND --FLAGS -- PROGRAM

local    start the processes on this machine
slurm    print a batch script for sbatch, one task a GPU
gke      print a JobSet for kubectl, one pod a host with GPUs or TPU chips
tpu      print a script that runs the program on every worker of a TPU VM
study    print an array job: STUDY.py in place of -- PROGRAM, one run of the study a task

PROGRAM is a command without the interpreter, as in `run_train.py --config=configs/vae.py`.
`COMMAND --help` lists the flags of one. docs/pods.md explains each.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from absl import flags

from prodgen.cli import commandline, options
from prodgen.config import registry
from prodgen.core.errors import UsageError

COMMANDS = {  # name -> module with Options and run(options, words)
    "local": "local_processes", "slurm": "slurm_script", "gke": "jobset_manifest",
    "tpu": "tpu_script", "study": "study_jobs",
}  # fmt: skip


def main(argv: list[str]) -> None:
    """Parse the command line, and run one command."""
    arguments = argv[1:]
    if not arguments or arguments[0].startswith("-"):
        if set(arguments[:1]) & commandline.HELP_FLAGS:
            print(__doc__)
            return
        raise UsageError("no command was given", f"begin with one of {', '.join(COMMANDS)}")
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        hint = registry.suggest_names(command, list(COMMANDS))
        raise UsageError(f"{command!r} is no command; {hint}", f"use {', '.join(COMMANDS)}")
    module = importlib.import_module(f"prodgen.launch.{COMMANDS[command]}")
    own_arguments, separator, words = split_arguments(rest)
    if set(own_arguments) & commandline.HELP_FLAGS:
        print(module.__doc__, "", options.format_flags_help(module.Options), sep="\n")
        return
    launch_options, positionals = parse(module, command, own_arguments)
    if command == "study":
        if separator or len(positionals) != 1:
            raise UsageError(
                f"study takes one study, and there are {len(positionals) + len(words)} arguments",
                "name it after the command: a file such as those of configs/studies/",
            )
        words = positionals
    elif positionals:
        raise UsageError(
            f"unexpected argument {positionals[0]!r}", "write the program after a separate --"
        )
    module.run(launch_options, words)


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """(arguments before the first "--", whether there is one, arguments after it)."""
    arguments = list(arguments)
    if "--" not in arguments:
        return arguments, False, []
    place = arguments.index("--")
    return arguments[:place], True, arguments[place + 1 :]


def parse(module: ModuleType, command: str, arguments: Sequence[str]) -> tuple[Any, list[str]]:
    """The command's options, and what is no flag. UsageError for a wrong flag."""
    values = flags.FlagValues()
    options.define_flags(module.Options, values)
    try:
        positionals = values(["launch", *arguments])[1:]
    except flags.Error as error:
        raise UsageError(
            str(error).replace("\n", " "),
            f"python -m prodgen.launch {command} --help lists the flags",
        ) from None
    return options.build_options(module.Options, values), positionals


if __name__ == "__main__":
    commandline.run_program(main, sys.argv)
