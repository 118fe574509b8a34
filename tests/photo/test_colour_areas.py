"""The colour areas of drawn products, which is chosen, and what is doubtful."""

import numpy as np
import pytest

from prodgen.core.errors import RejectedItem
from prodgen.photo import colour_areas, recolour
from tests.photo.scenes import cloth

RED, GREY, NAVY, SKIN = (170, 40, 45), (150, 150, 152), (32, 48, 92), (214, 164, 132)
TEAL = (40, 148, 146)


def draw(*parts, side=96):
    """An image of shaded cloth; a part is (colour, rows, columns). The mask is all parts."""
    image, mask = np.full((side, side, 3), 255.0), np.zeros((side, side), bool)
    for colour, rows, columns in parts:
        image[rows, columns] = cloth(side, colour)[rows, columns]
        mask[rows, columns] = True
    return np.uint8(np.rint(image)), mask


def change(image, mask, **choice):
    return recolour.recolour(image, mask, TEAL, region="dominant", **choice)


BAG = draw((GREY, slice(10, 90), slice(10, 86)), (RED, slice(30, 50), slice(10, 86)))


def test_the_areas_of_a_bag_are_its_colours_with_their_shares():
    image, mask = BAG
    areas = colour_areas.find_areas(image[mask]).areas
    assert [round(area.fraction, 2) for area in areas] == [0.75, 0.25]
    for area, colour in zip(areas, (GREY, RED), strict=True):
        assert np.abs(np.array(area.rgb) - colour).max() < 12


@pytest.mark.parametrize(
    ("choice", "changed_rows"),
    [
        ({}, 70),
        ({"source": (190, 40, 40)}, 40),
        ({"point": (40, 40)}, 40),
        ({"point": (40, 80)}, 70),
    ],
)
def test_the_dominant_colour_changes_or_the_one_that_is_meant(choice, changed_rows):
    image, mask = BAG
    result = change(image, mask, **choice)
    is_changed = np.abs(result.image.astype(int) - image).max(axis=2) > 8
    kept_rows = 110 - changed_rows
    assert is_changed[changed_rows, 12:84].mean() > 0.95
    assert not is_changed[kept_rows, 12:84].any()
    # The reported error is that of the part that was meant.
    assert result.delta_e_after < 3
    assert result.region_fraction == pytest.approx(0.25 if changed_rows == 40 else 0.75, abs=0.03)


def test_a_colour_that_the_product_lacks_and_a_point_outside_are_refused():
    image, mask = BAG
    with pytest.raises(
        RejectedItem, match="no part of the product has that colour; its colours: #"
    ):
        change(image, mask, source=(40, 200, 60))
    for point in ((2, 2), (500, 3)):
        with pytest.raises(RejectedItem, match="is outside the product"):
            change(image, mask, point=point)


def doubts_of(parts, is_named=False):
    result = change(*draw(*parts))
    return colour_areas.find_doubts(result.areas, result.area, is_named)


def test_stripes_of_two_colours_are_doubtful_unless_the_colour_is_named():
    stripes = [(NAVY if i % 2 else (235, 233, 230), slice(10, 90), slice(i * 8, i * 8 + 8))
               for i in range(1, 11)]  # fmt: skip
    assert "another colour is nearly as large" in doubts_of(stripes)[0]
    assert doubts_of(stripes, is_named=True) == ()


@pytest.mark.parametrize("skin", [SKIN, (120, 80, 58), (236, 196, 172), (84, 56, 44)])
@pytest.mark.parametrize("shirt", [RED, GREY, NAVY, (236, 120, 60)])
def test_skin_does_not_change_or_the_row_is_doubtful(skin, shirt):
    parts = [(shirt, slice(25, 65), slice(20, 76)), (skin, slice(4, 24), slice(38, 58)),
             (skin, slice(66, 94), slice(30, 66))]  # fmt: skip
    image, mask = draw(*parts)
    result = change(image, mask)
    change_of_skin = np.abs(result.image[70:90, 32:64].astype(int) - image[70:90, 32:64]).mean()
    assert change_of_skin < 3 or colour_areas.find_doubts(result.areas, result.area, False)
    if skin != (84, 56, 44):  # the darkest is told from brown cloth by nothing
        assert colour_areas.find_doubts(result.areas, result.area, False)


def test_skin_that_is_most_of_the_picture_is_doubtful_whatever_was_named():
    """A person in little clothing, or in clothes of the skin's colour, is not told from leather."""
    for parts in (
        [(SKIN, slice(4, 92), slice(20, 76)), (RED, slice(30, 42), slice(20, 76))],
        [(SKIN, slice(10, 90), slice(20, 76))],
    ):
        for is_named in (False, True):
            assert "skin may be changed" in doubts_of(parts, is_named)[0]
    assert doubts_of([(GREY, slice(10, 90), slice(20, 76))]) == ()


def test_a_strong_colour_does_not_name_a_grey_product_nor_grey_a_strong_one():
    bag = draw((GREY, slice(10, 90), slice(10, 86)))
    for source in ((76, 140, 84), (40, 148, 146), (48, 94, 182)):
        with pytest.raises(RejectedItem, match="no part of the product has that colour"):
            change(*bag, source=source)
    with pytest.raises(RejectedItem, match="no part of the product has that colour"):
        change(*draw((TEAL, slice(10, 90), slice(10, 86))), source=(138, 142, 146))
    assert change(*bag, source=(120, 120, 122)).delta_e_after < 3
