"""jit, pmap and divided states, on one device and on eight, compute the same function."""

import functools

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from prodgen.config import registry
from prodgen.parallel import compilation, device_mesh, state_sharding
from prodgen.runs.run import build_run_state, get_step_module
from prodgen.steps import vae
from tests.tiny import MODES_AND_DEVICES, close, mesh_of, tiny
from tests.tiny_gan import batches_of, init_reference_classifier, start, tiny_gan

SMALL_MODEL_FIELDS = {"model__block_side": 4}  # residual blocks at the smallest side alone
# Every family, a later one too, and what the losses and penalties of today's add to it.
FAMILIES = {name: {"model__name": name} for name in registry.STEPS}
FAMILIES |= {
    "vae": {"model__name": "vae", "optim__lr": 1e-5},
    "vae, mse, free bits": {"loss__likelihood": "mse", "loss__free_bits": 0.2},
    "vae, logistic, clipped": {"loss__likelihood": "logistic", "optim__clip": 1.0},
    "vae, bernoulli": {"loss__likelihood": "bernoulli"},
    "dcgan": {
        "model__name": "dcgan", "augment__policy": "diffaugment", "augment__adaptive": True,
        "augment__p": 0.5, "augment__ada_images": 1000, "loss__penalty_every": 2,
    },
    "dcgan, spectral norm, two updates": {
        "model__name": "dcgan", "model__spectral_norm": True, "loss__adversarial": "hinge",
        "loss__penalty": "gradient", "train__d_steps": 2,
    },
    "r3gan": {
        "model__name": "r3gan", "augment__policy": "product", "augment__adaptive": True,
        "augment__p": 0.5, "augment__ada_images": 1000,
    },
    "vaegan": {
        "model__name": "vaegan", "loss__adversarial": "hinge", "loss__penalty": "r1",
        "loss__gan_start": 0, "loss__gan_ramp": 1, "optim__lr": 1e-6,
    },
}  # fmt: skip
MESHES = {  # mode, whether weights and optimiser state are divided
    "jit on 8 devices": ("jit", False),
    "pmap on 8 devices": ("pmap", False),
    "fsdp on 8 devices": ("jit", True),
}
# The others take long to compile.
DAILY = {("vae", "jit on 8 devices"), ("vae", "pmap on 8 devices")}
CASES = [
    pytest.param(family, mesh, marks=() if (family, mesh) in DAILY else pytest.mark.slow)
    for family in FAMILIES
    for mesh in MESHES
]


def train(store, fields: dict, mode: str, devices: int, is_divided: bool = False, steps: int = 3):
    """(state, metrics of each step) after some steps under plain SGD, which hides no scale."""
    defaults = {"model__name": "vae", "optim__name": "sgd", "optim__warmup_steps": 0}
    rates = {"optim__lr": 1e-5 if fields.get("model__name", "vae") == "vae" else 1e-3}
    config = tiny_gan(parallel__mode=mode, parallel__fsdp=is_divided, **(defaults | rates | fields))
    family, mesh = get_step_module(config), mesh_of(config, devices)
    shapes = build_run_state(config, store.spec, mesh)
    state = device_mesh.place(
        start(config, store.spec), jax.tree.map(lambda leaf: leaf.sharding, shapes)
    )
    has_frozen = bool(family.frozen_networks(config))
    networks = init_reference_classifier(store.spec) if has_frozen else {}
    frozen = device_mesh.replicate(mesh, networks)
    programs = {
        variant: compilation.compile_train_step(
            functools.partial(make_step, family, config, store.spec, variant),
            mesh, mode, is_divided,
        )
        for variant in family.variants(config)
    }  # fmt: skip
    variants, all_metrics = family.variants(config), []
    for t in range(steps):
        batches = tuple(
            device_mesh.to_global_arrays(mesh, batch) for batch in batches_of(store, config, t)
        )
        state, metrics = programs[variants[t % len(variants)]](state, batches, frozen)
        all_metrics.append(jax.device_get(metrics))
    return state, all_metrics


def make_step(family, config, spec, variant, pmean):
    return family.make_train_step(config, spec, pmean, variant)


@functools.cache
def train_on_one_device(store, family: str):
    """The reference of the comparisons: jit on one device."""
    state, all_metrics = train(store, FAMILIES[family], "jit", 1)
    return jax.device_get(state), all_metrics


@pytest.mark.parametrize(("family", "mesh"), CASES)
def test_every_family_trains_alike_on_every_mesh(store, family, mesh, monkeypatch):
    monkeypatch.setattr(state_sharding, "MIN_ELEMENTS", 8)  # tiny networks have no larger leaves
    state, all_metrics = train_on_one_device(store, family)
    mode, is_divided = MESHES[mesh]
    other_state, other_metrics = train(store, FAMILIES[family], mode, 8, is_divided)
    bound = 2e-5 if FAMILIES[family].get("model__name", "vae") == "vae" else 1e-4
    close(all_metrics, other_metrics, bound)
    for name, net in other_state.nets.items():
        is_whole = [leaf.is_fully_replicated for leaf in jax.tree.leaves(net.params)]
        assert not all(is_whole) if is_divided else all(is_whole)
        close(state.nets[name].params, jax.device_get(net.params), bound)
        close(state.nets[name].vars, jax.device_get(net.vars), bound)
    close(state.extras, jax.device_get(other_state.extras), bound)


def test_divided_moments_and_averages_are_those_of_the_whole(store, monkeypatch):
    monkeypatch.setattr(state_sharding, "MIN_ELEMENTS", 8)
    fields = SMALL_MODEL_FIELDS | {
        "optim__name": "adamw", "optim__clip": 0.5, "optim__ema_images": 100, "optim__lr": 1e-4,
    }  # fmt: skip
    states = [train(store, fields, "jit", 8, is_divided, 2)[0] for is_divided in (False, True)]
    whole, parts = (jax.device_get(state.nets["vae"]) for state in states)
    close(whole.ema, parts.ema, 1e-5)
    # The whole ones are vectors, in the order of the weights.
    for vector, tree in zip(whole.opt[1][1:], parts.opt[0][1:], strict=True):
        np.testing.assert_allclose(ravel_pytree(tree)[0], vector, rtol=1e-3, atol=1e-9)
    decoder = states[1].nets["vae"].ema["decoder"]
    assert any(not leaf.is_fully_replicated for leaf in jax.tree.leaves(decoder))


def test_training_changes_the_weights(store):
    """Otherwise the comparison above would compare nothing."""
    config = tiny_gan(model__name="vae")
    before = start(config, store.spec).nets["vae"].params
    after, _ = train_on_one_device(store, "vae")
    changes = jax.tree.leaves(
        jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, after.nets["vae"].params)
    )
    assert sum(value > 0 for value in changes) > len(changes) / 2


@pytest.mark.parametrize(
    ("shape", "count", "axis"),
    [((3, 3, 16, 64), 8, 3), ((64, 64), 8, 1), ((128, 12), 8, 0), ((60, 60), 8, None),
     ((512,), 8, None), ((), 8, None), ((2048,), 1, 0)],
)  # fmt: skip
def test_the_longest_axis_that_divides_evenly_is_divided(shape, count, axis):
    assert state_sharding.choose_axis(shape, count) == axis


def test_evaluations_of_a_gan_are_equal_in_every_mode(store):
    from prodgen.evaluation.evaluator import Evaluator

    def evaluate(mode, devices):
        config = tiny_gan(parallel__mode=mode, model__name="dcgan")
        mesh = mesh_of(config, devices)
        family, sharding = get_step_module(config), device_mesh.replicated_sharding(mesh)
        state, frozen_params = jax.device_put(
            (start(config, store.spec), init_reference_classifier(store.spec)), sharding
        )
        return Evaluator(family, config, store, mesh, "validation")(state, frozen_params)

    values, other_values = evaluate("jit", 1), evaluate("pmap", 8)
    assert values.keys() == other_values.keys() and "frechet" in values
    for name in values:
        assert values[name] == pytest.approx(other_values[name], rel=1e-4, abs=1e-6), name


def evaluate_vae(store, mode, devices):
    """The validation numbers of a VAE before its first step."""
    from prodgen.evaluation.evaluator import Evaluator

    config = tiny(parallel__mode=mode, **SMALL_MODEL_FIELDS)
    mesh = mesh_of(config, devices)
    state = start(config, store.spec)
    state = jax.device_put(state, device_mesh.replicated_sharding(mesh))
    return Evaluator(vae, config, store, mesh, "validation")(state, {})


evaluate_on_one_device = functools.cache(lambda store: evaluate_vae(store, "jit", 1))


@pytest.mark.parametrize(("mode", "devices"), MODES_AND_DEVICES)
def test_evaluations_of_a_vae_are_equal_in_every_mode(store, mode, devices):
    values, other_values = evaluate_on_one_device(store), evaluate_vae(store, mode, devices)
    assert values.keys() == other_values.keys()
    for name in values:
        assert values[name] == pytest.approx(other_values[name], rel=1e-5), name
