"""The last lines of a folder's PyTorch module; export/pytorch_module.py puts them there."""

import json
from pathlib import Path

from safetensors.torch import load_file

from prodgen.export.pytorch_layers import Classifier
from prodgen.export.pytorch_vae import Model


def load(folder):
    """The model in an exported folder."""
    architecture = json.loads(Path(folder, "export.json").read_text("utf-8"))["architecture"]
    model = Model(load_file(Path(folder, "model.safetensors")), architecture)
    if Path(folder, "classifier.safetensors").is_file():
        model.classify = Classifier(load_file(Path(folder, "classifier.safetensors")), {})
    return model
