"""Run a study: python -m prodgen.experiments COMMAND configs/studies/NAME.py --workdir=DIR

plan     what the study would train: runs, time, disk, device hours; no run starts
run      train what is missing; the same command again continues
status   the state of every run, from the run folders alone
report   results.jsonl, study.html, study.md and study.tex
verify   train runs again and compare them with those of the study

`COMMAND --help` lists the flags of one. docs/studies.md explains studies.
"""

from __future__ import annotations

import sys
from pathlib import Path

from prodgen.cli import commands
from prodgen.cli.commandline import run_program
from prodgen.core.errors import UsageError
from prodgen.experiments.session import open_session

COMMANDS = {  # name -> module with Options and run(session, options)
    "plan": "plan", "run": "run_command", "status": "status", "report": "report",
    "verify": "verify",
}  # fmt: skip


def main(argv: list[str]) -> None:
    """Parse the command line, and run one command."""
    arguments = argv[1:]
    module = commands.import_command("prodgen.experiments", COMMANDS, arguments)
    if module is None:
        print(__doc__)
        return
    command = arguments[0]
    if commands.has_help_flag(arguments):
        print(commands.format_command_help(module))
        return
    program = f"python -m prodgen.experiments {command}"
    options, positionals = commands.parse_arguments(module, program, arguments[1:])
    if len(positionals) != 1:
        raise UsageError(
            f"{command} takes one study, and there are {len(positionals)}",
            "name it after the command: a file such as those of configs/studies/",
        )
    module.run(open_session(Path(positionals[0]), options), options)


if __name__ == "__main__":
    run_program(main, sys.argv)
