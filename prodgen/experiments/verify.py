"""verify: train runs of a study again, and compare them with what it has.

Compared are the logged losses and validation values, the sample sheets, and every leaf of the last
checkpoint. They must be equal bit for bit on the same processor with the same number of cores, or
on a GPU with config.parallel.deterministic; elsewhere within TOLERANCE. A run without its folder is
compared with its line of results: its validation values and the hashes of its sheets.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prodgen.cli.options import option
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.core.files import hash_file
from prodgen.experiments.environment import describe_hardware
from prodgen.experiments.results import Line
from prodgen.experiments.session import StudyOptions, StudySession, parse_indices
from prodgen.experiments.study import PlannedRun
from prodgen.experiments.study_folder import LOG_FILE
from prodgen.experiments.study_runner import (
    choose_cores,
    find_program,
    pin_cores,
    read_last_line,
)
from prodgen.report.writer import METRICS_FILE, read_jsonl
from prodgen.runs.workdir import collect_versions

TOLERANCE = 0.02  # relative, of losses and validation values where bits may differ
POLL_S = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    """Of the command verify."""

    index: tuple[str, ...] = option((), "The runs, as in 17 or 3,7-9; else --n random ones.")
    n: int = option(1, "How many finished runs are drawn at random.", low=1, high=1000)
    seed: int = option(0, "Of the draw.", low=0)
    steps: int = option(0, "Train these first steps only; 0: all.", low=0)


def run(session: StudySession, options: Options) -> None:
    """Print what was compared for each run; BadData where a run differs."""
    lines = session.read_lines()
    candidates = [study_run for study_run in session.runs if study_run.key in lines]
    if not candidates:
        raise MissingInput(
            "no run of the study is finished, so there is nothing to verify",
            f"give `python -m prodgen.experiments run {session.file}` first",
        )
    indices = parse_indices(options.index, len(session.runs))
    if not indices:
        sample = random.Random(options.seed).sample(candidates, min(options.n, len(candidates)))
        indices = sorted(study_run.index for study_run in sample)
    problems = []
    for index in indices:
        study_run = session.runs[index]
        if study_run.key not in lines:
            raise UsageError(f"run {index} is not finished", "name a run that `status` calls done")
        line = lines[study_run.key]
        is_exact, reason = is_bitwise(line)
        how = "bit for bit" if is_exact else f"within {TOLERANCE:.0%}: {reason}"
        print(f"run {index}  {study_run.cell.name}, seed {study_run.seed}: training again ...")
        sys.stdout.flush()
        path = train_again(session, study_run, line, options.steps)
        differences, subjects = compare(session, study_run, line, path, is_exact, options.steps)
        problems += [f"run {index}: {text}" for text in differences]
        result = "; ".join(differences) if differences else "equal"
        print(f"run {index}  {result} ({how}): {', '.join(subjects)}")
        if not differences:
            shutil.rmtree(path)
    if problems:
        raise BadData(
            f"{len(problems)} differences: {problems[0]}",
            f"compare the folders below {session.folder.path / 'verify'}",
        )


def is_bitwise(line: Line) -> tuple[bool, str]:
    """(whether the run must repeat bit for bit here, else the reason why not)."""
    if line["determinism"].startswith("not"):
        return False, line["determinism"]
    versions = collect_versions()
    changes = [name for name, text in line["versions"].items() if versions.get(name) != text]
    if changes:
        return False, f"other versions of {', '.join(changes)}"
    here = describe_hardware(choose_cores(line["hardware"]["cores"]))
    changes = [name for name in here if here[name] != line["hardware"].get(name)]
    return not changes, f"other {', '.join(changes)}" if changes else ""


def train_again(session: StudySession, study_run: PlannedRun, line: Line, steps: int) -> Path:
    """The folder of the run trained again, on as many cores; it ends after `steps` steps, 0: all.

    BadData where the training fails.
    """
    path = session.folder.path / "verify" / study_run.fingerprint
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    with open(path / LOG_FILE, "w", encoding="utf-8") as log:
        with pin_cores(choose_cores(line["hardware"]["cores"])):
            process = subprocess.Popen(
                [sys.executable, *find_program(study_run.command(path))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                entries = read_complete_lines(path / METRICS_FILE) if steps else []
                if entries and entries[-1]["step"] >= steps:
                    process.send_signal(signal.SIGTERM)
                    process.wait()
        finally:
            process.kill()
            process.wait()
    if process.returncode not in ((0, 75) if steps else (0,)):
        raise BadData(
            f"training run {study_run.index} again failed: {read_last_line(path / LOG_FILE)}",
            f"see {path / LOG_FILE}",
        )
    return path


def read_complete_lines(file: Path) -> list[dict[str, float]]:
    """The records of a file that another process appends to."""
    try:
        return read_jsonl(file)
    except ValueError:  # the last line is being written
        return []


def compare(
    session: StudySession, study_run: PlannedRun, line: Line, path: Path, is_exact: bool, steps: int
) -> tuple[list[str], list[str]]:
    """(the differences of the run in `path` from the study's, what was compared)."""
    original = session.folder.run_path(study_run)
    has_folder = (original / METRICS_FILE).is_file()
    again = read_jsonl(path / METRICS_FILE)
    if has_folder:
        first = read_jsonl(original / METRICS_FILE)
    else:
        points = line["curves"]["points"]
        first = [{"step": s, name: v} for name, values in points.items() for s, v in values]
        again = [{k: v for k, v in x.items() if k == "step" or k in points} for x in again]
    differences, num_values = compare_metrics(first, again, is_exact)
    subjects = [f"{num_values} logged values"]
    if is_exact:
        sheets = {file.name: hash_file(file) for file in sorted((path / "samples").glob("*.png"))}
        common = [name for name in sheets if name in line["samples"]]
        differences += [f"{x} differs" for x in common if sheets[x] != line["samples"][x]]
        subjects.append(f"{len(common)} sheets of samples")
        if has_folder and not steps:
            changes, num_leaves = compare_leaves(original, path)
            differences += changes
            subjects.append(f"{num_leaves} leaves of the last checkpoint")
    if not num_values:
        differences.append("no logged value is common to both")
    return differences, subjects


def compare_metrics(
    first: list[dict[str, float]], again: list[dict[str, float]], is_exact: bool
) -> tuple[list[str], int]:
    """(the differences of values with the same step and name, the number of such values)."""
    values = [
        {(x["step"], name): v for x in entries for name, v in x.items() if name != "step"}
        for entries in (first, again)
    ]
    common = sorted(values[0].keys() & values[1].keys())
    differences = []
    for step, name in common:
        a, b = values[0][step, name], values[1][step, name]
        is_near = abs(a - b) <= TOLERANCE * max(abs(a), abs(b))
        if not (a == b if is_exact else is_near):
            differences.append(f"{name} of step {step}: {a!r} and {b!r}")
    return differences, len(common)


def compare_leaves(first: Path, again: Path) -> tuple[list[str], int]:
    """(the leaves that differ between the last checkpoints of two runs, the number of leaves)."""
    import jax
    import numpy as np

    from prodgen.runs.run import open_run

    trees = [_list_leaves(jax, open_run(path, "latest").state) for path in (first, again)]
    names = sorted(trees[0].keys() | trees[1].keys())
    differences = [
        f"the leaf {name} differs"
        for name in names
        if name not in trees[0]
        or name not in trees[1]
        or np.asarray(trees[0][name]).tobytes() != np.asarray(trees[1][name]).tobytes()
    ]
    return differences, len(names)


def _list_leaves(jax: Any, tree: Any) -> Mapping[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
