"""Faults of the plan: processes die, disks fill, signals arrive; the run must end with equal bits.

python benchmarks/faults.py [--section=death,processes] [--case=TEXT] [--tries=N] [--quick]

Each case injects its fault into tiny runs, which are then continued. A trial survives if the exit
code is the expected one, every leaf of the last state and metrics.jsonl equal those of an
uninterrupted run, and at most one checkpoint interval and the save in flight are computed again.
Cases that a test covers are listed with the name of the test. The section save measures how long a
save of 200 MB blocks the loop. Prints a table, writes it to --out as JSON; exits with 1 where a
trial does not survive.
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

FLAGS = flags.FLAGS
SECTIONS = ("death", "data", "config", "numbers", "processes", "save")
flags.DEFINE_list("section", list(SECTIONS), f"Some of {', '.join(SECTIONS)}.")
flags.DEFINE_string("case", "", "Only cases whose name has this text.")
flags.DEFINE_integer("tries", 0, "Faults of each case; 0: the plan's number.", lower_bound=0)
flags.DEFINE_bool("quick", False, "A few faults of each case.")
flags.DEFINE_integer("seed", 0, "Of the moments.")
flags.DEFINE_string("out", "", "A JSON file for the table.")
CASES = {"death": _fault_cases.CASES, "processes": _fault_processes.CASES}


def run_case(section: str, name: str, base: _fault_cases.Base) -> dict:
    """The row of a case in the table: tries, survived, the most lost steps, problems."""
    case, tries, quick_tries = CASES[section][name]
    tries = FLAGS.tries or (quick_tries if FLAGS.quick else tries)
    start = time.monotonic()
    trials = list(case(base, tries, random.Random(FLAGS.seed)))
    row = {
        "section": section,
        "case": name,
        "tries": len(trials),
        "survived": sum(trial.is_survived for trial in trials),
        "lost_steps": max((trial.lost_steps for trial in trials), default=0),
        "problems": sorted({trial.problem for trial in trials if trial.problem}),
        "seconds": round(time.monotonic() - start, 1),
    }
    print_row(row)
    return row


def print_row(row: dict) -> None:
    """One line of the table, and a line for each problem."""
    print(
        f"{row['section']:<10} {row['case']:<36} {row['tries']:>5} {row['survived']:>9} "
        f"{row['lost_steps']:>10} {row['seconds']:>9.1f}",
        *(f"    {problem}" for problem in row["problems"]),
        sep="\n",
        flush=True,
    )


def run_section(section: str, base: _fault_cases.Base) -> list[dict]:
    """The rows of a section; the uninterrupted run is trained before its first case."""
    reason = _fault_processes.find_obstacle() if section == "processes" else ""
    if reason:
        print(f"{section:<10} skipped: {reason}")
        return []
    names = [name for name in CASES.get(section, ()) if FLAGS.case in name]
    if names and not base.reference[0]:
        base.prepare()
    rows = [run_case(section, name, base) for name in names]
    for name, test in _fault_tests.COVERAGE.get(section, {}).items():
        if FLAGS.case in name:
            print(f"{section:<10} {name:<36} covered by {test}")
    if section == "save":
        rows += _fault_saving.measure_saves()
    return rows


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    for section in FLAGS.section:
        if section not in SECTIONS:
            raise UsageError(f"--section={section}", f"known: {', '.join(SECTIONS)}")
    header = f"{'section':<10} {'case':<36} {'tries':>5} {'survived':>9} {'lost steps':>10}"
    print(f"{header} {'seconds':>9}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        base = _fault_cases.Base(Path(folder))
        rows = [row for section in FLAGS.section for row in run_section(section, base)]
    if FLAGS.out:
        Path(FLAGS.out).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    sys.exit(any(row["survived"] < row["tries"] for row in rows))


if __name__ == "__main__":
    commandline.run_program(main, sys.argv)
