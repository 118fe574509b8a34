"""Compiled programs of tiny configs, built once in each test process.

JAX compiles a program anew for every function object, so two tests that build the same step from
the same config would compile it twice. These functions return the same program for equal
arguments. A test that replaces a part of prodgen builds its own program.
"""

import functools
import json

import jax

from prodgen.runs.run import get_step_module


def config_key(config) -> str:
    """A config's content, without the folder of its data."""
    content = config.to_dict()
    content["data"]["cache_dir"] = ""
    return json.dumps(content, sort_keys=True)


def memoise_by_config(build):
    """Call build(config, *hashable arguments) once for each content of the config."""
    results = {}

    @functools.wraps(build)
    def memoised_build(config, *arguments):
        key = (config_key(config), *arguments)
        if key not in results:
            results[key] = build(config, *arguments)
        return results[key]

    return memoised_build


def identity(x):
    """The mean over devices of a step on one device."""
    return x


_initialisations = {}


def initial_state(config, spec, key):
    """A config's state before its first step; equal initialisations are compiled once.

    Most fields of a config do not matter to it, so the program itself is the key. Operation by
    operation a family's first initialisation takes four times as long.
    """
    lowered_init = jax.jit(lambda key: get_step_module(config).init(config, spec, key)).lower(key)
    content = (lowered_init.as_text(), jax.tree.structure(lowered_init.out_info))
    if content not in _initialisations:
        _initialisations[content] = lowered_init.compile()
    return _initialisations[content](key)


def initial_shapes(config, spec):
    """The shapes of a config's state; nothing is computed."""
    return jax.eval_shape(lambda: get_step_module(config).init(config, spec, jax.random.key(0)))


@memoise_by_config
def train_step(config, spec, variant: str = "plain"):
    """(state, batches, frozen) -> (state, metrics), on one device, nothing donated."""
    return jax.jit(get_step_module(config).make_train_step(config, spec, identity, variant))


@memoise_by_config
def eval_step(config, spec):
    """(state, batch, frozen) -> sums over the batch, on one device."""
    return jax.jit(get_step_module(config).make_eval_step(config, spec, identity))


@memoise_by_config
def generate(config, spec):
    """(weights, z, batch) -> images."""
    return jax.jit(get_step_module(config).make_generate(config, spec))
