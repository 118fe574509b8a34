"""jit and pmap, one device and eight: the same function."""

import functools

import jax
import numpy as np
import pytest

from prodgen.parallel import compilation, device_mesh
from prodgen.runs import open as runs
from prodgen.steps import vae, vaegan
from tests.tiny import ALL, batch_of, close, mesh_of, tiny
from tests.tiny_gan import batches_of, home_of, start, tiny_gan

SMALL = {"model__block_side": 4}  # residual blocks at the smallest side alone
FIELDS = {
    "sigma": {},
    "mse, free bits": {"loss__likelihood": "mse", "loss__free_bits": 0.2},
    "logistic, clipped": {"loss__likelihood": "logistic", "optim__clip": 1.0},
    "bernoulli": {"loss__likelihood": "bernoulli"},
}


def daily(names, *kept):
    """All names, those marked slow that are not kept for every day."""
    return [pytest.param(name, marks=() if name in kept else pytest.mark.slow) for name in names]


@functools.cache
def trained_on_one_device(store, name: str):
    """The reference of the comparisons, (state, metrics of each step): jit on one device."""
    return trained(store, "jit", 1, 2, **FIELDS[name])


def trained(store, mode: str, devices: int, steps: int, **fields):
    """(state, metrics of each step) after some steps under plain SGD, which hides no scale."""
    fields = {"optim__name": "sgd", "optim__lr": 1e-5, "optim__clip": 0.0} | SMALL | fields
    config = tiny(parallel__mode=mode, **fields)
    mesh = mesh_of(config, devices)
    state = start(config, store.spec)
    state = jax.device_put(state, device_mesh.replicated_sharding(mesh))
    step = compilation.compile_train_step(
        lambda mean: vae.make_train_step(config, store.spec, mean, "plain"), mesh, mode
    )
    seen = []
    for t in range(steps):
        state, metrics = step(
            state, (device_mesh.to_global_arrays(mesh, batch_of(store, config, t)),), {}
        )
        seen.append(jax.device_get(metrics))
    return jax.device_get(state), seen


@pytest.mark.parametrize("name", daily(FIELDS, "sigma"))
def test_modes_and_device_counts_give_the_same_losses_and_weights(store, name):
    state, seen = trained_on_one_device(store, name)
    for mode, devices in ALL[1:]:
        other, also = trained(store, mode, devices, 2, **FIELDS[name])
        close(seen, also, 2e-5)
        close(state.nets["vae"].params, other.nets["vae"].params, 1e-5)
        close(state.extras, other.extras, 1e-5)


def test_the_weights_do_move(store):
    """So that the comparison above compares something."""
    config = tiny(**SMALL)
    before = start(config, store.spec).nets["vae"].params
    after, _ = trained_on_one_device(store, "sigma")
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, after.nets["vae"].params)
    assert sum(value > 0 for value in jax.tree.leaves(moved)) > len(jax.tree.leaves(moved)) / 2


GAMES = {
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


def played(store, mode: str, devices: int, fields: dict):
    """(state, metrics of each step) of an adversarial run under plain SGD, four steps of it."""
    config = tiny_gan(
        parallel__mode=mode, optim__name="sgd", optim__warmup_steps=0,
        **({"optim__lr": 1e-6 if fields["model__name"] == "vaegan" else 1e-3} | fields),
    )  # fmt: skip
    family, mesh = runs.family(config), mesh_of(config, devices)
    whole = device_mesh.replicated_sharding(mesh)
    state = jax.device_put(start(config, store.spec), whole)
    frozen = jax.device_put(home_of(store.spec) if family is vaegan else {}, whole)
    step = compilation.compile_train_step(
        lambda mean: family.make_train_step(config, store.spec, mean, "penalised"), mesh, mode
    )
    seen = []
    for t in range(4):
        batches = tuple(
            device_mesh.to_global_arrays(mesh, batch) for batch in batches_of(store, config, t)
        )
        state, metrics = step(state, batches, frozen)
        seen.append(jax.device_get(metrics))
    return jax.device_get(state), seen


@pytest.mark.parametrize("name", daily(GAMES, "dcgan, relativistic, R1 and R2, lazy, adaptive"))
def test_adversarial_steps_are_the_same_everywhere(store, name):
    state, seen = played(store, "jit", 1, GAMES[name])
    for mode, devices in (("jit", 8), ("pmap", 8)):
        other, also = played(store, mode, devices, GAMES[name])
        close(seen, also, 1e-4)
        for net in state.nets:
            close(state.nets[net].params, other.nets[net].params, 1e-4)
            close(state.nets[net].vars, other.nets[net].vars, 1e-4)
        close(state.extras, other.extras, 1e-4)


def test_generated_pictures_are_judged_the_same_everywhere(store):
    from prodgen.evaluation.evaluator import Judge

    def judged(mode, devices):
        config = tiny_gan(parallel__mode=mode, model__name="dcgan")
        mesh = mesh_of(config, devices)
        family, whole = runs.family(config), device_mesh.replicated_sharding(mesh)
        state, frozen = jax.device_put((start(config, store.spec), home_of(store.spec)), whole)
        return Judge(family, config, store, mesh, "validation")(state, frozen)

    here, there = judged("jit", 1), judged("pmap", 8)
    assert here.keys() == there.keys() and "frechet" in here
    for name in here:
        assert here[name] == pytest.approx(there[name], rel=1e-4, abs=1e-6), name


def judged(store, mode, devices):
    """The validation numbers of a VAE before its first step."""
    from prodgen.evaluation.evaluator import Judge

    config = tiny(parallel__mode=mode, **SMALL)
    mesh = mesh_of(config, devices)
    state = start(config, store.spec)
    state = jax.device_put(state, device_mesh.replicated_sharding(mesh))
    return Judge(vae, config, store, mesh, "validation")(state, {})


judged_on_one_device = functools.cache(lambda store: judged(store, "jit", 1))


@pytest.mark.parametrize(("mode", "devices"), ALL)
def test_judgement_is_the_same_everywhere(store, mode, devices):
    here, there = judged_on_one_device(store), judged(store, mode, devices)
    assert here.keys() == there.keys()
    for name in here:
        assert here[name] == pytest.approx(there[name], rel=1e-5), name
