"""Every config and preset builds: the shapes of a training step, traced without computing it, and
`read_by` of the fields against the fields that the step really reads."""

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
from tests.tiny_gan import init_reference_classifier, shapes_of

CONFIG_FILES = sorted(p for p in (ROOT / "configs").glob("*.py") if p.name != "base.py")
REQUIRED_OVERRIDES = {"folder": [("data.path", "x")], "table": [("data.path", "x.csv")]}


class RecordedConfig:
    """A config that records the paths of all fields that are read."""

    def __init__(self, config, paths, prefix=""):
        self.__dict__ |= {"config": config, "paths": paths, "prefix": prefix}

    def __getattr__(self, name):
        path, value = self.prefix + name, self.config[name]
        if hasattr(value, "items"):
            return RecordedConfig(value, self.paths, path + ".")
        self.paths.add(path)
        return value


def list_presets(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return ["", *module.PRESETS]


def read_preset(path, preset):
    return commandline.read_config(f"{path}:{preset}", REQUIRED_OVERRIDES.get(preset, []))


def list_cases():
    """(file, preset, whether grey and unconditional, whether slow) of every test.

    Presets that differ only in data and length have the same step, which is traced once. The daily
    tests trace the step in colour.
    """
    traced_keys = set()
    for path in CONFIG_FILES:
        for preset in list_presets(path):
            values = flatten(read_preset(path, preset))
            step_values = {
                name: value
                for name, value in values.items()
                if name.partition(".")[0] not in ("data", "train", "parallel")
            }
            key = repr((step_values, values["data.resolution"], values["train.batch_size"]))
            is_repeated, traced_keys = key in traced_keys, traced_keys | {key}
            for grey in (False, True):
                # Daily: the default in colour, one in grey, and the logistic likelihood.
                is_daily = preset in ("", "brief") and not grey
                is_daily = is_daily or (path.stem == "dcgan" and preset == "quick" and grey)
                is_daily = is_daily or (
                    path.stem == "vae" and preset == "fashion_mnist" and not grey
                )
                is_slow = is_repeated or not is_daily
                yield path, preset, grey, is_slow


@pytest.mark.parametrize(
    ("path", "preset", "grey"),
    [
        pytest.param(
            path, preset, grey, id=f"{path.stem}-{preset or 'default'}{'-grey' * grey}",
            marks=pytest.mark.slow if is_slow else (),
        )
        for path, preset, grey, is_slow in list_cases()
    ],
)  # fmt: skip
def test_the_training_step_of_every_preset_keeps_the_shapes_of_its_state(path, preset, grey):
    paths, plain = set(), read_preset(path, preset)
    config = RecordedConfig(plain, paths)
    classes, attributes = ((), ()) if grey else (("a", "b"), Squares().schema())
    spec = Spec(plain.data.resolution, 1 if grey else 3, classes, attributes)
    family, size = get_step_module(plain), plain.train.batch_size
    state = jax.eval_shape(lambda: family.init(config, spec, rng.key(0, "init")))
    batch, frozen = shapes_of(spec, size), jax.eval_shape(lambda: init_reference_classifier(spec))
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
    image = jax.eval_shape(family.make_generate(plain, spec), family.eval_params(state), z, rows)
    assert image.shape == (3, *spec.shape) and image.dtype == jnp.float32


def find_reading_families(path):
    """The model names whose runs may read a field; other settings may still prevent it."""
    all_names = FIELDS["model.name"].rule.choices
    conditions = FIELDS[path].read_by or ({},)
    return {name for one in conditions for name in one.get("model.name", all_names)}


def assert_read_by_agrees(config, paths):
    """Tracing reads no field of other families, and every field that `read_by` claims."""
    assert not {path for path in paths if config.model.name not in find_reading_families(path)}
    values = flatten(config)
    claimed_paths = {
        path
        for path, field in FIELDS.items()
        if path.partition(".")[0] in ("model", "loss", "augment", "optim")
        and field.read_by
        and is_read(path, values)
    }
    assert claimed_paths <= paths


def test_every_preset_builds_and_reads_what_it_sets():
    for path in CONFIG_FILES:
        for preset in list_presets(path):
            assert read_preset(path, preset).model.name in FIELDS["model.name"].rule.choices
