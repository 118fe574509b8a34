"""What the tests of adversarial families share: tiny configs, a reference classifier, steps."""

import functools
import itertools

import jax
import jax.numpy as jnp

from prodgen.config import registry
from prodgen.core import rng
from prodgen.core.types import Batch
from prodgen.models import classifier
from prodgen.runs.run import get_step_module
from tests import programs
from tests.tiny import batch_of, tiny

# The networks as small as they go, with blocks at the smallest side only.
NETWORKS = {
    "dcgan": {"model__name": "dcgan"},
    "r3gan": {"model__name": "r3gan", "model__block_side": 4},
    "r3gan, grouped": {"model__name": "r3gan", "model__block_side": 4, "model__group": 4},
    "r3gan, half": {"model__name": "r3gan", "model__block_side": 4, "model__half": True},
}
# What some losses need beside them.
NEEDS = {"wgan": {"model__spectral_norm": True}}


def tiny_gan(**fields):
    """A tiny config of an adversarial run; r3gan unless it says otherwise."""
    defaults = {
        "model__name": "r3gan",
        "model__block_side": 4,
        "optim__lr": 1e-3,
        "optim__clip": 0.0,
    }
    return tiny(**(defaults | fields))


def init_reference_classifier(spec) -> dict:
    """An untrained reference classifier: the arithmetic of an evaluation needs no better one.

    Where the data have no labels it is another data set's, as in a run.
    """
    return {"classifier": _classifier_start(spec)(jax.random.key(5))}


@functools.cache
def _classifier_start(spec):
    """(key) -> a classifier's weights, compiled."""
    net = classifier.Classifier(len(spec.classes) + spec.num_columns or 5)
    return jax.jit(lambda key: net.init(key, classifier.dummy_image(spec))["params"])


def start(config, spec, seed=0):
    return programs.initial_state(config, spec, rng.key(seed, "init"))


def batches_of(store, config, step: int = 0) -> tuple[Batch, ...]:
    """The batches of one training step."""
    count = get_step_module(config).real_batches(config)
    return tuple(batch_of(store, config, step * count + i) for i in range(count))


def stepper(config, spec, variant: str = "penalised"):
    """The compiled step of a config, on one device; compiled once for equal arguments."""
    return programs.train_step(config, spec, variant)


def train_gan(store, config, steps: int):
    """(state, metrics of each step) after some steps, its variants in turn."""
    variants = get_step_module(config).variants(config)
    programs = {variant: stepper(config, store.spec, variant) for variant in set(variants)}
    state, metrics_history = start(config, store.spec), []
    for t in range(steps):
        program = programs[variants[t % len(variants)]]
        state, metrics = program(state, batches_of(store, config, t), {})
        metrics_history.append(metrics)
    return state, metrics_history


def shapes_of(spec, size: int) -> Batch:
    """A batch without content."""
    kinds = {
        "image": ((size, *spec.shape), jnp.uint8),
        "label": ((size,), jnp.int32),
        "attributes": ((size, spec.num_columns), jnp.float32),
        "known": ((size, spec.num_columns), jnp.bool_),
        "id": ((size,), jnp.int32),
        "slot": ((size,), jnp.int32),
    }
    return {name: jax.ShapeDtypeStruct(shape, kind) for name, (shape, kind) in kinds.items()}


COMBINATIONS = list(itertools.product(NETWORKS, registry.ADVERSARIAL, registry.PENALTIES))
LOSSES_AND_PENALTIES = list(itertools.product(registry.ADVERSARIAL, registry.PENALTIES))
# Of the combinations so many that every network meets every penalty, and the losses in turn.
PAIRS = [
    (network, list(registry.ADVERSARIAL)[(i + j) % len(registry.ADVERSARIAL)], penalty)
    for i, network in enumerate(NETWORKS)
    for j, penalty in enumerate(registry.PENALTIES)
]
