"""The combined method: what the background's colour corrects in a network's silhouette, and doubts.

The network is replaced by a mask that is wrong in a known way.
"""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from prodgen.photo import (
    auto,
    background_evidence,
    background_removal,
    cutout_doubts,
    cutout_quality,
    plain,
)
from prodgen.photo.guided_filter import snap_to_edges
from prodgen.photo.mask_estimate import MaskEstimate
from tests.photo.scenes import cloth, disc, lit_background, overlap, photo

SIDE = 160
STUDIO = lit_background(SIDE, (236, 234, 232), falloff=10)
BLUE = cloth(SIDE, (60, 90, 150))


def blur(alpha):
    """A network's mask: the alpha with a soft edge, float32."""
    image = Image.fromarray(np.uint8(alpha * 255)).filter(ImageFilter.GaussianBlur(1))
    return np.asarray(image) / np.float32(255)


def cut_out(image, saliency):
    """The cut-out by auto, with the network's mask given."""
    estimate = MaskEstimate(blur(saliency), 1.0, 0.1)
    return background_removal.cut_out(image, lambda small: auto.segment(small, estimate))


def keys(cutout):
    return [finding.key for finding in cutout.quality.doubts]


def test_where_the_network_is_right_nothing_is_doubtful():
    alpha = disc(SIDE, 45, softness=2)
    cutout = cut_out(photo(BLUE, alpha, STUDIO), alpha)
    assert overlap(cutout.alpha, alpha) > 0.98 and keys(cutout) == []


def test_a_gap_of_the_backgrounds_colour_is_cut_out_and_reported():
    body = disc(SIDE, 50)
    alpha = body - disc(SIDE, 22)  # a ring; the network sees a disc
    cutout = cut_out(photo(BLUE, alpha, STUDIO), body)
    assert overlap(cutout.alpha, alpha) > 0.96
    assert keys(cutout) == ["methods_differ"]
    assert str(cutout.quality.doubts[0]).endswith("centre")


def test_a_hole_that_the_network_sees_in_the_product_is_filled():
    alpha = disc(SIDE, 50)
    cutout = cut_out(photo(BLUE, alpha, STUDIO), alpha - disc(SIDE, 12))
    assert overlap(cutout.alpha, alpha) > 0.98 and keys(cutout) == []


def test_a_part_that_the_network_misses_is_added_and_its_place_is_named():
    alpha = np.maximum(disc(SIDE, 35, right=-20), disc(SIDE, 25, right=35))
    cutout = cut_out(photo(BLUE, alpha, STUDIO), disc(SIDE, 35, right=-20))
    assert overlap(cutout.alpha, alpha) > 0.96
    assert keys(cutout) == ["methods_differ"] and "right" in str(cutout.quality.doubts[0])


def test_a_shadow_beside_the_product_is_not_added():
    alpha = disc(SIDE, 40)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    shadow = 0.4 * np.exp(-(((y - 0.76) / 0.03) ** 2) - ((x - 0.5) / 0.2) ** 2)
    cutout = cut_out(photo(BLUE, alpha, STUDIO * (1 - shadow[..., None])), alpha)
    assert overlap(cutout.alpha, alpha) > 0.97 and keys(cutout) == []


def test_white_stripes_are_kept_and_doubtful():
    square = np.zeros((SIDE, SIDE))
    square[36:126, 30:130] = 1
    is_white = (np.arange(SIDE) // 6 % 2).astype(bool)[:, None] & (square > 0)
    colour = np.where(is_white[..., None], STUDIO, BLUE)
    bands = square * ~is_white
    cutout = cut_out(photo(colour, square, STUDIO), bands)
    assert overlap(cutout.alpha, square) > 0.9 and "encloses_background" in keys(cutout)


@pytest.mark.parametrize(
    ("white", "shadow", "probability", "is_doubtful"),
    [
        (6, 0, 0.9, False),  # cloth that is lit otherwise than the background
        (0, 0, 0.9, True),  # the background's own colour: the bands may be gaps
        (6, 0, 0.3, True),  # the network sees no product there
        (6, 9, 0.9, True),  # a shadow beside the product is as dark as the bands
    ],
)
def test_stripes_are_certain_where_both_methods_see_them(white, shadow, probability, is_doubtful):
    product = np.zeros((SIDE, SIDE), bool)
    product[36:126, 30:130] = True
    stripes = product & (np.arange(SIDE) // 6 % 2).astype(bool)[:, None]
    levels = np.where(stripes, white, np.where(product, 90, shadow))
    difference = np.repeat(-np.float32(levels)[..., None], 3, axis=-1)
    evidence = background_evidence.BackgroundEvidence(difference, noise=1.0)
    saliency = np.full((SIDE, SIDE), probability, np.float32)
    doubts = cutout_doubts.find_uncertain_stripes(stripes, product, saliency, evidence)
    assert bool(doubts) == is_doubtful


def test_a_pane_of_glass_is_named():
    alpha = disc(SIDE, 50)
    rim = np.clip(1 - np.abs(disc(SIDE, 47, softness=8) - 0.5) * 2, 0, 1)[..., None]
    cutout = cut_out(photo(STUDIO * (0.95 - 0.6 * rim), alpha, STUDIO), alpha)
    assert keys(cutout) == ["transparent?"]
    milk = cut_out(photo(cloth(SIDE, (205, 205, 205)), alpha, STUDIO), alpha)
    assert keys(milk) == []


@pytest.fixture(scope="module")
def carpet():
    """A background of two colours in cells of 8 pixels, float [S, S, 3]."""
    is_red = np.random.default_rng(3).random((SIDE // 8, SIDE // 8)) < 0.5
    cells = np.where(np.kron(is_red, np.ones((8, 8)))[..., None], (170, 60, 50), (70, 120, 60))
    return cells + np.random.default_rng(4).normal(0, 4, (SIDE, SIDE, 1))


def test_before_a_pattern_enclosed_background_is_doubtful(carpet):
    body = disc(SIDE, 50)
    assert background_evidence.measure_background(np.uint8(carpet), blur(body)) is None
    clean = cut_out(photo(BLUE, body, carpet), body)
    assert overlap(clean.alpha, body) > 0.97 and keys(clean) == []
    ring = cut_out(photo(BLUE, body - disc(SIDE, 28), carpet), body)
    assert keys(ring) == ["encloses_background"]


def test_dark_lenses_on_dark_ground_are_doubtful_and_a_real_hole_is_not(carpet):
    """Glasses on dark cloth; the network sees two holes."""
    dark = carpet * 0.4
    glasses = np.maximum(disc(SIDE, 30, right=-28), disc(SIDE, 30, right=28))
    lenses = np.maximum(disc(SIDE, 18, right=-28), disc(SIDE, 18, right=28))
    frame = photo(cloth(SIDE, (210, 180, 40)), glasses, dark).astype(float)
    assert background_evidence.measure_background(np.uint8(dark), blur(glasses)) is None
    lens = cut_out(photo(cloth(SIDE, (75, 75, 80)), lenses, frame), glasses - lenses)
    assert keys(lens) == ["hole?"] and str(lens.quality.doubts[0]).endswith("left")
    for shadow in (1, 0.8):  # the frame may shade the cloth that is seen through it
        empty = cut_out(photo(dark * shadow, lenses, frame), glasses - lenses)
        assert overlap(empty.alpha, glasses - lenses) > 0.95 and keys(empty) == []


def test_a_print_instead_of_its_shirt_is_doubtful(carpet):
    shirt = photo(cloth(SIDE, (235, 230, 225)), disc(SIDE, 65), carpet)
    mark = disc(SIDE, 18)
    cutout = cut_out(photo(BLUE, mark, shirt.astype(float)), mark)
    assert keys(cutout) == ["larger?"]


def test_the_edge_of_a_table_is_dropped():
    alpha = disc(SIDE, 40)
    studio = STUDIO.copy()
    studio[100:102] -= 80
    image = photo(BLUE, alpha, studio)
    assert plain.segment(image).mask[100, :20].all()
    estimate = auto.segment_without_network(image, None)
    assert [finding.key for finding in estimate.findings] == ["hairline"]
    assert overlap(estimate.mask, alpha) > 0.95 and not estimate.mask[:, :20].any()


def test_plain_reports_a_product_of_the_backgrounds_colour():
    alpha = disc(SIDE, 45, softness=2)
    white = STUDIO - 14 + 9 * (np.arange(SIDE) > SIDE // 2)[:, None, None]
    image = photo(white, alpha, STUDIO)
    assert [finding.key for finding in plain.segment(image).findings] == ["ragged"]
    assert plain.segment(photo(BLUE, alpha, STUDIO)).findings == ()


def test_a_product_at_the_border_is_noted_without_a_doubt():
    mask = disc(SIDE, 40, right=50).astype(np.float32)
    quality = cutout_quality.assess_mask(MaskEstimate(mask))
    assert quality.keys == ("touches_border",) and quality.doubts == ()


def test_the_guided_filter_moves_an_edge_to_that_of_the_photo():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    shifted_mask = np.zeros((40, 40), np.float32)
    shifted_mask[:, 21:] = 1
    result = snap_to_edges(shifted_mask, image, 4)
    assert (result[:, 16:20] < 0.5).all() and (result[:, 20:24] > 0.5).all()
    # Without edges in the photo the result is the mean of the mask.
    flat = snap_to_edges(np.full((30, 30), 0.3, np.float32), np.full((30, 30, 3), 9, np.uint8), 3)
    np.testing.assert_allclose(flat, 0.3, atol=1e-5)
    large = snap_to_edges(shifted_mask, image, 4, np.kron(image, np.ones((3, 3, 1), np.uint8)))
    assert large.shape == (120, 120) and (large[:, 66:] > 0.5).all()
