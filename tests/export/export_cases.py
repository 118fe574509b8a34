"""Models of tiny random networks for the tests of exported folders, and their files."""

import json
import struct

import jax
import numpy as np

from prodgen.core import trees
from prodgen.data.conditions import Conditions
from prodgen.model import Model
from prodgen.runs.run import Run, get_step_module
from tests import programs
from tests.tiny import spec_of, tiny
from tests.tiny_gan import init_reference_classifier

NOISE = 0.3  # of the weights: layers that start from zero count, too


def perturb(tree, seed):
    """The tree with noise on every array."""
    leaves, structure = jax.tree.flatten(tree)
    generator = np.random.default_rng(seed)
    scale = [NOISE / max(np.prod(x.shape[:-1]), 1) ** 0.5 for x in leaves]
    noise = [s * generator.normal(size=x.shape) for s, x in zip(scale, leaves, strict=True)]
    noisy_leaves = [np.asarray(x + n, x.dtype) for x, n in zip(leaves, noise, strict=True)]
    return jax.tree.unflatten(structure, noisy_leaves)


def random_conditions(spec, count=50):
    """Conditions of random rows, of which some are unknown."""
    generator = np.random.default_rng(3)
    shape = (count, spec.num_columns)
    label = generator.integers(-1, max(len(spec.classes), 1), count) if spec.classes else [-1]
    rows = np.resize(np.int32(label), count), np.float32(generator.normal(size=shape))
    return Conditions(spec, *rows, generator.random(shape) < 0.7)


def make_model(folder, channels=3, conditional=True, resolution=16, **fields):
    """(the model of a run that was never trained, with noise on all weights; classifier's)."""
    config, spec = (
        tiny(data__resolution=resolution, **fields),
        spec_of(channels, resolution, conditional),
    )
    random_conditions(spec).save(folder)
    state = programs.initial_state(config, spec, jax.random.key(0))
    name = "vae" if "vae" in state.nets else "g"
    net = state.nets[name]
    net = net.replace(
        params=perturb(net.params, 1), ema=perturb(net.ema, 1) if net.ema else net.ema
    )
    state = state.replace(nets={**state.nets, name: net})
    run = Run(folder, {}, config, spec, get_step_module(config), 0, state)
    return Model(run), perturb(init_reference_classifier(spec)["classifier"], 2)


def flat_weights(tree, dtype=np.float32):
    return {name: np.asarray(x, dtype) for name, x in trees.flatten_with_paths(tree).items()}
