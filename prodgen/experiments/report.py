"""report: the results of a study as results.jsonl, study.html, study.md, study.tex and figures.

It may be given at any time: missing runs are said. --commit copies the finished lines beside the
study's file, where `run --missing` and `status` honour them without the run folders.
"""

from __future__ import annotations

import dataclasses
import shlex

from prodgen.cli.options import option
from prodgen.core.errors import MissingInput
from prodgen.experiments import results, study_page
from prodgen.experiments.session import StudyOptions, StudySession
from prodgen.experiments.status import describe_state
from prodgen.experiments.study_folder import iterate_states


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    """Of the command report."""

    commit: bool = option(False, "Write the finished lines beside the study's file, too.")


def run(session: StudySession, options: Options) -> None:
    """Write the files, and print their paths. MissingInput without a finished run."""
    lines = session.read_lines()
    if not lines:
        raise MissingInput(
            "no run of the study is finished, so there is nothing to report",
            f"give `python -m prodgen.experiments run {session.file}` first",
        )
    ordered = session.order_lines(lines)
    session.folder.path.mkdir(parents=True, exist_ok=True)
    results.write_lines(session.folder.results_file, ordered)
    if options.commit:
        results.write_lines(session.committed_file, ordered)
        print(session.committed_file)
    observations = results.list_observations(session.folder, session.runs, lines)
    states = {
        (planned.cell.index, planned.seed): describe_state(state, known, planned.num_steps)
        for planned, state, known in iterate_states(session.folder, session.runs, set(lines))
    }
    for path in study_page.write_report(
        session.study, session.cells, observations, session.folder.path, len(session.runs),
        list_commands(session), states,
    ):  # fmt: skip
        print(path)


def list_commands(session: StudySession) -> dict[str, str]:
    """{command: what a user types}."""
    flags = [f"--workdir={session.folder.base}"]
    flags += [f"--version={session.version}"] if session.version else []
    return {
        name: shlex.join(["python", "-m", "prodgen.experiments", name, str(session.file), *flags])
        for name in ("plan", "run", "status", "report", "verify")
    }
