"""Measure the speed of a trained run: variations of a photo, and a batch.

python benchmarks/using.py --workdir=runs/vaegan-... --rows=1000

vary: seconds for 16 variations of one held-out photo, after loading and compilation, the median of
--repeats. batch: --mode=batch with a table of --rows rows, one sample each, compiled by an earlier
table. It is compared, in turns, with the generator alone, which decodes the same latents and
conditions in the same parts and does nothing else. Prints JSON: images per second of each side, and
the ratio of batch to generator, with and without the guard.
"""

import csv
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen.model
from prodgen.apps import batch
from prodgen.apps.common.output import Output
from prodgen.cli import commandline
from prodgen.core.errors import UsageError
from prodgen.model import Model

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_integer("rows", 1000, "Rows of the table.", lower_bound=1)
flags.DEFINE_integer(
    "repeats", 3, "Timings of each side, in turn; the medians count.", lower_bound=1
)
flags.DEFINE_integer("n", 16, "Variations.", lower_bound=1)


def measure_seconds(call: Callable[[], object]) -> float:
    """The seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def time_vary(run: Model) -> dict[str, float]:
    """Median and slowest seconds for --n variations of one photo."""
    store = run.store()
    photos = store.fetch(store.evenly_spaced_ids("test", FLAGS.repeats + 1))["image"]
    run.vary(photos[0], FLAGS.n)  # compiles
    times = [measure_seconds(lambda photo=photo: run.vary(photo, FLAGS.n)) for photo in photos[1:]]
    return {"median": round(statistics.median(times), 3), "slowest": round(max(times), 3)}


def write_table(path: Path, rows: int, seed: int) -> Path:
    """A table of sampling rows, each with its own seed."""
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["name", "seed"])
        writer.writerows([f"picture_{i}", seed + i] for i in range(rows))
    return path


def run_generator_alone(run: Model, rows: int) -> None:
    """Decode the latents and conditions of a batch, and nothing else."""
    for start in range(0, rows, 64):
        indices = np.arange(start, min(start + 64, rows))
        run.decode(run.latents(indices, 0), run.conditions.pick(0, indices))


def time_batch(run: Model, folder: Path) -> dict[str, float]:
    """Images per second of the generator alone, and of a batch with and without the guard."""
    times = {"generator": [], "batch": [], "batch without guard": []}

    def run_batch(name: str, turn: int) -> None:
        file = write_table(folder / "rows.csv", FLAGS.rows, 10_000 * turn)
        options = batch.Options(table=str(file), guard=name == "batch")
        out = Output(run, "batch", options, folder / f"{name} {turn}", Path(FLAGS.workdir))
        times[name].append(measure_seconds(lambda: batch.run(run, options, out)))

    run_generator_alone(run, 64)
    for turn in range(FLAGS.repeats + 1):
        times["generator"].append(measure_seconds(lambda: run_generator_alone(run, FLAGS.rows)))
        for name in ("batch without guard", "batch"):
            run_batch(name, turn)
    rates = {name: FLAGS.rows / statistics.median(t[1:]) for name, t in times.items()}
    shares = {f"{name} / generator": rates[name] / rates["generator"] for name in list(times)[1:]}
    return {name: round(value, 3) for name, value in (rates | shares).items()}


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    if not FLAGS.workdir:
        raise UsageError("no --workdir was given", "name a run")
    run = prodgen.model.load(FLAGS.workdir)
    result = {"resolution": run.spec.resolution, f"vary, {FLAGS.n}": time_vary(run)}
    with tempfile.TemporaryDirectory() as folder:
        result |= time_batch(run, Path(folder))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
