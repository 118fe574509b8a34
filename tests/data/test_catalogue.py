"""The embedded catalogue: the same bytes always, clean pictures, true attributes."""

import dataclasses
import hashlib
import pickle

import numpy as np
import pytest

from prodgen.catalogue.products import COLOURS, KINDS
from prodgen.data import catalogue
from prodgen.data.catalogue import Catalogue, product, render

NAMES = [kind.name for kind in KINDS]


@pytest.fixture(scope="module")
def items():
    return list(Catalogue(64, 32, seed=3).stream(0, 48))


def digest(pictures):
    return hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()


def test_bytes_do_not_depend_on_how_the_range_is_split(items):
    source = pickle.loads(pickle.dumps(Catalogue(64, 32, seed=3)))
    again = [*source.stream(16, 21), *source.stream(21, 24)]
    assert digest(i.image for i in again) == digest(i.image for i in items[16:24])
    assert [i.attributes for i in again] == [i.attributes for i in items[16:24]]


def test_golden_bytes():
    """Fails when a picture's bytes change: if that is intended, raise catalogue.VERSION."""
    pictures = [item.image for item in Catalogue(16, 32, seed=0).stream(0, 16)]
    assert catalogue.VERSION == "1"
    assert digest(pictures) == "ad9ab15766c9560af41466817a95089e6a213bd593029992092223594b9757dd"


def test_seeds_differ():
    assert render(product(0, 4), 16).tobytes() != render(product(1, 4), 16).tobytes()


def test_pictures_are_clean_packshots(items):
    for item in items:
        picture = item.image
        assert picture.shape == (32, 32, 4) and picture.dtype == np.uint8
        rim = [picture[0], picture[-1], picture[:, 0], picture[:, -1]]
        assert all((edge[:, 3] == 0).all() for edge in rim), f"{item.name} touches the border"
        assert all((edge[:, :3] > 245).all() for edge in rim)
        assert (picture[::31, ::31, :3] == 255).all()
        assert 0.08 < (picture[..., 3] > 127).mean() < 0.7, item.name
        assert picture[..., :3].min() < 200, f"{item.name} does not stand out"


def test_a_range_holds_every_kind_and_captions_tell(items):
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
            decoded = schema[name].decode(schema[name].encode(value))
            if schema[name].kind == "categorical":
                assert decoded == value
            elif schema[name].kind == "angle":
                assert decoded == pytest.approx(value % 360, abs=1e-3)
            else:
                assert decoded == pytest.approx(value, abs=1e-3)
        sides = [item.attributes[name] for name in ("width", "height", "depth")]
        assert max(sides) == pytest.approx(1.0) and min(sides) > 0.05


def test_colour_is_seen_in_the_picture():
    """A matte product's median colour is nearer to its own colour than to most others."""
    names = list(COLOURS)
    known = np.array([COLOURS[name][0] for name in names], float)
    seen = 0
    for id in range(0, 16 * 40, 16):  # mugs
        described = dataclasses.replace(product(0, id), material="matte")
        picture = render(described, 24)
        colour = np.median(picture[picture[..., 3] == 255][:, :3].astype(float), axis=0)
        nearest = names[int(np.argmin(((known - colour) ** 2).sum(1)))]
        seen += nearest == described.colour
    assert seen >= 24


def test_every_kind_is_rich():
    assert len(KINDS) >= 14 and len(set(NAMES)) == len(KINDS)
    for kind in KINDS:
        assert len(kind.ranges) >= 5 and 2 <= len(kind.variants) <= 3
        assert all(low < high for low, high in kind.ranges.values())


@pytest.mark.parametrize("number", range(len(KINDS)), ids=NAMES)
def test_every_shape_parameter_and_the_azimuth_change_the_picture(number):
    base = product(0, number)
    kind = base.kind

    def picture(variant, **changes):
        shape = {name: (low + high) / 2 for name, (low, high) in kind.ranges.items()} | changes
        view = dataclasses.replace(base.view, azimuth=20.0, elevation=25.0)
        return render(dataclasses.replace(base, variant=variant, shape=shape, view=view), 24)

    middle = [picture(variant) for variant in range(len(kind.variants))]
    assert len({p.tobytes() for p in middle}) == len(middle)
    for name, (low, high) in kind.ranges.items():
        assert any(
            (picture(variant, **{name: low}) != picture(variant, **{name: high})).any()
            for variant in range(len(kind.variants))
        ), f"{name} changes nothing"
    turned = dataclasses.replace(base, view=dataclasses.replace(base.view, azimuth=0.0))
    other = dataclasses.replace(base, view=dataclasses.replace(base.view, azimuth=40.0))
    difference = abs(render(turned, 32).astype(int) - render(other, 32).astype(int))
    assert (difference[..., :3] > 24).any(-1).mean() > 0.02


def test_boxes_hold_their_products():
    """The frame is cut by the box, so nothing may stick out by more than a trace."""
    grid = np.linspace(-1.2, 1.2, 40).astype(np.float32)
    a, b = (axis.ravel() for axis in np.meshgrid(grid, grid))
    for id in range(160):
        body = product(7, id).body
        half = [(high - low) / 2 for low, high in zip(body.low, body.high, strict=True)]
        for axis in range(3):
            for sign in (-1, 1):
                faces = {axis: np.full(a.shape, sign * (half[axis] + 0.03), np.float32)}
                first, second = (i for i in range(3) if i != axis)
                faces |= {first: a * half[first], second: b * half[second]}
                p = tuple((faces[i] + body.centre[i]).astype(np.float32) for i in range(3))
                assert body.distance(p).min() > 0, f"{product(7, id).kind.name} {id}: axis {axis}"


def test_from_config(data):
    source = catalogue.from_config(data)
    assert (len(source), source.resolution, source.seed) == (4096, 16, 0)
    assert source.parallel and source.composited
    assert source.content() != Catalogue(4096, 16, seed=1).content()
