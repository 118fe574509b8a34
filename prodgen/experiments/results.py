"""The table of results: one JSON line for each finished run, with a hash that shows an edit.

A line says what was trained (config, fingerprint), with what (code, libraries, hardware), what it
gave (metrics with their measurement spec, validation curves, hashes of its samples), and what it
cost. It depends on the run alone, so that several studies share it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.config import flatten
from prodgen.core.errors import BadData, MissingInput
from prodgen.core.files import hash_file, write_atomically
from prodgen.experiments.environment import describe_determinism
from prodgen.experiments.study import PlannedRun, RunIdentity, evaluation_file
from prodgen.experiments.study_folder import RESULTS_FILE, StudyFolder
from prodgen.report.run_page import sum_device_hours
from prodgen.report.writer import METRICS_FILE, TIMING_FILE, read_jsonl
from prodgen.runs.workdir import read_record

Line = dict[str, Any]
LIKELIHOOD_METRICS = ("val/elbo", "val/nll")
HASH = "sha256"  # of the line's other fields


@dataclasses.dataclass(frozen=True)
class Observation:
    """One finished run of a cell, with one sampling seed.

    index: of the run in the study. cell: index of its Cell. specs: the measurement spec of each
    metric. intervals: the evaluation's own 95 % interval, where known. curves: {metric: (training
    images seen, value)}. folder: the run's folder as a link from the study's, "" where absent.
    command: the exact shell commands.
    """

    index: int
    cell: int
    seed: int
    sampling_seed: int
    metrics: Mapping[str, float]
    specs: Mapping[str, Mapping[str, Any]]
    intervals: Mapping[str, tuple[float, float]]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    seconds: float
    device_hours: float
    folder: str
    command: str


def build_line(run: PlannedRun, path: Path, outcome: Mapping[str, Any]) -> Line:
    """The line of the finished run in `path`. outcome: {"seconds", "hardware", "code"} of it."""
    record = read_record(path)
    metrics = read_jsonl(path / METRICS_FILE)
    data, examples = record["data"]["digest"], run.config.train.evaluate_examples
    spec = {"data": data, "split": "validation", "images": examples}
    spec["extractor"] = record.get("classifier", {}).get("sha256")
    values, curves = {}, {}
    for name in dict.fromkeys(name for entry in metrics for name in entry if name[:4] == "val/"):
        points = [[entry["step"], entry[name]] for entry in metrics if name in entry]
        # A value that is not finite is not written; then the last step has none.
        last_step, last_value = points[-1]
        value = last_value if last_step == run.config.train.num_steps else None
        # A likelihood's value says nothing beside that of another likelihood.
        own_spec = {"likelihood": run.config.loss.likelihood} if name in LIKELIHOOD_METRICS else {}
        values[name] = {"value": value, "spec": {"metric": name, **spec, **own_spec}}
        curves[name] = points
    line = {
        "key": run.key,
        "fingerprint": run.fingerprint,
        "seed": run.seed,
        "config": flatten(run.config),
        "code": outcome["code"],
        "versions": record["versions"],
        "hardware": outcome["hardware"],
        "determinism": describe_determinism(run.config),
        "metrics": values,
        "evaluations": [read_evaluation(path, flags) for flags in run.evaluations],
        "curves": {"path": f"runs/{run.fingerprint}/{METRICS_FILE}", "points": curves},
        "samples": {
            file.name: hash_file(file) for file in sorted((path / "samples").glob("*.png"))
        },
        "batch_size": run.config.train.batch_size,
        "cost": {
            "seconds": round(outcome["seconds"], 3),
            "device_hours": sum_device_hours(read_jsonl(path / TIMING_FILE)),
            "energy_kwh": None,
        },
        "command": run.commands(f"runs/{run.fingerprint}"),
    }
    return seal(line)


def read_evaluation(path: Path, flags: Mapping[str, str]) -> dict[str, Any]:
    """{"seed", "metrics": {name: value, spec, low, high}} of one evaluation of a run."""
    evaluation = json.loads(evaluation_file(path, flags).read_text(encoding="utf-8"))
    numbers: dict[str, Any] = {}
    for extractor, measurements in evaluation["distances"].items():
        short_name = extractor.split()[0].split("-")[0].lower()
        numbers |= {f"evaluate/{short_name}/{name}": m for name, m in measurements.items()}
    numbers |= {f"evaluate/{name}": m for name, m in evaluation["reconstruction"].items()}
    metrics = {
        name: {
            "value": m["value"], "spec": m["measurement_spec"], "low": m["low"], "high": m["high"],
        }
        for name, m in numbers.items()
    }  # fmt: skip
    return {"seed": int(flags["seed"]), "flags": dict(flags), "metrics": metrics}


def seal(line: Line) -> Line:
    """The line with the hash of its content."""
    content = {name: value for name, value in line.items() if name != HASH}
    text = json.dumps(content, sort_keys=True)
    return json.loads(text) | {HASH: hashlib.sha256(text.encode()).hexdigest()}


def read_lines(file: Path) -> list[Line]:
    """The lines of a file of results; BadData names a damaged or edited line."""
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            is_whole = seal(line)[HASH] == line[HASH]
        except (ValueError, KeyError, TypeError, AttributeError):
            is_whole = False
        if not is_whole:
            raise BadData(
                f"{file}, line {number}: its content does not have its hash: it was edited or cut",
                "restore the file, or delete the line and give `run --missing` to train it again",
            )
        lines.append(line)
    return lines


def name_committed_file(study_file: Path, version: str = "") -> Path:
    """The file of finished lines beside the study: configs/studies/NAME.results.jsonl."""
    suffix = f"@{version}" if version else ""
    return study_file.with_name(f"{study_file.stem}{suffix}.{RESULTS_FILE}")


def collect_lines(
    folder: StudyFolder, runs: Sequence[RunIdentity], committed_file: Path
) -> dict[str, Line]:
    """{key: line} of the study's finished runs: of the run folders, else of the committed file."""
    keys = {run.key for run in runs}
    lines: dict[str, Line] = {}
    if committed_file.is_file():
        lines = {line["key"]: line for line in read_lines(committed_file) if line["key"] in keys}
    for run in runs:
        file = folder.result_file(run)
        if file.is_file():
            lines |= {line["key"]: line for line in read_lines(file)}
    return lines


def write_lines(file: Path, lines: Iterable[Line]) -> None:
    """Write a file of results atomically."""
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    write_atomically(file, text.encode())


def list_observations(
    folder: StudyFolder, runs: Sequence[PlannedRun], lines: Mapping[str, Line]
) -> list[Observation]:
    """The finished runs as the statistics take them, one for each run and sampling seed.

    Values while training belong to each of the run's observations.
    """
    observations = []
    for run in runs:
        if run.key not in lines:
            continue
        line = lines[run.key]
        size = line["batch_size"]
        curves = {
            name: [(step * size, value) for step, value in points]
            for name, points in line["curves"]["points"].items()
        }
        has_folder = (folder.run_path(run) / "config.json").is_file()
        link = os.path.relpath(folder.run_path(run), folder.path) if has_folder else ""
        for evaluation in line["evaluations"] or [{"seed": 0, "metrics": {}}]:
            numbers = line["metrics"] | evaluation["metrics"]
            observations.append(
                Observation(
                    run.index, run.cell.index, run.seed, evaluation["seed"],
                    {name: _to_float(number["value"]) for name, number in numbers.items()},
                    {name: number["spec"] for name, number in numbers.items()},
                    {
                        name: (number["low"], number["high"])
                        for name, number in numbers.items()
                        if number.get("low") is not None and number.get("high") is not None
                    },
                    curves,
                    line["cost"]["seconds"], line["cost"]["device_hours"], link,
                    "\n".join(run.commands(folder.run_path(run))),
                )
            )  # fmt: skip
    return observations


def load_columns(path: Path | str) -> dict[str, np.ndarray]:
    """The finished runs of a study as columns {name: array [N]}, one row for a run's evaluation.

    path: the folder of a study, or a file of results. Columns: key, seed, sampling_seed, each
    metric, "config." with each dotted field, seconds, device_hours. A value that a row lacks is
    nan, of a text "".
    """
    file = Path(path)
    file = file / RESULTS_FILE if file.is_dir() else file
    if not file.is_file():
        raise MissingInput(
            f"{file} does not exist", "give `report` of the study, which writes it, or its folder"
        )
    rows = []
    for line in read_lines(file):
        for evaluation in line["evaluations"] or [{"seed": 0, "metrics": {}}]:
            numbers = line["metrics"] | evaluation["metrics"]
            row = {"key": line["key"], "seed": line["seed"], "sampling_seed": evaluation["seed"]}
            row |= {name: _to_float(number["value"]) for name, number in numbers.items()}
            row |= {f"config.{name}": value for name, value in line["config"].items()}
            row |= {name: line["cost"][name] for name in ("seconds", "device_hours")}
            rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        is_text = any(isinstance(row.get(name), str) for row in rows)
        columns[name] = np.array([row.get(name, "" if is_text else np.nan) for row in rows])
    return columns


def _to_float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
