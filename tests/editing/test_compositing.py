"""Changes of a small image, carried onto a large photo."""

import numpy as np

from prodgen.editing import compositing
from prodgen.photo.square import Square


def make_scene():
    """A photo [60, 80, 3] with a product, its alpha and its square of 40 pixels."""
    photo = np.random.default_rng(0).integers(0, 200, (60, 80, 3), np.uint8)
    alpha = np.zeros((60, 80), np.uint8)
    alpha[20:54, 30:64] = 255
    return photo, alpha, Square.around(alpha)


def test_a_change_is_added_to_the_photos_own_detail():
    photo, alpha, square = make_scene()
    before = np.full((16, 16, 3), 100, np.uint8)
    after = before + np.uint8([20, 0, 10])
    composite = compositing.add_change(photo, alpha, square, before, after)
    inside = alpha > 0
    expected = photo[inside].astype(int) + [20, 0, 10]
    np.testing.assert_array_equal(composite.image[inside], expected)
    np.testing.assert_array_equal(composite.image[~inside], photo[~inside])
    assert composite.resolution == 14  # of 16 pixels the product has 86 %


def test_no_change_gives_the_photo_back():
    photo, alpha, square = make_scene()
    same = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    composite = compositing.add_change(photo, alpha, square, same, same)
    np.testing.assert_array_equal(composite.image, photo)


def test_generated_pixels_replace_a_region_and_nothing_else():
    photo, _, square = make_scene()
    region = np.zeros((60, 80), np.float32)
    region[25:50, 35:60] = 1
    sample = np.full((16, 16, 3), 250, np.uint8)
    composite = compositing.replace_region(photo, region, square, sample)
    np.testing.assert_array_equal(composite.image[region == 0], photo[region == 0])
    assert (composite.image[30:45, 40:55] == 250).all()
    assert (composite.mask[region == 0] == 0).all()


def test_a_region_is_feathered_inwards():
    region = np.zeros((20, 20), np.float32)
    region[5:15, 5:15] = 1
    soft = compositing.feather(region, 2)
    assert (soft[region == 0] == 0).all() and soft[10, 10] == 1
    row = soft[10, 5:10]
    assert 0 < row[0] < row[1] < 1 and (np.diff(row) >= 0).all()
    whole = compositing.feather(np.ones((8, 8), np.float32), 3)
    np.testing.assert_allclose(whole, 1)  # the border of the image is no edge
