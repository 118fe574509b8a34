"""Conditions read off images before a descent."""

import numpy as np

from prodgen.core.types import Spec
from prodgen.editing import initialisation
from tests.tiny import Squares

SPEC = Spec(16, 3, ("disc", "square"), Squares().schema())


def test_conditions_are_recognised_where_they_are_probable():
    """K = 2 logits, colour's 2, radius, turn's sine and cosine."""
    outputs = np.float32([[3, 0, 0, 5, 1.5, 3, 4], [0.0, 0.0, 9, 0, -1, 0.1, 0.2]])
    conditions = initialisation.recognise_conditions(outputs, SPEC)
    np.testing.assert_array_equal(conditions["label"], [0, 0])  # exactly half is enough
    np.testing.assert_allclose(conditions["attributes"][0], [0, 1, 1.5, 0.6, 0.8], atol=1e-6)
    np.testing.assert_array_equal(conditions["known"][1], [True, True, True, False, False])
    np.testing.assert_allclose(conditions["attributes"][1], [1, 0, -1, 0, 0], atol=1e-6)


def test_a_category_below_half_is_unknown():
    spec, outputs = Spec(16, 3, ("a", "b", "c")), np.float32([[1.0, 0.9, 0.8], [9, 0, 0]])
    conditions = initialisation.recognise_conditions(outputs, spec)
    np.testing.assert_array_equal(conditions["label"], [-1, 0])


def test_columns_of_numbers_and_angles_are_free():
    np.testing.assert_array_equal(initialisation.free_column_mask(SPEC), [0, 0, 1, 1, 1])


def test_angles_return_to_the_circle_and_unknown_ones_stay_zero():
    attributes = np.float32([[0, 1, 2, 3, 4], [0, 1, 2, 0.3, 0.4]])
    known = np.array([[True] * 5, [True] * 3 + [False] * 2])
    unit_attributes = initialisation.normalise_angles(attributes, known, SPEC)
    np.testing.assert_allclose(unit_attributes, [[0, 1, 2, 0.6, 0.8], [0, 1, 2, 0, 0]], atol=1e-6)
