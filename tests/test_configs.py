"""Every config and preset builds: shapes of a whole training step, without computing one."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen import rng
from prodgen import run as runs
from prodgen.cli import commandline
from prodgen.types import Spec
from tests.tiny import ROOT, Squares
from tests.tiny_gan import home_of, shapes_of

FILES = sorted(p for p in (ROOT / "configs").glob("*.py") if p.name != "base.py")
NEEDED = {"folder": [("data.path", "x")], "table": [("data.path", "x.csv")]}


def presets(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return ["", *module.PRESETS]


CASES = [(path, preset) for path in FILES for preset in presets(path)]


SLOW = ("gpu64", "gpu128")  # to trace


@pytest.mark.parametrize(
    ("path", "preset", "channels", "conditional"),
    [
        pytest.param(
            path, preset, channels, conditional, id=f"{path.stem}-{preset}-{channels}",
            marks=pytest.mark.slow if preset in SLOW else (),
        )
        for path, preset in CASES
        for channels, conditional in ((3, True), (1, False))
    ],
)  # fmt: skip
def test_the_step_of_every_preset_has_the_shapes_it_should(path, preset, channels, conditional):
    config = commandline.read_config(f"{path}:{preset}", NEEDED.get(preset, []))
    classes, attributes = (("a", "b"), Squares().schema()) if conditional else ((), ())
    spec = Spec(config.data.resolution, channels, classes, attributes)
    family, size = runs.family(config), config.train.batch_size
    state = jax.eval_shape(lambda: family.init(config, spec, rng.key(0, "init")))
    batch, frozen = shapes_of(spec, size), jax.eval_shape(lambda: home_of(spec))
    for variant in dict.fromkeys(family.variants(config)):
        step = family.make_train_step(config, spec, lambda x: x, variant)
        after, metrics = jax.eval_shape(step, state, (batch,) * family.real_batches(config), frozen)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
            lambda x: (x.shape, x.dtype), state
        )
        norms = {f"grad_norm/{name}" for name in state.nets}
        assert {"loss", "skipped_in_a_row"} | norms <= set(metrics)
        assert all(value.shape == () for value in metrics.values())
    z = jax.eval_shape(lambda: family.latents(config, 0, np.arange(3)))
    assert z.shape == (3, config.model.latent)
    rows = {name: jax.ShapeDtypeStruct((3, *x.shape[1:]), x.dtype) for name, x in batch.items()}
    made = jax.eval_shape(family.make_generate(config, spec), family.weights(state), z, rows)
    assert made.shape == (3, *spec.shape) and made.dtype == jnp.float32
