"""The parts of a run as pure functions of flat weights, and their StableHLO by jax.export.

A part takes the arrays of a weights file by name, and its inputs in order. One artifact serves
batches of any size on CPUs, GPUs and TPUs. Arithmetic is in float32 whatever the run trained in:
formats that round differently then agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ml_collections import ConfigDict

from prodgen.core import pixels, tensor_files
from prodgen.core.types import Array
from prodgen.evaluation.classifier import EXPORTED_FILE_NAME
from prodgen.model import Model
from prodgen.models import classifier
from prodgen.parallel.lowering import Lowering, select_lowering, use_lowering
from prodgen.runs.workdir import MODEL_FILE

PLATFORMS = ("cpu", "cuda", "tpu")
Weights = Mapping[str, Array]  # flat, by path: "decoder/start/kernel"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a part; its first axis is the batch, which `shape` leaves out."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "shape": ["b", *self.shape]}


@dataclasses.dataclass(frozen=True)
class Part:
    """A function of a run that is exported.

    apply: (nested float32 weights, *inputs) -> one array, or a tuple of several. weights_file: the
    file with its weights. ignores: the prefix of weights in that file that it does not read, or "".
    """

    name: str
    weights_file: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    apply: Callable
    ignores: str = ""

    def __call__(self, weights: Weights, *inputs: Array) -> Any:
        """The outputs for flat weights of any float dtype."""
        return self.apply(self.unflatten(weights), *inputs)

    def unflatten(self, weights: Weights) -> dict:
        """The weights that the part reads, float32, as the nested dicts of Flax."""
        own_weights = {
            name: jnp.asarray(value, jnp.float32)
            for name, value in weights.items()
            if not (self.ignores and name.startswith(self.ignores))
        }
        return tensor_files.nest(own_weights)


def float32_config(model: Model) -> ConfigDict:
    """The run's config with arithmetic in float32 and no rematerialisation."""
    config = model.config.copy_and_resolve_references().unlock()
    config.model.dtype, config.model.remat = "float32", False
    return config


def make_parts(model: Model, classifier_params: Any = None) -> dict[str, Part]:
    """The parts of a run by name: generator, encoder (where it has one), classifier.

    classifier_params: the weights of the reference classifier, nested; None leaves it out.
    """
    parts = [_make_generator(model)]
    if model.encodes:
        parts.append(_make_encoder(model))
    if classifier_params is not None:
        parts.append(_make_classifier(model, classifier_params["head"]["bias"].shape[0]))
    return {part.name: part for part in parts}


def _condition_inputs(model: Model) -> tuple[Tensor, ...]:
    columns = (model.spec.num_columns,)
    return (
        Tensor("label", "int32", ()),
        Tensor("attributes", "float32", columns),
        Tensor("known", "bool", columns),
    )


def _make_generator(model: Model) -> Part:
    """(weights, z, label, attributes, known) -> images, with the clip and the rounding of a run."""
    config, spec = float32_config(model), model.spec
    generate = model.run.step_module.make_generate(config, spec)

    def apply(params: dict, z: Array, label: Array, attributes: Array, known: Array) -> Array:
        conditions = {"label": label, "attributes": attributes, "known": known}
        return pixels.to_uint8(generate(params, z, conditions))

    latent = Tensor("z", "float32", (config.model.latent,))
    image = Tensor("image", "uint8", spec.shape)
    inputs = (latent, *_condition_inputs(model))
    ignores = "encoder/" if model.encodes else ""
    return Part("generator", MODEL_FILE, inputs, (image,), apply, ignores)


def _make_encoder(model: Model) -> Part:
    """(weights, image, label, attributes, known) -> mean and log variance of q(z | x, c)."""
    config, spec = float32_config(model), model.spec
    encode = model.run.step_module.make_encode(config, spec)

    def apply(params: dict, image: Array, label: Array, attributes: Array, known: Array) -> tuple:
        conditions = {"label": label, "attributes": attributes, "known": known}
        return tuple(encode(params, {"image": image, **conditions}))

    inputs = (Tensor("image", "uint8", spec.shape), *_condition_inputs(model))
    outputs = tuple(
        Tensor(name, "float32", (config.model.latent,)) for name in ("mean", "log_variance")
    )
    return Part("encoder", MODEL_FILE, inputs, outputs, apply, "decoder/")


def _make_classifier(model: Model, num_outputs: int) -> Part:
    """(weights, image) -> category logits and attribute columns, features."""
    network = classifier.Classifier(num_outputs)

    def apply(params: dict, image: Array) -> tuple[Array, Array]:
        outputs, features, _ = network.apply({"params": params}, pixels.to_float(image))
        return outputs, features

    outputs = (
        Tensor("outputs", "float32", (num_outputs,)),
        Tensor("features", "float32", (classifier.NUM_FEATURES,)),
    )
    image = Tensor("image", "uint8", model.spec.shape)
    return Part("classifier", EXPORTED_FILE_NAME, (image,), outputs, apply)


def export_program(part: Part, weights: Weights) -> bytes:
    """The part as a jax.export artifact for PLATFORMS, to be called as f(weights, *inputs).

    weights: the flat arrays of the file, or their shapes; the artifact takes arrays of the same
    names, shapes and dtypes. The batch is the symbolic dimension b, at least 1.
    """
    (batch,) = jax.export.symbolic_shape("b")
    weight_shapes = {
        name: jax.ShapeDtypeStruct(np.shape(value), value.dtype) for name, value in weights.items()
    }
    inputs = [jax.ShapeDtypeStruct((batch, *x.shape), jnp.dtype(x.dtype)) for x in part.inputs]
    program = jax.jit(_lower_for_platforms(part))
    exported_program = jax.export.export(program, platforms=PLATFORMS)(weight_shapes, *inputs)
    return bytes(exported_program.serialize())


def _lower_for_platforms(part: Part) -> Callable:
    """The part as a program with a branch for each platform, traced with its lowering.

    The compiler knows the platform: of the branches only one is left.
    """

    def apply_for(lowering: Lowering) -> Callable:
        def apply_branch(params: dict, *inputs: Array) -> Any:
            with use_lowering(lowering):
                return part.apply(params, *inputs)

        return apply_branch

    branches = {name: apply_for(select_lowering(name, 1)) for name in PLATFORMS}

    def apply(weights: Weights, *inputs: Array) -> Any:
        return lax.platform_dependent(part.unflatten(weights), *inputs, **branches)

    return apply
