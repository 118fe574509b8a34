"""jit and pmap, on one device and on eight, compute the same function."""

import functools

import jax
import numpy as np
import pytest

from prodgen.parallel import compilation, device_mesh
from prodgen.runs.run import get_step_module
from prodgen.steps import vae, vaegan
from tests.tiny import MODES_AND_DEVICES, batch_of, close, mesh_of, tiny
from tests.tiny_gan import batches_of, init_reference_classifier, start, tiny_gan

SMALL_MODEL_FIELDS = {"model__block_side": 4}  # residual blocks at the smallest side alone
FIELDS = {
    "sigma": {},
    "mse, free bits": {"loss__likelihood": "mse", "loss__free_bits": 0.2},
    "logistic, clipped": {"loss__likelihood": "logistic", "optim__clip": 1.0},
    "bernoulli": {"loss__likelihood": "bernoulli"},
}


def mark_slow_except(names, *daily_names):
    """All names as parameters; those that are not run every day are marked slow."""
    return [
        pytest.param(name, marks=() if name in daily_names else pytest.mark.slow) for name in names
    ]


@functools.cache
def train_on_one_device(store, name: str):
    """The reference of the comparisons, (state, metrics of each step): jit on one device."""
    return train_vae(store, "jit", 1, 2, **FIELDS[name])


def train_vae(store, mode: str, devices: int, steps: int, **fields):
    """(state, metrics of each step) after some steps under plain SGD, which hides no scale."""
    fields = (
        {"optim__name": "sgd", "optim__lr": 1e-5, "optim__clip": 0.0} | SMALL_MODEL_FIELDS | fields
    )
    config = tiny(parallel__mode=mode, **fields)
    mesh = mesh_of(config, devices)
    state = start(config, store.spec)
    state = jax.device_put(state, device_mesh.replicated_sharding(mesh))
    step = compilation.compile_train_step(
        lambda pmean: vae.make_train_step(config, store.spec, pmean, "plain"), mesh, mode
    )
    all_metrics = []
    for t in range(steps):
        state, metrics = step(
            state, (device_mesh.to_global_arrays(mesh, batch_of(store, config, t)),), {}
        )
        all_metrics.append(jax.device_get(metrics))
    return jax.device_get(state), all_metrics


@pytest.mark.parametrize("name", mark_slow_except(FIELDS, "sigma"))
def test_modes_and_device_counts_give_the_same_losses_and_weights(store, name):
    state, all_metrics = train_on_one_device(store, name)
    for mode, devices in MODES_AND_DEVICES[1:]:
        other_state, other_metrics = train_vae(store, mode, devices, 2, **FIELDS[name])
        close(all_metrics, other_metrics, 2e-5)
        close(state.nets["vae"].params, other_state.nets["vae"].params, 1e-5)
        close(state.extras, other_state.extras, 1e-5)


def test_training_changes_the_weights(store):
    """Otherwise the comparison above would compare nothing."""
    config = tiny(**SMALL_MODEL_FIELDS)
    before = start(config, store.spec).nets["vae"].params
    after, _ = train_on_one_device(store, "sigma")
    changes = jax.tree.leaves(
        jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, after.nets["vae"].params)
    )
    assert sum(value > 0 for value in changes) > len(changes) / 2


ADVERSARIAL_FIELDS = {
    "dcgan, relativistic, R1 and R2, lazy, adaptive": {
        "model__name": "dcgan", "augment__policy": "diffaugment", "augment__adaptive": True,
        "augment__p": 0.5, "augment__ada_images": 1000, "loss__penalty_every": 2,
    },
    "relativistic, R1 and R2, adaptive": {
        "model__name": "r3gan", "augment__policy": "product", "augment__adaptive": True,
        "augment__p": 0.5,
        "augment__ada_images": 1000,
    },
    "spectral norm, gradient penalty, two updates of D": {
        "model__name": "dcgan", "model__spectral_norm": True, "loss__adversarial": "hinge",
        "loss__penalty": "gradient", "train__d_steps": 2,
    },
    "vaegan": {
        "model__name": "vaegan", "loss__adversarial": "hinge", "loss__penalty": "r1",
        "loss__gan_start": 0, "loss__gan_ramp": 1,
    },
}  # fmt: skip


def train_adversarial(store, mode: str, devices: int, fields: dict):
    """(state, metrics of each step) of an adversarial run under plain SGD, four steps of it."""
    config = tiny_gan(
        parallel__mode=mode, optim__name="sgd", optim__warmup_steps=0,
        **({"optim__lr": 1e-6 if fields["model__name"] == "vaegan" else 1e-3} | fields),
    )  # fmt: skip
    family, mesh = get_step_module(config), mesh_of(config, devices)
    sharding = device_mesh.replicated_sharding(mesh)
    state = jax.device_put(start(config, store.spec), sharding)
    frozen_params = jax.device_put(
        init_reference_classifier(store.spec) if family is vaegan else {}, sharding
    )
    step = compilation.compile_train_step(
        lambda pmean: family.make_train_step(config, store.spec, pmean, "penalised"), mesh, mode
    )
    all_metrics = []
    for t in range(4):
        batches = tuple(
            device_mesh.to_global_arrays(mesh, batch) for batch in batches_of(store, config, t)
        )
        state, metrics = step(state, batches, frozen_params)
        all_metrics.append(jax.device_get(metrics))
    return jax.device_get(state), all_metrics


@pytest.mark.parametrize(
    "name", mark_slow_except(ADVERSARIAL_FIELDS, "dcgan, relativistic, R1 and R2, lazy, adaptive")
)
def test_adversarial_steps_are_equal_in_every_mode(store, name):
    state, all_metrics = train_adversarial(store, "jit", 1, ADVERSARIAL_FIELDS[name])
    for mode, devices in (("jit", 8), ("pmap", 8)):
        other_state, other_metrics = train_adversarial(
            store, mode, devices, ADVERSARIAL_FIELDS[name]
        )
        close(all_metrics, other_metrics, 1e-4)
        for net in state.nets:
            close(state.nets[net].params, other_state.nets[net].params, 1e-4)
            close(state.nets[net].vars, other_state.nets[net].vars, 1e-4)
        close(state.extras, other_state.extras, 1e-4)


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
