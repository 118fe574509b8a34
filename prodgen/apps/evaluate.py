"""--mode=evaluate: generated images against real ones that their generator never saw.

Evaluated are a run's samples (--workdir), or images of another program (--images), which are
compared with --reference or with a run's data. Extractors: `pixels`; `classifier`, the reference
classifier, trained on the data's own labels with a seed that training does not use; and those of
--extractors. Writes evaluation.json, two sheets and the report: the run's report.html, or
evaluation.html without a run.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from prodgen.apps.common import reference_images
from prodgen.apps.common.option_groups import (
    MAX_IMAGES,
    ExtractorOptions,
    PriorOptions,
    RunDataOptions,
    SeedOptions,
)
from prodgen.apps.common.output import Output, describe_prior, say
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.core.file_names import decode_names
from prodgen.data.shared_store import locate_cache

if TYPE_CHECKING:
    from prodgen.data.store import Store
    from prodgen.evaluation import offline
    from prodgen.metrics.features import Extractor
    from prodgen.metrics.measurement_spec import Measurement
    from prodgen.model import Model

FILE, PAIRS, TYPICAL = "evaluation.json", "evaluation_pairs.png", "evaluation_typical.png"
CLASSIFIER_SEED = 1  # of the reference classifier that evaluates: training uses that of seed 0
COLUMNS = 8  # of the sheet of typical samples
SPLIT = "test"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, SeedOptions, ExtractorOptions, PriorOptions):
    """Of --mode=evaluate."""

    run = "optional"
    read_with_run = ("step", "data_path", "prior")

    n: int = option(1000, "Held-out images to compare with, at most.", low=1, high=MAX_IMAGES)
    images: str = option("", "Images of another program: a folder.")
    reference: str = option(
        "", "Real images to compare --images with: a folder, a table, or a config (FILE.py:PRESET)."
    )

    @property
    def output(self) -> str:
        return "judged/evaluation.json" if self.images else "evaluation.json"

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if self.reference and not self.images:
            raise UsageError("--reference has no effect without --images", "add --images=FOLDER")
        if self.images and self.prior != "auto":
            raise UsageError("--prior has no effect with --images", "leave it out")
        if workdir is None and not self.images:
            raise UsageError("no --workdir was given", "name a run, or --images")
        if self.images:
            reference_images.check_paths(Path(self.images), self.reference)


def run(model: Model | None, options: Options, out: Output) -> list[Path]:
    """Write the evaluation, its sheets and its report; the paths written."""
    from prodgen.apps.common.extractors import load_extractors
    from prodgen.apps.common.sample_sources import open_source
    from prodgen.evaluation import classifier, fitness, offline
    from prodgen.evaluation.monitor import CollapseMonitor
    from prodgen.metrics import features, memorisation
    from prodgen.report import run_page

    generator = None if options.images else model
    if options.images:  # the run's folder is for evaluations of the run itself
        out = dataclasses.replace(out, model=None, workdir=None)
    target = out.locate(options.output)
    if options.images:
        reference_images.check_out(target, Path(options.images), options.reference)
    extractors, lpips = load_extractors(options.extractors)
    if lpips and not (generator and generator.encodes):
        raise UsageError(
            "--extractors: lpips compares reconstructions, and there are none",
            "leave it out, or evaluate a run of a family with an encoder: vae, vaegan",
        )

    # The samples, the held-out images and the reference classifier that measures both.
    source, store, data = open_source(model, options)
    cache = locate_cache(data.cache_dir) / "features"
    for sentence in describe_images(source):
        say(sentence)
    say(f"the data were split by {store.meta.get('split_by', 'image')}")
    inputs = offline.gather_inputs(source, store, SPLIT, options.seed, options.n, cache, say)
    params, record = classifier.load_or_train(store, data, say, CLASSIFIER_SEED)
    own_extractor = features.classifier_features(params, record["sha256"])

    say("comparing with the training images")
    copies = offline.find_copies(inputs, own_extractor)
    evaluation = {
        "subject": describe_subject(generator, inputs, store),
        "classifier": record,
        "distances": {
            str(extractor.identity): offline.measure_distances(inputs, extractor, say)
            for extractor in (own_extractor, *extractors)
        },
        "condition_accuracy": offline.measure_condition_accuracy(inputs, store.spec, params),
        "reconstruction": measure_reconstruction(generator, inputs, store, lpips),
        "memorisation": dataclasses.asdict(copies)
        | {"verdict": memorisation.describe_verdict(copies)},
        "packshots": offline.measure_packshots(inputs, store.spec),
    }
    if generator:
        evaluation["fitness"] = fitness.to_json(generator.measure_fitness(say))
        for line in evaluation["fitness"]["summary"]:
            say(f"fitness: {line}")
    out.write(target.name, encode_json(evaluation), {})
    weakness = classifier.describe_weakness(record)
    for caution in [*collect_cautions(evaluation["distances"]), *([weakness] if weakness else [])]:
        say(f"caution: {caution}")

    # The sheets: typical samples, and samples beside their nearest training images.
    samples = inputs.fakes[0]
    typical = draw_typical_sheet(offline.measure_typicality(inputs, own_extractor), samples)
    pairs = memorisation.draw_pairs_sheet(copies, samples, inputs.training["image"])
    png_source = "generated" if generator else "composed"  # images of others: they know
    out.write_png(TYPICAL, typical, {}, png_source)
    out.write_png(PAIRS, pairs, {}, png_source)
    if generator and target == out.workdir / FILE:
        warning = CollapseMonitor(out.workdir, generator.config).describe_verdicts()
        return [*out.close(), run_page.write_report(out.workdir, warning)]
    out.write(target.with_suffix(".html").name, run_page.build_evaluation_page(target), {})
    return out.close()


def describe_images(source: offline.SampleSource) -> Iterator[str]:
    """How images of another program were read, and the cautions about them, for the console."""
    if "images" in source.record:
        images = source.record["images"]
        yield f"{images['total']} images; fitting: {images['fitting'] or 'none'}"
        for side in ("images", "reference"):
            left_out = source.record[side]["left_out"]
            if left_out["total"]:
                first = "; ".join(f"{f['name']} ({f['reason']})" for f in left_out["files"][:3])
                yield f"--{side}: {left_out['total']} files were left out, such as {first}"
    yield from (f"caution: {caution}" for caution in source.cautions)


def collect_cautions(distances: dict[str, dict[str, Measurement]]) -> list[str]:
    """The different cautions of all numbers, in their order."""
    numbers = [number for metrics in distances.values() for number in metrics.values()]
    return list(dict.fromkeys(number.caution for number in numbers if number.caution))


def describe_subject(
    generator: Model | None, inputs: offline.EvaluationInputs, store: Store
) -> dict[str, Any]:
    """What was evaluated, and with which images."""
    return {
        "name": inputs.source.name,
        "run": generator.run.record["fingerprint"] if generator else None,
        "step": generator.run.step if generator else None,
        "data": inputs.digest,
        "split": inputs.split,
        "split_by": store.meta.get("split_by", "image"),
        "real": len(inputs.real["image"]),
        "training": len(inputs.training["image"]),
        "sets": [len(samples) for samples in inputs.fakes],
        "seed": inputs.seed,
        "cautions": list(inputs.source.cautions),
        **(describe_prior(generator) if generator else {}),
    } | inputs.source.record


def measure_reconstruction(
    generator: Model | None, inputs: offline.EvaluationInputs, store: Store, lpips: Extractor | None
) -> dict[str, Measurement]:
    """How well a family with an encoder reconstructs held-out images; its bits per dimension."""
    from prodgen.evaluation import classifier, offline
    from prodgen.evaluation.evaluator import Evaluator
    from prodgen.metrics.measurement_spec import Measurement
    from prodgen.parallel import device_mesh

    if generator is None or not generator.encodes:
        return {}
    say("reconstructing held-out images")
    reconstructions = generator.reconstruct(inputs.real["image"], inputs.real)
    numbers = offline.measure_reconstructions(inputs, reconstructions, lpips)
    if generator.config.loss.likelihood != "logistic":
        return numbers
    # Bits per dimension need a likelihood of discrete levels.
    run, config = generator.run, generator.config.copy_and_resolve_references()
    config.train.evaluate_examples = len(reconstructions)
    config.parallel.devices = 1  # the run may have been trained on more than there are here
    frozen_nets, _ = classifier.load_frozen_networks(run.step_module, config, store, say, run.path)
    evaluate = Evaluator(run.step_module, config, store, device_mesh.make_mesh(config), SPLIT)
    bits = evaluate(run.state, frozen_nets)["bits_per_dim"]
    spec = inputs.measurement_spec("bits_per_dim", None)
    return numbers | {"bits_per_dim": Measurement(bits, spec, subject=inputs.source.name)}


def draw_typical_sheet(typicality: np.ndarray, samples: np.ndarray) -> Image.Image:
    """Two rows of the most typical samples over two of the least typical, with names."""
    order = np.argsort(-typicality, kind="stable")
    count = min(2 * COLUMNS, len(order) // 2 // COLUMNS * COLUMNS)
    rows = np.concatenate([order[:count], order[len(order) - count :]])
    names = ["most typical"] * (count // COLUMNS) + ["least typical"] * (count // COLUMNS)
    return pixels.draw_contact_sheet(samples[rows], COLUMNS, row_names=names, side=96)


def encode_json(evaluation: dict[str, Any]) -> bytes:
    """As JSON; nan and infinity become null."""
    return json.dumps(decode_names(to_plain(evaluation)), indent=1, allow_nan=False).encode()


def to_plain(value: Any) -> Any:
    """Dictionaries, lists and numbers of nested dataclasses; None where a float is not finite."""
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)
    match value:
        case dict():
            return {name: to_plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [to_plain(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
    return value
