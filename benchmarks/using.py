"""How fast is a trained run in use? Variations of a photo, and a batch against its generator.

python benchmarks/using.py --workdir=runs/vaegan-... --rows=1000

vary: seconds for 16 variations of one held-back photo, the run loaded and its programs compiled,
the median of --repeats. batch: seconds that --mode=batch takes for --rows sampling rows of one
picture, programs compiled by an earlier table; beside it, in turn, the generator alone: the same
latents and conditions decoded in the same parts, nothing encoded, compared or written. Prints JSON:
each side's pictures a second, and batch over generator, with and without the guard.
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

import prodgen
from prodgen.apps import batch
from prodgen.apps.common.output import Output
from prodgen.cli import commandline
from prodgen.core.errors import UsageError
from prodgen.model import Model

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_integer("rows", 1000, "Of the table.", lower_bound=1)
flags.DEFINE_integer("repeats", 3, "Of each side, in turn; the medians count.", lower_bound=1)
flags.DEFINE_integer("n", 16, "Variations.", lower_bound=1)


def seconds(act: Callable[[], object]) -> float:
    """What act() takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def vary(run: Model) -> dict[str, float]:
    """Seconds for --n variations of single photos."""
    store = run.store()
    photos = store.fetch(store.evenly_spaced_ids("test", FLAGS.repeats + 1))["image"]
    run.vary(photos[0], FLAGS.n)  # compiles
    each = [seconds(lambda photo=photo: run.vary(photo, FLAGS.n)) for photo in photos[1:]]
    return {"median": round(statistics.median(each), 3), "slowest": round(max(each), 3)}


def table(path: Path, rows: int, seed: int) -> Path:
    """A table of sampling rows, each with its own seed."""
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["name", "seed"])
        writer.writerows([f"picture_{i}", seed + i] for i in range(rows))
    return path


def generator_alone(run: Model, rows: int) -> None:
    """What a batch must compute, and nothing else."""
    for start in range(0, rows, 64):
        indices = np.arange(start, min(start + 64, rows))
        run.decode(run.latents(indices, 0), run.conditions.pick(0, indices))


def batches(run: Model, folder: Path) -> dict[str, float]:
    """Pictures a second: the generator's own, and the batch's with and without its guard."""
    took = {"generator": [], "batch": [], "batch without guard": []}

    def once(name: str, turn: int) -> None:
        file = table(folder / "rows.csv", FLAGS.rows, 10_000 * turn)
        options = batch.Options(table=str(file), guard=name == "batch")
        out = Output(run, "batch", options, folder / f"{name} {turn}", Path(FLAGS.workdir))
        took[name].append(seconds(lambda: batch.run(run, options, out)))

    generator_alone(run, 64)
    for turn in range(FLAGS.repeats + 1):
        took["generator"].append(seconds(lambda: generator_alone(run, FLAGS.rows)))
        for name in ("batch without guard", "batch"):
            once(name, turn)
    rate = {name: FLAGS.rows / statistics.median(t[1:]) for name, t in took.items()}
    shares = {f"{name} / generator": rate[name] / rate["generator"] for name in list(took)[1:]}
    return {name: round(value, 3) for name, value in (rate | shares).items()}


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    if not FLAGS.workdir:
        raise UsageError("no --workdir was given", "name a run")
    run = prodgen.load(FLAGS.workdir)
    result = {"resolution": run.spec.resolution, f"vary, {FLAGS.n}": vary(run)}
    with tempfile.TemporaryDirectory() as folder:
        result |= batches(run, Path(folder))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
