"""plan: the runs of a study, and what they cost. No run starts.

A run's time comes from finished runs of its shape, else from one timed step. Runs have one shape
where their programs do the same work: they differ in the seed and in real numbers alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
import time
from typing import Any

from ml_collections import ConfigDict

from prodgen.cli.options import option
from prodgen.config import flatten
from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically
from prodgen.experiments.session import StudyOptions, StudySession
from prodgen.experiments.study import PlannedRun
from prodgen.report.clock import format_duration

TIMINGS_FILE = "timings.json"  # of shapes, in the study's folder
START_S = 8.0  # a process: imports, data, first sheet; measured on two cores
CADENCE_FIELDS = ("seed", "train.num_steps", "train.log_every", "train.tensorboard")
MAX_LISTED_RUNS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    """Of the command plan."""

    scale: str = option("", "A scale of the study, which is only planned, such as gpu.")
    jobs: int = option(1, "Runs side by side.", low=1, high=1024)
    timed: bool = option(True, "Time a step of each shape that no finished run has.")


def run(session: StudySession, options: Options) -> None:
    """Print the runs and their cost."""
    lines = session.read_lines()
    todo = [run for run in session.runs if run.key not in lines]
    num_trainings = len({run.fingerprint for run in session.runs})
    print(f"question     {session.study.question}")
    print(f"expectation  {session.study.expectation or 'none was written'}")
    shared = f", {num_trainings} trainings" if num_trainings < len(session.runs) else ""
    print(
        f"runs         {len(session.runs)}{shared}: {len(session.cells)} cells x "
        f"{len(session.study.list_seeds())} seeds; {len(todo)} to do"
    )
    for planned in session.runs[:MAX_LISTED_RUNS]:
        mark = "done" if planned.key in lines else "to do"
        print(
            f"  {planned.index:>5}  {planned.key}  {planned.cell.name}, seed {planned.seed}: {mark}"
        )
    if len(session.runs) > MAX_LISTED_RUNS:
        print(f"  ... and {len(session.runs) - MAX_LISTED_RUNS} more")
    trainings = list({planned.fingerprint: planned for planned in todo}.values())
    if session.scale and not options.timed:
        trainings = []
    if not trainings:
        return
    costs = estimate_costs(session, trainings, options.timed)
    if not costs:
        print("time         unknown: no run is finished, and --notimed was given")
        return
    total_s = sum(costs[planned.fingerprint]["seconds"] for planned in trainings)
    disk = sum(costs[planned.fingerprint].get("bytes", 0) for planned in trainings)
    hours = sum(
        costs[p.fingerprint]["seconds"] * costs[p.fingerprint].get("devices", 1) for p in trainings
    )
    print(
        f"time         about {format_duration(total_s / options.jobs)} with --jobs={options.jobs}, "
        f"if {options.jobs} runs do not slow each other down"
    )
    print(f"device hours about {hours / 3600:.2f}")
    print(f"disk         about {disk / 1e6:,.0f} MB of checkpoints")


def estimate_costs(
    session: StudySession, runs: list[PlannedRun], is_timed: bool
) -> dict[str, dict[str, float]]:
    """{fingerprint: {"seconds", "bytes", "devices"}} of each run; {} where a shape is unknown.

    Without timing, a shape of finished runs has its seconds alone.
    """
    finished = collect_seconds(session)
    file = session.folder.path / TIMINGS_FILE
    timings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    costs = {}
    for planned in runs:
        shape, train = hash_shape(planned.config), planned.config.train
        if shape in finished and not is_timed:
            costs[planned.fingerprint] = {"seconds": finished[shape] * train.num_steps}
            continue
        if shape not in timings:
            if not is_timed:
                return {}
            print(f"timing a step of {planned.cell.name} ...", flush=True)
            timings[shape] = time_step(planned.config)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, json.dumps(timings, indent=1).encode())
        timing = timings[shape]
        seconds = timing["step"] * train.num_steps + timing["compile"] + START_S
        rate = finished.get(shape)
        costs[planned.fingerprint] = {
            "seconds": rate * train.num_steps if rate else seconds,
            "bytes": timing["bytes"] * (train.keep + 1),
            "devices": timing["devices"],
        }
    return costs


def collect_seconds(session: StudySession) -> dict[str, float]:
    """{shape: median seconds for each step, all included} of the study's finished runs."""
    rates: dict[str, list[float]] = {}
    lines = session.read_lines()
    for planned in session.runs:
        if planned.key in lines:
            seconds = lines[planned.key]["cost"]["seconds"]
            shape = hash_shape(planned.config)
            rates.setdefault(shape, []).append(seconds / planned.config.train.num_steps)
    return {shape: statistics.median(values) for shape, values in rates.items()}


def check_budget(session: StudySession, run: PlannedRun, budget_s: float, text: str) -> None:
    """UsageError where the budget is too small for one run, as far as its cost is known."""
    costs = estimate_costs(session, [run], is_timed=False)
    seconds = costs.get(run.fingerprint, {}).get("seconds", 0.0)
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
    from prodgen.runs.run import get_step_module

    def say(text: str) -> None:
        del text

    mesh = device_mesh.initialise_jax(config)
    store = prepare.open_or_prepare(config.data, say, prepare.source_from_config(config.data))
    family, sharding = get_step_module(config), device_mesh.replicated_sharding(mesh)
    init = compilation.jit_unoptimised(lambda key: family.init(config, store.spec, key), sharding)
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
    arguments = (batches, (jax.device_put(frozen, sharding), np.int32(config.seed)))
    start = time.monotonic()
    variants = family.variants(config)
    programs = {
        variant: compilation.compile_aot(
            compilation.compile_train_step(
                lambda pmean, v=variant: compilation.take_seed(
                    family.make_train_step, config, store.spec, pmean, v
                ),
                mesh,
                config.parallel.mode,
            ),
            state,
            *arguments,
        )
        for variant in dict.fromkeys(variants)
    }
    compile_s = time.monotonic() - start
    num_bytes = 4 * trees.count_elements(state)
    seconds = {}
    for variant, program in programs.items():
        state, _ = jax.block_until_ready(program(state, *arguments))  # warms the caches
        start = time.monotonic()
        state, _ = jax.block_until_ready(program(state, *arguments))
        seconds[variant] = time.monotonic() - start
    return {
        "step": statistics.fmean(seconds[variant] for variant in variants),
        "compile": compile_s,
        "bytes": num_bytes,
        "devices": mesh.size,
    }
