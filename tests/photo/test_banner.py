"""Banners: exact sizes, everything inside the safe frame, text that can be read; sprite sheets."""

import itertools
import json

import numpy as np
import pytest
from PIL import ImageFont

from prodgen.core.errors import MissingInput, UsageError
from prodgen.photo import backdrop, banner, fonts, placement, sprites, text_layout

TEXT = "New season, warm colours"


def block(height, width, rgb=(200, 30, 40)):
    return np.dstack([np.broadcast_to(np.uint8(rgb), (height, width, 3)),
                      np.full((height, width), 255, np.uint8)])  # fmt: skip


PRODUCTS = [block(300, 100), block(100, 300, (20, 120, 60)), block(200, 200, (30, 60, 160))]


def background(name, rgb=(255, 255, 255)):
    width, height = banner.parse_size(name)
    return backdrop.fill((height, width), rgb)


def are_disjoint(first, second):
    return (first[2] <= second[0] or second[2] <= first[0]
            or first[3] <= second[1] or second[3] <= first[1])  # fmt: skip


def test_the_contrast_ratio_equals_wcags():
    assert text_layout.contrast_ratio(
        np.uint8([0, 0, 0]), np.uint8([255, 255, 255])
    ) == pytest.approx(21)
    # 119: ((119/255 + 0.055) / 1.055) ** 2.4 = 0.18447; 1.05 / 0.23447 = 4.478 (WebAIM: 4.48)
    ratio = text_layout.contrast_ratio(np.uint8([119, 119, 119]), np.uint8([255, 255, 255]))
    assert ratio == pytest.approx(4.478, abs=0.001)
    # pure red: 0.2126; 1.05 / 0.2626
    ratio = text_layout.contrast_ratio(np.uint8([255, 0, 0]), np.uint8([255, 255, 255]))
    assert ratio == pytest.approx(3.998, abs=0.001)


@pytest.mark.parametrize("name", banner.PRESET_SIZES)
@pytest.mark.parametrize("count", [1, 3])
def test_everything_is_inside_and_nothing_overlaps(name, count):
    fractions = banner.RESERVED_FRACTIONS.get(name, (0.0, 0.0))
    result = banner.make(PRODUCTS[:count], background(name), TEXT, reserved_fractions=fractions)
    width, height = banner.PRESET_SIZES[name]
    assert result.image.shape == (height, width, 3)
    margin = max(4, round(placement.MARGIN_FRACTION * min(width, height)))
    top, bottom = (max(margin, round(share * height)) for share in fractions)
    for box in [result.text_box, *(one.box for one in result.products)]:
        assert margin <= box[0] < box[2] <= width - margin
        assert top <= box[1] < box[3] <= height - bottom
    boxes = [result.text_box, *(one.box for one in result.products)]
    assert all(are_disjoint(a, b) for a, b in itertools.combinations(boxes, 2))
    ink = (result.image < 100).all(axis=2)
    rows, columns = np.nonzero(ink)
    assert result.text_box[0] - 1 <= columns.min() and columns.max() <= result.text_box[2]
    assert result.text_box[1] <= rows.min() and rows.max() < result.text_box[3]
    for product, one in zip(PRODUCTS, result.products, strict=False):
        x0, y0, x1, y1 = one.box
        assert (result.image[y0:y1, x0:x1] == product[0, 0, :3]).all()
        assert one.scale == pytest.approx((y1 - y0) / len(product))


@pytest.mark.parametrize("name", ["leaderboard", "square", "skyscraper"])
@pytest.mark.parametrize("rgb", [(255, 255, 255), (0, 0, 0), (119, 119, 119), (244, 200, 66)])
def test_text_has_enough_contrast_on_any_colour(name, rgb):
    result = banner.make(PRODUCTS[:1], background(name, rgb), TEXT)
    assert result.contrast >= 4.5


def test_text_on_a_busy_image_gets_a_panel():
    busy = np.random.default_rng(0).integers(0, 256, (1080, 1080, 3), np.uint8)
    result = banner.make(PRODUCTS[:1], busy, TEXT)
    assert result.contrast >= 4.5 and 0 < result.panel_opacity <= 1
    plain = banner.make(PRODUCTS[:1], background("square"), TEXT)
    assert plain.panel_opacity == 0


def test_long_text_shrinks_and_longer_text_is_refused():
    short = banner.make(PRODUCTS[:1], background("rectangle"), "Sale")
    long = banner.make(PRODUCTS[:1], background("rectangle"), TEXT + " and much more to see")
    assert short.font_size > long.font_size >= text_layout.MIN_FONT_SIZE
    with pytest.raises(UsageError, match="does not fit into .* 11 px"):
        banner.make(PRODUCTS[:1], background("mobile"), TEXT * 6)
    with pytest.raises(UsageError, match="does not fit"):
        banner.make(PRODUCTS[:1], background("skyscraper"), "x" * 60)


def test_products_have_equal_areas_and_too_many_are_refused():
    result = banner.make(PRODUCTS, background("landscape"))
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one.box for one in result.products)]
    assert max(areas) / min(areas) < 1.05
    with pytest.raises(UsageError, match="do not fit"):
        banner.make(PRODUCTS * 100, background("mobile"))


def test_a_shadow_of_one_product_does_not_darken_another():
    result = banner.make(PRODUCTS, background("square"), shadow=1.0)
    for product, one in zip(PRODUCTS, result.products, strict=True):
        x0, y0, x1, y1 = one.box
        assert (result.image[y0:y1, x0:x1] == product[0, 0, :3]).all()
    assert (result.image != banner.make(PRODUCTS, background("square")).image).any()


def test_the_same_input_gives_the_same_image():
    first, second = (banner.make(PRODUCTS, background("wide"), TEXT, shadow=0.4) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)


def test_sizes_are_parsed_from_names_and_numbers():
    assert banner.parse_size("leaderboard") == (728, 90) and banner.parse_size("640X480") == (
        640,
        480,
    )
    with pytest.raises(UsageError, match="poster") as error:
        banner.parse_size("poster")
    assert all(name in error.value.format_line() for name in banner.PRESET_SIZES)
    for wrong in ("12x12", "9000x100", "0x0", "100x", "-5x100"):
        with pytest.raises(UsageError):
            banner.parse_size(wrong)


def test_a_font_file_must_be_a_font_with_all_glyphs(tmp_path):
    (tmp_path / "no.ttf").write_text("no font")
    with pytest.raises(UsageError, match="is not a font"):
        fonts.load(str(tmp_path / "no.ttf"), 12)
    with pytest.raises(MissingInput, match="does not exist"):
        fonts.load(str(tmp_path / "none.ttf"), 12)
    with pytest.raises(UsageError, match="the font has no '漢' .CJK."):
        fonts.choose("A 漢", "")
    assert fonts.choose("50 % off -- now!", "") == ""  # Pillow's own
    for text in ("Größe, prêt à porter", "Зима", "Ελλάδα", "−20 €"):
        assert fonts.choose(text, "").endswith("DejaVuSans.ttf")
    own_font = tmp_path / "own.ttf"
    own_font.write_bytes(ImageFont.load_default(20).font_bytes)
    same = [banner.make(PRODUCTS, background("wide"), TEXT, font=f) for f in ("", str(own_font))]
    np.testing.assert_allclose(
        same[0].text_box, same[1].text_box, atol=2
    )  # a file is laid out by others
    assert (same[0].image != same[1].image).mean() < 0.01


def test_an_atlas_has_the_exact_boxes_of_the_products():
    sprite_images = [sprites.fit_to_cell(product, 64, 2) for product in PRODUCTS * 2]
    sheet, boxes = sprites.pack_sheet(sprite_images, 64)
    assert sheet.shape == (128, 256, 4)  # 4 columns, 2 lines, of 64
    x0 = sheet.copy()
    for sprite, (x, y, width, height) in zip(sprite_images, boxes, strict=True):
        np.testing.assert_array_equal(sheet[y : y + height, x : x + width], sprite)
        assert x // 64 == (x + width - 1) // 64 and max(width, height) == 60
        x0[y : y + height, x : x + width] = 0
    assert not x0.any()  # and nowhere else
    names = [f"p{i}" for i in range(6)]
    files = [f"{name}.png" for name in names]
    atlas = json.loads(sprites.encode_atlas(names, files, boxes, 64, "s.png", (256, 128)))
    assert atlas["meta"]["image"] == "s.png" and atlas["meta"]["size"] == {"w": 256, "h": 128}
    for name, (x, y, width, height) in zip(names, boxes, strict=True):
        frame = atlas["frames"][name]
        assert frame["frame"] == {"x": x, "y": y, "w": width, "h": height}
        assert frame["spriteSourceSize"]["x"] == x % 64 and frame["sourceSize"] == {
            "w": 64,
            "h": 64,
        }
        assert frame["pivot"] == {"x": 0.5, "y": 0.5} and not frame["rotated"]


def test_extrusion_repeats_the_edge_into_the_padding():
    sprite_images = [sprites.fit_to_cell(product, 64, 4) for product in PRODUCTS]
    sheet, boxes = sprites.pack_sheet(sprite_images, 64, extrude=2)
    for sprite, (x, y, width, height) in zip(sprite_images, boxes, strict=True):
        np.testing.assert_array_equal(sheet[y : y + height, x : x + width], sprite)
        np.testing.assert_array_equal(sheet[y - 2, x : x + width], sprite[0])
        np.testing.assert_array_equal(sheet[y : y + height, x + width + 1], sprite[:, -1])
        assert not sheet[y - 3, x : x + width].any()


def test_small_sprites_keep_their_pixels_and_large_sheets_are_refused():
    small = block(10, 12)
    np.testing.assert_array_equal(sprites.fit_to_cell(small, 64, 2), small)
    with pytest.raises(UsageError, match="has no space"):
        sprites.fit_to_cell(small, 16, 6)
    with pytest.raises(UsageError, match="over 8192 px"):
        sprites.pack_sheet([small] * 65, 1024)
