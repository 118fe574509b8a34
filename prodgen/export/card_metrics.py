"""The numbers of a model card, each with its measurement spec, from the run's own files.

metrics.jsonl has the last evaluation of the exported checkpoint while it trained, evaluation.json
the one afterwards. Nothing is measured here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prodgen.config import renames
from prodgen.export.weight_licences import read_evaluation
from prodgen.model import Model
from prodgen.report import evaluation_sections
from prodgen.runs.workdir import METRICS_FILE

VALIDATION_PREFIX = "val/"
VALIDATION_METRICS = {  # name -> (identifier on the Hub, description, unit, which is better)
    "elbo": ("elbo", "Evidence lower bound of an image", "nats", "more"),
    "bits_per_dim": ("bits-per-dimension", "Bits per dimension", "", "less"),
    "kl": ("kl-divergence", "KL divergence from the prior", "nats", ""),
    "mse": ("mse", "Reconstruction, mean squared error of values in [-1, 1]", "", "less"),
    "psnr": ("psnr", "Reconstruction, PSNR", "dB", "more"),
    "ssim": ("ssim", "Reconstruction, SSIM", "", "more"),
    "perceptual": ("perceptual-distance", "Reconstruction, perceptual distance", "", "less"),
    "frechet": ("frechet-distance", "Frechet distance of samples", "", "less"),
    "condition_accuracy": ("accuracy", "Condition accuracy: category", "", "more"),
    "spread": ("variety", "Variety within categories, relative to real images", "", "more"),
    "near_duplicates": ("near-duplicates", "Near duplicates among samples", "", "less"),
    "categories": ("categories", "Share of the categories that samples show", "", "more"),
}
RECONSTRUCTIONS = ("elbo", "bits_per_dim", "kl", "mse", "psnr", "ssim")  # need no classifier


@dataclasses.dataclass(frozen=True)
class CardMetric:
    """One number. kind: its identifier on the Hub; better: "more", "less" or "" (neither).

    spec: what it was measured with and on, of plain values; interval: of 95 %, None: not known;
    real_baseline: the value of real images; caution: what a reader must know.
    """

    kind: str
    name: str
    value: float
    split: str
    spec: dict[str, Any]
    unit: str = ""
    better: str = ""
    interval: tuple[float, float] | None = None
    real_baseline: float | None = None
    caution: str = ""


def read_metrics(model: Model) -> list[CardMetric]:
    """All numbers of the opened checkpoint, those of the test split first."""
    evaluation = read_evaluation(model)
    later = list(_list_evaluation(model, evaluation)) if evaluation else []
    return [*later, *_list_validation(model)]


def read_records(path: Path) -> list[dict[str, float]]:
    """The records of a JSONL file of a run, with today's names; [] if it is absent.

    A line that is cut off, as a killed run leaves it, is left out.
    """
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):
            records.append(renames.update_metrics(json.loads(line)))
    return records


def build_model_index(
    name: str, dataset: Mapping[str, Any], task: Mapping[str, str], metrics: list[CardMetric]
) -> list[dict[str, Any]] | None:
    """The `model-index` of a model card; None without any number.

    name: of the model. dataset: `type`, `name`, `revision` of the Hub's format. The measurement
    spec of a number is in its `args`.
    """
    results = []
    for split in dict.fromkeys(metric.split for metric in metrics):
        rows = [_to_index(metric) for metric in metrics if metric.split == split]
        results.append(
            {"task": dict(task), "dataset": {**dataset, "split": split}, "metrics": rows}
        )
    return [{"name": name, "results": results}] if results else None


def _to_index(metric: CardMetric) -> dict[str, Any]:
    """One entry of `metrics` in the Hub's format."""
    args = dict(metric.spec)
    if metric.unit:
        args["unit"] = metric.unit
    if metric.interval:
        args["interval_95"] = list(metric.interval)
    if metric.real_baseline is not None:
        args["real_baseline"] = metric.real_baseline
    return {"type": metric.kind, "name": metric.name, "value": metric.value, "args": args}


def _list_validation(model: Model) -> Iterator[CardMetric]:
    """The evaluation in metrics.jsonl whose step is that of the checkpoint."""
    run = model.run
    values: dict[str, float] = {}
    for record in read_records(run.path / METRICS_FILE):
        if record.get("step") == run.step:
            values |= {n: v for n, v in record.items() if n.startswith(VALIDATION_PREFIX)}
    values = {name.removeprefix(VALIDATION_PREFIX): value for name, value in values.items()}
    for name, (kind, title, unit, better) in VALIDATION_METRICS.items():
        value = _read_finite(values, name)
        if value is not None:
            spec, baseline = _describe_validation(model, name), _read_finite(values, f"{name}_real")
            caution = ""
            if name == "perceptual":
                caution = "training has used this distance: it does not rank the model"
            yield CardMetric(
                kind, title, value, "validation", spec, unit, better, None, baseline, caution
            )


def _describe_validation(model: Model, name: str) -> dict[str, Any]:
    """The spec of a number that training has measured."""
    run, config = model.run, model.config
    held_out = run.record["data"]["counts"]["validation"]
    limit = config.train.evaluate_examples
    spec = {
        "samples": min(held_out, limit) if limit else held_out,
        "weights": f"{_describe_weights(model)}, step {run.step}",
        "extractor": "none",
        "seed": config.seed,
    }
    if name not in RECONSTRUCTIONS:
        network = "classifier"
        if name == "perceptual" and config.loss.perceptual == "lpips":
            network = "lpips"
        sha256 = run.record.get(network, {}).get("sha256", "")
        spec |= {"extractor": network, "extractor_sha256": sha256 or "not recorded"}
    return spec


def _describe_weights(model: Model) -> str:
    return "moving average (EMA)" if model.config.optim.ema_images else "last update"


def _list_evaluation(model: Model, evaluation: Mapping[str, Any]) -> Iterator[CardMetric]:
    """The distances, condition accuracies, reconstructions and copies of an evaluation.json."""
    subject = evaluation["subject"]
    weights = f"{_describe_weights(model)}, step {subject['step']}"
    own = {"weights": weights} | ({"prior": subject["prior"]} if subject.get("prior") else {})
    for rows in evaluation["distances"].values():
        for name, number in rows.items():
            title, better, _ = evaluation_sections.DISTANCES.get(name, (name, "", 0))
            title = f"{title.split(':')[0]}, features of {_name_extractor(number)}"
            kind = f"{name}-distance" if name in ("frechet", "kernel") else name
            yield from _read_measurement(number, kind, title, "", better, own)
    for name, number in evaluation["reconstruction"].items():
        title, unit, _ = evaluation_sections.RECONSTRUCTION_METRICS.get(name, (name, "", 0))
        title = f"Reconstruction, {title.split(' (')[0].split(',')[0]}"
        better = "less" if name in ("lpips", "bits_per_dim") else "more"
        kind = "bits-per-dimension" if name == "bits_per_dim" else name
        yield from _read_measurement(number, kind, title, unit, better, own)
    sha256 = evaluation["classifier"].get("sha256", "not recorded")
    classifier = {"extractor": "classifier", "extractor_sha256": sha256, "seed": subject["seed"]}
    for name, number in evaluation["condition_accuracy"].items():
        is_share = number["kind"] == "share"
        title = f"Condition {'accuracy' if is_share else 'error'}: {name}"
        value = _read_finite(number, "value")
        if value is not None:
            spec = {"samples": number.get("count", subject["sets"][0])} | own | classifier
            yield CardMetric(
                "accuracy" if is_share else "mae", title, value, subject["split"], spec,
                number["unit"], "more" if is_share else "less", _read_interval(number),
                _read_finite(number, "real"),
            )  # fmt: skip
    value = _read_finite(evaluation["memorisation"], "copies")
    if value is not None:
        spec = {"samples": subject["sets"][0], "training_images": subject["training"]}
        yield CardMetric(
            "copies", "Samples that are copies of training images", value, subject["split"],
            spec | own | classifier, "", "less",
        )  # fmt: skip


def _read_measurement(
    number: Mapping[str, Any], kind: str, title: str, unit: str, better: str, own: Mapping[str, Any]
) -> Iterator[CardMetric]:
    """A Measurement as evaluation.json holds it; nothing where its value is not finite."""
    value = _read_finite(number, "value")
    if value is None:
        return
    spec = number["measurement_spec"]
    extractor = spec["extractor"]
    fields = {"samples": spec["fake"], "real_images": spec["real"]} | dict(own)
    fields |= {"extractor": _name_extractor(number), "seed": spec["seed"]}
    if extractor:
        fields |= {"extractor_version": extractor["version"], "resize": extractor["resize"]}
        fields |= {"extractor_sha256": extractor["sha256"]} if extractor["sha256"] else {}
    fields |= {name: option for name, option in spec["options"]}
    fields |= {"fitting": spec["fitting"]} if spec.get("fitting") else {}
    cautions = [number["caution"]] if number["caution"] else []
    if extractor and extractor["sha256"] and extractor["sha256"] in number["trained_with"]:
        cautions.append("training has used this extractor: it does not rank the model")
    yield CardMetric(
        kind, title, value, spec["split"], fields, unit, better, _read_interval(number),
        _read_finite(number, "real_baseline"), "; ".join(cautions),
    )  # fmt: skip


def _name_extractor(number: Mapping[str, Any]) -> str:
    extractor = number["measurement_spec"]["extractor"]
    return extractor["name"] if extractor else "none"


def _read_interval(number: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = _read_finite(number, "low"), _read_finite(number, "high")
    return None if low is None or high is None else (low, high)


def _read_finite(values: Mapping[str, Any], name: str) -> float | None:
    """A number of a file; None where it is absent, null or not finite."""
    value = values.get(name)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
