"""What export.json says of the networks: the fields of their modules, inputs and outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from prodgen.export.programs import Part, float32_config
from prodgen.model import Model
from prodgen.steps import gan, vae


def describe_architecture(model: Model) -> dict[str, Any]:
    """The family, and all fields of the generator's or autoencoder's Flax module, as JSON values.

    Beside them: resolution, image_channels, classes (K) and columns (A), the likelihood of a VAE
    with the components of its mixture, and the dtype that the run trained in (`trained_dtype`).
    """
    config, spec = float32_config(model), model.spec
    if model.encodes:
        network = vae.build_network(config, spec)
        likelihood = {"likelihood": config.loss.likelihood}
        if config.loss.likelihood == "logistic":
            likelihood["components"] = config.loss.components
    else:
        network, likelihood = gan.build_networks(config, spec)[0], {}
    return {
        "family": config.model.name,
        "resolution": spec.resolution,
        "image_channels": spec.channels,
        "classes": len(spec.classes),
        "columns": spec.num_columns,
        "latent": config.model.latent,
        **_describe_module(network),
        **likelihood,
        "trained_dtype": model.config.model.dtype,
    }


def _describe_module(network: nn.Module) -> dict[str, Any]:
    """The fields of a Flax module by name, without those of every module."""
    names = {field.name for field in dataclasses.fields(network)} - {"parent", "name"}
    values = {name: getattr(network, name) for name in sorted(names)}
    values["dtype"] = jnp.dtype(values["dtype"]).name
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def describe_parts(
    parts: Mapping[str, Part], files: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """The field `parts` of export.json. files: {part: {format: file name}}, of "stablehlo", ...

    Inputs and outputs are lists in the order of the call; "b" is the batch.
    """
    return {
        name: {
            "weights": part.weights_file,
            "inputs": [tensor.to_json() for tensor in part.inputs],
            "outputs": [tensor.to_json() for tensor in part.outputs],
            "files": dict(files.get(name, {})),
        }
        for name, part in parts.items()
    }
