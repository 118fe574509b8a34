"""Faults of the plan: processes die, disks fill, signals arrive; the run must end with equal bits.

python benchmarks/faults.py [--section=death,processes] [--case=TEXT,...] [--tries=N] [--quick]

Each case injects its fault into tiny runs, which are then continued. A trial survives if the exit
code is the expected one, every leaf of the last state and metrics.jsonl equal those of an
uninterrupted run, and at most one checkpoint interval and the save in flight are computed again.
Cases that a test covers are listed with the name of the test. The section save measures how long a
save of 200 MB blocks the loop. Prints a table; exits with 1 where a trial does not survive. --out
is a JSON file that has the table after every trial, so that it is there if the command is stopped.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _fault_cases, _fault_processes, _fault_saving, _fault_tests
from prodgen.cli import commandline
from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically

FLAGS = flags.FLAGS
SECTIONS = ("death", "data", "config", "numbers", "processes", "save")
flags.DEFINE_list("section", list(SECTIONS), f"Some of {', '.join(SECTIONS)}.")
flags.DEFINE_list("case", [], "Only cases whose name has one of these texts.")
flags.DEFINE_integer("tries", 0, "Faults of each case; 0: the plan's number.", lower_bound=0)
flags.DEFINE_bool("quick", False, "A few faults of each case.")
flags.DEFINE_integer("seed", 0, "Of the moments.")
flags.DEFINE_string("out", "", "A JSON file for the table.")
CASES = {"death": _fault_cases.CASES, "processes": _fault_processes.CASES}


class Table:
    """The rows of the cases, in the file --out after every trial."""

    def __init__(self, file: str):
        self.rows: list[dict] = []
        self._file = file

    def write(self, *unfinished_rows: dict) -> None:
        """Write the file, with the rows of cases that still run."""
        if self._file:
            text = json.dumps([*self.rows, *unfinished_rows], indent=1)
            write_atomically(Path(self._file), text.encode())

    def add(self, row: dict) -> None:
        """Add the row of a case that is complete."""
        self.rows.append(row)
        self.write()


def run_case(section: str, name: str, base: _fault_cases.Base, table: Table) -> None:
    """Run the trials of a case, and add its row to the table."""
    case, tries, quick_tries = CASES[section][name]
    tries = FLAGS.tries or (quick_tries if FLAGS.quick else tries)
    start, trials = time.monotonic(), []
    row = summarise(section, name, trials, start)
    for trial in case(base, tries, random.Random(FLAGS.seed)):
        trials.append(trial)
        row = summarise(section, name, trials, start)
        table.write(row | {"planned_tries": tries})
    table.add(row)
    print_row(row)


def summarise(section: str, name: str, trials: list[_fault_cases.Trial], start: float) -> dict:
    """The row of a case: tries, survived, the most lost steps, problems, times in seconds.

    slowest_end_s: the longest time from a fault to the end of all processes, where it is measured.
    """
    return {
        "section": section,
        "case": name,
        "tries": len(trials),
        "survived": sum(trial.is_survived for trial in trials),
        "lost_steps": max((trial.lost_steps for trial in trials), default=0),
        "slowest_end_s": round(max((trial.end_s for trial in trials), default=0.0), 1),
        "problems": sorted({trial.problem for trial in trials if trial.problem}),
        "seconds": round(time.monotonic() - start, 1),
    }


def print_row(row: dict) -> None:
    """One line of the table, and a line for each problem."""
    print(
        f"{row['section']:<10} {row['case']:<36} {row['tries']:>5} {row['survived']:>9} "
        f"{row['lost_steps']:>10} {row['slowest_end_s'] or '':>9} {row['seconds']:>9.1f}",
        *(f"    {problem}" for problem in row["problems"]),
        sep="\n",
        flush=True,
    )


def is_selected(name: str) -> bool:
    """Whether --case wants a case."""
    return not FLAGS.case or any(text in name for text in FLAGS.case)


def run_section(section: str, base: _fault_cases.Base, table: Table) -> None:
    """Run the cases of a section; the uninterrupted run is trained before its first case."""
    names = [name for name in CASES.get(section, ()) if is_selected(name)]
    if names and section == "death":
        base.prepare()
    for name in names:
        run_case(section, name, base, table)
    for name, test in _fault_tests.COVERAGE.get(section, {}).items():
        if is_selected(name):
            print(f"{section:<10} {name:<36} covered by {test}")
    if section == "save":
        for row in _fault_saving.measure_saves():
            table.add(row)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    for section in FLAGS.section:
        if section not in SECTIONS:
            raise UsageError(f"--section={section}", f"known: {', '.join(SECTIONS)}")
    header = f"{'section':<10} {'case':<36} {'tries':>5} {'survived':>9} {'lost steps':>10}"
    print(f"{header} {'end in s':>9} {'seconds':>9}", flush=True)
    table = Table(FLAGS.out)
    with tempfile.TemporaryDirectory() as folder:
        base = _fault_cases.Base(Path(folder))
        for section in FLAGS.section:
            run_section(section, base, table)
    sys.exit(any(row["survived"] < row["tries"] for row in table.rows))


if __name__ == "__main__":
    commandline.run_program(main, sys.argv)
