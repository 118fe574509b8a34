"""--mode=evaluate: a run's samples against pictures it never saw, as evaluation.json and a report.

Looked at with `pixels`, with `home`, trained on the run's own data with a seed that training has
not used, and with the extractors that --extractors names besides.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from prodgen import home, images, judge, tables
from prodgen.apps.model import Model
from prodgen.apps.reconstruct import stored
from prodgen.apps.request import Output, Request
from prodgen.metrics import features, memorisation, obedience
from prodgen.models import classifier
from prodgen.report import html
from prodgen.types import Batch

FILE, PAIRS = "evaluation.json", "evaluation_pairs.png"
JUDGE = 1  # the seed of the home network that judges: training's is 0
SETS, LIMIT = 3, 1000  # sampling seeds, and held-back pictures looked at; --n asks for others


def run(model: Model, request: Request) -> list[Path]:
    """Write evaluation.json, the sheet of suspicious pairs, and the run's report anew."""
    store = stored(model)
    subject = judge.Subject(
        f"{request.workdir.name}, step {model.run.step}",
        lambda seed, n: sample(model, seed, n),
        tuple(record["sha256"] for record in trained_with(model)),
    )
    material = judge.gather(subject, store, "test", request.seed, SETS, request.n or LIMIT, say)
    params, record = home.network(store, model.config.data, say, JUDGE)
    ours = features.home(params, record["sha256"])
    lookers = (ours, *(tables.find(tables.EXTRACTORS, n, "--extractors")() for n in named(request)))
    copies = judge.copies(material, ours)
    found = {
        "subject": {"run": model.run.record["fingerprint"], "step": model.run.step},
        "distances": {
            str(who.identity): {
                metric: dataclasses.asdict(number)
                for metric, number in judge.distances(subject, material, who, say).items()
            }
            for who in lookers
        },
        "obedience": _obedience(model, material, params),
        "memorisation": dataclasses.asdict(copies) | {"verdict": memorisation.verdict(copies)},
        "packshots": {
            "samples": judge.packshots(material.fakes[0]),
            "real": judge.packshots(material.real["image"]),
        },
    }
    out = Output(model, request, request.target(FILE).parent)
    sheet = memorisation.pairs_sheet(copies, material.fakes[0], material.seen["image"])
    out.write(PAIRS, images.png(sheet), {})
    out.write(request.target(FILE).name, encoded(found), {})
    html.report(request.workdir)
    return out.close()


def named(request: Request) -> tuple[str, ...]:
    """The extractors besides the home network, each once."""
    return tuple(dict.fromkeys(("pixels", *request.extractors)))


def sample(model: Model, seed: int, n: int) -> tuple[np.ndarray, Batch]:
    """n pictures uint8 [n, R, R, C] as `Model.sample` makes them, and their conditions."""
    conditions = model.conditions.pick(seed, np.arange(n))
    return model.decode(model.latents(np.arange(n), seed), conditions), conditions


def trained_with(model: Model) -> list[dict[str, Any]]:
    """The records of the extractors whose gradient training has followed."""
    if model.config.model.name != "vaegan":
        return []
    return [model.run.record[model.config.loss.perceptual]]


def _obedience(model: Model, material: judge.Material, params: Any) -> dict[str, Any]:
    """Whether the first set of samples shows what it was asked for."""
    if not model.config.model.condition:
        return {}
    net = classifier.Classifier(params["head"]["bias"].shape[0])
    said = jax.jit(lambda x: net.apply({"params": params}, images.to_float(x))[0])
    outputs = [
        np.concatenate([np.asarray(said(x[i : i + 64])) for i in range(0, len(x), 64)])
        for x in (material.fakes[0], material.real["image"])
    ]
    found = obedience.obedience(model.spec, material.asked, outputs[0], material.real, outputs[1])
    return {name: dataclasses.asdict(value) for name, value in found.items()}


def encoded(found: dict[str, Any]) -> bytes:
    """As JSON, in which what is not a number is null."""
    return json.dumps(_plain(found), indent=1, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
    return value


def say(text: str) -> None:
    """Progress goes to standard error: standard output lists the files."""
    print(text, file=sys.stderr, flush=True)
