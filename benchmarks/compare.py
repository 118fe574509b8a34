"""Compare evaluated runs in a Markdown table; a column holds only numbers of equal specs.

python benchmarks/compare.py --workdirs=runs/vae-...,runs/gan-... [--metrics=frechet,precision]

All runs must have been evaluated (run_sample.py --mode=evaluate) on the same images, with the same
number of them and the same seed; otherwise an error names the difference. A number whose run was
trained with the extractor is in brackets, since it cannot be ranked.
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
flags.DEFINE_list("workdirs", [], "Evaluated runs, separated by commas.")
flags.DEFINE_list("metrics", list(scores.BETTER_DIRECTION), "The metrics to compare.")


def read_distances(path: Path) -> dict[str, dict[str, Measurement]]:
    """The distances in the evaluation.json of a run: extractor -> metric -> measurement."""
    file = path / "evaluation.json"
    if not file.exists():
        raise MissingInput(f"{path} has not been evaluated", "run run_sample.py --mode=evaluate")
    try:
        distances = json.loads(file.read_text(encoding="utf-8"))["distances"]
    except (ValueError, KeyError, TypeError):
        raise BadData(
            f"{file} is damaged", "run run_sample.py --mode=evaluate to write it again"
        ) from None
    return {
        extractor: {name: parse_measurement(record) for name, record in metrics.items()}
        for extractor, metrics in distances.items()
    }


def parse_measurement(record: dict) -> Measurement:
    """A Measurement from its JSON record, in which null stands for nan."""
    values = {name: float("nan") if value is None else value for name, value in record.items()}
    spec = MeasurementSpec.from_json(record["measurement_spec"])
    trained_with = tuple(record["trained_with"])
    return Measurement(**values | {"measurement_spec": spec, "trained_with": trained_with})


def format_table(
    runs: dict[str, dict[str, dict[str, Measurement]]], extractor: str, metrics: list[str]
) -> str:
    """The Markdown table of an extractor; UsageError where two measurement specs differ."""
    lines = [f"| {extractor} | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    first = next(iter(runs.values()))[extractor]
    for name, distances in runs.items():
        for metric in metrics:
            if difference := describe_differences(
                first[metric].measurement_spec, distances[extractor][metric].measurement_spec
            ):
                raise UsageError(
                    f"{name} was evaluated differently from the first run: {difference}"
                )
        cells = (format_cell(distances[extractor][metric]) for metric in metrics)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    baselines = (f"{first[metric].real_baseline:.4g}" for metric in metrics)
    return "\n".join(
        [*lines, "| *real baseline: training images* | " + " | ".join(baselines) + " |"]
    )


def format_cell(measurement: Measurement) -> str:
    """The value with its interval, in brackets where it cannot be ranked."""
    text = f"{measurement.value:.4g}"
    if measurement.low == measurement.low:
        text += f" [{measurement.low:.4g}, {measurement.high:.4g}]"
    return text if measurement.is_rankable else f"({text})"


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    runs = {path: read_distances(Path(path)) for path in FLAGS.workdirs}
    if not runs:
        raise UsageError("no --workdirs were given", "name evaluated runs, separated by commas")
    if unknown_names := set(FLAGS.metrics) - set(scores.BETTER_DIRECTION):
        names = ", ".join(scores.BETTER_DIRECTION)
        raise UsageError(f"--metrics: {sorted(unknown_names)} are not known: {names}")
    first, *others = runs.values()
    extractors = [name for name in first if all(name in other for other in others)]
    if not extractors:
        raise UsageError("the runs share no extractor", "evaluate all of them with the same one")
    print("\n\n".join(format_table(runs, name, FLAGS.metrics) for name in extractors))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
