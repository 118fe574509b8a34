"""prodgen in a notebook: one image or many by one convention, and wrong arguments in one line."""

import numpy as np
import pytest

import prodgen
import prodgen.model
from prodgen.core.errors import UsageError
from tests.tiny import first_run, tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory, store):
    return prodgen.load(first_run(tmp_path_factory.mktemp("library") / "run", store, tiny(), 2))


@pytest.fixture(scope="module")
def images(store):
    return store.fetch(store.ids("test")[:3])["image"]


def test_one_image_gives_one_result_and_many_give_as_many(model, images):
    latents = model.encode(images)
    assert latents.shape == (3, 4)
    np.testing.assert_array_equal(model.encode(images[1]), latents[1])
    np.testing.assert_array_equal(model.encode(list(images)), latents)
    pictures = model.decode(latents)
    assert pictures.shape == (3, 16, 16, 3) and pictures.dtype == np.uint8
    np.testing.assert_array_equal(model.decode(latents[1]), pictures[1])
    np.testing.assert_array_equal(model.reconstruct(images), pictures)
    np.testing.assert_array_equal(model.reconstruct(images[2]), pictures[2])


def test_none_gives_none(model):
    assert model.sample(0).shape == (0, 16, 16, 3)
    assert model.encode([]).shape == (0, 4)
    assert model.decode(np.zeros((0, 4))).shape == (0, 16, 16, 3)
    assert model.vary([], 4) == []


def test_the_representation_says_what_the_run_is(model):
    assert "vae" in repr(model) and "16 x 16 RGB" in repr(model) and "disc, square" in repr(model)


@pytest.mark.slow
def test_the_representation_says_what_the_run_is_fit_for(model, store, monkeypatch):
    run_model = model._model
    monkeypatch.setattr(prodgen.model.Model, "store", lambda self: store)
    monkeypatch.setattr(run_model, "_fitness", None)
    assert "fitness: not measured" in repr(model)
    result = model.measure_fitness()
    assert model.measure_fitness() is result
    assert result.uses["vary"].level == "unfit" and "unfit: " in repr(model)
    assert "vary" in repr(model).split("unfit: ")[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, x: m.sample(-1), "n=-1 is no whole number of 0"),
        (lambda m, x: m.sample(2.5), "n=2.5 is no whole number"),
        (lambda m, x: m.sample(1, temperature=float("nan")), "temperature=nan is no number"),
        (lambda m, x: m.encode(x.astype(np.float32)), "not float32 [16, 16, 3]"),
        (lambda m, x: m.encode(x[0, :8]), "several of them, not uint8"),
        (lambda m, x: m.encode([x[0], x[0, :8]]), "not uint8 [8, 16, 3]"),
        (lambda m, x: m.encode(3), "not int64 []"),
        (lambda m, x: m.decode(np.zeros(5)), "latents must be finite numbers [4] or [N, 4]"),
        (lambda m, x: m.decode(np.full(4, np.nan)), "latents must be finite"),
        (lambda m, x: m.vary(x[0], 2, strength=3), "strength=3 is no number of 0 to 1"),
        (lambda m, x: m.vary(x[0], 2, strength=float("nan")), "strength=nan"),
        (lambda m, x: m.vary(x[0], 2, keep="hue"), "keep='hue' is none of shape, colour"),
        (lambda m, x: m.vary(x[0], 2, keep=5), "keep=5 is no text"),
        (lambda m, x: m.sample(2, label=3), "label=3 is no text"),
        (lambda m, x: m.sample(2, seed=-1), "seed=-1 is no whole number"),
        (lambda m, x: m.sample(2, attributes="red"), "attributes='red' is no dict"),
        (lambda m, x: m.sample(2, attributes={"colour": 5}), "attributes['colour']=5 is no text"),
        (lambda m, x: m.read(5), "paths=5 is no path"),
        (lambda m, x: prodgen.load(5), "workdir=5 is no path"),
        (lambda m, x: m.views(x[0], 0), "frames=0 is no whole number of 1"),
        (lambda m, x: m.invert([]), "images is empty"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(model, images, call, words):
    with pytest.raises(UsageError) as error:
        call(model, images)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
def test_variations_of_one_and_of_several_are_the_same(model, images, store, monkeypatch):
    monkeypatch.setattr(prodgen.model.Model, "store", lambda run_model: store)
    more = model.vary(images[0], 3, keep="colour", seed=1)
    assert more.shape[1:] == (16, 16, 3)
    both = model.vary(images[:2], 3, keep=("colour",), seed=1)
    np.testing.assert_array_equal(both[0], more)
    one, several = model.invert(images[0]), model.invert(images[:2])
    assert one.z.shape == (4,) and several.z.shape == (2, 4) and one.conditions["label"].shape == ()
