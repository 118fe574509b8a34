"""Slerp between latents, and interpolation between whole products."""

import numpy as np
import pytest

from prodgen.editing import interpolation


@pytest.mark.parametrize("linear_norm", [False, True])
def test_slerp_keeps_the_ends_and_the_norm_and_halves_the_angle(linear_norm):
    a, b = np.float32([3, 0, 0]), np.float32([0, 3, 0])
    points = interpolation.slerp(a, b, np.array([0.0, 0.5, 1.0]), linear_norm)
    middle = np.float32([1, 1, 0]) * 3 / np.sqrt(2)
    np.testing.assert_allclose(points, [a, middle, b], atol=1e-6)


@pytest.mark.parametrize("linear_norm", [False, True])
def test_slerp_of_parallel_latents_is_linear(linear_norm):
    a = np.float32([3, 0, 0])
    middle = interpolation.slerp(a, 2 * a, np.float32([0.5]), linear_norm)
    np.testing.assert_allclose(middle, [[4.5, 0, 0]], atol=1e-6)


def test_linear_norm_interpolates_direction_and_norm_apart():
    a, b = np.float32([1, 0]), np.float32([0, 3])
    root = 1 / np.sqrt(2)
    middle = interpolation.slerp(a, b, np.float32([0.5]), linear_norm=True)
    np.testing.assert_allclose(middle, [[2 * root, 2 * root]], atol=1e-6)
    shoemake = interpolation.slerp(a, b, np.float32([0.5]))
    np.testing.assert_allclose(shoemake, [[root, 3 * root]], atol=1e-6)


def test_interpolation_ends_at_either_product_and_changes_names_at_one_half():
    two = {
        "label": np.int32([0, 1]),
        "attributes": np.float32([[1, 0, -1, 0, 1], [0, 1, 3, 1, 0]]),
        "known": np.array([[True] * 5, [True, True, True, False, False]]),
    }
    z, conditions = interpolation.interpolate_products(
        np.float32([[1, 0], [0, 1]]), two, [0, 0.25, 0.75, 1]
    )
    np.testing.assert_array_equal(conditions["label"], [0, 0, 1, 1])
    np.testing.assert_allclose(conditions["attributes"][:, 2], [-1, 0, 2, 3])
    np.testing.assert_array_equal(conditions["known"][:, 3], [True, True, False, False])
    np.testing.assert_allclose(conditions["attributes"][[0, 3]], two["attributes"])
    np.testing.assert_allclose(z[[0, 3]], [[1, 0], [0, 1]], atol=1e-7)
