"""Holes filled with patches of the photo: stripes continue, flat areas stay flat."""

import numpy as np
import pytest

from prodgen.photo.patch_fill import fill_hole


def stripes(height=60, width=80, period=10):
    values = np.where(np.arange(width) // (period // 2) % 2, 220, 40)
    return np.broadcast_to(np.uint8(values)[None, :, None], (height, width, 3)).copy()


def test_stripes_continue_through_the_hole():
    image, hole = stripes(), np.zeros((60, 80))
    hole[20:40, 33:52] = 1
    torn_image = image.copy()
    torn_image[hole > 0] = 127
    np.testing.assert_array_equal(fill_hole(torn_image, hole), image)


def test_large_photos_are_filled_with_their_own_pixels():
    image, hole = stripes(600, 800, 40), np.zeros((600, 800))
    hole[200:420, 300:520] = 1
    torn_image = image.copy()
    torn_image[hole > 0] = 127
    result = fill_hole(torn_image, hole)
    assert set(np.unique(result)) == {40, 220}
    assert (result == image).mean() > 0.97
    np.testing.assert_array_equal(result[hole == 0], image[hole == 0])


def test_a_soft_hole_is_mixed_and_nothing_else_changes():
    image, hole = np.full((40, 40, 3), 100, np.uint8), np.zeros((40, 40))
    hole[10:20, 10:20] = 0.5
    image[10:20, 10:20] = 200
    result = fill_hole(image, hole)
    assert (result[12:18, 12:18] == 150).all()
    np.testing.assert_array_equal(result[hole == 0], image[hole == 0])


def test_a_hole_that_leaves_only_a_rim_takes_the_nearest_pixels():
    image, hole = np.full((12, 12, 1), 30, np.uint8), np.ones((12, 12))
    hole[:, 0] = 0
    assert (fill_hole(image, hole) == 30).all()


def test_a_hole_that_is_everything_is_an_error():
    with pytest.raises(ValueError, match="leaves nothing known"):
        fill_hole(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8)))
