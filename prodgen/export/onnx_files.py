"""The parts of an exported folder as ONNX, by PyTorch's own exporter from the PyTorch networks."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prodgen.core.errors import MissingInput
from prodgen.export import pytorch_module
from prodgen.export.programs import Part

# The converter, and what checks its files: a file that was not compared is not written.
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
INSTALL = 'pip install "prodgen[export]"'
OPSET = 18  # of ONNX, the exporter's own: no conversion between versions takes part
NUM_TRACED_ROWS = 3  # of the example batch; with one row the batch would be taken as constant


def list_missing_packages() -> list[str]:
    """The packages of the converter that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def export_onnx(folder: Path, part: Part, architecture: Mapping[str, Any]) -> bytes:
    """A part as an ONNX model with its weights, for a batch of any size.

    folder: has the part's weights file. architecture: that of describe_architecture. MissingInput
    where a package of the converter is not installed.
    """
    missing_packages = list_missing_packages()
    if missing_packages:
        raise MissingInput(
            f"ONNX files need packages that are not installed: {', '.join(missing_packages)}",
            INSTALL,
        )
    import torch

    network = load_network(folder, part, architecture)
    inputs = tuple(
        torch.zeros((NUM_TRACED_ROWS, *tensor.shape), dtype=getattr(torch, tensor.dtype))
        for tensor in part.inputs
    )
    batch = torch.export.Dim("b", min=1)
    with _without_warnings(), torch.no_grad():
        program = torch.onnx.export(
            network.eval(),
            inputs,
            input_names=[tensor.name for tensor in part.inputs],
            output_names=[tensor.name for tensor in part.outputs],
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    return program.model_proto.SerializeToString()


def load_network(folder: Path, part: Part, architecture: Mapping[str, Any]) -> Any:
    """The PyTorch module whose `forward` is the part."""
    from safetensors.torch import load_file

    weights = load_file(folder / part.weights_file)
    if part.name == "classifier":
        return importlib.import_module("prodgen.export.pytorch_layers").Classifier(weights, {})
    file = pytorch_module.NETWORK_FILES[architecture["family"]]
    model = importlib.import_module(f"prodgen.export.pytorch_{file}").Model(weights, architecture)
    model.forward = model.encode if part.name == "encoder" else model.generate
    return model


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """The exporter warns of its own deprecations and of torchvision, which nothing here needs."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
