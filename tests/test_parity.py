"""jit and pmap, one device and eight: the same function."""

import jax
import numpy as np
import pytest

from prodgen import rng
from prodgen.parallel import compile as compiling
from prodgen.parallel import mesh as meshes
from prodgen.steps import vae
from tests.tiny import ALL, batch_of, close, mesh_of, tiny

FIELDS = {
    "sigma": {},
    "mse, free bits": {"loss__likelihood": "mse", "loss__free_bits": 0.2},
    "logistic, clipped": {"loss__likelihood": "logistic", "optim__clip": 1.0},
    "bernoulli": {"loss__likelihood": "bernoulli"},
}


def trained(store, mode: str, devices: int, steps: int, **fields):
    """(state, metrics of each step) after some steps under plain SGD, which hides no scale."""
    fields = {"optim__name": "sgd", "optim__lr": 1e-5, "optim__clip": 0.0} | fields
    config = tiny(parallel__mode=mode, **fields)
    mesh = mesh_of(config, devices)
    state = vae.init(config, store.spec, rng.key(0, "init"))
    state = jax.device_put(state, meshes.replicated(mesh))
    step = compiling.train_step(
        lambda mean: vae.make_train_step(config, store.spec, mean, "plain"), mesh, mode
    )
    seen = []
    for t in range(steps):
        state, metrics = step(state, (meshes.place(mesh, batch_of(store, config, t)),), {})
        seen.append(jax.device_get(metrics))
    return jax.device_get(state), seen


@pytest.mark.parametrize("name", FIELDS)
def test_modes_and_device_counts_give_the_same_losses_and_weights(store, name):
    state, seen = trained(store, "jit", 1, 2, **FIELDS[name])
    for mode, devices in ALL[1:]:
        other, also = trained(store, mode, devices, 2, **FIELDS[name])
        close(seen, also, 2e-5)
        close(state.nets["vae"].params, other.nets["vae"].params, 1e-5)
        close(state.extras, other.extras, 1e-5)


def test_the_weights_do_move(store):
    """So that the comparison above compares something."""
    config = tiny()
    before = vae.init(config, store.spec, rng.key(0, "init")).nets["vae"].params
    after, _ = trained(store, "jit", 1, 2)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, after.nets["vae"].params)
    assert sum(value > 0 for value in jax.tree.leaves(moved)) > len(jax.tree.leaves(moved)) / 2


@pytest.mark.parametrize(("mode", "devices"), ALL)
def test_judgement_is_the_same_everywhere(store, mode, devices):
    from prodgen.evaluate import Judge

    def judged(mode, devices):
        config = tiny(parallel__mode=mode)
        mesh = mesh_of(config, devices)
        state = vae.init(config, store.spec, rng.key(0, "init"))
        state = jax.device_put(state, meshes.replicated(mesh))
        return Judge(vae, config, store, mesh, "validation")(state, {})

    here, there = judged("jit", 1), judged(mode, devices)
    assert here.keys() == there.keys()
    for name in here:
        assert here[name] == pytest.approx(there[name], rel=1e-5), name
