"""Products in frames of given shapes: sizes computed by hand, pixels never enlarged."""

import numpy as np
import pytest

from prodgen.photo.framing import (
    FrameRules,
    TrimmedProduct,
    compute_frame,
    crop_to_aspect,
    place_product,
)

RULES = FrameRules(fill=0.9, max_side=2000, min_side=1000)


def make_product(height, width, is_cut_off=(False,) * 4):
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[..., :3] = (10, 60, 200)
    return TrimmedProduct(pixels, is_cut_off)


@pytest.mark.parametrize(
    ("size", "aspect", "frame", "scale"),
    [
        ((900, 600), (1, 1), (1000, 1000), 1.0),  # 900 / 0.9
        ((900, 600), (4, 5), (1000, 800), 1.0),  # the height decides
        ((450, 900), (4, 5), (1250, 1000), 1.0),  # the width decides: 1000 / 4 * 5
        ((90, 60), (1, 1), (1000, 1000), 1.0),  # small: the frame grows, not the product
        ((3600, 3600), (1, 1), (2000, 2000), 0.5),
        ((3600, 1800), (3, 4), (2000, 1500), 0.5),
    ],
)
def test_sizes(size, aspect, frame, scale):
    result = compute_frame(size, aspect, RULES)
    assert result[0] == frame and result[1] == pytest.approx(scale)


def test_the_shortest_side_has_a_rule_too():
    rules = FrameRules(0.85, 2000, 500, min_short_side=500)
    height, width = compute_frame((100, 100), (4, 5), rules)[0]
    assert (height, width) == (625, 500)


def test_the_aspect_is_exact():
    for height in range(700, 760, 7):
        rows, columns = compute_frame((height, 500), (3, 4), RULES)[0]
        assert rows * 3 == columns * 4


def test_a_product_stands_in_the_middle_with_its_own_pixels():
    product = make_product(900, 600)
    frame = place_product(product, (1, 1), RULES)
    assert frame.shape == (1000, 1000, 4)
    np.testing.assert_array_equal(frame[50:950, 200:800], product.pixels)
    assert frame[..., 3].sum() == product.pixels[..., 3].sum()


def test_a_product_that_is_cut_off_stands_on_that_edge():
    frame = place_product(make_product(900, 600, (False, False, True, False)), (1, 1), RULES)
    assert frame[-1, 500, 3] == 255 and frame[99, 500, 3] == 0 and frame[100, 500, 3] == 255
    frame = place_product(make_product(900, 600, (True, True, True, False)), (1, 1), RULES)
    assert frame[50, 0, 3] == 255 and frame[49, 0, 3] == 0  # left edge; in the middle down


def test_a_large_product_is_reduced_without_a_dark_rim():
    rgba = np.zeros((2400, 2400, 4), np.uint8)
    rgba[300:2100, 300:2100] = (250, 250, 250, 255)  # transparent black around it
    product = TrimmedProduct.of(rgba)
    assert product.pixels.shape == (1800, 1800, 4) and not any(product.is_cut_off)
    frame = place_product(product, (1, 1), FrameRules(0.9, 1000, 500))
    assert frame.shape == (1000, 1000, 4)
    visible = frame[frame[..., 3] > 8]
    assert visible[:, :3].min() >= 249


def test_the_middle_in_an_aspect():
    image = np.arange(100 * 90 * 3, dtype=np.uint32).reshape(100, 90, 3).astype(np.uint8)
    np.testing.assert_array_equal(crop_to_aspect(image, (1, 1), 500), image[5:95])
    assert crop_to_aspect(image, (4, 5), 50).shape == (50, 40, 3)
    assert crop_to_aspect(image[..., :1], (1, 1), 45).shape == (45, 45, 1)
