"""The compiled steps have no convolution outside the CPU's fast path."""

import functools
import re

import jax
import pytest

from prodgen.core import rng
from prodgen.parallel import compilation, device_mesh
from prodgen.steps import gan, vae
from tests import programs
from tests.tiny import batch_of, mesh_of, spec_of, tiny
from tests.tiny_gan import NETWORKS, shapes_of, tiny_gan

FAST_LABELS = "b01f_01io->b01f"


def convolutions(text):
    """(computation is the entry, instruction) of every convolution in a compiled program."""
    instructions, is_entry = [], False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            is_entry = line.startswith("ENTRY")
        if " convolution(" in line:
            instructions.append((is_entry, line))
    return instructions


def slow_convolutions(text):
    """Why each convolution outside the fast path is slow."""
    reasons = []
    for is_entry, line in convolutions(text):
        window = re.search(r"window={([^}]*)}", line)
        labels = re.search(r"dim_labels=(\S+?)[,\s]", line + " ")[1]
        if window and re.search(r"(lhs|rhs)_dilate|stride", window[1]):
            reasons.append(f"dilated or strided: {line.strip()[:200]}")
        if len(labels.split("_")[0]) != 4:
            reasons.append(f"expanded groups, {labels}")
        if not is_entry and labels != FAST_LABELS:
            reasons.append(f"outside the entry computation, {labels}")
    return reasons


def inputs_of_a_step(store, mode):
    """(state, batches) on one device, not shared with other tests: the state may be donated."""
    config = tiny(parallel__mode=mode)
    mesh = mesh_of(config, 1)
    state = programs.initial_state(config, store.spec, rng.key(0, "init"))
    batches = (device_mesh.to_global_arrays(mesh, batch_of(store, config)),)
    return jax.device_put(state, device_mesh.replicated_sharding(mesh)), batches


@functools.cache
def compiled_step(store, mode):
    """The VAE's training step, compiled ahead of time on one device as the trainer does it."""
    config = tiny(parallel__mode=mode)
    step = compilation.compile_train_step(
        lambda pmean: vae.make_train_step(config, store.spec, pmean, "plain"),
        mesh_of(config, 1),
        mode,
    )
    state, batches = inputs_of_a_step(store, mode)
    return compilation.compile_aot(step, state, batches, {})


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_the_train_step_has_fast_convolutions_and_compiles_once(store, mode):
    state, batches = inputs_of_a_step(store, mode)
    program = compiled_step(store, mode)
    assert len(convolutions(program.as_text())) > 10
    assert not slow_convolutions(program.as_text())
    for _ in range(3):  # an ahead-of-time program raises where it would have to compile again
        state, _ = program(state, batches, {})


@pytest.mark.parametrize(
    ("family", "name", "variant"), [(vae, "vae", "plain"), (gan, "dcgan", "plain")]
)
def test_runs_that_differ_in_their_seed_share_one_program(family, name, variant):
    """The seed is an argument: two seeds lower to one text, and give other numbers."""
    spec, texts = spec_of(), []
    for seed in (1, 2):
        config = (tiny if name == "vae" else tiny_gan)(seed=seed, model__name=name)
        step = compilation.take_seed(
            family.make_train_step, config, spec, compilation.identity, variant
        )
        batches = (shapes_of(spec, 16),) * family.real_batches(config)
        seed_argument = jax.ShapeDtypeStruct((), "int32")
        lowered = jax.jit(step).lower(
            programs.initial_shapes(config, spec), batches, ({}, seed_argument)
        )
        texts.append(lowered.as_text())
    assert texts[0] == texts[1]


# Grouped blocks and the layers to and from half the side, in one network.
GROUPED_AND_HALF = NETWORKS["r3gan, grouped"] | NETWORKS["r3gan, half"]
DAILY_NETWORKS = ("dcgan", "r3gan", "r3gan, grouped and half")


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(name, marks=() if name in DAILY_NETWORKS else pytest.mark.slow)
        for name in (*NETWORKS, "r3gan, grouped and half")
    ],
)
def test_an_adversarial_step_with_penalties_has_fast_convolutions(network):
    """R1 and R2 differentiate every convolution twice; the optimiser has no convolution."""
    config = tiny_gan(
        optim__name="sgd", optim__ema_images=0, **NETWORKS.get(network, GROUPED_AND_HALF)
    )
    spec = spec_of()
    state = programs.initial_shapes(config, spec)
    step = compilation.compile_train_step(
        lambda pmean: gan.make_train_step(config, spec, pmean, "penalised"),
        mesh_of(config, 1),
        "jit",
    )
    batches = (shapes_of(spec, 16),) * gan.real_batches(config)
    text = compilation.compile_aot(step, state, batches, {}).as_text()
    assert len(convolutions(text)) > 20
    assert not slow_convolutions(text)


def test_a_slow_convolution_is_reported():
    """The gradient of a strided convolution is slow."""
    import jax.numpy as jnp
    from jax import lax

    def loss_fn(x, k):
        layout = ("NHWC", "HWIO", "NHWC")
        return jnp.sum(
            lax.conv_general_dilated(x, k, (2, 2), "SAME", dimension_numbers=layout) ** 2
        )

    shapes = jnp.ones((1, 8, 8, 2)), jnp.ones((4, 4, 2, 3))
    assert slow_convolutions(jax.jit(jax.grad(loss_fn, (0, 1))).lower(*shapes).compile().as_text())


def test_the_state_is_donated(store):
    state, batches = inputs_of_a_step(store, "jit")
    after, _ = compiled_step(store, "jit")(state, batches, {})
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.nets))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))
