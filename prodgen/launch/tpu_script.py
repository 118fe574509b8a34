"""tpu: print a script that runs the program on every worker of a TPU VM, by gcloud and ssh.

The workers find each other through the metadata of the TPU, which JAX reads. The script starts the
program again where it ends with exit code 75, and passes SIGTERM and Ctrl-C on to all workers.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Sequence

from prodgen.cli.options import option
from prodgen.core.errors import UsageError
from prodgen.launch.program_words import (
    MAX_PORT,
    check_name,
    check_one_line,
    check_program,
    find_flag,
    is_remote_path,
)
from prodgen.launch.script_output import Job, JobOptions, check_shell, deliver
from prodgen.launch.signal_forwarding import format_forwarding

RESOURCE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
PROJECT = re.compile(r"[a-z][a-z0-9.:-]*[a-z0-9]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """Of the command tpu."""

    tpu: str = option("", "The name of the TPU VM.")
    zone: str = option("", "Its zone, as us-west4-a.")
    project: str = option("", "Its project; default: the one of gcloud.")
    folder: str = option("", "The project's folder on each worker; default: the home folder.")
    setup: tuple[str, ...] = option(
        (), "A shell command before the program, as source .venv/bin/activate.", repeat=True
    )
    # JAX's own default, 8482, is closed by the firewall of Google's default network.
    port: int = option(8476, "Port of the coordinator.", low=1, high=MAX_PORT)
    compile_cache: str = option("", "Folder of compiled programs; default: one on each worker.")
    max_restarts: int = option(20, "How often the program is started again.", low=0, high=10_000)


def run(options: Options, words: Sequence[str]) -> None:
    """Print, check or submit (run) the script."""
    check_program(words)
    check_options(options)
    workdir = find_flag(words, "workdir")
    if not is_remote_path(workdir) and not workdir.startswith("/"):
        raise UsageError(
            f"the workdir {workdir or '(none)'} is not a folder that all workers share",
            "give the program a workdir as gs://BUCKET/FOLDER, or an absolute path of a file "
            "system that all workers mount",
        )
    text = format_script(options, words)
    findings, coverage = check_shell(text)
    inner_findings, _ = check_shell(format_worker_command(options, words))
    coverage += ", of the script and of the workers' command"
    deliver(
        Job(
            text, ["bash", "-s"], "gcloud", [*findings, *inner_findings],
            [coverage, "not checked: flags of gcloud; whether the TPU and its folders exist"],
            "install the Google Cloud CLI (cloud.google.com/sdk), or leave --submit out",
        ),
        options,
    )  # fmt: skip


def check_options(options: Options) -> None:
    """UsageError for a value that gcloud would refuse."""
    check_name(options.name)
    for flag, value, pattern in (
        ("tpu", options.tpu, RESOURCE),
        ("zone", options.zone, RESOURCE),
        ("project", options.project or "default", PROJECT),
    ):
        if not pattern.fullmatch(value):
            raise UsageError(
                f"--{flag}={value!r} is not a name of Google Cloud",
                "`gcloud compute tpus tpu-vm list --zone=ZONE` prints the names",
            )
    for flag in ("folder", "python", "compile_cache"):
        check_one_line(f"--{flag}", getattr(options, flag))
    for text in options.setup:
        check_one_line("--setup", text)


def name_pid_file(options: Options) -> str:
    """The file on a worker with the number of the program's process, as shell text."""
    return f'"$HOME/.prodgen-{options.name}.pid"'


def format_worker_command(options: Options, words: Sequence[str]) -> str:
    """The shell text that each worker runs. The shell's number becomes the program's, by exec."""
    cache = options.compile_cache
    parts = [
        *([f"cd -- {shlex.quote(options.folder)}"] if options.folder else []),
        *options.setup,
        f"export JAX_COORDINATOR_PORT={options.port}",
        *([f"export JAX_COMPILATION_CACHE_DIR={shlex.quote(cache)}"] if cache else []),
        f"echo $$ > {name_pid_file(options)}",
        f"exec {shlex.join([options.python, *words])}",
    ]
    return " && ".join(parts)


def format_script(options: Options, words: Sequence[str]) -> str:
    """The text of the script."""
    ssh = ["gcloud", "compute", "tpus", "tpu-vm", "ssh", options.tpu, f"--zone={options.zone}"]
    ssh += [f"--project={options.project}"] if options.project else []
    # All workers begin at once; the flag --batch-size, which could change that, is of alpha alone.
    ssh += ["--worker=all"]
    stop = f'kill -TERM "$(cat {name_pid_file(options)})"'
    return SCRIPT.format(
        ssh=shlex.join(ssh), command=shlex.quote(format_worker_command(options, words)),
        max_restarts=options.max_restarts,
        forwarding=format_forwarding("TERM INT", f"on_all_workers {shlex.quote(stop)}"),
    )  # fmt: skip


SCRIPT = """\
#!/bin/bash
# The ports of the coordinator: JAX's default, 8482, is closed in Google's default network, and
# JAX_COORDINATOR_PORT=8476 is open.
on_all_workers() {{
    {ssh} --command="$1" < /dev/null
}}

# SIGTERM and Ctrl-C go to the program on all workers. It saves and ends with 75.
{forwarding}
# gcloud ends with the exit code of the failed worker with the lowest number. 75: all is saved.
starts=0
while [ "$is_signalled" -eq 0 ]; do
    on_all_workers {command} &
    wait_for_program
    starts=$((starts + 1))
    [ "$code" -eq 75 ] && [ "$starts" -le {max_restarts} ] || break
done
exit "$code"
"""
