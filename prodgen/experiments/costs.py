"""What the runs of a study cost: from finished runs of their shape, else from one timed step.

Runs have one shape where their programs do the same work: they differ in the seed and in real
numbers alone.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import flatten
from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically
from prodgen.experiments.results import Line
from prodgen.experiments.session import StudySession
from prodgen.experiments.study import PlannedRun
from prodgen.report.clock import format_duration

TIMINGS_FILE = "timings.json"  # of shapes, in the study's folder
START_S = 8.0  # a process: imports, data, first sheet; measured on two cores
CADENCE_FIELDS = ("seed", "train.num_steps", "train.log_every", "train.tensorboard")


def estimate_costs(
    session: StudySession, lines: Mapping[str, Line], runs: list[PlannedRun], is_timed: bool
) -> dict[str, dict[str, float]]:
    """{fingerprint: {"seconds", "bytes", "devices"}} of each run; {} where a shape is unknown.

    lines: of the study's finished runs. Without timing, a shape of these has its seconds alone.
    """
    rates_by_shape = collect_seconds(session, lines)
    file = session.folder.path / TIMINGS_FILE
    timings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    costs = {}
    for study_run in runs:
        shape, train = hash_shape(study_run.config), study_run.config.train
        if shape in rates_by_shape and not is_timed:
            costs[study_run.fingerprint] = {"seconds": rates_by_shape[shape] * train.num_steps}
            continue
        if shape not in timings:
            if not is_timed:
                return {}
            print(f"timing a step of {study_run.cell.name} ...", flush=True)
            timings[shape] = time_step(study_run.config)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, json.dumps(timings, indent=1).encode())
        timing = timings[shape]
        seconds = timing["step"] * train.num_steps + timing["compile"] + START_S
        rate = rates_by_shape.get(shape)
        costs[study_run.fingerprint] = {
            "seconds": rate * train.num_steps if rate else seconds,
            "bytes": timing["bytes"] * (train.keep + 1),
            "devices": timing["devices"],
        }
    return costs


def collect_seconds(session: StudySession, lines: Mapping[str, Line]) -> dict[str, float]:
    """{shape: median seconds for each step, all included} of the study's finished runs."""
    rates: dict[str, list[float]] = {}
    for study_run in session.runs:
        if study_run.key in lines:
            seconds = lines[study_run.key]["cost"]["seconds"]
            shape = hash_shape(study_run.config)
            rates.setdefault(shape, []).append(seconds / study_run.config.train.num_steps)
    return {shape: statistics.median(values) for shape, values in rates.items()}


def describe_time(cost_by_run: Mapping[str, Mapping[str, float]], jobs: int) -> str:
    """The time of runs in words; cost_by_run: of `estimate_costs`."""
    if not cost_by_run:
        return "unknown: `plan` times a step of each shape"
    seconds = sum(cost["seconds"] for cost in cost_by_run.values())
    return f"about {format_duration(seconds / jobs)} with --jobs={jobs}"


def check_budget(
    cost_by_run: Mapping[str, Mapping[str, float]], run: PlannedRun, budget_s: float, text: str
) -> None:
    """UsageError where the budget is too small for a run, as far as its cost is known."""
    seconds = cost_by_run.get(run.fingerprint, {}).get("seconds", 0.0)
    if seconds > budget_s:
        raise UsageError(
            f"the budget {text} is too small for one run: run {run.index} takes about "
            f"{format_duration(seconds)}",
            f"set --budget={seconds // 60 + 1:.0f}m or more",
        )


def hash_shape(config: ConfigDict) -> str:
    """An identity of the work of a run's steps: its fields without the seed and real numbers."""
    values = flatten(config)
    fields = {
        path: value
        for path, value in values.items()
        if path not in CADENCE_FIELDS and not isinstance(value, float)
    }
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]


def time_step(config: ConfigDict) -> dict[str, Any]:
    """{"step", "compile": seconds, "bytes": of a checkpoint, "devices"} of a config's first step.

    Prepares the data where they are not prepared yet. Nothing is written into a run's folder.
    """
    import jax
    import numpy as np

    from prodgen.core import rng, trees
    from prodgen.data import order, prepare
    from prodgen.evaluation import classifier
    from prodgen.parallel import compilation, device_mesh
    from prodgen.runs.run import build_run_state, get_step_module

    def say(text: str) -> None:
        del text

    mesh = device_mesh.initialise_jax(config)
    store = prepare.open_or_prepare(config.data, say, prepare.source_from_config(config.data))
    family, shapes = get_step_module(config), build_run_state(config, store.spec, mesh)
    init = compilation.jit_unoptimised(
        lambda key: family.init(config, store.spec, key), jax.tree.map(lambda x: x.sharding, shapes)
    )
    state = init(rng.key(config.seed, "init"))
    size, ids = config.train.batch_size, store.ids("train")
    slots = device_mesh.local_slots(mesh, size)
    batches = tuple(
        device_mesh.to_global_arrays(
            mesh,
            store.fetch(ids[order.select_batch(config.seed, t, len(ids), size)][slots])
            | {"slot": np.asarray(slots, np.int32)},
        )
        for t in range(family.real_batches(config))
    )
    frozen = classifier.load_frozen_networks(family, config, store, say, None)[0]
    arguments = (batches, (device_mesh.replicate(mesh, frozen), np.int32(config.seed)))
    start = time.monotonic()
    programs = compilation.compile_variants(family, config, store.spec, mesh, state, *arguments)
    compile_s = time.monotonic() - start
    num_bytes = 4 * trees.count_elements(state)
    seconds = {}
    for program in dict.fromkeys(programs):
        state, _ = jax.block_until_ready(program(state, *arguments))  # warms the caches
        start = time.monotonic()
        state, _ = jax.block_until_ready(program(state, *arguments))
        seconds[program] = time.monotonic() - start
    return {
        "step": statistics.fmean(seconds[program] for program in programs),
        "compile": compile_s,
        "bytes": num_bytes,
        "devices": mesh.size,
    }
