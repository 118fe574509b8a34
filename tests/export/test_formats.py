"""Every format gives the results of the run: for each family, in a process without prodgen."""

import ast
import importlib.util
import sys

import numpy as np
import pytest

from prodgen.core.errors import MissingInput
from prodgen.export import onnx_files, programs, pytorch_module, verify_folder
from tests.export.export_cases import make_model, verify_folders, write_folder

GREY = {"channels": 1, "conditional": False}
CASES = {
    "vae": {"model__name": "vae", "model__blocks": 2},
    "vae, grey": {"model__name": "vae", "loss__likelihood": "bernoulli", **GREY},
    "vae, mixture": {
        "model__name": "vae", "model__prior": "standard", "loss__likelihood": "logistic",
        "channels": 1,
    },
    "vaegan": {"model__name": "vaegan", "resolution": 28},
    "vaegan, categories": {"model__name": "vaegan", "attributes": False},
    "vaegan, grey": {"model__name": "vaegan", "model__block_side": 4, **GREY},
    "dcgan": {"model__name": "dcgan"},
    "dcgan, grey": {"model__name": "dcgan", "resolution": 28, **GREY},
    "r3gan": {"model__name": "r3gan", "model__block_side": 4, "model__blocks": 2},
    "r3gan, grey": {"model__name": "r3gan", **GREY},
    "r3gan, half": {"model__name": "r3gan", "model__half": True, "resolution": 28},
    "r3gan, grouped": {"model__name": "r3gan", "model__group": 4, "channels": 1},
    "r3gan, grouped and half": {
        "model__name": "r3gan", "model__group": 4, "model__half": True, "model__blocks": 2,
    },
}  # fmt: skip
HALF_CASES = {"vae", "r3gan"}  # of which the weights are stored in float16


@pytest.mark.slow
def test_every_format_gives_the_runs_results(tmp_path):
    folders = []
    for case, fields in CASES.items():
        folder = tmp_path / case
        folder.mkdir()
        folders.append(folder)
        dtype = np.float16 if case in HALF_CASES else np.float32
        write_folder(folder, make_model(folder, **fields), dtype)
    formats = [name for name in verify_folder.RUN_FORMAT if not missing_packages(name)]
    results = verify_folders(folders, formats)
    assert not [result for result in results if result[1] != "ok"]
    # The files' check, and each part in each format: a generator and a classifier, or an encoder.
    num_parts = sum(3 if case.startswith("vae") else 2 for case in CASES)
    assert len(results) == len(CASES) + len(formats) * num_parts


def missing_packages(name):
    packages = verify_folder.PACKAGES[name] + (onnx_files.PACKAGES if name == "onnx" else ())
    return [package for package in packages if importlib.util.find_spec(package) is None]


@pytest.mark.parametrize("family", ["vae", "vaegan", "dcgan", "r3gan"])
def test_a_module_needs_torch_and_safetensors_only(family):
    text = pytorch_module.build_torch_module(family)
    assert text.count("\n") <= pytorch_module.MAX_LINES
    assert max(map(len, text.splitlines())) <= 100
    tree = ast.parse(text)
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert modules - sys.stdlib_module_names == {"torch", "safetensors"}
    names = [node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    assert len(set(names)) == len(names) and {"Model", "Classifier", "load"} <= set(names)


def test_onnx_without_its_packages_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_files, "PACKAGES", ("torch_that_is_absent",))
    part = programs.Part("generator", "", (), (), lambda: None)
    with pytest.raises(MissingInput, match="torch_that_is_absent") as error:
        onnx_files.export_onnx(tmp_path, part, {})
    assert error.value.next_step == 'pip install "prodgen[export]"'
