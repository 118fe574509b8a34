"""Models of tiny random networks for the tests of exported folders, and their files."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys

import jax
import numpy as np

from prodgen.core import tensor_files, trees
from prodgen.data.conditions import Conditions
from prodgen.evaluation.classifier import EXPORTED_FILE_NAME
from prodgen.export import (
    architecture,
    examples,
    onnx_files,
    programs,
    pytorch_module,
    verify_folder,
)
from prodgen.model import Model
from prodgen.models import classifier
from prodgen.runs.run import Run, get_step_module
from prodgen.runs.workdir import MODEL_FILE
from tests.programs import initial_shapes
from tests.tiny import spec_of, tiny

GAIN, BIAS = 1.4, 0.2  # of random kernels, by their fan-in; the deviation of random biases


def random_weights(shapes, seed):
    """Weights of a tree of shapes, none of them zero: layers that start from zero count, too."""
    generator, weights = np.random.default_rng(seed), {}
    for name, x in trees.flatten_with_paths(shapes).items():
        scale = GAIN / np.prod(x.shape[:-1]) ** 0.5 if len(x.shape) > 1 else BIAS
        offset = 1.0 if name.endswith("/scale") else 0.0
        weights[name] = np.float32(offset + scale * generator.normal(size=x.shape))
    return tensor_files.nest(weights)


def random_conditions(spec, count=50):
    """Conditions of random rows, of which some are unknown."""
    generator, shape = np.random.default_rng(3), (count, spec.num_columns)
    label = generator.integers(-1, len(spec.classes), count, np.int32)
    attributes = np.float32(generator.normal(size=shape))
    return Conditions(spec, label, attributes, generator.random(shape) < 0.7)


def make_model(folder, channels=3, conditional=True, resolution=16, attributes=True, **fields):
    """The model of a run that was never trained, with noise on all weights."""
    config = tiny(data__resolution=resolution, **fields)
    spec = spec_of(channels, resolution, conditional)
    spec = spec if attributes else dataclasses.replace(spec, attributes=())
    random_conditions(spec).save(folder)
    state = initial_shapes(config, spec)
    name = "vae" if "vae" in state.nets else "g"
    net = state.nets[name]
    net = net.replace(params=random_weights(net.params, 1), ema=None)
    state = state.replace(nets={**state.nets, name: net})
    return Model(Run(folder, {}, config, spec, get_step_module(config), 0, state))


def make_classifier(spec):
    """The weights of a classifier, nested."""
    network = classifier.Classifier(len(spec.classes) + spec.num_columns or 5)
    shapes = jax.eval_shape(network.init, jax.random.key(0), classifier.dummy_image(spec))
    return random_weights(shapes["params"], 2)


def flat_weights(tree, dtype=np.float32):
    return {name: np.asarray(x, dtype) for name, x in trees.flatten_with_paths(tree).items()}


def write_folder(folder, model, dtype=np.float32):
    """The files of an exported folder that verify.py reads."""
    classifier_params = make_classifier(model.spec)
    parts = programs.make_parts(model, classifier_params)
    model_weights = flat_weights(model.generator[1], dtype)
    classifier_weights = flat_weights(classifier_params, dtype)
    weights = {name: model_weights for name in parts} | {"classifier": classifier_weights}
    tensor_files.write_tensors(folder / MODEL_FILE, model_weights, {})
    tensor_files.write_tensors(folder / EXPORTED_FILE_NAME, classifier_weights, {})
    files = {}
    for name, part in parts.items():
        (folder / f"{name}.stablehlo").write_bytes(programs.export_program(part, weights[name]))
        files[name] = {"stablehlo": f"{name}.stablehlo", "pytorch": pytorch_module.FILE}
    text = pytorch_module.build_torch_module(model.config.model.name)
    (folder / pytorch_module.FILE).write_text(text)
    facts = architecture.describe_architecture(model)
    if not onnx_files.list_missing_packages():
        for name, part in parts.items():
            (folder / f"{name}.onnx").write_bytes(onnx_files.export_onnx(folder, part, facts))
            files[name]["onnx"] = f"{name}.onnx"
    arrays = examples.make_examples(model, parts, weights)
    tensor_files.write_tensors(folder / "example.safetensors", arrays, {})
    content = {"architecture": facts, "parts": architecture.describe_parts(parts, files)}
    (folder / "export.json").write_text(json.dumps(content))
    shutil.copyfile(verify_folder.__file__, folder / "verify.py")
    write_sums(folder)


def write_sums(folder):
    """SHA256SUMS of all files of a folder."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


CHECK = """
import importlib.util, json, pathlib, sys
sys.modules["prodgen"] = None
file, formats, *folders = sys.argv[1:]
spec = importlib.util.spec_from_file_location("verify", file)
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)
for folder in folders:
    for result in verify.verify(pathlib.Path(folder), tuple(formats.split(","))):
        print(json.dumps([folder, *result]), flush=True)
"""


def verify_folders(folders, formats):
    """(folder, level, line) of verify.py for all folders, from one process without prodgen."""
    command = [sys.executable, "-c", CHECK, str(folders[0] / "verify.py"), ",".join(formats)]
    result = subprocess.run(
        [*command, *map(str, folders)], cwd=folders[0], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]
