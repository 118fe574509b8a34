"""status: the state of every run of a study, read from the run folders alone."""

from __future__ import annotations

import collections
import dataclasses
import time
from typing import Any

from prodgen.cli.options import option
from prodgen.experiments.session import StudyOptions, StudySession
from prodgen.experiments.study_folder import STATES, iterate_states

WATCH_S = 2.0
MAX_LINE_CHARACTERS = 100
CLEAR_SCREEN = "\x1b[2J\x1b[H"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    """Of the command status."""

    watch: bool = option(False, "Print the table again every two seconds, until all is done.")


def run(session: StudySession, options: Options) -> None:
    """Print the table; with --watch until no run is left to do."""
    while True:
        text, counts = format_status(session)
        print(CLEAR_SCREEN + text if options.watch else text, flush=True)
        if not options.watch or counts["done"] == len(session.identities):
            return
        time.sleep(WATCH_S)


def format_status(session: StudySession) -> tuple[str, collections.Counter[str]]:
    """(a table of cells by state, with each run that is not simply done or missing, the counts)."""
    by_cell = {cell.index: collections.Counter[str]() for cell in session.cells}
    counts: collections.Counter[str] = collections.Counter()
    details = []
    for run, state, known in iterate_states(
        session.folder, session.identities, set(session.read_lines())
    ):
        counts[state] += 1
        by_cell[run.cell.index][state] += 1
        if state in ("running", "failed", "unfinished"):
            text = describe_state(state, known, run.num_steps)
            details.append(f"{run.index:>5}  {run.cell.name}, seed {run.seed}: {text}")
    width = max(len(cell.name) for cell in session.cells)
    lines = [f"{'cell':<{width}}  " + "  ".join(f"{state:>10}" for state in STATES)]
    for cell in session.cells:
        cells = "  ".join(f"{by_cell[cell.index][state] or '':>10}" for state in STATES)
        lines.append(f"{cell.name:<{width}}  {cells}")
    total = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    return "\n".join([*lines, "", *details, f"{len(session.identities)} runs: {total}"]), counts


def describe_state(state: str, known: dict[str, Any], num_steps: int) -> str:
    """The state of a run in words, with its step, or its exit code and the last line of its log."""
    step = f"{state}, step {known.get('step', 0)} of {num_steps}"
    code = known.get("exit_code", 0)
    if state == "failed":
        last_line = str(known.get("last_line", ""))[:MAX_LINE_CHARACTERS]
        return f"failed with exit code {code}: {last_line}"
    if state == "unfinished" and code > 128:
        return f"{step}, killed by signal {code - 128}"
    return step if state in ("running", "unfinished") else state
