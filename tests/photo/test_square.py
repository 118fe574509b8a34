"""Where a product's square lies over its photo."""

import numpy as np
import pytest

from prodgen.photo.square import Square


def alpha_of(shape, top, left, bottom, right):
    alpha = np.zeros(shape, np.uint8)
    alpha[top:bottom, left:right] = 255
    return alpha


def test_the_box_fills_the_square_and_is_in_its_middle():
    square = Square.around(alpha_of((100, 80), 10, 20, 53, 60), fill=0.86)
    assert square.side == 50  # 43 rows of 50
    inside = square.crop(alpha_of((100, 80), 10, 20, 53, 60))
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    assert (rows[0], 49 - rows[-1]) in ((3, 4), (4, 3))
    assert (columns[0], 49 - columns[-1]) == (5, 5)


@pytest.mark.parametrize("corner", [(0, 0), (40, 50), (70, 60)])
def test_a_crop_is_pasted_back_at_its_place(corner):
    """Also where the square sticks out of the photo."""
    photo = np.random.default_rng(0).integers(1, 256, (90, 80, 3), np.uint8)
    top, left = corner
    square = Square.around(alpha_of((90, 80), top, left, top + 20, left + 20))
    back = square.paste_back(square.crop(photo), photo.shape[:2])
    inside = square.paste_back(np.ones((square.side, square.side), bool), photo.shape[:2])
    np.testing.assert_array_equal(back[inside], photo[inside])
    assert not back[~inside].any() and inside[top : top + 20, left : left + 20].all()
