"""Medians of product measures, and colours against those asked for."""

import numpy as np
import pytest

from prodgen.core.types import Attribute, Spec
from prodgen.metrics import packshot

RED, BLUE = (200, 30, 30), (30, 30, 200)


def images(colours, side=20, at=(22, 22)):
    """A square of each colour on white, 64 pixels a side."""
    out = np.full((len(colours), 64, 64, 3), 255, np.uint8)
    for image, colour in zip(out, colours, strict=True):
        image[at[0] : at[0] + side, at[1] : at[1] + side] = colour
    return out


def rows(spec, conditions):
    return {
        "attributes": np.stack(
            [np.concatenate([a.encode(v) for a, v in zip(spec.attributes, one, strict=True)])
             for one in conditions]
        ),
        "known": np.ones((len(conditions), spec.num_columns), bool),
    }  # fmt: skip


def test_the_summary_of_squares_and_of_nothing():
    result = packshot.summarise(images([RED, BLUE, RED]))
    assert result["shown"] == 1 and result["white_mean"] == 0 and result["evenness"] == 0
    assert result["fill"] == pytest.approx(20 / 64) and result["area"] == pytest.approx(400 / 4096)
    assert result["off_centre"] == 0
    shifted_image = packshot.summarise(images([RED], at=(22, 30)))
    assert shifted_image["off_centre"] == pytest.approx(8 / 64)
    empty = packshot.summarise(np.full((3, 64, 64, 3), 255, np.uint8))
    assert empty["shown"] == 0 and np.isnan(empty["fill"])


@pytest.mark.parametrize("scale", [1, 255])
def test_a_colour_requested_in_numbers(scale):
    """Columns may be of 255 or of 1; the distance of the product to itself is 0."""
    spec = Spec(64, 3, (), tuple(Attribute(name, "number") for name in packshot.COLOUR_CHANNELS))
    red, blue = ([x / 255 * scale for x in colour] for colour in (RED, BLUE))
    real = rows(spec, [red, blue]) | {"image": images([RED, BLUE])}
    right = packshot.colour_differences(spec, images([RED, BLUE]), rows(spec, [red, blue]), real)
    assert right == pytest.approx({"palette": 0, "colour": 0}, abs=1e-6)
    wrong = packshot.colour_differences(spec, images([BLUE, RED]), rows(spec, [red, blue]), real)
    assert wrong["palette"] == pytest.approx(0, abs=1e-6) and wrong["colour"] > 40


def test_a_colour_requested_by_name_is_that_of_the_real_products():
    spec = Spec(64, 3, (), (Attribute("colour", "categorical", ("blue", "red", "rare")),))
    real = rows(spec, [["red"]] * 3 + [["blue"]] * 3) | {"image": images([RED] * 3 + [BLUE] * 3)}
    conditions = rows(spec, [["red"], ["rare"]])
    assert packshot.colour_differences(spec, images([RED, RED]), conditions, real)[
        "colour"
    ] == pytest.approx(0, abs=1e-6)
    assert packshot.colour_differences(spec, images([BLUE, RED]), conditions, real)["colour"] > 40
    conditions["known"][:] = False
    assert np.isnan(
        packshot.colour_differences(spec, images([BLUE, RED]), conditions, real)["colour"]
    )


def test_without_conditions_only_the_palette_is_compared():
    spec = Spec(64, 3)
    result = packshot.colour_differences(spec, images([BLUE]), None, {"image": images([RED])})
    assert set(result) == {"palette"} and result["palette"] > 40
