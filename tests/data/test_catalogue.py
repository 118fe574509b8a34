"""The embedded catalogue: the same bytes always, clean images, correct attributes."""

import dataclasses
import hashlib
import pickle

import numpy as np
import pytest

from prodgen.catalogue.products import COLOURS, KINDS
from prodgen.data import catalogue
from prodgen.data.catalogue import Catalogue, render_product, sample_product

NAMES = [kind.name for kind in KINDS]


@pytest.fixture(scope="module")
def items():
    return list(Catalogue(64, 32, seed=3).stream(0, 48))


def digest(images):
    return hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()


def test_bytes_do_not_depend_on_how_the_range_is_split(items):
    source = pickle.loads(pickle.dumps(Catalogue(64, 32, seed=3)))
    again = [*source.stream(16, 21), *source.stream(21, 24)]
    assert digest(i.image for i in again) == digest(i.image for i in items[16:24])
    assert [i.attributes for i in again] == [i.attributes for i in items[16:24]]


def test_golden_bytes():
    """Fails when an image's bytes change: if that is intended, raise catalogue.VERSION."""
    images = [item.image for item in Catalogue(16, 32, seed=0).stream(0, 16)]
    assert catalogue.VERSION == "1"
    assert digest(images) == "ad9ab15766c9560af41466817a95089e6a213bd593029992092223594b9757dd"


def test_seeds_differ():
    assert (
        render_product(sample_product(0, 4), 16).tobytes()
        != render_product(sample_product(1, 4), 16).tobytes()
    )


def test_images_are_clean_packshots(items):
    for item in items:
        image = item.image
        assert image.shape == (32, 32, 4) and image.dtype == np.uint8
        rim = [image[0], image[-1], image[:, 0], image[:, -1]]
        assert all((edge[:, 3] == 0).all() for edge in rim), f"{item.name} touches the border"
        assert all((edge[:, :3] > 245).all() for edge in rim)
        assert (image[::31, ::31, :3] == 255).all()
        assert 0.08 < (image[..., 3] > 127).mean() < 0.7, item.name
        assert image[..., :3].min() < 200, f"{item.name} does not stand out"


def test_a_range_holds_every_kind_and_captions_name_the_product(items):
    assert {item.category for item in items[:16]} == set(Catalogue(64, 32).classes())
    for item in items:
        assert item.name.startswith(f"{item.category}-")
        assert item.category in item.caption and item.attributes["colour"] in item.caption
        assert item.attributes["material"] in item.caption and "\n" not in item.caption


def test_attributes_fit_the_schema(items):
    schema = {attribute.name: attribute for attribute in Catalogue(64, 32).schema()}
    for item in items:
        assert item.attributes.keys() == schema.keys()
        for name, value in item.attributes.items():
            decoded_value = schema[name].decode(schema[name].encode(value))
            if schema[name].kind == "categorical":
                assert decoded_value == value
            elif schema[name].kind == "angle":
                assert decoded_value == pytest.approx(value % 360, abs=1e-3)
            else:
                assert decoded_value == pytest.approx(value, abs=1e-3)
        sides = [item.attributes[name] for name in ("width", "height", "depth")]
        assert max(sides) == pytest.approx(1.0) and min(sides) > 0.05


def test_an_image_shows_the_colour_of_its_product():
    """A matte product's median colour is nearer to its own colour than to most others."""
    names = list(COLOURS)
    reference_colours = np.array([COLOURS[name][0] for name in names], float)
    correct = 0
    for id in range(0, 16 * 40, 16):  # mugs
        sample = dataclasses.replace(sample_product(0, id), material="matte")
        image = render_product(sample, 24)
        colour = np.median(image[image[..., 3] == 255][:, :3].astype(float), axis=0)
        nearest = names[int(np.argmin(((reference_colours - colour) ** 2).sum(1)))]
        correct += nearest == sample.colour
    assert correct >= 24


def test_every_kind_has_many_parameters_and_variants():
    assert len(KINDS) >= 14 and len(set(NAMES)) == len(KINDS)
    for kind in KINDS:
        assert len(kind.ranges) >= 5 and 2 <= len(kind.variants) <= 3
        assert all(low < high for low, high in kind.ranges.values())


@pytest.mark.parametrize("number", range(len(KINDS)), ids=NAMES)
def test_every_shape_parameter_and_the_azimuth_change_the_image(number):
    base = sample_product(0, number)
    kind = base.kind

    def render_variant(variant, **changes):
        shape = {name: (low + high) / 2 for name, (low, high) in kind.ranges.items()} | changes
        view = dataclasses.replace(base.view, azimuth=20.0, elevation=25.0)
        return render_product(
            dataclasses.replace(base, variant=variant, shape=shape, view=view), 24
        )

    variants = [render_variant(variant) for variant in range(len(kind.variants))]
    assert len({p.tobytes() for p in variants}) == len(variants)
    for name, (low, high) in kind.ranges.items():
        assert any(
            (
                render_variant(variant, **{name: low}) != render_variant(variant, **{name: high})
            ).any()
            for variant in range(len(kind.variants))
        ), f"{name} changes nothing"
    front = dataclasses.replace(base, view=dataclasses.replace(base.view, azimuth=0.0))
    side = dataclasses.replace(base, view=dataclasses.replace(base.view, azimuth=40.0))
    difference = abs(render_product(front, 32).astype(int) - render_product(side, 32).astype(int))
    assert (difference[..., :3] > 24).any(-1).mean() > 0.02


def test_products_are_inside_their_boxes():
    """The image is cropped to the box, so a product may exceed it by very little."""
    grid = np.linspace(-1.2, 1.2, 40).astype(np.float32)
    a, b = (axis.ravel() for axis in np.meshgrid(grid, grid))
    for id in range(160):
        body = sample_product(7, id).body
        half = [(high - low) / 2 for low, high in zip(body.low, body.high, strict=True)]
        for axis in range(3):
            for sign in (-1, 1):
                faces = {axis: np.full(a.shape, sign * (half[axis] + 0.03), np.float32)}
                first, second = (i for i in range(3) if i != axis)
                faces |= {first: a * half[first], second: b * half[second]}
                p = tuple((faces[i] + body.centre[i]).astype(np.float32) for i in range(3))
                assert body.distance(p).min() > 0, (
                    f"{sample_product(7, id).kind.name} {id}: axis {axis}"
                )


def test_from_config(data):
    source = catalogue.from_config(data)
    assert (len(source), source.resolution, source.seed) == (4096, 16, 0)
    assert source.parallel and source.is_composited
    assert source.content() != Catalogue(4096, 16, seed=1).content()
