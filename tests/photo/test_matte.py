"""Soft edges and halos, in levels against what made the photo."""

import numpy as np
import pytest

from prodgen.photo import background_removal, matte, plain
from prodgen.photo.mask_estimate import MaskEstimate
from tests.photo.scenes import cloth, disc, lit_background, photo


def colour_error(cutout, product, alpha, colour):
    """Mean and worst distance from the true product on a flat colour, over the true soft edge."""
    truth = product * alpha[..., None] + np.array(colour) * (1 - alpha[..., None])
    off = np.abs(cutout.flatten(colour) - truth).mean(axis=-1)
    edge = (alpha > 0) & (alpha < 1)
    return off[edge].mean(), np.percentile(off[edge], 99)


@pytest.mark.parametrize("ground", [(250, 250, 250), (20, 90, 40)], ids=["white", "green"])
@pytest.mark.parametrize("softness", [1.0, 4.0])
def test_no_halo_on_any_colour(ground, softness):
    alpha, product = disc(320, 100, softness, right=7), cloth(320, (150, 60, 80))
    image = photo(product, alpha, lit_background(320, ground, falloff=20))
    cutout = background_removal.cut_out(image, plain.make_segmenter())
    photo_colours = background_removal.Cutout(
        image, cutout.alpha, cutout.quality
    )  # the photo's own colours
    for colour in ((0, 0, 0), (255, 255, 255)):
        mean, worst = colour_error(cutout, product, alpha, colour)
        assert mean < 8 and worst < 30
        assert mean <= colour_error(photo_colours, product, alpha, colour)[0] + 1
    contrast = (0, 0, 0) if ground[0] > 200 else (255, 255, 255)
    if softness > 1:  # the old background shows there, unless it is taken out
        assert colour_error(photo_colours, product, alpha, contrast)[0] > (
            1.5 * colour_error(cutout, product, alpha, contrast)[0]
        )


def test_alpha_equals_the_alpha_of_the_composed_photo():
    alpha, product = disc(320, 100, softness=6), cloth(320, (150, 60, 80))
    cutout = background_removal.cut_out(
        photo(product, alpha, lit_background(320, (235, 235, 235))), plain.make_segmenter()
    )
    assert np.abs(cutout.alpha / 255 - alpha).mean() < 0.002
    assert np.abs(cutout.alpha / 255 - alpha)[(alpha > 0) & (alpha < 1)].mean() < 0.06


def test_a_rough_mask_is_corrected_where_colours_differ():
    """A mask that is four pixels too wide, of a grid of four pixels."""
    alpha, product = disc(256, 80, softness=2), cloth(256, (30, 60, 160))
    image = photo(product, alpha, lit_background(256, (240, 225, 200)))
    estimate = MaskEstimate(disc(256, 84).astype(np.float32), cell_size=4)
    result = matte.refine(image, image, estimate)
    assert np.abs(result.alpha / 255 - alpha).mean() < 0.01
    assert np.abs(estimate.mask - alpha).mean() > 0.03


def test_where_colours_are_equal_the_mask_is_kept():
    image = np.full((128, 128, 3), 200, np.uint8)
    estimate = MaskEstimate(disc(128, 40).astype(np.float32))
    result = matte.refine(image, image, estimate)
    assert np.abs(result.alpha / 255 - disc(128, 40)).mean() < 0.01


def test_the_inside_is_the_photo_at_full_resolution():
    alpha, product = disc(1500, 500, softness=3), cloth(1500, (150, 60, 80))
    image = photo(product, alpha, lit_background(1500, (240, 240, 240)))
    cutout = background_removal.cut_out(image, plain.make_segmenter())
    assert cutout.alpha.shape == (1500, 1500)
    inside = cutout.alpha == 255
    np.testing.assert_array_equal(cutout.colour[inside], image[inside])
    width = ((cutout.alpha[750] > 12) & (cutout.alpha[750] < 243)).sum() / 2
    assert 1 <= width <= 6  # pixels of the photo, of which a pixel of the small copy is 1.5


def test_local_colours_are_extrapolated():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = (200, 0, 0), (0, 0, 200)
    region = np.zeros((64, 64), bool)
    region[20:40, 4:12] = True
    result = matte.estimate_local_colour(image, region)
    np.testing.assert_allclose(result.mean, np.broadcast_to((200, 0, 0), (64, 64, 3)), atol=1)
    assert result.variance.max() < 30
