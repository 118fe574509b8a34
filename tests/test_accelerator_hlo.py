"""Programs for accelerators that are absent: what the optimised text may hold.

Each family's step is compiled in bfloat16 for two H200 and for four chips of a v5e. The counts are
recorded: a change that raises one is a change to explain.
"""

import functools
import re

import jax
import pytest

from prodgen.core.errors import UsageError
from prodgen.core.trees import count_bytes
from prodgen.parallel import absent_devices, compilation
from prodgen.parallel.program_counts import (
    count_instructions,
    is_convolution,
    parse_instructions,
)
from prodgen.parallel.targets import parse_targets
from prodgen.planning import program_inputs
from prodgen.runs.run import get_step_module
from tests.test_configs import read_preset

FIELDS = {"data.resolution": 16, "model.dtype": "bfloat16"}
GROUPS = {
    "model.group": 16, "model.blocks": 2, "model.block_side": 8, "model.half": False,
    "loss.penalty_every": 1,
}  # fmt: skip
FAMILIES = {
    "vae": ("vae", {}),
    "dcgan": ("dcgan", {}),
    "r3gan": ("gan", GROUPS),
    "vaegan": ("vaegan", {}),
}
# (family, target): most convolutions, transposes and all-reduces of the step. A network's update
# has one all-reduce of its gradient; those of scalars are combined into few.
MAX_COUNTS = {
    ("vae", "h200:2"): (35, 35, 2),
    ("vae", "v5e:2x2"): (35, 0, 2),
    ("dcgan", "h200:2"): (37, 50, 5),
    ("dcgan", "v5e:2x2"): (37, 0, 4),
    ("r3gan", "h200:2"): (26, 46, 3),
    ("r3gan", "v5e:2x2"): (57, 0, 3),
    ("vaegan", "h200:2"): (118, 115, 8),
    ("vaegan", "v5e:2x2"): (118, 0, 5),
}
DAILY = [("r3gan", "v5e:2x2")]  # test_compile_plan.py compiles for an H200 daily
HOST_CALLS = re.compile(r"callback|infeed|outfeed|MoveToHost|SendToHost|host_compute")
# Less time for what comes after the text that is tested: kernels, and a TPU's choice of windows.
COMPILER_OPTIONS = {
    "gpu": {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True},
    "tpu": {"exec_time_optimization_effort": -1.0},
}


@functools.cache
def compile_step(family_name, target_text):
    """(optimised text, memory analysis, arguments) of a family's one program for a target."""
    (target,) = parse_targets(target_text)
    try:
        absent_devices.check_plugin(target)
    except UsageError as error:
        pytest.skip(error.message)
    file, fields = FAMILIES[family_name]
    config = read_preset(f"configs/{file}.py", "quick").unlock()
    config.update_from_flattened_dict(FIELDS | fields)
    mesh = absent_devices.make_absent_mesh(target)
    spec = program_inputs.make_catalogue_spec(config.data.resolution, 3)
    family = get_step_module(config)
    (variant,) = compilation.list_variants(family, config, mesh)
    step = compilation.make_variant_step(family, config, spec, mesh, variant)
    arguments = program_inputs.build_program_inputs(family, config, spec, mesh)
    options = COMPILER_OPTIONS[target.chip.platform]
    with absent_devices.disable_compile_cache():
        program = step.lower(*arguments).compile(compiler_options=options)
    return program.as_text(), program.memory_analysis(), arguments


@pytest.mark.parametrize(
    ("family", "target"),
    [pytest.param(*case, marks=() if case in DAILY else pytest.mark.slow) for case in MAX_COUNTS],
)
def test_a_step_for_an_accelerator(family, target):
    text, memory, arguments = compile_step(family, target)
    instructions = list(parse_instructions(text))
    convolutions = [x for x in instructions if is_convolution(x)]
    counts = count_instructions(text)
    # Zeros inserted between pixels would be multiplied.
    assert not [x.text for x in convolutions if "lhs_dilate" in x.attribute("window")]
    operand_types = {x.name: x.shape.partition("[")[0] for x in instructions}
    for convolution in convolutions:
        assert {operand_types[name] for name in convolution.operands[:2]} == {"bf16"}, convolution
    # The new state takes the memory of the old one.
    state_bytes = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(arguments[0].nets))
    assert memory.alias_size_in_bytes >= state_bytes
    assert not HOST_CALLS.search(text)
    values = counts.convolutions, counts.transposes, counts.collectives
    for value, most in zip(values, MAX_COUNTS[family, target], strict=True):
        assert value <= most, counts
    # Each gradient is sent once, in float32; the rest are scalars.
    weight_bytes = sum(count_bytes(net.params) for net in arguments[0].nets.values())
    assert weight_bytes <= counts.collective_bytes <= weight_bytes + 1000
