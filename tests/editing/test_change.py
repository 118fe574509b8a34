"""Changing what a run holds of a product: conditions, colours, mixtures."""

import numpy as np
import pytest

from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Spec
from prodgen.editing import change
from tests.tiny import Squares

SPEC = Spec(16, 3, ("disc", "square"), Squares().schema())


def unknown(n: int, spec: Spec = SPEC):
    return {
        "label": np.full(n, -1, np.int32),
        "attributes": np.zeros((n, spec.num_columns), np.float32),
        "known": np.zeros((n, spec.num_columns), bool),
    }


def test_a_value_is_set_and_nothing_else():
    before = unknown(2)
    after = change.with_value(before, SPEC, "colour", "red")
    np.testing.assert_array_equal(after["attributes"], [[0, 1, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(after["known"], [[1, 1, 0, 0, 0]] * 2)
    assert not before["known"].any() and not before["attributes"].any()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("colour", "mauve", "blue, red"), ("size", "3", "colour, radius, turn"),
     ("radius", "x", "a number")],
)  # fmt: skip
def test_what_a_run_does_not_know_is_answered_with_what_it_knows(name, value, said):
    with pytest.raises(UsageError, match=said):
        change.with_value(unknown(1), SPEC, name, value)


def test_a_colour_is_asked_for_by_its_nearest_name():
    swatches = {"blue": (20, 30, 200), "red": (200, 30, 20)}
    after = change.in_colour(unknown(1), SPEC, (255, 0, 0), swatches)
    assert SPEC.attributes[0].decode(after["attributes"][0, :2]) == "red"
    nearer = swatches | {"crimson": (255, 0, 0)}  # which the run does not know
    assert change.in_colour(unknown(1), SPEC, (255, 0, 0), nearer)["known"].any()
    for spec, known in ((Spec(16, 3), swatches), (SPEC, {"crimson": (255, 0, 0)})):
        with pytest.raises(UsageError, match="hears no colour"):
            change.in_colour(unknown(1, spec), spec, (255, 0, 0), known)


@pytest.mark.parametrize(("mean", "deviation", "factor"), [(120.0, 60.0, 1), (0.5, 0.2, 255)])
def test_a_colour_is_asked_for_exactly_where_the_run_hears_numbers(mean, deviation, factor):
    names = ("colour_r", "colour_g", "colour_b")
    numbers = tuple(Attribute(n, "number", mean=mean, std=deviation) for n in names)
    spec = Spec(16, 3, (), numbers)
    after = change.in_colour(unknown(1, spec), spec, (255, 51, 0), {})
    said = [a.decode(after["attributes"][0, i : i + 1]) for i, a in enumerate(numbers)]
    np.testing.assert_allclose(np.array(said) * factor, [255, 51, 0], atol=1e-3)


def test_great_circles_keep_the_length_and_halve_the_angle():
    a, b = np.float32([3, 0]), np.float32([0, 3])
    found = change.great_circle(a, b, np.float32([0, 0.5, 1]))
    root = 3 / np.sqrt(2)
    np.testing.assert_allclose(found, [[3, 0], [root, root], [0, 3]], atol=1e-6)
    straight = change.great_circle(a, 2 * a, np.float32([0.5]))
    np.testing.assert_allclose(straight, [[4.5, 0]], atol=1e-6)


def test_mixing_ends_at_either_product_and_changes_names_half_way():
    two = {
        "label": np.int32([0, 1]),
        "attributes": np.float32([[1, 0, -1, 0, 1], [0, 1, 3, 1, 0]]),
        "known": np.array([[True] * 5, [True, True, True, False, False]]),
    }
    z, mixed = change.mixed(np.float32([[1, 0], [0, 1]]), two, [0, 0.25, 0.75, 1])
    np.testing.assert_array_equal(mixed["label"], [0, 0, 1, 1])
    np.testing.assert_allclose(mixed["attributes"][:, 2], [-1, 0, 2, 3])
    np.testing.assert_array_equal(mixed["known"][:, 3], [True, True, False, False])
    np.testing.assert_allclose(mixed["attributes"][[0, 3]], two["attributes"])
    np.testing.assert_allclose(z[[0, 3]], [[1, 0], [0, 1]], atol=1e-7)
