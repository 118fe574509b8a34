"""The parts of an exported folder as ONNX, by PyTorch's own exporter from the PyTorch module."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prodgen.core.errors import MissingInput
from prodgen.export import pytorch_module
from prodgen.export.programs import Part

PACKAGES = ("torch", "safetensors", "onnx", "onnxscript")
METHODS = {"generator": "generate", "encoder": "encode", "classifier": "classify"}
OPSET = 18  # of ONNX, the exporter's own: no conversion between versions takes part
NUM_TRACED_ROWS = 3  # of the example batch; with one row the batch would be taken as constant


def list_missing_packages() -> list[str]:
    """The packages of the converter that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def export_onnx(folder: Path, part: Part) -> bytes:
    """A part of an exported folder as an ONNX model with its weights, for a batch of any size.

    The folder has its weights files, export.json with `architecture`, and the PyTorch module.
    MissingInput where a package of the converter is not installed.
    """
    missing_packages = list_missing_packages()
    if missing_packages:
        raise MissingInput(
            f"ONNX files need packages that are not installed: {', '.join(missing_packages)}",
            'pip install "prodgen[export]"',
        )
    import torch

    method = METHODS[part.name]
    module = load_torch_model(folder)
    network = module.classify if method == "classify" else module
    if method != "classify":
        network.forward = getattr(network, method)
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


def load_torch_model(folder: Path) -> Any:
    """The model of the folder's PyTorch module."""
    path = folder / pytorch_module.FILE
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(folder)


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
