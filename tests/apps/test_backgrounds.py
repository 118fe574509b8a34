"""What a product is laid on: read once, for every mode."""

import numpy as np
import pytest
from PIL import Image

from prodgen.apps.common import backgrounds, named_colours
from prodgen.core.errors import BadData, MissingInput, UsageError


def test_the_default_background_is_white_and_a_colour_fills_the_frame():
    assert (
        backgrounds.parse_background("") == (255, 255, 255)
        and backgrounds.parse_background("Teal") == named_colours.PRODUCT_COLOURS["teal"]
    )
    background = backgrounds.render_background(backgrounds.parse_background("#203a5f"), (5, 7))
    np.testing.assert_array_equal(background, np.broadcast_to([0x20, 0x3A, 0x5F], (5, 7, 3)))


def test_an_image_covers_the_frame_and_is_centred(tmp_path):
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 15:25] = 200
    Image.fromarray(wide).save(tmp_path / "wall.png")
    background = backgrounds.render_background(
        backgrounds.parse_background(str(tmp_path / "wall.png")), (10, 10)
    )
    np.testing.assert_array_equal(background, np.full((10, 10, 3), 200))


@pytest.mark.parametrize(
    ("pixels", "levels"),
    [(np.full((8, 8), 90, np.uint8), 90), (np.zeros((8, 8, 4), np.uint8), 255)],
    ids=["grey", "transparent"],
)
def test_grey_and_transparent_backgrounds_are_valid(tmp_path, pixels, levels):
    Image.fromarray(pixels).save(tmp_path / "wall.png")
    np.testing.assert_array_equal(
        backgrounds.render_background(tmp_path / "wall.png", (4, 6)), levels
    )


def test_errors_name_the_invalid_background(tmp_path):
    (tmp_path / "wall.jpg").write_text("no picture")
    with pytest.raises(BadData, match="wall.jpg: not a picture"):
        backgrounds.render_background(tmp_path / "wall.jpg", (4, 4))
    with pytest.raises(MissingInput, match="--background=none.jpg does not exist"):
        backgrounds.parse_background("none.jpg")
    with pytest.raises(UsageError, match="ground='mauve' is not a colour; .*black, blue"):
        backgrounds.parse_background("mauve", "ground")
