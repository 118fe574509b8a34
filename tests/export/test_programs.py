"""StableHLO programs give the run's own results, and are its own program on the CPU."""

import functools
import re

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from prodgen.core.errors import UsageError
from prodgen.export import architecture, examples, programs
from prodgen.parallel import absent_devices
from prodgen.parallel.program_counts import is_convolution, parse_instructions
from prodgen.parallel.targets import parse_targets
from tests.export.export_cases import flat_weights, make_classifier, make_model
from tests.test_hlo import convolutions, slow_convolutions

CASES = {
    "vae": {"model__name": "vae"},
    "vae, loops": {"model__name": "vae", "model__blocks": 3, "loss__likelihood": "logistic"},
    "dcgan": {"model__name": "dcgan", "channels": 1, "conditional": False},
    "r3gan, half": {"model__name": "r3gan", "model__half": True, "model__block_side": 4},
    "r3gan, grouped": {
        "model__name": "r3gan", "model__group": 4, "model__block_side": 4, "model__blocks": 2,
    },
}  # fmt: skip


@pytest.fixture
def model(tmp_path):
    return functools.partial(make_model, tmp_path)


def read_program(data):
    return jax.jit(jax.export.deserialize(bytearray(data)).call)


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if c == "vae" else pytest.mark.slow) for c in CASES]
)
def test_the_generator_is_the_runs_own_program(model, case):
    """Equal images for two sizes of a batch; no branch is left, and convolutions are fast."""
    model = model(**CASES[case])
    part = programs.make_parts(model)["generator"]
    weights = flat_weights(model.generator[1])
    program = read_program(programs.export_program(part, weights))
    inputs = examples.example_inputs(model)
    assert len(np.unique(inputs["image"])) > 50
    values = [inputs[tensor.name] for tensor in part.inputs]
    np.testing.assert_array_equal(program(weights, *values), inputs["image"])
    few = program(weights, *(value[:3] for value in values))
    assert np.abs(np.int32(few) - inputs["image"][:3]).max() <= 1
    text = program.lower(weights, *values).compile().as_text()
    assert not re.search(r" (conditional|while)\(", text)
    assert convolutions(text) and not slow_convolutions(text)


def test_every_part_has_the_inputs_and_outputs_that_it_states(model):
    model = model(model__name="vaegan", model__dtype="bfloat16")
    params = make_classifier(model.spec)
    parts = programs.make_parts(model, params)
    assert list(parts) == ["generator", "encoder", "classifier"]
    for name, part in parts.items():
        weights = flat_weights(params if name == "classifier" else model.generator[1], np.float16)
        inputs = [jax.ShapeDtypeStruct((2, *x.shape), x.dtype) for x in part.inputs]
        outputs = jax.tree.leaves(jax.eval_shape(part, weights, *inputs))
        expected = [((2, *x.shape), x.dtype) for x in part.outputs]
        assert [(x.shape, x.dtype) for x in outputs] == expected, name
    # Half-precision weights and a run in bfloat16: the program computes in float32.
    module = jax.make_jaxpr(parts["generator"])(flat_weights(model.generator[1]), *(
        np.zeros((2, *x.shape), x.dtype) for x in parts["generator"].inputs
    ))  # fmt: skip
    assert "bf16" not in str(module)


@pytest.mark.slow
@pytest.mark.parametrize("target_text", ["h200:1", "v5e:2x2"])
def test_the_artifact_compiles_for_an_accelerator_that_is_absent(model, target_text):
    (target,) = parse_targets(target_text)
    try:
        absent_devices.check_plugin(target)
    except UsageError as error:
        pytest.skip(error.message)
    model = model(**CASES["r3gan, grouped"])
    part = programs.make_parts(model)["generator"]
    weights = flat_weights(model.generator[1])
    whole_sharding = NamedSharding(absent_devices.make_absent_mesh(target), PartitionSpec())
    arguments = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole_sharding),
        (weights, *(jax.ShapeDtypeStruct((8, *x.shape), x.dtype) for x in part.inputs)),
    )
    program = read_program(programs.export_program(part, weights))
    with absent_devices.disable_compile_cache():
        text = program.lower(*arguments).compile().as_text()
    # The branch of this platform alone is left, with convolutions in it.
    assert " conditional(" not in text
    assert any(is_convolution(x) for x in parse_instructions(text))


def test_a_gan_has_no_encoder(model):
    assert list(programs.make_parts(model(model__name="dcgan"))) == ["generator"]


def test_the_architecture_has_all_fields_of_the_network(model):
    facts = architecture.describe_architecture(model(model__name="r3gan", model__half=True))
    assert facts["family"] == "r3gan" and facts["half"] and facts["widths"] == [8, 4]
    assert (facts["resolution"], facts["image_channels"], facts["classes"]) == (16, 3, 2)
    facts = architecture.describe_architecture(
        model(model__name="vae", model__dtype="bfloat16", loss__likelihood="logistic")
    )
    assert facts["likelihood"] == "logistic" and facts["components"] == 5
    assert facts["dtype"] == "float32" and facts["trained_dtype"] == "bfloat16"
    assert facts["has_conditional_prior"] is True


def test_the_last_examples_have_no_conditions(model):
    inputs = examples.example_inputs(model(model__name="dcgan"))
    unknown = slice(-examples.NUM_UNKNOWN, None)
    assert (inputs["label"][unknown] == -1).all() and not inputs["known"][unknown].any()
    assert (inputs["label"] >= 0).any() and inputs["known"].any()
    assert all(len(value) == 64 for value in inputs.values())
