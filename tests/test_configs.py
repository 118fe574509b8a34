"""Every config and preset builds: shapes of a whole training step, without computing one, and
`read_by` of the fields against what the step really reads."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.cli import commandline
from prodgen.config import FIELDS, flatten, is_read
from prodgen.core import rng
from prodgen.core.types import Spec
from prodgen.runs.run import get_step_module
from tests.tiny import ROOT, Squares
from tests.tiny_gan import home_of, shapes_of

FILES = sorted(p for p in (ROOT / "configs").glob("*.py") if p.name != "base.py")
NEEDED = {"folder": [("data.path", "x")], "table": [("data.path", "x.csv")]}


class RecordedConfig:
    """A config that notes which fields are looked at."""

    def __init__(self, config, paths, prefix=""):
        self.__dict__ |= {"config": config, "paths": paths, "prefix": prefix}

    def __getattr__(self, name):
        path, value = self.prefix + name, self.config[name]
        if hasattr(value, "items"):
            return RecordedConfig(value, self.paths, path + ".")
        self.paths.add(path)
        return value


def presets(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return ["", *module.PRESETS]


def read(path, preset):
    return commandline.read_config(f"{path}:{preset}", NEEDED.get(preset, []))


def cases():
    """(file, preset, grey and unconditional?, slow?): a preset that differs from another one in its
    data and length alone has the same step and is traced once; by day, in colour."""
    known = set()
    for path in FILES:
        for preset in presets(path):
            values = flatten(read(path, preset))
            own = {name: values[name] for name in values
                   if name.partition(".")[0] not in ("data", "train", "parallel")}  # fmt: skip
            key = repr((own, values["data.resolution"], values["train.batch_size"]))
            repeated, known = key in known, known | {key}
            for grey in (False, True):
                # By day: the default in colour, one in grey, and the logistic likelihood.
                is_daily = preset in ("", "brief") and not grey
                is_daily = is_daily or (path.stem == "dcgan" and preset == "quick" and grey)
                is_daily = is_daily or (
                    path.stem == "vae" and preset == "fashion_mnist" and not grey
                )
                is_slow = repeated or not is_daily
                yield path, preset, grey, is_slow


@pytest.mark.parametrize(
    ("path", "preset", "grey"),
    [
        pytest.param(
            path, preset, grey, id=f"{path.stem}-{preset or 'default'}{'-grey' * grey}",
            marks=pytest.mark.slow if is_slow else (),
        )
        for path, preset, grey, is_slow in cases()
    ],
)  # fmt: skip
def test_the_step_of_every_preset_has_the_shapes_it_should(path, preset, grey):
    paths, plain = set(), read(path, preset)
    config = RecordedConfig(plain, paths)
    classes, attributes = ((), ()) if grey else (("a", "b"), Squares().schema())
    spec = Spec(plain.data.resolution, 1 if grey else 3, classes, attributes)
    family, size = get_step_module(plain), plain.train.batch_size
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
    assert_read_by_agrees(plain, paths)
    z = jax.eval_shape(lambda: family.draw_latents(plain, 0, np.arange(3)))
    assert z.shape == (3, plain.model.latent)
    rows = {name: jax.ShapeDtypeStruct((3, *x.shape[1:]), x.dtype) for name, x in batch.items()}
    made = jax.eval_shape(family.make_generate(plain, spec), family.eval_params(state), z, rows)
    assert made.shape == (3, *spec.shape) and made.dtype == jnp.float32


def families_that_read(path):
    """The families whose runs may read a field; a wider setting may keep them from it."""
    every = FIELDS["model.name"].rule.choices
    conditions = FIELDS[path].read_by or ({},)
    return {name for one in conditions for name in one.get("model.name", every)}


def assert_read_by_agrees(config, paths):
    """Tracing read no field that is said to be of other families, and each that read_by claims."""
    assert not {path for path in paths if config.model.name not in families_that_read(path)}
    values = flatten(config)
    claimed = {
        path
        for path, field in FIELDS.items()
        if path.partition(".")[0] in ("model", "loss", "augment", "optim")
        and field.read_by
        and is_read(path, values)
    }
    assert claimed <= paths


def test_every_preset_builds_and_reads_what_it_sets():
    for path in FILES:
        for preset in presets(path):
            assert read(path, preset).model.name in FIELDS["model.name"].rule.choices
