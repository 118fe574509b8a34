"""study: print an array job that trains a study, with one run of the study a task.

Each task is `python -m prodgen.experiments run STUDY --index=I`. Finished runs end at once, and the
same job again continues the others. --to chooses a job array of Slurm or a Job of Kubernetes.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prodgen.cli.options import list_options, option
from prodgen.core.errors import UsageError
from prodgen.experiments.session import StudyOptions, open_session
from prodgen.launch import jobset_manifest, slurm_script
from prodgen.launch.jobset_manifest import ManifestOptions
from prodgen.launch.program_words import check_one_line
from prodgen.launch.script_output import deliver
from prodgen.launch.slurm_script import SlurmOptions

SLURM, KUBERNETES = "slurm", "kubernetes"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayOptions(StudyOptions):
    """What a study's job has beside the flags of its scheduler."""

    to: str = option(SLURM, "The scheduler.", choices=(SLURM, KUBERNETES))
    at_once: int = option(0, "How many runs train at the same time; 0: all.", low=0, high=10_000)
    gpus: int = option(1, "GPUs of a run.", low=0, high=64, read_with={"to": (SLURM,)})


def restrict_options(cls: type, other: type, scheduler: str) -> list[tuple[str, Any, Any]]:
    """Fields for make_dataclass: those that `other` lacks are read with --to=`scheduler` alone."""
    shared_names = {field.name for field in dataclasses.fields(other)}
    fields = []
    for opt in list_options(cls):
        readers = {} if opt.name in shared_names else {"to": (scheduler,)}
        field = option(
            opt.default, opt.help, low=opt.low, high=opt.high, choices=opt.choices,
            read_with=readers, repeat=opt.repeat,
        )  # fmt: skip
        fields.append((opt.name, opt.kind, field))
    return fields


Options = dataclasses.make_dataclass(
    "Options",
    {
        field[0]: field
        for field in [
            *restrict_options(ManifestOptions, SlurmOptions, KUBERNETES),
            *restrict_options(SlurmOptions, ManifestOptions, SLURM),
        ]
    }.values(),
    bases=(ArrayOptions,),
    frozen=True,
    kw_only=True,
)


def run(options: Any, words: Sequence[str]) -> None:
    """Print, check or submit the array job. words: the study's file."""
    session = open_session(Path(words[0]), options)
    num_runs, file = len(session.runs), str(session.file)
    check_one_line("the study ", file)
    check_one_line("--workdir", options.workdir)
    command = [options.python, "-m", "prodgen.experiments", "run", file]
    command += [f"--workdir={options.workdir}"]
    command += [f"--version={options.version}"] if options.version else []
    if options.to == SLURM:
        slurm_script.check_slurm_options(options)
        limit = f"%{options.at_once}" if options.at_once else ""
        directives = [f"--array=0-{num_runs - 1}{limit}", "--nodes=1", "--ntasks=1"]
        directives += [f"--gpus={options.gpus}"] if options.gpus else []
        text = f'{shlex.join(command)} --index="$SLURM_ARRAY_TASK_ID"'
        job = slurm_script.make_job(options, directives, "%A-%a", [], text)
    else:
        jobset_manifest.check_manifest_options(options)
        jobset_manifest.check_durable(options, options.workdir, may_be_remote=False)
        job = jobset_manifest.make_job(make_indexed_job(options, command, num_runs))
    deliver(job, options)


def make_indexed_job(options: Any, command: Sequence[str], num_runs: int) -> dict[str, Any]:
    """The manifest of an indexed Job: a run that fails ends its index, and no other one."""
    target = jobset_manifest.parse_host_target(options.target)
    if target.num_hosts > 1:
        raise UsageError(
            f"--target={options.target} has {target.num_hosts} hosts, and a run of a study has one",
            "name the devices of one host, as --target=h200:8",
        )
    container_command = [jobset_manifest.escape_references(word) for word in command]
    container_command.append(f"--index={jobset_manifest.INDEX}")
    disruption = {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    rules = [jobset_manifest.make_exit_rule("FailIndex", jobset_manifest.PERMANENT_CODES)]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": jobset_manifest.make_metadata(options, {}),
        "spec": {
            "completionMode": "Indexed",
            "completions": num_runs,
            "parallelism": min(options.at_once or num_runs, num_runs),
            "backoffLimitPerIndex": options.max_restarts,
            "podFailurePolicy": {"rules": [*rules, disruption]},
            "template": jobset_manifest.make_pod(options, target, container_command, []),
        },
    }
