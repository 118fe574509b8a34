"""Variations: where they come from, what they keep, how far apart they are."""

import numpy as np
import pytest

from prodgen.core.types import Spec
from prodgen.editing import neighbourhood
from tests.tiny import Squares

SPEC = Spec(16, 3, ("disc", "square"), Squares().schema())


def rows(n: int, label: int, value: float):
    return {
        "label": np.full(n, label, np.int32),
        "attributes": np.full((n, SPEC.num_columns), value, np.float32),
        "known": np.full((n, SPEC.num_columns), bool(value)),
    }


def test_strength_leads_from_the_product_to_the_prior():
    z, indices = np.float32([2.0, -1, 0, 1]), np.arange(4000)
    np.testing.assert_allclose(neighbourhood.near(z, 0.0, 3, indices), np.tile(z, (4000, 1)))
    half = neighbourhood.near(z, 0.6, 3, indices)
    np.testing.assert_allclose(half.mean(0), 0.8 * z, atol=0.05)
    np.testing.assert_allclose(half.std(0), 0.6, atol=0.03)
    fresh = neighbourhood.near(z, 1.0, 3, indices)
    np.testing.assert_allclose([fresh.mean(), fresh.std()], [0, 1], atol=0.03)
    np.testing.assert_array_equal(neighbourhood.near(z, 0.6, 3, indices[5:9]), half[5:9])


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_what_is_not_kept_is_drawn_anew_with_chance_strength(strength):
    fresh = rows(4000, 1, 2.0)
    found = neighbourhood.loosened(rows(1, 0, 1.0), fresh, ("colour",), strength, 0, SPEC)
    assert (found["attributes"][:, :2] == 1).all()  # the colour's columns
    np.testing.assert_allclose((found["attributes"][:, 2] == 2).mean(), strength, atol=0.03)
    np.testing.assert_allclose((found["label"] == 1).mean(), strength, atol=0.03)
    both = found["attributes"][:, 3:] == 2
    assert (both[:, 0] == both[:, 1]).all()  # an angle changes as a whole


def test_a_kept_category_and_shape_stay():
    found = neighbourhood.loosened(
        rows(1, 0, 1.0), rows(50, 1, 2.0), ("category", "shape"), 1.0, 0, SPEC
    )
    assert (found["label"] == 0).all() and (found["attributes"][:, 2:] == 1).all()
    assert (found["attributes"][:, :2] == 2).all()


def test_near_identical_ones_are_passed_over():
    features = np.array([[0.0], [0.05], [1.0], [1.02], [2.0], [3.0]])
    good = np.array([True, True, True, True, False, True])
    np.testing.assert_array_equal(neighbourhood.apart(features, good, 3, 0.5), [0, 2, 5])
    np.testing.assert_array_equal(neighbourhood.apart(features, good, 2, 0.5), [0, 2])
    np.testing.assert_array_equal(neighbourhood.apart(features, good, 9, 0.0), [0, 1, 2, 3, 5])


def test_what_lacks_is_filled_with_good_ones_first_and_never_with_refused_ones():
    good, left = np.array([True, False, True, True]), np.ones(4, bool)
    one = np.array([2])
    np.testing.assert_array_equal(neighbourhood.filled(one, good, 3, left), [2, 0, 3])
    np.testing.assert_array_equal(neighbourhood.filled(one, good, 4, left), [2, 0, 3, 1])
    left[0] = False
    np.testing.assert_array_equal(neighbourhood.filled(one, good, 4, left), [2, 3, 1])


def test_overlap_of_masks():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert neighbourhood.overlap(a, b) == 1
    a[:2], b[1:3] = True, True
    assert neighbourhood.overlap(a, b) == pytest.approx(4 / 12)
