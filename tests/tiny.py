"""A tiny config, a tiny data set and small helpers, shared by the tests."""

import dataclasses
import itertools
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from configs import base
from prodgen.config import set_field, validate
from prodgen.core import rng
from prodgen.core.types import Attribute, Batch, Spec
from prodgen.data.conditions import Conditions
from prodgen.data.source import Item
from prodgen.data.store import SPLITS
from prodgen.parallel import device_mesh
from prodgen.runs import checkpoint
from prodgen.runs.workdir import write_record
from tests import programs

ROOT = Path(__file__).parents[1]
TINY = {
    "data.resolution": 16,
    "model.width": 4,
    "model.max_width": 8,
    "model.latent": 4,
    "train.batch_size": 16,
    "train.num_steps": 6,
    "train.log_every": 1,
    "train.sample_every": 3,
    "train.evaluate_every": 3,
    "train.checkpoint_every": 2,
    "train.tensorboard": False,
    "optim.warmup_steps": 2,
    "loss.beta_steps": 4,
    "loss.gan_start": 1,
    "loss.gan_ramp": 2,
}


def tiny(**fields) -> ConfigDict:
    """A config of a few thousand weights; keyword data__source is the field data.source."""
    config = base.get_config()
    for path, value in (TINY | {k.replace("__", "."): v for k, v in fields.items()}).items():
        set_field(config, path, value)
    return validate(config)


class Squares:
    """96 pictures of a coloured square or disc, with a category, a number, an angle, a colour."""

    parallel = False
    is_composited = False

    def __init__(self, size: int = 96, channels: int = 3):
        self.size, self.channels = size, channels

    def __len__(self):
        return self.size

    def classes(self):
        return ("disc", "square")

    def schema(self):
        return (
            Attribute("colour", "categorical", ("blue", "red")),
            Attribute("radius", "number", unit="pixels"),
            Attribute("turn", "angle", unit="degrees"),
        )

    def content(self):
        return {"squares": self.size, "channels": self.channels}

    def stream(self, start, stop):
        y, x = np.mgrid[:16, :16] - 7.5
        for i in range(start, stop):
            radius, red = 3 + i % 5, i // 2 % 2
            inside = (
                (x**2 + y**2 < radius**2) if i % 2 == 0 else (abs(x) < radius) & (abs(y) < radius)
            )
            colour = (200 if red else 30, 40 + i % 90, 30 if red else 200)[: self.channels]
            picture = np.where(inside[..., None], np.uint8(colour), np.uint8(255))
            values = {
                "colour": "red" if red else "blue",
                "radius": float(radius),
                "turn": None if i % 7 == 0 else float(i * 11 % 360),
            }
            yield Item(f"{i}", picture, ("disc", "square")[i % 2], values, f"thing {i}")


class AzimuthSquares(Squares):
    """The squares, of which a camera's azimuth and elevation are known."""

    def schema(self):
        colour, radius, turn = super().schema()
        return (
            colour,
            dataclasses.replace(radius, name="elevation"),
            dataclasses.replace(turn, name="azimuth"),
        )

    def stream(self, start, stop):
        for item in super().stream(start, stop):
            values = {**item.attributes}
            values["elevation"], values["azimuth"] = values.pop("radius"), values.pop("turn")
            yield dataclasses.replace(item, attributes=values)


def make_disc_photo(height: int, width: int, rgb=(200, 40, 40)) -> np.ndarray:
    """A photo of a shaded disc on white, uint8 [H, W, 3]."""
    side = min(height, width)
    y, x = np.mgrid[:height, :width] - np.array([[[height - 1]], [[width - 1]]]) / 2
    inside = np.clip(side / 3 - np.hypot(x, y) + 0.5, 0, 1)[..., None]
    light = (1 + 0.2 * (x + y) / side)[..., None]
    return np.uint8(np.rint(255 * (1 - inside) + inside * np.clip(np.float32(rgb) * light, 0, 255)))


def batch_of(store, config, t: int = 0) -> Batch:
    """Global host batch t of the training split."""
    from prodgen.data import order

    ids, size = store.ids("train"), config.train.batch_size
    batch_ids = ids[order.select_batch(config.seed, t, len(ids), size)]
    return store.fetch(batch_ids) | {"slot": np.arange(size, dtype=np.int32)}


def trained_vae(store, config: ConfigDict, steps: int):
    """The state of a VAE after so many steps; trained once for equal arguments."""
    return _train_vae(config, store, steps)


@programs.memoise_by_config
def _train_vae(config: ConfigDict, store, steps: int):
    from prodgen.steps import vae

    step = programs.train_step(config, store.spec)
    state = vae.init(config, store.spec, rng.key(0, "init"))
    for t in range(steps):
        state, _ = step(state, (batch_of(store, config, t),), {})
    return state


def write_noisy_shop(folder: Path, count: int, side: int) -> None:
    """`count` noisy images of `side` pixels in the categories bags and shoes."""
    generator = np.random.default_rng(0)
    for number in range(count):
        category = folder / ("bags", "shoes")[number % 2]
        category.mkdir(parents=True, exist_ok=True)
        image = generator.integers(0, 255, (side, side, 3), np.uint8)
        Image.fromarray(image).save(category / f"{number:03d}.png")


def write_run(path: Path, store, config: ConfigDict, state, step: int) -> None:
    """A run's folder at one step, as the trainer writes it."""
    path.mkdir()
    manager = checkpoint.CheckpointManager(path, 2, 1)
    manager.save(step, state, 1.0)
    manager.wait()
    Conditions.from_store(store).save(path)
    counts = {name: len(store.ids(name)) for name in SPLITS}
    data = {"digest": store.digest(), "counts": counts, "spec": store.spec.to_json()}
    write_record(path, config, data, {})


def vae_run(path: Path, store, steps: int) -> Path:
    """The folder of a small VAE run on a store, trained for so many steps."""
    config = tiny(optim__lr=1e-2, train__num_steps=steps)
    with config.unlocked():
        config.data.cache_dir = str(store.path.parent)
    write_run(path, store, config, trained_vae(store, config, steps), steps)
    return path


def first_run(path: Path, store, config: ConfigDict, step: int) -> Path:
    """The folder of a run whose weights are the initial ones, at a step of any number."""
    with config.unlocked():
        config.data.cache_dir = str(store.path.parent)
    state = programs.initial_state(config, store.spec, rng.key(0, "init"))
    write_run(path, store, config, state, step)
    return path


def mesh_of(config: ConfigDict, devices: int):
    with config.unlocked():
        config.parallel.devices = devices
    return device_mesh.make_mesh(config)


def close(a, b, tolerance: float) -> None:
    """Every leaf agrees to `tolerance` relative to the leaf's largest value."""
    for (path, x), y in zip(
        jax.tree_util.tree_flatten_with_path(a)[0], jax.tree.leaves(b), strict=True
    ):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        scale = max(np.abs(x).max(initial=0), 1e-12)
        assert np.abs(x - y).max(initial=0) <= tolerance * scale, jax.tree_util.keystr(path)


def spec_of(channels: int = 3, resolution: int = 16, conditional: bool = True) -> Spec:
    classes = ("disc", "square") if conditional else ()
    return Spec(resolution, channels, classes, Squares().schema() if conditional else ())


MODES_AND_DEVICES = tuple(itertools.product(("jit", "pmap"), (1, 8)))
