"""Edits of a product's conditions: attributes and colours."""

import numpy as np
import pytest

from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Spec
from prodgen.editing import condition_edits
from tests.tiny import Squares

SPEC = Spec(16, 3, ("disc", "square"), Squares().schema())


def unknown_conditions(n: int, spec: Spec = SPEC):
    return {
        "label": np.full(n, -1, np.int32),
        "attributes": np.zeros((n, spec.num_columns), np.float32),
        "known": np.zeros((n, spec.num_columns), bool),
    }


def test_an_attribute_is_set_and_nothing_else():
    before = unknown_conditions(2)
    after = condition_edits.set_attribute(before, SPEC, "colour", "red")
    np.testing.assert_array_equal(after["attributes"], [[0, 1, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(after["known"], [[1, 1, 0, 0, 0]] * 2)
    assert not before["known"].any() and not before["attributes"].any()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("colour", "mauve", "blue, red"), ("size", "3", "colour, radius, turn"),
     ("radius", "x", "a number")],
)  # fmt: skip
def test_an_unknown_attribute_or_value_is_an_error_that_lists_the_known_ones(name, value, message):
    with pytest.raises(UsageError, match=message):
        condition_edits.set_attribute(unknown_conditions(1), SPEC, name, value)


def test_a_colour_is_set_by_its_nearest_name():
    swatches = {"blue": (20, 30, 200), "red": (200, 30, 20)}
    after = condition_edits.set_colour(unknown_conditions(1), SPEC, (255, 0, 0), swatches)
    assert SPEC.attributes[0].decode(after["attributes"][0, :2]) == "red"
    nearer = swatches | {"crimson": (255, 0, 0)}  # which the run does not know
    conditions = condition_edits.set_colour(unknown_conditions(1), SPEC, (255, 0, 0), nearer)
    assert conditions["known"].any()
    for spec, colours in ((Spec(16, 3), swatches), (SPEC, {"crimson": (255, 0, 0)})):
        with pytest.raises(UsageError, match="trained without colours"):
            condition_edits.set_colour(unknown_conditions(1, spec), spec, (255, 0, 0), colours)


@pytest.mark.parametrize(("mean", "std", "factor"), [(120.0, 60.0, 1), (0.5, 0.2, 255)])
def test_a_colour_is_set_exactly_where_the_run_has_colour_channels(mean, std, factor):
    names = ("colour_r", "colour_g", "colour_b")
    channels = tuple(Attribute(name, "number", mean=mean, std=std) for name in names)
    spec = Spec(16, 3, (), channels)
    after = condition_edits.set_colour(unknown_conditions(1, spec), spec, (255, 51, 0), {})
    levels = [a.decode(after["attributes"][0, i : i + 1]) for i, a in enumerate(channels)]
    np.testing.assert_allclose(np.array(levels) * factor, [255, 51, 0], atol=1e-3)
