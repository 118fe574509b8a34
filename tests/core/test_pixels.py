"""uint8 <-> [-1, 1], sheets, PNG bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from prodgen.core import pixels


def test_every_value_survives_the_round_trip():
    values = np.arange(256, dtype=np.uint8)
    floats = np.asarray(pixels.to_float(values))
    assert floats[0] == -1.0 and floats[255] == 1.0
    np.testing.assert_array_equal(pixels.to_uint8(floats), values)


def test_out_of_range_is_clipped():
    np.testing.assert_array_equal(pixels.to_uint8(np.float32([-3, 0, 3])), [0, 128, 255])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_keeps_pixels_and_text(channels):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    png_image = Image.open(io.BytesIO(pixels.encode_png(picture, {"prodgen": "seed 3"})))
    np.testing.assert_array_equal(np.asarray(png_image).reshape(picture.shape), picture)
    assert png_image.text == {"prodgen": "seed 3"}


def test_apng_holds_all_frames():
    frames = [np.full((4, 4, 3), i * 60, np.uint8) for i in range(4)]
    assert Image.open(io.BytesIO(pixels.encode_apng(frames))).n_frames == 4


def test_a_sheet_shows_each_picture_in_its_place():
    pictures = np.stack([np.full((4, 4, 3), i, np.uint8) for i in range(5)])
    sheet = np.asarray(pixels.draw_contact_sheet(pictures, 3, gap=1, side=4))
    assert sheet.shape == (1 + 2 * 5, 1 + 3 * 5, 3)
    for i in range(5):
        y, x = 1 + i // 3 * 5, 1 + i % 3 * 5
        assert (sheet[y : y + 4, x : x + 4] == i).all()
    assert (sheet[0] == 255).all() and (sheet[6:, 11:] == 255).all()


def test_enlarging_repeats_pixels():
    small = np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1)
    big = pixels.enlarge(small, 5)
    assert big.shape == (1, 4, 4, 1) and (big[0, :2, 2:] == 1).all()
