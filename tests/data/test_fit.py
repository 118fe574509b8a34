"""Fitting an image into a square: aspect, background, alpha, grey."""

import numpy as np

from prodgen.data import fit


def noise(side=16):
    return np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)


def test_an_image_of_the_right_size_is_unchanged():
    image = noise()
    for mode in ("pad", "crop", "stretch"):
        np.testing.assert_array_equal(fit.fit_image(image, 16, mode).pixels, image)


def test_padding_has_the_background_colour_and_keeps_the_aspect():
    image = np.full((40, 80, 3), (240, 200, 10), np.uint8)
    image[10:30, 20:60] = 0
    result = fit.fit_image(image, 16)
    np.testing.assert_array_equal(result.background, (240, 200, 10))
    np.testing.assert_array_equal(result.pixels[:4], np.broadcast_to((240, 200, 10), (4, 16, 3)))
    is_dark = result.pixels[..., 0] < 100
    assert is_dark.any(axis=1).sum() == 4 and is_dark.any(axis=0).sum() == 8
    assert result.original_size == (40, 80) and result.white_fraction == 0


def test_crop_keeps_the_centre_and_stretch_changes_the_aspect():
    image = np.zeros((16, 48, 3), np.uint8)
    image[:, 16:32] = (10, 200, 30)
    cropped_pixels = fit.fit_image(image, 16, "crop").pixels
    np.testing.assert_array_equal(cropped_pixels, image[:, 16:32])
    stretched_pixels = fit.fit_image(image, 16, "stretch").pixels
    np.testing.assert_allclose(
        stretched_pixels[:, 8], np.broadcast_to((10, 200, 30), (16, 3)), atol=5
    )
    assert stretched_pixels[:, 0].max() <= 2


def test_alpha_is_composited_on_white_and_stored_as_mask():
    image = np.zeros((32, 32, 4), np.uint8)
    image[8:24, 8:24] = (200, 0, 0, 255)
    result = fit.fit_image(image, 16)
    np.testing.assert_array_equal(result.pixels[0, 0], (255, 255, 255))
    np.testing.assert_array_equal(result.pixels[8, 8], (200, 0, 0))
    assert result.mask[0, 0] == 0 and result.mask[8, 8] == 255
    half = np.full((16, 16, 4), (100, 0, 0, 128), np.uint8)
    assert abs(int(fit.fit_image(half, 16).pixels[0, 0, 0]) - 177) <= 1


def test_composited_sources_keep_their_colours():
    image = np.full((16, 16, 4), (90, 80, 70, 0), np.uint8)
    result = fit.fit_image(image, 16, is_composited=True)
    np.testing.assert_array_equal(result.pixels[0, 0], (90, 80, 70))
    assert result.mask.max() == 0


def test_grey_images_have_one_channel_and_luma_is_exact():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert fit.fit_image(grey.repeat(3, 2), 16).pixels.shape == (16, 16, 1)
    np.testing.assert_array_equal(fit.set_channels(grey.repeat(3, 2), 1), grey)
    np.testing.assert_array_equal(fit.set_channels(np.uint8([[[255, 0, 0]]]), 1), [[[76]]])
