"""What happens with a script or manifest: it is printed, checked, or given to the scheduler."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Sequence

from prodgen.cli.options import option
from prodgen.core.errors import MissingInput, ProdgenError, UsageError
from prodgen.core.signals import handle_signals


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Flags of every command that prints a script."""

    name: str = option("prodgen", "The job's name: lower-case letters, digits and -.")
    check: bool = option(False, "Check the script, print what was checked, and end.")
    submit: bool = option(False, "Check the script, and give it to the scheduler.")
    python: str = option("python", "The interpreter where the job runs.")


@dataclasses.dataclass(frozen=True)
class Job:
    """A text for a scheduler.

    text: a shell script or a manifest. command: reads it from standard input. program: what must be
    installed for that. findings: the text's problems, [] where none is known. coverage: what was
    checked, and what was not. advice: the next step where the program is missing.
    """

    text: str
    command: Sequence[str]
    program: str
    findings: Sequence[str]
    coverage: Sequence[str]
    advice: str


def deliver(job: Job, options: JobOptions) -> None:
    """Print the job's text; with --check its coverage instead; with --submit hand it over.

    ProdgenError (70) where the text has problems: it is our own. MissingInput where the scheduler's
    program is missing. An error of that program ends with its own exit code.
    """
    if options.check and options.submit:
        raise UsageError("--check and --submit exclude each other", "leave one out")
    if job.findings:
        raise ProdgenError(
            f"the job has {len(job.findings)} problems: {'; '.join(job.findings)}",
            "change the flags that these name, or report it",
        )
    if options.check:
        print(*job.coverage, sep="\n")
    elif options.submit:
        submit(job)
    else:
        print(job.text, end="")


def submit(job: Job) -> None:
    """Give the text to the scheduler's command, whose output is shown; SIGTERM is passed on."""
    if shutil.which(job.program) is None:
        raise MissingInput(f"the program {job.program} is not on PATH", job.advice)
    process = subprocess.Popen(job.command, stdin=subprocess.PIPE)
    with handle_signals(lambda number, frame: process.send_signal(number)):
        process.communicate(job.text.encode())
    if process.returncode:
        error = ProdgenError(
            f"{' '.join(job.command)} ended with exit code {process.returncode}",
            "read its message above; leave --submit out to see what it received",
        )
        error.code, error.name = to_exit_code(process.returncode), "submit"
        raise error


def to_exit_code(returncode: int) -> int:
    """The exit code that a shell gives to a process: 128 + N where the signal N ended it."""
    return 128 - returncode if returncode < 0 else returncode


def check_shell(text: str) -> tuple[list[str], str]:
    """(problems, what was checked) of a script: its syntax, by `bash -n`."""
    if shutil.which("bash") is None:
        return [], "not checked: shell syntax, because bash is not on PATH"
    process = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    problems = [f"bash -n: {line}" for line in process.stderr.splitlines()]
    if process.returncode and not problems:
        problems = [f"bash -n ended with exit code {process.returncode}"]
    return problems, "checked: shell syntax, by bash -n"
