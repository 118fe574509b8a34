"""slurm: print a batch script for sbatch, with one task a GPU.

The tasks get their numbers from the variables of Slurm. 120 seconds before the time limit all tasks
receive SIGTERM, save and end with exit code 75; the job then queues itself again.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Sequence

from prodgen.cli.options import option
from prodgen.core.errors import UsageError
from prodgen.launch.program_words import MAX_PORT, check_name, check_one_line, check_program
from prodgen.launch.script_output import Job, JobOptions, check_shell, deliver
from prodgen.launch.signal_forwarding import format_forwarding

TIME_LIMIT = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}")  # as man sbatch lists them
# After the first task has ended, the others have this time: a watchdog needs 130 s at most.
WAIT_S = 180
SHARED_CACHE = "$HOME/.cache/prodgen/xla-shared"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlurmOptions(JobOptions):
    """Flags of every Slurm job."""

    time: str = option("24:00:00", "The job's time limit, as Slurm writes it.")
    signal_s: int = option(120, "Seconds before the limit, at which all save.", low=30, high=3600)
    max_requeues: int = option(100, "How often the job queues itself again.", low=0, high=10_000)
    folder: str = option("", "The project's folder on the nodes; default: where sbatch is given.")
    setup: tuple[str, ...] = option(
        (), "A shell command before the program, as source .venv/bin/activate.", repeat=True
    )
    sbatch: tuple[str, ...] = option(
        (), "One more option of sbatch, as --sbatch=--partition=gpu.", repeat=True
    )
    cpus_per_task: int = option(0, "Cores of a task; 0: the cluster's default.", low=0, high=1024)
    compile_cache: str = option("", f"Folder of compiled programs; default: {SHARED_CACHE}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SlurmOptions):
    """Of the command slurm."""

    nodes: int = option(1, "How many nodes.", low=1, high=10_000)
    gpus_per_node: int = option(8, "GPUs, and tasks, of a node; 0: one task.", low=0, high=64)
    port: int = option(0, "Port of the coordinator; 0: from the job's id.", low=0, high=MAX_PORT)


def run(options: Options, words: Sequence[str]) -> None:
    """Print, check or submit the batch script."""
    check_program(words)
    check_slurm_options(options)
    num_tasks = max(options.gpus_per_node, 1)
    directives = [f"--nodes={options.nodes}", f"--ntasks-per-node={num_tasks}"]
    # Every task sees all GPUs of its node, so that NCCL can join them, and takes one of them.
    directives += [f"--gpus-per-node={options.gpus_per_node}"] if options.gpus_per_node else []
    command, exports = shlex.join([options.python, *words]), []
    if options.nodes * num_tasks > 1:
        first_node = '$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)'
        port = options.port or "$((20000 + SLURM_JOB_ID % 10000))"
        exports = [f'first_node="{first_node}"', f'export COORDINATOR="$first_node:{port}"']
        command = f"bash -c {shlex.quote(TASK)} task {command}"
    deliver(make_job(options, directives, "%j", exports, command), options)


def check_slurm_options(options: SlurmOptions) -> None:
    """UsageError for a value that would break the script."""
    check_name(options.name)
    if not TIME_LIMIT.fullmatch(options.time):
        raise UsageError(f"--time={options.time!r} is no time of Slurm", "write it as 24:00:00")
    for flag in ("folder", "python", "compile_cache"):
        check_one_line(f"--{flag}", getattr(options, flag))
    for text in options.setup:
        check_one_line("--setup", text)
    for text in options.sbatch:
        check_one_line("--sbatch", text)
        if not re.match(r"--?[a-zA-Z]", text):
            raise UsageError(
                f"--sbatch={text!r} is no option of sbatch",
                "write one with its dashes, as in --sbatch=-pgpu",
            )


def make_job(
    options: SlurmOptions, directives: Sequence[str], log: str, exports: Sequence[str], command: str
) -> Job:
    """The job of a batch script. log: Slurm's pattern for the log's name. command: shell text."""
    text = format_script(options, directives, log, exports, command)
    findings, coverage = check_shell(text)
    return Job(
        text, ["sbatch"], "sbatch", findings,
        [coverage, "not checked: options of sbatch; whether the nodes and the folders exist"],
        "give the command on a login node of the cluster, or leave --submit out",
    )  # fmt: skip


def format_script(
    options: SlurmOptions, directives: Sequence[str], log: str, exports: Sequence[str], command: str
) -> str:
    """The text of the batch script."""
    lines = [
        f"--job-name={options.name}", *directives, f"--time={options.time}",
        *([f"--cpus-per-task={options.cpus_per_task}"] if options.cpus_per_task else []),
        "--requeue", "--open-mode=append", f"--output={options.name}-{log}.log",
        f"--signal=B:TERM@{options.signal_s}", *options.sbatch,
    ]  # fmt: skip
    cache = shlex.quote(options.compile_cache) if options.compile_cache else f'"{SHARED_CACHE}"'
    setup = [f"cd -- {shlex.quote(options.folder)} || exit 66"] if options.folder else []
    setup += [*options.setup, *exports]
    return SCRIPT.format(
        directives="\n".join(f"#SBATCH {line}" for line in lines),
        setup="".join(f"{line}\n" for line in setup),
        cache=cache, wait_s=WAIT_S, command=command, max_requeues=options.max_requeues,
        forwarding=format_forwarding("TERM", FORWARD),
        # Since Slurm 22.05 srun does not take this option from sbatch.
        step=f"--cpus-per-task={options.cpus_per_task} " if options.cpus_per_task else "",
    )  # fmt: skip


# What each task runs; its arguments are the program.
TASK = (
    'exec "$@" --coordinator="$COORDINATOR" --processes="$SLURM_NTASKS" --process="$SLURM_PROCID"'
)
# The batch shell alone receives the signal before the limit. It does not send it to srun, which
# ends a step on SIGTERM, but to the tasks of the step.
FORWARD = 'scancel --signal=TERM "$SLURM_JOB_ID.0"'
SCRIPT = """\
#!/bin/bash
{directives}

{setup}export JAX_COMPILATION_CACHE_DIR={cache}
(umask 077 && mkdir -p -- "$JAX_COMPILATION_CACHE_DIR")

# SIGTERM, which Slurm sends before the time limit, goes to all tasks. They save and end with 75.
{forwarding}
# The first node of the job has the coordinator.
srun --kill-on-bad-exit=0 --wait={wait_s} {step}{command} &
wait_for_program

# 75: all is saved. A job that was cancelled is no longer RUNNING, and stays so.
if [ "$code" -eq 75 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {max_requeues} ] &&
    [ "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)" = RUNNING ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
