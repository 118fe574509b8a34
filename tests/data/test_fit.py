"""One picture into a square: aspect, background, alpha, grey."""

import numpy as np

from prodgen.data import fit


def noise(side=16):
    return np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)


def test_the_right_size_is_left_alone():
    picture = noise()
    for how in ("pad", "crop", "stretch"):
        np.testing.assert_array_equal(fit.fit_image(picture, 16, how).pixels, picture)


def test_padding_has_the_background_colour_and_keeps_the_aspect():
    picture = np.full((40, 80, 3), (240, 200, 10), np.uint8)
    picture[10:30, 20:60] = 0
    found = fit.fit_image(picture, 16)
    np.testing.assert_array_equal(found.background, (240, 200, 10))
    np.testing.assert_array_equal(found.pixels[:4], np.broadcast_to((240, 200, 10), (4, 16, 3)))
    dark = found.pixels[..., 0] < 100
    assert dark.any(axis=1).sum() == 4 and dark.any(axis=0).sum() == 8
    assert found.original_size == (40, 80) and found.white_fraction == 0


def test_crop_takes_the_centre_and_stretch_bends():
    picture = np.zeros((16, 48, 3), np.uint8)
    picture[:, 16:32] = (10, 200, 30)
    cropped = fit.fit_image(picture, 16, "crop").pixels
    np.testing.assert_array_equal(cropped, picture[:, 16:32])
    stretched = fit.fit_image(picture, 16, "stretch").pixels
    np.testing.assert_allclose(stretched[:, 8], np.broadcast_to((10, 200, 30), (16, 3)), atol=5)
    assert stretched[:, 0].max() <= 2


def test_alpha_is_composited_on_white_and_kept_as_mask():
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[8:24, 8:24] = (200, 0, 0, 255)
    found = fit.fit_image(picture, 16)
    np.testing.assert_array_equal(found.pixels[0, 0], (255, 255, 255))
    np.testing.assert_array_equal(found.pixels[8, 8], (200, 0, 0))
    assert found.mask[0, 0] == 0 and found.mask[8, 8] == 255
    half = np.full((16, 16, 4), (100, 0, 0, 128), np.uint8)
    assert abs(int(fit.fit_image(half, 16).pixels[0, 0, 0]) - 177) <= 1


def test_composited_sources_keep_their_colours():
    picture = np.full((16, 16, 4), (90, 80, 70, 0), np.uint8)
    found = fit.fit_image(picture, 16, composited=True)
    np.testing.assert_array_equal(found.pixels[0, 0], (90, 80, 70))
    assert found.mask.max() == 0


def test_grey_is_found_and_luma_keeps_it():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert fit.fit_image(grey.repeat(3, 2), 16).pixels.shape == (16, 16, 1)
    np.testing.assert_array_equal(fit.set_channels(grey.repeat(3, 2), 1), grey)
    np.testing.assert_array_equal(fit.set_channels(np.uint8([[[255, 0, 0]]]), 1), [[[76]]])
