"""A study: a question, and the runs that answer it, expanded from one file.

The axes are crossed; the fields of one axis move together. Each combination is a cell, and each
cell is trained with every seed. The identity of a run follows from its config, so that a run that
two cells or two studies share is trained once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import io
import itertools
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.cli import commandline
from prodgen.config import compute_fingerprint, flatten, is_read, parse_value, set_field
from prodgen.config.lookup import describe_readers
from prodgen.core.errors import ProdgenError, UsageError
from prodgen.experiments.metric_names import is_higher_better

MAX_RUNS = 10_000
EVALUATION = "evaluate."  # prefix of an axis's field that is a flag of --mode=evaluate
SEEDS_PER_EVALUATION = 3  # --mode=evaluate draws a set of samples with --seed and the two after it
RESULT_FIELDS = (  # changeable fields of a run that decide what it logs, draws and keeps
    "train.num_steps", "train.evaluate_every", "train.evaluate_examples", "train.sample_every",
    "train.sheet_columns", "train.checkpoint_every", "train.keep", "train.keep_best",
)  # fmt: skip
METRIC_SOURCES = ("val/", "evaluate/")  # while training, and by --mode=evaluate afterwards


@dataclasses.dataclass(frozen=True)
class Study:
    """What a study file describes.

    question, expectation: one paragraph each, written before the first run. base: a config,
    "FILE.py[:PRESET]". fixed: {dotted field: value} of all runs. axes: {axis: {dotted field: its
    levels}}. seeds: training seeds, a number N for 0 .. N - 1 or a list. metrics: names such as
    "val/psnr" (metrics.jsonl) or "evaluate/classifier/frechet" (evaluation.json).
    evaluate: {flag: value} of --mode=evaluate; sampling_seeds: how often a run is evaluated, each
    time with another seed. budget: the time of `run` by default, such as "90m". scales: {name:
    further fixed fields} of variants that are only planned.
    """

    question: str
    base: str
    axes: Mapping[str, Mapping[str, Sequence[Any]]]
    metrics: Sequence[str]
    expectation: str = ""
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seeds: int | Sequence[int] = 5
    sampling_seeds: int = 1
    evaluate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    budget: str = ""
    scales: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def list_seeds(self) -> list[int]:
        """The training seeds."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One combination of the axes' levels.

    name: as in "beta=5, size=16/32". levels: {axis: short text of its level}. settings: {dotted
    field: value}.
    """

    index: int
    name: str
    levels: Mapping[str, str]
    settings: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class RunIdentity:
    """A run of a study: a cell with a seed.

    fingerprint: its identity (`identify_run`). key: the same, with a hash of the evaluation where
    that has settings of its own. num_steps: of its training.
    """

    index: int
    cell: Cell
    seed: int
    key: str
    fingerprint: str
    num_steps: int


@dataclasses.dataclass(frozen=True)
class PlannedRun(RunIdentity):
    """A run and how it is trained.

    train: the arguments of run_train.py, without --workdir. evaluations: the flags of
    --mode=evaluate, {flag: text} for each sampling seed.
    """

    train: tuple[str, ...]
    evaluations: tuple[Mapping[str, str], ...]
    config: ConfigDict

    def command(self, workdir: Path | str) -> list[str]:
        """The command that trains it, without the interpreter."""
        return ["run_train.py", *self.train, f"--workdir={workdir}"]

    def commands(self, workdir: Path | str) -> list[str]:
        """All commands of the run as a user types them."""
        lines = [["python", *self.command(workdir)]]
        if any(flags.get("prior") == "fitted" for flags in self.evaluations):
            lines.append(["python", "run_sample.py", "--mode=fit_prior", f"--workdir={workdir}"])
        lines += [["python", *evaluation_command(workdir, flags)] for flags in self.evaluations]
        return [shlex.join(line) for line in lines]


def evaluation_command(workdir: Path | str, flags: Mapping[str, str]) -> list[str]:
    """The command of one evaluation, without the interpreter."""
    out = evaluation_file(Path(workdir), flags)
    texts = [f"--{name}={value}" for name, value in flags.items()]
    return ["run_sample.py", "--mode=evaluate", f"--workdir={workdir}", *texts, f"--out={out}"]


def evaluation_file(workdir: Path, flags: Mapping[str, str]) -> Path:
    """The file of one evaluation of a run: its name is a hash of its flags."""
    return workdir / "evaluations" / _hash(dict(flags)) / "evaluation.json"


def load_study(path: Path, scale: str = "") -> Study:
    """The study of a file. UsageError names the file, the line and what is wrong."""
    if not path.is_file() or path.suffix != ".py":
        files = sorted(str(file) for file in Path("configs/studies").glob("*.py"))
        raise UsageError(
            f"the study {path} is not a Python file",
            f"name a study, as {', '.join(files)}" if files else "write configs/studies/NAME.py",
        )
    try:
        spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        study = module.get_study()
    except ProdgenError:
        raise
    except Exception as error:  # whatever a user's file raises
        raise commandline.make_config_error(str(path), error) from None
    if not isinstance(study, Study):
        raise UsageError(
            f"{path}: get_study returns {type(study).__name__}, not a Study",
            "return a prodgen.experiments.Study",
        )
    if scale:
        if scale not in study.scales:
            choices = ", ".join(study.scales) or "none"
            raise UsageError(
                f"--scale={scale} is not a scale of {path}; it has {choices}",
                "leave --scale out, or name one of them",
            )
        study = dataclasses.replace(study, fixed={**study.fixed, **study.scales[scale]})
    check_study(study, path)
    return study


def check_study(study: Study, path: Path) -> None:
    """UsageError for what is wrong in a study before any config is built."""
    seeds = study.list_seeds()
    problem = ""
    if not study.question.strip():
        problem = "it has no question"
    elif not study.metrics:
        problem = "it has no metrics"
    elif not seeds or len(set(seeds)) != len(seeds):
        problem = f"seeds={study.seeds!r} is not a number from 1 on, or a list of different seeds"
    elif study.sampling_seeds < 1:
        problem = f"sampling_seeds={study.sampling_seeds} is not at least 1"
    elif any(not name.startswith(METRIC_SOURCES) for name in study.metrics):
        name = next(name for name in study.metrics if not name.startswith(METRIC_SOURCES))
        problem = f"the metric {name!r} begins with none of {', '.join(METRIC_SOURCES)}"
    for name, axis in study.axes.items():
        lengths = {field: len(levels) for field, levels in axis.items()}
        if not lengths or min(lengths.values()) == 0:
            problem = f"the axis {name!r} has no levels, so that the study has no runs"
        elif len(set(lengths.values())) > 1:
            problem = f"the fields of the axis {name!r} have unlike numbers of levels: {lengths}"
    num_runs = len(seeds) * math.prod(count_levels(axis) for axis in study.axes.values())
    if not problem and num_runs > MAX_RUNS:
        problem = f"it has {num_runs:,} runs, at most {MAX_RUNS:,} are allowed"
    if problem:
        raise UsageError(f"the study {path}: {problem}", f"change {path}")
    for name in study.metrics:
        is_higher_better(name)  # UsageError for a metric without a better direction


def count_levels(axis: Mapping[str, Sequence[Any]]) -> int:
    """The number of levels of an axis, 0 where it has no field."""
    return min((len(levels) for levels in axis.values()), default=0)


def list_cells(study: Study) -> list[Cell]:
    """The crossed levels of all axes, the last axis running fastest."""
    cells = []
    ranges = [range(count_levels(axis)) for axis in study.axes.values()]
    for index, numbers in enumerate(itertools.product(*ranges)):
        levels, settings = {}, {}
        for number, (name, axis) in zip(numbers, study.axes.items(), strict=True):
            levels[name] = "/".join(format_value(values[number]) for values in axis.values())
            settings |= {field: values[number] for field, values in axis.items()}
        title = ", ".join(f"{name}={level}" for name, level in levels.items())
        cells.append(Cell(index, title or "base", levels, settings))
    return cells


def expand(study: Study, path: Path) -> list[PlannedRun]:
    """Every run, in the order of (cell, seed): its index is its place here.

    UsageError for an override that is unknown, invalid, or read by no run of its cell, and for two
    cells that are one run: then an axis changes nothing.
    """
    runs: list[PlannedRun] = []
    cells_by_key: dict[str, Cell] = {}
    read_fields: set[str] = set()
    for cell in list_cells(study):
        own_flags = {
            name.removeprefix(EVALUATION): value
            for name, value in cell.settings.items()
            if name.startswith(EVALUATION)
        }
        fields = {n: v for n, v in cell.settings.items() if not n.startswith(EVALUATION)}
        evaluations = list_evaluations(study, own_flags)
        suffix = [_hash(list(evaluations))] if evaluations else []
        overrides, cell_config = configure(study, path, cell, {**study.fixed, **fields})
        read_fields |= set(overrides)
        for seed in study.list_seeds():
            config = cell_config.copy_and_resolve_references()
            set_field(config, "seed", seed)
            fingerprint = identify_run(config)
            settings = {**overrides, "seed": str(seed)}
            run = PlannedRun(
                len(runs), cell, seed, "-".join([fingerprint, *suffix]), fingerprint,
                config.train.num_steps,
                (f"--config={study.base}", *(f"--config.{f}={t}" for f, t in settings.items())),
                evaluations, config,
            )  # fmt: skip
            other = cells_by_key.setdefault(run.key, cell)
            if other is not cell:
                raise UsageError(
                    f"the study {path}: the cells {other.name} and {cell.name} are the same run, "
                    "so that an axis changes nothing",
                    "change a field that the run reads (docs/configs.md), or take the level out",
                )
            runs.append(run)
    # A field may be without effect in some cells, as a penalty's weight without a penalty.
    fields_by_axis = [field for axis in study.axes.values() for field in axis]
    for field in [*study.fixed, *fields_by_axis]:
        if field not in read_fields and not field.startswith(EVALUATION):
            readers = describe_readers(field)
            raise UsageError(
                f"the study {path}: config.{field} is read by none of its runs; it is read with "
                f"{readers}",
                "take it out, or change the field that it depends on",
            )
    return runs


def identify_run(config: ConfigDict) -> str:
    """The identity of a run: its config's fingerprint, with a hash of what decides its results.

    A run that is continued may change its length and when it is evaluated, so these are not in the
    fingerprint. Two such runs have different results, and must not share a folder.
    """
    values = flatten(config)
    return f"{compute_fingerprint(config)}-{_hash([values[name] for name in RESULT_FIELDS])[:4]}"


def configure(
    study: Study, path: Path, cell: Cell, values: Mapping[str, Any]
) -> tuple[dict[str, str], ConfigDict]:
    """({field: text} of the values that a run of the cell reads, its validated config).

    UsageError names the cell and the unknown field or the invalid value.
    """
    texts = {field: format_value(value) for field, value in values.items()}
    try:
        # The config's notes on fields without effect are for one run, and not for a hundred.
        with contextlib.redirect_stderr(io.StringIO()):
            all_values = flatten(commandline.read_config(study.base))
            all_values |= {field: parse_value(field, text) for field, text in texts.items()}
            texts = {field: text for field, text in texts.items() if is_read(field, all_values)}
            return texts, commandline.read_config(study.base, list(texts.items()))
    except ProdgenError as error:
        error.message = f"the study {path}, cell {cell.name}: {error.message}"
        error.args = (error.message,)
        raise


def list_evaluations(study: Study, own_flags: Mapping[str, Any]) -> tuple[dict[str, str], ...]:
    """The flags of each evaluation of a run, one for each sampling seed; () without any."""
    if not own_flags and not any(name.startswith(EVALUATION[:-1]) for name in study.metrics):
        return ()
    flags = {name: format_value(value) for name, value in {**study.evaluate, **own_flags}.items()}
    seeds = range(0, SEEDS_PER_EVALUATION * study.sampling_seeds, SEEDS_PER_EVALUATION)
    return tuple({**flags, "seed": str(seed)} for seed in seeds)


def describe_study(study: Study) -> dict[str, Any]:
    """What must not change after the first run, for study.json."""
    record = dataclasses.asdict(dataclasses.replace(study, scales={}, budget=""))
    return json.loads(json.dumps(record, default=dict))


def hash_study(study: Study, runs: Sequence[PlannedRun]) -> str:
    """The version of a study: 8 hex digits over its description and the identity of its runs."""
    return _hash([describe_study(study), [run.key for run in runs]])


def format_value(value: Any) -> str:
    """A value as it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hash(record: Any) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
