"""run: train what is missing of a study. The same command again continues it.

Without --index, --missing or --failed all runs that are not done are trained, cell by cell of the
first seed, then of the next. Results are the same with any order. A run is bitwise repeatable on
the same number of cores, which --jobs divides.
"""

from __future__ import annotations

import dataclasses
import time

from prodgen.cli.options import option
from prodgen.core.errors import BadData, UsageError
from prodgen.experiments import costs, results
from prodgen.experiments.session import StudyOptions, StudySession, parse_duration, parse_indices
from prodgen.experiments.study_folder import iterate_states
from prodgen.experiments.study_runner import Runner, order_runs
from prodgen.report.writer import Console


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    """Of the command run."""

    index: tuple[str, ...] = option((), "Only these runs, as in 17 or 3,7-9; `plan` lists them.")
    missing: bool = option(False, "Only runs that have not ended: no failed ones.")
    failed: bool = option(False, "Only runs that failed.")
    jobs: int = option(1, "Runs side by side; each gets its share of the cores.", low=1, high=1024)
    budget: str = option("", "Stop after this time, as in 90m or 6h; the study's own by default.")


def run(session: StudySession, options: Options) -> None:
    """Train; BadData where a run failed, StoppedError where the budget or a signal ended it."""
    if options.missing and options.failed:
        raise UsageError("--missing and --failed exclude each other", "leave one out")
    budget = options.budget or session.study.budget
    budget_s = parse_duration(budget, "--budget") if budget else None
    indices = set(parse_indices(options.index, len(session.runs)) or range(len(session.runs)))
    session.folder.freeze(session.study, session.runs)
    say = Console().print_line
    lines = session.read_lines()
    states = {"unfinished", "missing", "running", "failed"}
    states -= {"failed"} if options.missing else set()
    states = {"failed"} if options.failed else states
    pending = [
        study_run
        for study_run, state, _ in iterate_states(session.folder, session.runs, set(lines))
        if study_run.index in indices and state in states
    ]
    say(f"study    {session.folder.path}: {len(session.runs)} runs, {len(pending)} to do")
    cost_by_run = costs.estimate_costs(session, lines, pending, is_timed=False)
    time_text = costs.describe_time(cost_by_run, options.jobs) if pending else "nothing to do"
    say(f"cost     {time_text}")
    if budget_s is not None and pending:
        first_cost = costs.estimate_costs(session, lines, pending[:1], is_timed=False)
        costs.check_budget(first_cost, pending[0], budget_s, budget)
    deadline_s = None if budget_s is None else time.monotonic() + budget_s
    runner = Runner(session.folder, options.jobs, deadline_s, len(session.runs), say)
    try:
        num_done = sum(run.key in lines for run in session.runs)
        runner.run(list(order_runs(pending)), num_done)
    finally:
        lines = session.read_lines()
        results.write_lines(session.folder.results_file, session.order_lines(lines))
    say(f"done     {len(lines)} of {len(session.runs)} runs; {session.folder.results_file}")
    if runner.num_failed:
        command = f"python -m prodgen.experiments status {session.file}"
        raise BadData(
            f"{runner.num_failed} runs failed, the others are done",
            f"{command} --workdir={session.folder.base} names them; run --failed tries them again",
        )
