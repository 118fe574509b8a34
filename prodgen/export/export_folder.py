"""The folder of --mode=export from first file to check: written aside, checked, then put in place.

A folder that cannot be finished leaves what was there before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.core import pixels, provenance, tensor_files
from prodgen.core.errors import MissingInput, MissingRunData, SelfTestError, UsageError
from prodgen.core.files import write_atomically
from prodgen.evaluation.classifier import EXPORTED_FILE_NAME, ReferenceClassifier
from prodgen.evaluation.fitness import Fitness
from prodgen.export import (
    architecture,
    data_card,
    model_card,
    onnx_files,
    programs,
    pytorch_module,
    run_files,
    weight_licences,
)
from prodgen.export.examples import make_examples
from prodgen.export.programs import Part
from prodgen.model import Model
from prodgen.runs.workdir import EXPORT_FILE, MODEL_FILE

EXAMPLE_FILE, VERIFY_FILE, SAMPLES_FILE = "example.safetensors", "verify.py", "samples.png"
CARD_FILE, DATA_CARD_FILE = "README.md", "DATA_CARD.md"
NUM_COLUMNS, NUM_ROWS, SHEET_SIDE = 8, 16, 64  # of samples.png; pixels of a picture, at least
FORMATS = ("safetensors", "stablehlo", "pytorch", "onnx")
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class ExportRequest:
    """What a folder is to hold.

    parts: names; () for all that the run has. formats: of FORMATS; () for all that can be written.
    The weights are always written, and alone where the formats are "safetensors".
    What is named and cannot be had is an error. licence: of the weights, "" if none is named.
    """

    parts: Sequence[str] = ()
    formats: Sequence[str] = ()
    dtype: str = "float32"
    licence: str = ""


def write_export(
    model: Model,
    folder: Path,
    request: ExportRequest,
    reference: ReferenceClassifier | None,
    fitness: Fitness | None,
    say: Say,
) -> list[Path]:
    """Write and check the folder, and return its files.

    SelfTestError where a file does not give the run's results: what was there before stays.
    """
    with make_draft(folder) as draft:
        facts = write_run(model, reference, draft, request, say)
        write_cards(model, draft, request, fitness, facts)
        run_files.seal(draft, facts)
        if (draft / VERIFY_FILE).is_file():
            verify(draft, say)
    return sorted(path for path in folder.iterdir() if path.is_file())


def check_request(model: Model, folder: Path, request: ExportRequest) -> None:
    """UsageError for a part that the run lacks, for a licence that is no identifier, and where the
    folder has files and is not an export, which a new one may replace. MissingInput for a format
    whose packages are not installed."""
    missing_packages = onnx_files.list_missing_packages()
    if "onnx" in request.formats and missing_packages:
        raise MissingInput(
            f"--formats=onnx needs packages that are not installed: {', '.join(missing_packages)}",
            onnx_files.INSTALL,
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / EXPORT_FILE).is_file():
        raise UsageError(
            f"{folder} has files that are not an export", "name another folder with --out"
        )
    weight_licences.check_licence_id(request.licence)
    if "encoder" in request.parts and not model.encodes:
        raise UsageError(
            f"a {model.config.model.name} run has no encoder to export",
            "leave it out of --parts, or use a run of vae or vaegan",
        )


def open_classifier(model: Model, parts: Sequence[str], say: Say) -> ReferenceClassifier | None:
    """The run's reference classifier; None where it is not asked for or cannot be trained.

    MissingRunData where it was named and the run's own images are gone.
    """
    if parts and "classifier" not in parts:
        return None
    try:
        return model.reference_classifier(say)
    except MissingRunData as error:
        if parts:
            raise
        say(f"the reference classifier is left out: {error.message}")
        return None


def read_fitness(model: Model, say: Say) -> Fitness | None:
    """What the run is fit for; None, and a line that says so, where it cannot be measured."""
    try:
        return model.measure_fitness(say)
    except MissingRunData as error:
        say(f"what the run is fit for is not known: {error.message}")
        return None


def write_run(
    model: Model, reference: ReferenceClassifier | None, folder: Path, request: ExportRequest,
    say: Say,
) -> dict[str, Any]:  # fmt: skip
    """Write weights, programs and examples; the facts that export.json has of them."""
    weights = {MODEL_FILE: run_files.write_model(model, folder, request.dtype)}
    if reference is not None:
        arrays = run_files.write_classifier(reference, folder, request.dtype)
        weights[EXPORTED_FILE_NAME] = arrays
    for name in run_files.copy_run_files(model, folder, request.dtype):
        say(f"{name} is left out: it belongs to the weights in float32")
    parts = programs.make_parts(model, reference.params if reference is not None else None)
    parts = {name: part for name, part in parts.items() if name in (request.parts or parts)}
    arrays = {name: weights[part.weights_file] for name, part in parts.items()}
    design = architecture.describe_architecture(model)
    formats = choose_formats(request.formats, say)
    say(f"writing {', '.join(parts)} as {', '.join(formats)}")
    files = write_programs(design, parts, arrays, folder, formats)
    if any(files.values()):
        examples = make_examples(model, parts, arrays)
        tensor_files.write_tensors(folder / EXAMPLE_FILE, examples, {"part": "example"})
        source = Path(__file__).with_name("verify_folder.py").read_text(encoding="utf-8")
        write_atomically(folder / VERIFY_FILE, source.encode())
    spec, run = model.spec, model.run
    origin = f"run {run.record['fingerprint']}, step {run.step}"
    sheet = pixels.encode_png(draw_samples(model), provenance.build_png_text("generated", origin))
    write_atomically(folder / SAMPLES_FILE, sheet)
    return {
        "family": model.config.model.name,
        "fingerprint": run.record["fingerprint"],
        "step": run.step,
        "dtype": request.dtype,
        "spec": spec.to_json(),
        "columns": spec.num_columns,
        "latent": model.config.model.latent,
        "architecture": design,
        "parts": architecture.describe_parts(parts, files),
    }


def choose_formats(names: Sequence[str], say: Say) -> Sequence[str]:
    """The formats of these names; of (), all whose packages are installed."""
    missing_packages = onnx_files.list_missing_packages()
    if names or not missing_packages:
        return names or FORMATS
    say(
        f"onnx is left out: not installed: {', '.join(missing_packages)}; next: "
        f"{onnx_files.INSTALL}"
    )
    return tuple(name for name in FORMATS if name != "onnx")


def write_programs(
    design: dict[str, Any],
    parts: dict[str, Part],
    weights: dict[str, dict[str, np.ndarray]],
    folder: Path,
    formats: Sequence[str],
) -> dict[str, dict[str, str]]:
    """Write the parts in each format; {part: {format: file}}. design: the architecture."""
    files: dict[str, dict[str, str]] = {name: {} for name in parts}
    if "stablehlo" in formats:
        for name, part in parts.items():
            files[name]["stablehlo"] = f"{name}.stablehlo"
            program = programs.export_program(part, weights[name])
            write_atomically(folder / files[name]["stablehlo"], program)
    if "pytorch" in formats:
        text = pytorch_module.build_torch_module(design["family"])
        write_atomically(folder / pytorch_module.FILE, text.encode())
        for name in parts:
            files[name]["pytorch"] = pytorch_module.FILE
    if "onnx" in formats:
        for name, part in parts.items():
            files[name]["onnx"] = f"{name}.onnx"
            content = onnx_files.export_onnx(folder, part, design)
            write_atomically(folder / files[name]["onnx"], content)
    return files


def write_cards(
    model: Model, folder: Path, request: ExportRequest, fitness: Fitness | None, facts: dict
) -> None:
    """Write both cards; `facts` gets the weights that took part, with licence and hash."""
    names = [path.name for path in folder.iterdir()]
    sha256 = tensor_files.read_metadata(folder / MODEL_FILE)["sha256"]
    facts["weights"] = weight_licences.list_weights(model, names, request.licence, sha256)
    facts["licence"] = weight_licences.choose_licence(model, request.licence)
    write_atomically(folder / DATA_CARD_FILE, data_card.build_data_card(model).encode())
    files = run_files.describe_files(folder)
    text = model_card.build_model_card(model, files, facts["weights"], request.licence, fitness)
    write_atomically(folder / CARD_FILE, text.encode())


def draw_samples(model: Model) -> np.ndarray:
    """A sheet of samples, a row for each of the first categories."""
    conditions, classes = model.conditions, model.conditions.trained_classes()[:NUM_ROWS]
    if classes:
        batch = conditions.pick_per_category(0, classes, NUM_COLUMNS)
    else:
        batch = conditions.pick(0, np.arange(NUM_COLUMNS**2))
    count = len(batch["label"])
    images = model.decode(model.latents(np.arange(count), label=batch["label"]), batch)
    return pixels.draw_contact_sheet(images, NUM_COLUMNS, row_names=classes, side=SHEET_SIDE)


def verify(folder: Path, say: Say) -> None:
    """Run the folder's own check in a process without prodgen; SelfTestError where it fails."""
    command = [sys.executable, str(folder / VERIFY_FILE)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    for line in result.stdout.splitlines():
        say(f"check    {line}")
    if result.returncode:
        last_line = (result.stdout.strip() or result.stderr.strip() or "no output").splitlines()[-1]
        raise SelfTestError(
            f"the exported files do not give the run's results: {last_line}",
            "report it with the above",
        )


@contextlib.contextmanager
def make_draft(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, whose files replace an earlier export's when the context ends."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        folder.mkdir(exist_ok=True)
        # What the earlier export wrote goes; the user's own files beside it stay.
        earlier = folder / EXPORT_FILE
        names = json.loads(earlier.read_text("utf-8"))["files"] if earlier.is_file() else {}
        for name in [*names, run_files.SUMS_FILE, EXPORT_FILE]:
            if Path(name).name == name:
                (folder / name).unlink(missing_ok=True)
        for path in sorted(draft.iterdir(), key=lambda path: path.name == EXPORT_FILE):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
