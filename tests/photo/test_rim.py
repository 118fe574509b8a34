"""The rim of a recoloured product takes the new colour, and a trim there keeps its own."""

import numpy as np
import pytest

from prodgen.photo.rim import extend_to_rim

DARK, GROUND, TRIM = (40, 42, 44), (150, 40, 40), (230, 220, 60)


@pytest.mark.parametrize(("rim", "has_changed"), [("mixture", True), ("trim", False)])
def test_a_mixture_with_the_ground_belongs_to_the_area_inside(rim, has_changed):
    image = np.full((60, 60, 3), GROUND, np.uint8)
    mask, inside = np.zeros((60, 60)), slice(12, 48)
    mask[10:50, 10:50] = 1
    colour = 0.8 * np.array(DARK) + 0.2 * np.array(GROUND) if rim == "mixture" else TRIM
    image[10:50, 10:50] = np.uint8(colour)
    image[inside, inside] = DARK
    membership = np.zeros((60, 60), np.float32)
    membership[inside, inside] = 1
    result = extend_to_rim(membership, image, mask, DARK)
    is_rim = (mask > 0) & (membership == 0)
    assert (result[is_rim] > 0.9).all() if has_changed else (result[is_rim] == 0).all()
    # Nothing outside the mask, and nothing less inside.
    assert (result[mask == 0] == 0).all() and (result >= membership).all()


def test_a_narrow_strap_of_another_colour_stays():
    image = np.full((60, 60, 3), DARK, np.uint8)
    image[:, 28:32] = TRIM
    membership = (image[..., 0] == DARK[0]).astype(np.float32)
    result = extend_to_rim(membership, image, np.ones((60, 60)), DARK)
    assert np.array_equal(result, membership)
