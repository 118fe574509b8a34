"""Adverts: what stands where in each layout, fonts, accents, rims of cut-outs."""

import itertools

import numpy as np
import pytest

from prodgen.core.errors import UsageError
from prodgen.photo import backdrop, fonts, matte, placement, poster, text_block
from prodgen.photo.text_block import Words
from prodgen.photo.text_layout import MIN_CONTRAST_RATIO, contrast_ratio

WORDS = Words("Made for long days", "Light and repairable", "from 49 €", "Shop now")
SIZES = {"landscape": (1200, 628), "square": (540, 540), "tall": (540, 960), "banner": (970, 250)}


AT_LEFT, BELOW, AT_RIGHT = ((False, s == 1, s == 2, s == 3) for s in (1, 2, 3))


def block(height, width, rgb=(200, 30, 40), cut_off=placement.NO_SIDES):
    colour = np.broadcast_to(np.uint8(rgb), (height, width, 3))
    pixels = np.dstack([colour, np.full((height, width), 255, np.uint8)])
    return poster.PosterProduct(pixels, cut_off)


PRODUCTS = [block(300, 100), block(100, 300, (20, 120, 60)), block(200, 200, (30, 60, 160))]


def make(layout, size, products=None, words=WORDS, ground=(240, 238, 232), **options):
    width, height = SIZES[size]
    count = poster.LAYOUTS[layout][0]
    products = products or (PRODUCTS * 4)[: max(count, 3 if layout == "grid" else count)]
    return poster.make(products, backdrop.fill((height, width), ground), words, layout, **options)


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize(
    ("layout", "size"),
    sorted(set(itertools.product(poster.LAYOUTS, SIZES)) - {("story", "banner")}),
)
def test_nothing_overlaps_and_all_is_inside_the_margins(layout, size):
    logo = block(40, 120).pixels
    result, (width, height) = make(layout, size, logo=logo), SIZES[size]
    boxes = [*result.text_boxes, result.logo_box, *(p.box for p in result.products)]
    assert result.image.shape == (height, width, 3) and result.text_boxes
    margin = round(placement.MARGIN_FRACTION * min(width, height)) - 2
    for box in boxes:
        assert margin <= box[0] < box[2] <= width - margin, box
        assert margin <= box[1] < box[3] <= height - margin, box
    assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
    assert result.contrast >= MIN_CONTRAST_RATIO


@pytest.mark.parametrize("layout", ["pair", "grid"])
def test_products_have_equal_visual_size(layout):
    # A frame of which a quarter is opaque looks smaller than a full block of its size.
    thin = np.zeros((200, 200, 4), np.uint8)
    thin[:, :100] = 255
    products = [poster.PosterProduct(thin), block(200, 200)]
    boxes = [p.box for p in make(layout, "landscape", products).products]
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in boxes]
    ratio = areas[0] * 0.5 / areas[1]
    assert 0.9 < ratio < 1.1 if layout == "pair" else 0.5 < ratio < placement.MAX_GRID_RATIO**2
    assert boxes[0][3] == pytest.approx(boxes[1][3], abs=1)  # on one line


def test_a_person_whom_the_photo_cuts_off_stands_on_the_edge():
    for size, words in (("landscape", WORDS), ("square", Words("Sale"))):
        spot = make("hero", size, [block(400, 160, cut_off=BELOW)], words).products[0]
        assert spot.box[3] == SIZES[size][1]
        assert spot.scale == pytest.approx((spot.box[3] - spot.box[1]) / 400, rel=0.02)
    # With a button below, the product is not on the edge.
    spot = make("hero", "square", [block(400, 160, cut_off=BELOW)]).products[0]
    assert spot.box[3] < SIZES["square"][1] - 60


@pytest.mark.parametrize("size", ["landscape", "square", "tall"])
def test_a_product_that_a_side_of_the_photo_cuts_off_stands_on_that_side(size):
    width, height = SIZES[size]
    products = [block(200, 200, cut_off=AT_RIGHT), block(200, 150, cut_off=AT_LEFT)]
    spots = make("pair", size, products, Words()).products
    assert (spots[0].box[2], spots[1].box[0]) == (width, 0)
    assert not overlap(spots[0].box, spots[1].box)
    for product, spot in zip(products, spots, strict=True):
        assert placement.describe_loose_sides(product.is_cut_off, spot.box, (height, width)) == ""
    # Both are cut off on the right, or words stand at the left: one of them floats, and it is said.
    for others, words in ([AT_RIGHT, AT_RIGHT], Words()), ([AT_LEFT, AT_RIGHT], WORDS):
        products = [block(200, 200, cut_off=sides) for sides in others]
        spots = make("pair", "landscape", products, words).products
        doubts = [
            placement.describe_loose_sides(product.is_cut_off, spot.box, (628, 1200))
            for product, spot in zip(products, spots, strict=True)
        ]
        assert sum(map(bool, doubts)) == 1 and not overlap(spots[0].box, spots[1].box)


def test_a_story_keeps_the_reserved_parts_free():
    result = make("story", "tall", style=poster.Style(reserved_fractions=(0.14, 0.18)))
    for box in (*result.text_boxes, *(p.box for p in result.products)):
        assert box[1] >= 0.14 * 960 - 1 and box[3] <= 0.82 * 960 + 1


def test_words_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="do not fit into"):
        make("hero", "banner", words=Words("word " * 60, "more " * 60, "1 €", "Buy"))


@pytest.mark.parametrize("ground", [(255, 255, 255), (20, 24, 30), (40, 148, 146)])
@pytest.mark.parametrize(
    "product", [(200, 30, 40), (40, 148, 146), (250, 210, 60), (120, 120, 120)]
)
def test_an_accent_is_legible_or_left_out(product, ground):
    accent = text_block.choose_accent(product, ground)
    if product == (120, 120, 120):
        assert accent is None
    elif accent is not None:
        assert contrast_ratio(np.uint8(accent), np.uint8(ground)) >= MIN_CONTRAST_RATIO
    assert text_block.choose_accent((200, 30, 40), (255, 255, 255)) is not None
    result = make("hero", "square", [block(90, 90, product)], ground=ground,
                  style=poster.Style(accent=accent))  # fmt: skip
    assert result.contrast >= MIN_CONTRAST_RATIO


def test_the_script_that_needs_a_font_is_named():
    assert text_block.choose_fonts(Words("Größe"), "", "")["headline"].endswith("Bold.ttf")
    assert text_block.choose_fonts(Words(subline="Größe"), "", "")["subline"].endswith("Sans.ttf")
    with pytest.raises(UsageError, match="--headline: the font has no '漢' '字' .CJK.") as error:
        text_block.choose_fonts(Words("漢字"), "", "")
    assert "--font=FILE.ttf" in error.value.next_step
    assert fonts.name_script("ก") == "Thai" and fonts.name_script("☃") == "a symbol"


def draw_cutout(is_mixed_with_white):
    """A dark disc with a soft edge, whose colour there is its own or mixed with white."""
    y, x = np.mgrid[:64, :64] - 31.5
    alpha = np.clip(24 - np.hypot(y, x), 0, 4) / 4
    colour = np.full((64, 64, 3), 30.0)
    if is_mixed_with_white:
        colour = colour * alpha[..., None] + 255 * (1 - alpha[..., None])
    return matte.Matte(np.uint8(np.rint(colour)), np.uint8(np.rint(255 * alpha)))


def test_white_in_the_edge_of_a_cutout_is_removed_and_its_own_colour_stays():
    for is_mixed in (True, False):
        cutout = draw_cutout(is_mixed)
        colour = matte.remove_white_rim(cutout)
        assert np.abs(colour[cutout.alpha > 0].astype(int) - 30).max() <= 2
        if not is_mixed:
            np.testing.assert_array_equal(colour, cutout.colour)
