"""Soft edges and halos, in levels against what made the photo."""

import numpy as np
import pytest

from prodgen.photo import background_removal, matte, plain
from prodgen.photo.mask_estimate import MaskEstimate
from tests.photo.scenes import cloth, disc, lit, photo


def levels_off(cut, product, alpha, colour):
    """Mean and worst distance from the true product on a flat colour, over the true soft edge."""
    truth = product * alpha[..., None] + np.array(colour) * (1 - alpha[..., None])
    off = np.abs(cut.flatten(colour) - truth).mean(axis=-1)
    edge = (alpha > 0) & (alpha < 1)
    return off[edge].mean(), np.percentile(off[edge], 99)


@pytest.mark.parametrize("ground", [(250, 250, 250), (20, 90, 40)], ids=["white", "green"])
@pytest.mark.parametrize("softness", [1.0, 4.0])
def test_no_halo_on_any_colour(ground, softness):
    alpha, product = disc(320, 100, softness, right=7), cloth(320, (150, 60, 80))
    picture = photo(product, alpha, lit(320, ground, fall=20))
    cut = background_removal.cut_out(picture, plain.make_segmenter())
    kept = background_removal.Cutout(picture, cut.alpha, cut.quality)  # the photo's own colours
    for colour in ((0, 0, 0), (255, 255, 255)):
        mean, worst = levels_off(cut, product, alpha, colour)
        assert mean < 8 and worst < 30
        assert mean <= levels_off(kept, product, alpha, colour)[0] + 1
    contrast = (0, 0, 0) if ground[0] > 200 else (255, 255, 255)
    if softness > 1:  # the old background shows there, unless it is taken out
        assert levels_off(kept, product, alpha, contrast)[0] > (
            1.5 * levels_off(cut, product, alpha, contrast)[0]
        )


def test_alpha_is_the_share_that_made_the_photo():
    alpha, product = disc(320, 100, softness=6), cloth(320, (150, 60, 80))
    cut = background_removal.cut_out(
        photo(product, alpha, lit(320, (235, 235, 235))), plain.make_segmenter()
    )
    assert np.abs(cut.alpha / 255 - alpha).mean() < 0.002
    assert np.abs(cut.alpha / 255 - alpha)[(alpha > 0) & (alpha < 1)].mean() < 0.06


def test_a_rough_mask_finds_the_edge_where_colours_tell():
    """A mask that is four pixels too wide, of a grid of four pixels."""
    alpha, product = disc(256, 80, softness=2), cloth(256, (30, 60, 160))
    picture = photo(product, alpha, lit(256, (240, 225, 200)))
    guess = MaskEstimate(disc(256, 84).astype(np.float32), cell_size=4)
    found = matte.refine(picture, picture, guess)
    assert np.abs(found.alpha / 255 - alpha).mean() < 0.01
    assert np.abs(guess.mask - alpha).mean() > 0.03


def test_where_colours_do_not_tell_the_mask_stands():
    picture = np.full((128, 128, 3), 200, np.uint8)
    guess = MaskEstimate(disc(128, 40).astype(np.float32))
    found = matte.refine(picture, picture, guess)
    assert np.abs(found.alpha / 255 - disc(128, 40)).mean() < 0.01


def test_the_inside_is_the_photo_and_the_work_is_at_its_size():
    alpha, product = disc(1500, 500, softness=3), cloth(1500, (150, 60, 80))
    picture = photo(product, alpha, lit(1500, (240, 240, 240)))
    cut = background_removal.cut_out(picture, plain.make_segmenter())
    assert cut.alpha.shape == (1500, 1500)
    inside = cut.alpha == 255
    np.testing.assert_array_equal(cut.colour[inside], picture[inside])
    width = ((cut.alpha[750] > 12) & (cut.alpha[750] < 243)).sum() / 2
    assert 1 <= width <= 6  # pixels of the photo, of which a pixel of the small copy is 1.5


def test_colours_nearby_are_carried_outwards():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (200, 0, 0), (0, 0, 200)
    where = np.zeros((64, 64), bool)
    where[20:40, 4:12] = True
    found = matte.estimate_local_colour(picture, where)
    np.testing.assert_allclose(found.mean, np.broadcast_to((200, 0, 0), (64, 64, 3)), atol=1)
    assert found.variance.max() < 30
