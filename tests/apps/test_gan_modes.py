"""The modes of run_sample.py on an adversarial run, and what such a run cannot do."""

import json
import os

import jax
import numpy as np
import pytest
from PIL import Image

import prodgen.model
from prodgen.apps import directions, sweep
from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute
from tests.modes import run_mode
from tests.tiny import write_run
from tests.tiny_gan import start, tiny_gan


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    """A run whose weights depend on every condition: the initial ones, moved away from zero."""
    path = tmp_path_factory.mktemp("runs") / "run"
    config = tiny_gan(augment__policy="product", augment__adaptive=True, augment__p=0.3)
    state = start(config, store.spec)
    wave = lambda leaf: leaf + 0.1 * np.sin(np.arange(leaf.size)).reshape(leaf.shape)  # noqa: E731
    g = state.nets["g"]
    state = state.replace(nets=state.nets | {"g": g.replace(ema=jax.tree.map(wave, g.ema))})
    write_run(path, store, config, state, 1)
    return path


@pytest.fixture
def pictures(store, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for i, picture in enumerate(store.fetch(store.ids("test")[:3])["image"]):
        Image.fromarray(picture).save(folder / f"{i}.png")
    return folder


def run_mode_on(run, out, mode, **options):
    return run_mode(mode, run, out, **options)


@pytest.mark.parametrize(
    ("mode", "options", "shape"),
    [("grid", {}, (2, 8)), ("interpolate", {"n": 2, "frames": 5}, (2, 5)),
     ("traverse", {"n": 3, "frames": 4}, (3, 4)), ("directions", {"n": 2, "frames": 5}, (2, 5)),
     ("sweep", {"n": 2, "frames": 6, "attributes": {"turn": "*"}}, (2, 6)),
     ("sweep", {"n": 3, "attributes": {"colour": "*", "radius": "4"}}, (3, 2))],
)  # fmt: skip
def test_the_same_command_writes_the_same_sheet(run, tmp_path, mode, options, shape):
    files = run_mode_on(run, tmp_path / "a" / "sheet.png", mode, **options)
    again = run_mode_on(run, tmp_path / "b" / "sheet.png", mode, **options)
    assert [p.read_bytes() for p in files] == [p.read_bytes() for p in again]
    picture = np.asarray(Image.open(files[0]))
    assert picture.shape[0] == shape[0] * 98 + 2 and picture.shape[1] >= shape[1] * 98 + 2
    columns = [picture[:, -2 - 98 * (i + 1) : -2 - 98 * i] for i in range(shape[1])]
    assert all(np.abs(columns[0].astype(int) - c).max() > 0 for c in columns[1:])


def test_temperature_is_the_truncation(run):
    """At 0 every latent is the same: only the conditions are left."""
    model = prodgen.model.load(run)
    one = model.conditions.pick(0, np.array([3]))
    conditions = {name: rows.repeat(4, axis=0) for name, rows in one.items()}
    plain = model.decode(model.latents(np.arange(4), 0, 0.0), conditions)
    assert (plain == plain[:1]).all()
    samples = model.decode(model.latents(np.arange(4), 0, 1.0), conditions)
    assert not (samples == samples[:1]).all()


def test_directions_are_the_principal_components_of_the_first_layer():
    matrix = (
        np.diag([1.0, 3.0, 2.0]) @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    )
    units, gains = directions.principal_directions(matrix)
    np.testing.assert_allclose(gains, [3, 2, 1], rtol=1e-9)
    np.testing.assert_allclose(units, np.eye(3)[[1, 2, 0]], atol=1e-6)
    latents = directions.move_along(np.float32([5, 6, 7]), units[0], np.float32([-1, 2]))
    np.testing.assert_allclose(latents, [[5, -1, 7], [5, 2, 7]], atol=1e-5)


def test_sweep_values_cover_each_kind_of_attribute():
    assert sweep.sweep_values(Attribute("colour", "categorical", ("red", "blue")), 9) == [
        "red",
        "blue",
    ]
    assert sweep.sweep_values(Attribute("turn", "angle"), 4) == [0.0, 90.0, 180.0, 270.0]
    assert sweep.sweep_values(Attribute("size", "number", mean=10, std=2), 3) == [6.0, 10.0, 14.0]


def test_a_sweep_varies_one_attribute_in_order(run, tmp_path):
    files = run_mode_on(run, tmp_path / "s.png", "sweep", n=1, frames=5, attributes={"radius": "*"})
    entry = json.loads(files[-1].read_text())["files"]["s.png"]
    assert entry["attribute"] == "radius" and len(entry["values"]) == 5
    assert entry["values"] == sorted(entry["values"])


def test_the_augmentation_is_previewed_on_the_users_images(run, pictures, tmp_path):
    (pictures / "2.png").rename(pictures / os.fsdecode(b"\xff\n"))
    files = run_mode_on(run, tmp_path / "p.png", "augment_preview", input=(str(pictures),))
    entry = json.loads(files[-1].read_text())["files"]["p.png"]
    assert entry["policy"] == "product" and entry["p"] == 0.5
    assert entry["pictures"] == ["0.png", "1.png", "\\xff\n"]
    picture = np.asarray(Image.open(files[0]))
    assert picture.shape == (3 * 98 + 2, 8 * 98 + 2, 3)
    real = np.asarray(Image.open(pictures / "0.png")).repeat(6, 0).repeat(6, 1)
    np.testing.assert_array_equal(picture[2:98, 2:98], real)


def test_errors_name_what_an_adversarial_run_cannot_do(run, pictures, tmp_path):
    with pytest.raises(UsageError, match="has no encoder") as error:
        run_mode_on(run, tmp_path / "r.png", "reconstruct", input=(str(pictures),))
    assert "vae, vaegan" in error.value.next_step
    with pytest.raises(UsageError, match="exactly one attribute"):
        run_mode_on(run, tmp_path / "s.png", "sweep", attributes={"colour": "red"})
    with pytest.raises(UsageError, match="not an attribute"):
        run_mode_on(run, tmp_path / "s.png", "sweep", attributes={"smell": "*"})
