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

import sys
from collections.abc import Sequence

from prodgen.cli import commands
from prodgen.cli.commandline import run_program
from prodgen.core.errors import UsageError

COMMANDS = {  # name -> module with Options and run(options, words)
    "local": "local_processes", "slurm": "slurm_script", "gke": "jobset_manifest",
    "tpu": "tpu_script", "study": "study_jobs",
}  # fmt: skip


def main(argv: list[str]) -> None:
    """Parse the command line, and run one command."""
    arguments = argv[1:]
    module = commands.import_command("prodgen.launch", COMMANDS, arguments)
    if module is None:
        print(__doc__)
        return
    command = arguments[0]
    own_arguments, separator, words = split_arguments(arguments[1:])
    if commands.has_help_flag(own_arguments):
        print(commands.format_command_help(module))
        return
    program = f"python -m prodgen.launch {command}"
    launch_options, positionals = commands.parse_arguments(module, program, own_arguments)
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


if __name__ == "__main__":
    run_program(main, sys.argv)
