"""Check this folder: its files are unchanged, and every format gives the run's own results.

    python verify.py            # every format whose packages are installed
    python verify.py onnx       # only these: stablehlo, pytorch, onnx

It needs NumPy, and the packages of a format; prodgen cannot be imported while it runs. The inputs
and results are those in example.safetensors. The exit code is 1 where a file has changed, a
result differs by more than one level of 255 (images) or RELATIVE_TOLERANCE (numbers), or nothing
could be compared.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLE_FILE, SUMS_FILE = "example.safetensors", "SHA256SUMS"
MAX_LEVELS = 1  # of 255, between images: a value may round to either side
# Of the largest value of an output. Programs add float32 numbers in different orders, and each
# addition rounds by 6e-8 of its result: over some thousand additions less than 1e-4.
RELATIVE_TOLERANCE = 1e-4
DTYPES = {"F32": np.float32, "F16": np.float16, "I32": np.int32, "U8": np.uint8, "BOOL": np.bool_}
PACKAGES = {"stablehlo": ("jax",), "pytorch": ("torch", "safetensors"), "onnx": ("onnxruntime",)}
Weights = dict[str, np.ndarray]
Part = dict[str, Any]  # of the field `parts` of export.json


def read_safetensors(path: Path) -> Weights:
    """The arrays of a safetensors file by name."""
    content = path.read_bytes()
    (header_bytes,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + header_bytes])
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
            values = np.frombuffer(content[start:end], DTYPES[entry["dtype"]])
            arrays[name] = values.reshape(entry["shape"])
    return arrays


def find_changed_files(folder: Path) -> list[str]:
    """A sentence for each file that is not as SHA256SUMS says."""
    if not (folder / SUMS_FILE).is_file():
        return [f"{SUMS_FILE} is missing"]
    problems = []
    for line in (folder / SUMS_FILE).read_text(encoding="utf-8").splitlines():
        sha256, name = line.split(maxsplit=1)
        path = folder / name.removeprefix("*")
        if not path.is_file():
            problems.append(f"{path.name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            problems.append(f"{path.name} has changed: its SHA-256 is not that in {SUMS_FILE}")
    return problems


def run_stablehlo(folder: Path, name: str, part: Part, inputs: list[np.ndarray]) -> Any:
    """The outputs of a part's StableHLO artifact."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # GPUs and TPUs round products more coarsely
    import jax
    import jax.export

    program = jax.export.deserialize(bytearray((folder / part["files"]["stablehlo"]).read_bytes()))
    return jax.jit(program.call)(read_safetensors(folder / part["weights"]), *inputs)


def run_pytorch(folder: Path, name: str, part: Part, inputs: list[np.ndarray]) -> Any:
    """The outputs of a part of the PyTorch module."""
    import torch

    path = folder / part["files"]["pytorch"]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    method = {"generator": "generate", "encoder": "encode", "classifier": "classify"}[name]
    # A copy: PyTorch warns of arrays that cannot be written to.
    outputs = getattr(module.load(folder), method)(*(torch.tensor(x) for x in inputs))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(output.numpy() for output in outputs)


def run_onnx(folder: Path, name: str, part: Part, inputs: list[np.ndarray]) -> Any:
    """The outputs of a part's ONNX file."""
    import onnxruntime

    path = str(folder / part["files"]["onnx"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [tensor["name"] for tensor in part["inputs"]]
    graph_names = {graph_input.name for graph_input in session.get_inputs()}
    feed = {k: x for k, x in zip(names, inputs, strict=True) if k in graph_names}
    return session.run([tensor["name"] for tensor in part["outputs"]], feed)


RUN_FORMAT: dict[str, Callable] = {
    "stablehlo": run_stablehlo, "pytorch": run_pytorch, "onnx": run_onnx
}  # fmt: skip


def compare(actual: np.ndarray, expected: np.ndarray) -> tuple[bool, str]:
    """Whether an output agrees, and the largest difference in words."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False, f"{actual.dtype} {actual.shape}, not {expected.dtype} {expected.shape}"
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max(initial=0)
    if expected.dtype == np.uint8:
        return bool(difference <= MAX_LEVELS), f"{difference:.0f} levels of 255"
    tolerance = RELATIVE_TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))
    return bool(difference <= tolerance), f"{difference:.1e} (at most {tolerance:.1e})"


def compare_part(folder: Path, file_format: str, name: str, part: Part) -> tuple[bool, str]:
    """Whether a part in a format gives the results of the example, and one line that says so."""
    example = read_safetensors(folder / EXAMPLE_FILE)
    inputs = [example[f"{name}/input/{tensor['name']}"] for tensor in part["inputs"]]
    outputs = RUN_FORMAT[file_format](folder, name, part, inputs)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    results = [
        (tensor["name"], *compare(np.asarray(output), example[f"{name}/output/{tensor['name']}"]))
        for tensor, output in zip(part["outputs"], outputs, strict=True)
    ]
    agrees = all(is_equal for _, is_equal, _ in results)
    text = ", ".join(f"{output} {difference}" for output, _, difference in results)
    return agrees, f"{file_format} {name}: {'ok' if agrees else 'DIFFERS'}: {text}"


def list_missing_packages(file_format: str) -> list[str]:
    """The packages of a format that are not installed."""
    return [name for name in PACKAGES[file_format] if importlib.util.find_spec(name) is None]


def verify(folder: Path, formats: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """("ok", "skipped" or "failed", a line) for the files and for each part in each format."""
    problems = find_changed_files(folder)
    yield from (("failed", problem) for problem in problems)
    if not problems:
        yield "ok", f"all files are as in {SUMS_FILE}"
    parts = json.loads((folder / "export.json").read_text(encoding="utf-8"))["parts"]
    num_compared = 0
    for file_format in formats:
        missing_packages = list_missing_packages(file_format)
        for name, part in parts.items():
            if file_format not in part["files"]:
                yield "skipped", f"{file_format} {name}: skipped: the folder has no such file"
            elif missing_packages:
                packages = ", ".join(missing_packages)
                yield "skipped", f"{file_format} {name}: skipped: not installed: {packages}"
            else:
                agrees, line = compare_part(folder, file_format, name, part)
                num_compared += 1
                yield ("ok" if agrees else "failed"), line
    if not num_compared:
        yield "failed", "nothing was compared: no package of these formats is installed"


def main(arguments: list[str]) -> int:
    """Print a line for each check; 0 where none failed, 1 where one did, 2 for a wrong name."""
    sys.modules["prodgen"] = None  # an import of it fails: nothing here may need it
    unknown_names = [name for name in arguments if name not in RUN_FORMAT]
    if unknown_names:
        print(f"unknown formats: {', '.join(unknown_names)}; known: {', '.join(RUN_FORMAT)}")
        return 2
    failures = 0
    for level, line in verify(Path(__file__).resolve().parent, tuple(arguments) or (*RUN_FORMAT,)):
        print(line, flush=True)
        failures += level == "failed"
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
