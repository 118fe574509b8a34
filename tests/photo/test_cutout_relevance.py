"""Which doubts about a cut-out concern a recolouring in the photo."""

import numpy as np
import pytest

from prodgen.photo import colour_areas, recolour
from prodgen.photo.cutout_quality import CutoutQuality
from prodgen.photo.cutout_relevance import split_cutout_doubts
from prodgen.photo.mask_estimate import Finding

RED, TEAL, WALL = (170, 40, 45), (40, 148, 146), (205, 204, 200)
SMALL = Finding("methods_differ", "the network sees no product in this part, 8% of the product")


def split_doubts(finding, num_lost=0, product=RED, wall=WALL):
    """(doubts, notes) about a block whose cut-out lacks the last `num_lost` of its 60 columns."""
    image = np.full((96, 96, 3), wall, np.uint8)
    image[20:80, 18:78] = product
    mask = np.zeros((96, 96), bool)
    mask[20:80, 18 : 78 - num_lost] = True
    result = recolour.recolour(image, mask, TEAL, region="dominant")
    assert colour_areas.find_doubts(result.areas, result.area, False) == ()
    return split_cutout_doubts(CutoutQuality((finding,), 0.4, None), result.relevance)


def test_a_doubt_about_a_part_without_the_changed_colour_is_a_note():
    assert split_doubts(SMALL) == ((), (str(SMALL),))
    assert split_doubts(Finding("hairline", "a line thinner than 5 pixels is left out"))[0] == ()


def test_two_pieces_that_are_alike_are_one_product():
    image, mask = np.full((96, 96, 3), WALL, np.uint8), np.zeros((96, 96), bool)
    mask[20:80, 10:40] = mask[20:80, 56:86] = True
    several = CutoutQuality((Finding("several", "2 pieces of similar size"),), 0.4, None)
    for other, doubts in (RED, ()), ((30, 60, 160), several.describe_doubts()):
        image[:, :48][mask[:, :48]], image[:, 48:][mask[:, 48:]] = RED, other
        result = recolour.recolour(image, mask, TEAL, region="dominant")
        assert split_cutout_doubts(several, result.relevance)[0] == doubts


@pytest.mark.parametrize(
    ("finding", "options"),
    [
        (SMALL, {"num_lost": 12}),  # the lost part keeps the old colour
        (SMALL, {"product": (198, 198, 196)}),  # the background would change as the product does
        (Finding("methods_differ", "only the colour shows this part, 30% of the product"), {}),
        (Finding("encloses_background", "bands are kept as stripes, centre"), {}),
        (Finding("undecided", "the network is undecided about this part, 8% of the product"), {}),
        (Finding("several", "2 pieces of similar size"), {}),
    ],
)
def test_any_other_doubt_about_the_cutout_stays(finding, options):
    assert split_doubts(finding, **options) == ((str(finding),), ())
