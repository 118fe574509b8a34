"""Judged runs side by side, as a Markdown table: only numbers of one passport stand in one column.

python benchmarks/compare.py --workdirs=runs/vae-...,runs/gan-... [--metrics=frechet,precision]

Each run must have been judged (run_sample.py --mode=evaluate) on the same pictures, as many of
them, with the same seed; else it ends with what differs. A run that was trained with an extractor
is shown in brackets there: it is not ranked.
"""

import json
import sys
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.metrics import scores
from prodgen.metrics.measurement_spec import Measurement, MeasurementSpec, describe_differences

FLAGS = flags.FLAGS
flags.DEFINE_list("workdirs", [], "Judged runs, separated by commas.")
flags.DEFINE_list("metrics", list(scores.BETTER_DIRECTION), "What to compare.")


def read(path: Path) -> dict[str, dict[str, Measurement]]:
    """The distances of evaluation.json in a run's folder: extractor -> metric -> number."""
    file = path / "evaluation.json"
    if not file.exists():
        raise MissingInput(f"{path} has not been judged", "run_sample.py --mode=evaluate judges it")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["distances"]
    except (ValueError, KeyError, TypeError):
        raise BadData(
            f"{file} is damaged", "run_sample.py --mode=evaluate writes it anew"
        ) from None
    return {
        who: {name: number(record) for name, record in metrics.items()}
        for who, metrics in found.items()
    }


def number(record: dict) -> Measurement:
    """A Measurement as `encoded` wrote it: null is nan."""
    values = {name: float("nan") if value is None else value for name, value in record.items()}
    spec = MeasurementSpec.from_json(record["measurement_spec"])
    trained_with = tuple(record["trained_with"])
    return Measurement(**values | {"measurement_spec": spec, "trained_with": trained_with})


def table(runs: dict[str, dict[str, dict[str, Measurement]]], who: str, metrics: list[str]) -> str:
    """The Markdown table of an extractor; UsageError where two passports differ."""
    lines = [f"| {who} | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    first = next(iter(runs.values()))[who]
    for name, judged in runs.items():
        for metric in metrics:
            if found := describe_differences(
                first[metric].measurement_spec, judged[who][metric].measurement_spec
            ):
                raise UsageError(f"{name} was judged otherwise than the first run: {found}")
        cells = (cell(judged[who][metric]) for metric in metrics)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    floors = (f"{first[metric].real_baseline:.4g}" for metric in metrics)
    return "\n".join(
        [*lines, "| *real baseline: training pictures* | " + " | ".join(floors) + " |"]
    )


def cell(found: Measurement) -> str:
    """The value with its interval."""
    text = f"{found.value:.4g}"
    if found.low == found.low:
        text += f" [{found.low:.4g}, {found.high:.4g}]"
    return text if found.is_rankable else f"({text})"


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    runs = {path: read(Path(path)) for path in FLAGS.workdirs}
    if not runs:
        raise UsageError("no --workdirs were given", "name judged runs, separated by commas")
    if unknown := set(FLAGS.metrics) - set(scores.BETTER_DIRECTION):
        names = ", ".join(scores.BETTER_DIRECTION)
        raise UsageError(f"--metrics: {sorted(unknown)} are not known: {names}")
    shared = [who for who in next(iter(runs.values())) if all(who in run for run in runs.values())]
    if not shared:
        raise UsageError("the runs share no extractor", "judge all of them with the same one")
    print("\n\n".join(table(runs, who, FLAGS.metrics) for who in shared))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
