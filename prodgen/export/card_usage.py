"""The part of a model card on loading: code for each format that the folder has, and the inputs."""

from __future__ import annotations

import json
from collections.abc import Collection

from prodgen.core.types import Attribute, Spec
from prodgen.export.markdown_text import build_table, escape
from prodgen.model import Model

SAMPLE_COUNT = 16  # images that the code makes
PRODGEN_CODE = """\
import prodgen

model = prodgen.load(".")
images = model.sample({count}, seed=1{label})  # uint8 {shape}
"""
INPUTS_CODE = """\
import numpy as np

random = np.random.default_rng(1)
z = random.standard_normal(({count}, {latent}), np.float32)
# Categories and attributes of training images, at random{category}.
rows = np.load("conditions.npz")
choice = random.choice({candidates}, {count})
label, attributes, known = (rows[name][choice] for name in ("label", "attributes", "known"))
"""
STABLEHLO_CODE = """\
from pathlib import Path

from jax import export
from safetensors.numpy import load_file

generator = export.deserialize(bytearray(Path("generator.stablehlo").read_bytes()))
weights = load_file("model.safetensors")
images = np.asarray(generator.call(weights, z, label, attributes, known))  # uint8 {shape}
"""
PYTORCH_CODE = """\
import torch

import pytorch_model

model = pytorch_model.load(".")
inputs = [torch.from_numpy(value) for value in (z, label, attributes, known)]
images = model.generate(*inputs).numpy()  # uint8 {shape}
"""
ONNX_CODE = """\
import onnxruntime

session = onnxruntime.InferenceSession("generator.onnx")
inputs = {{"z": z, "label": label, "attributes": attributes, "known": known}}
names = [value.name for value in session.get_inputs()]
(images,) = session.run(None, {{name: inputs[name] for name in names}})  # uint8 {shape}
"""


def build_loading_section(model: Model, files: Collection[str]) -> str:
    """How to load the folder, in the formats that it has. files: the names in it."""
    spec = model.spec
    shape = [SAMPLE_COUNT, *spec.shape]
    names = model.conditions.trained_classes()
    name = json.dumps(names[0], ensure_ascii=False) if names else ""
    label = f", label={name}" if names else ""
    fill = {"count": SAMPLE_COUNT, "shape": shape}
    inputs = INPUTS_CODE.format(
        **fill,
        latent=model.config.model.latent,
        category=f"; here those of {name}" if names else "",
        candidates=f'np.flatnonzero(rows["label"] == {spec.classes.index(names[0])})'
        if names
        else 'len(rows["label"])',
    )
    parts = [
        "## How to load it",
        "The code runs in this folder.",
        "With prodgen, the folder opens like a run:",
        _fence(PRODGEN_CODE.format(**fill, label=label)),
    ]
    others = [
        ("generator.stablehlo", STABLEHLO_CODE, "With JAX alone, from the StableHLO program:"),
        ("pytorch_model.py", PYTORCH_CODE, "With PyTorch:"),
        ("generator.onnx", ONNX_CODE, "With ONNX Runtime:"),
    ]
    present = [(code, title) for name, code, title in others if name in files]
    if present:
        parts += ["Other programs take the inputs as arrays:", _fence(inputs)]
    for code, title in present:
        parts += [title, _fence(code.format(**fill))]
    if present and model.prior is not None:
        parts.append(
            "`prodgen.load` draws latents from the fitted prior of `prior.npz`. The other programs "
            "take latents as they are: the code above draws them from N(0, I)."
        )
    return "\n\n".join([*parts, _describe_inputs(model)])


def _fence(code: str) -> str:
    return f"```python\n{code.rstrip()}\n```"


def _describe_inputs(model: Model) -> str:
    """The inputs of the generator, and the columns of the attributes."""
    spec, latent = model.spec, model.config.model.latent
    rows = [
        ("z", f"float32 [b, {latent}]", "the latent: independent standard normal numbers"),
        ("label", "int32 [b]", _describe_label(spec)),
        ("attributes", f"float32 [b, {spec.num_columns}]", "the columns below"),
        ("known", f"bool [b, {spec.num_columns}]", "which columns are known; others are ignored"),
    ]
    parts = ["### Inputs of the generator", build_table(("input", "type", "meaning"), rows)]
    if not model.config.model.condition:
        parts.append("The model was trained without conditions: it ignores label and attributes.")
    elif spec.attributes:
        slices = spec.column_slices()
        columns = [
            (attribute.name, _format_slice(slices[attribute.name]), _describe_columns(attribute))
            for attribute in spec.attributes
        ]
        parts.append("The columns of the attributes:")
        parts.append(build_table(("attribute", "columns", "content"), columns))
    return "\n\n".join(parts)


def _describe_label(spec: Spec) -> str:
    if not spec.classes:
        return "-1: the data have no categories"
    names = ", ".join(f"{number} {name}" for number, name in enumerate(spec.classes))
    return f"the category: {names}; -1: unknown"


def _format_slice(columns: slice) -> str:
    last = columns.stop - 1
    return str(columns.start) if columns.start == last else f"{columns.start} to {last}"


def _describe_columns(attribute: Attribute) -> str:
    """How a value becomes columns, as core.types.Attribute encodes it."""
    unit = f"; unit: {attribute.unit}" if attribute.unit else ""
    if attribute.kind == "categorical":
        return f"1 in the column of the value, else 0: {', '.join(attribute.values)}"
    if attribute.kind == "angle":
        return f"sine and cosine of the angle{unit}"
    return f"(value - {attribute.mean:.6g}) / {attribute.std:.6g}{unit}"


def describe_conditions(model: Model) -> str:
    """The conditions of the model in a sentence, as Markdown."""
    spec = model.conditions.spec
    if not spec.classes and not spec.attributes:
        return "It takes no conditions."
    parts = []
    if spec.classes:
        parts.append(f"{len(spec.classes)} categories ({escape(', '.join(spec.classes))})")
    if spec.attributes:
        names = ", ".join(attribute.name for attribute in spec.attributes)
        parts.append(f"{len(spec.attributes)} attributes ({escape(names)})")
    return f"Its conditions are {' and '.join(parts)}. Each of them may be left out."
