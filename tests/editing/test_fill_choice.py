"""The fill of a hole: by whichever is nearer to held-out images, compared once for each hole."""

import types

import numpy as np

from prodgen.core.errors import MissingRunData
from prodgen.editing import fill_choice


class StripedStore:
    """Eight held-out images of vertical stripes."""

    def evenly_spaced_ids(self, split, n):
        return np.arange(8 if split == "validation" else 0)[:n]

    def fetch(self, ids):
        stripe = np.where(np.arange(32) // 4 % 2, 220, 40)
        image = np.broadcast_to(np.uint8(stripe)[None, :, None], (32, 32, 3))
        return {"image": np.stack([image] * len(ids))}


def make_inverter(path, value=None, calls=None):
    """An inverter that gives back the stripes, or images of one value."""

    def invert(images, region):
        truth = StripedStore().fetch(np.arange(len(images)))["image"]
        reconstruction = truth if value is None else np.full_like(truth, value)
        calls.append(region.min()) if calls is not None else None
        return types.SimpleNamespace(reconstruction=reconstruction)

    run = types.SimpleNamespace(path=path, record={"fingerprint": "f"}, step=3)
    invert.model = types.SimpleNamespace(run=run, store=StripedStore)
    invert.steps = 4
    return invert


def make_hole():
    hole = np.zeros((32, 32), bool)
    hole[10:20, 10:20] = True
    return hole


def test_patches_are_chosen_where_the_run_is_worse_and_compared_once(tmp_path):
    calls = []
    inverter = make_inverter(tmp_path, 127, calls)
    choice = fill_choice.choose_fill(inverter, make_hole())
    assert choice.method == "classical" and choice.classical_error == 0.0
    assert choice.generated_error > 80 and "own patches" in choice.describe()
    assert fill_choice.choose_fill(inverter, make_hole()) == choice and calls == [0.0]
    fill_choice.choose_fill(inverter, make_hole().T | np.eye(32, dtype=bool))
    assert len(calls) == 2  # another hole


def test_the_run_is_chosen_where_it_is_better(tmp_path, monkeypatch):
    fills = lambda image, hole: np.full_like(image, 255)  # noqa: E731
    monkeypatch.setattr(fill_choice.patch_fill, "fill_hole", fills)
    choice = fill_choice.choose_fill(make_inverter(tmp_path), make_hole())
    assert choice.method == "generated" and "filled by the run" in choice.describe()


def test_nothing_is_compared_without_images_or_without_surroundings(tmp_path):
    inverter = make_inverter(tmp_path)
    assert fill_choice.choose_fill(inverter, np.ones((32, 32), bool)) is None

    def raise_missing():
        raise MissingRunData("gone", "put them back")

    inverter.model.store = raise_missing
    assert fill_choice.choose_fill(inverter, make_hole()) is None
