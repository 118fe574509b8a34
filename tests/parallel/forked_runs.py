"""Runs of run_train.py as forks of one process that has imported the package, which saves time.

python -m tests.parallel.forked_runs < JSON: a list of groups, one after the other; each is a list
of processes that run side by side, as [arguments, environment, output file]. Prints the exit codes
as JSON.
"""

import json
import os
import subprocess
import sys

from tests.tiny import ROOT


def run_groups(groups: list) -> list[list[int]]:
    """The exit codes of every process, as this file's script returns them."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.parallel.forked_runs"],
        input=json.dumps(groups),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
        check=True,
    )
    return json.loads(process.stdout)


def fork_run(arguments: list[str], environment: dict, output: str) -> int:
    """The number of a new process that runs run_train.py; a file receives what it prints."""
    number = os.fork()
    if number:
        return number
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.update(environment)
    commandline.run_program(run_train.main, ["run_train.py", *arguments])


def wait_for_code(number: int) -> int:
    """The exit code of a process, minus n for signal n."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


if __name__ == "__main__":
    import prodgen.trainer  # noqa: F401  JAX with it; no thread is started before the forks
    import run_train
    from prodgen.cli import commandline

    codes = []
    for group in json.load(sys.stdin):
        numbers = [fork_run(*process) for process in group]
        codes.append([wait_for_code(number) for number in numbers])
    json.dump(codes, sys.stdout)
