"""plan: the runs of a study, and what they cost. No run starts.

A run's time comes from finished runs of its shape, else from one timed step (costs.py).
"""

from __future__ import annotations

import dataclasses

from prodgen.cli.options import option
from prodgen.core.errors import UsageError
from prodgen.experiments import costs
from prodgen.experiments.session import StudyOptions, StudySession
from prodgen.report.clock import format_duration

MAX_LISTED_RUNS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    """Of the command plan."""

    scale: str = option("", "A scale of the study, which is for plans alone, such as gpu.")
    jobs: int = option(1, "Runs side by side.", low=1, high=1024)
    time_steps: bool = option(True, "Time a step of each shape that no finished run has.")


def run(session: StudySession, options: Options) -> None:
    """Print the runs and their cost. UsageError for an unknown scale."""
    if options.scale:
        session = scale_session(session, options.scale)
    lines = session.read_lines()
    todo = [run for run in session.runs if run.key not in lines]
    num_trainings = len({run.fingerprint for run in session.runs})
    print(f"question     {session.study.question}")
    print(f"expectation  {session.study.expectation or 'none was written'}")
    training_note = f", {num_trainings} trainings" if num_trainings < len(session.runs) else ""
    print(
        f"runs         {len(session.runs)}{training_note}: {len(session.cells)} cells x "
        f"{len(session.study.list_seeds())} seeds; {len(todo)} to do"
    )
    for study_run in session.runs[:MAX_LISTED_RUNS]:
        mark = "done" if study_run.key in lines else "to do"
        print(
            f"  {study_run.index:>5}  {study_run.key}  {study_run.cell.name}, "
            f"seed {study_run.seed}: {mark}"
        )
    if len(session.runs) > MAX_LISTED_RUNS:
        print(f"  ... and {len(session.runs) - MAX_LISTED_RUNS} more")
    trainings = list({study_run.fingerprint: study_run for study_run in todo}.values())
    if not trainings:
        return
    cost_by_run = costs.estimate_costs(session, lines, trainings, options.time_steps)
    if not cost_by_run:
        print("time         unknown: no run is finished, and --notime_steps was given")
        return
    total_s = sum(cost_by_run[study_run.fingerprint]["seconds"] for study_run in trainings)
    disk = sum(cost_by_run[study_run.fingerprint].get("bytes", 0) for study_run in trainings)
    hours = sum(
        cost_by_run[p.fingerprint]["seconds"] * cost_by_run[p.fingerprint].get("devices", 1)
        for p in trainings
    )
    print(
        f"time         about {format_duration(total_s / options.jobs)} with --jobs={options.jobs}, "
        f"if {options.jobs} runs do not slow each other down"
    )
    print(f"device hours about {hours / 3600:.2f}")
    print(f"disk         about {disk / 1e6:,.0f} MB of checkpoints")


def scale_session(session: StudySession, scale: str) -> StudySession:
    """The study with the further fields of one of its scales."""
    study = session.study
    if scale not in study.scales:
        raise UsageError(
            f"--scale={scale} is not a scale of {session.file}; it has "
            f"{', '.join(study.scales) or 'none'}",
            "leave --scale out, or name one of them",
        )
    study = dataclasses.replace(study, fixed={**study.fixed, **study.scales[scale]})
    return dataclasses.replace(session, study=study, scale=scale)
