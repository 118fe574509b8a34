"""The gate on files and arrays with one known fault each, and repairs that are measured again."""

import dataclasses
import functools
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import RejectedItem
from prodgen.metrics import marketplace, product
from prodgen.metrics.marketplace import check, read_image
from prodgen.metrics.packshot_repair import repair

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "clothing-white" / "images"

MAIN, SQUARE, EVEN = (  # the same rules at 400 pixels
    dataclasses.replace(profile, min_side=400, min_native=200)
    for profile in map(marketplace.PROFILES.get, ("white_main", "square_catalogue", "any_even"))
)


@functools.cache
def packshot(side=400, radius=0.45, right=0, down=0, ground=255, shade=(60, 90, 150)):
    """uint8 [S, S, 3]: a sharp disc; right and down in pixels."""
    place = np.arange(side) + 0.5 - side / 2
    distance = np.hypot(place[:, None] - down, place[None] - right)
    share = np.clip(radius * side - distance + 0.5, 0, 1)[..., None]
    image = np.rint(share * np.array(shade) + (1 - share) * ground).astype(np.uint8)
    image.flags.writeable = False  # it is shared by the tests
    return image


def with_alpha(image, side=400, radius=0.45):
    """RGBA: the disc on nothing, its colour alone in RGB."""
    place = np.arange(side) + 0.5 - side / 2
    share = np.clip(radius * side - np.hypot(place[:, None], place[None]) + 0.5, 0, 1)
    colour = np.broadcast_to(image[side // 2, side // 2], image.shape)
    return np.dstack([colour, np.rint(share * 255).astype(np.uint8)])


def save_image(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def only(verdict, key, *words):
    """The verdict has this one reason, which says these words."""
    assert verdict.keys == (key,), verdict.reasons
    assert not verdict.passes
    for word in words:
        assert word in verdict.reasons[0], verdict.reasons
    return True


# --- verdicts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", marketplace.PROFILES)
def test_a_good_packshot_passes_everywhere(profile):
    verdict = check(packshot(1000), profile)
    assert verdict.passes and verdict.reasons == () and verdict.keys == ()
    assert verdict.measures.fill == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_a_good_file_passes(tmp_path, suffix):
    path = tmp_path / f"good{suffix}"
    Image.fromarray(packshot()).save(path, quality=90)
    assert check(path, MAIN).passes and check(str(path), MAIN).passes


def test_grey_and_sixteen_bits_pass(tmp_path):
    grey = packshot(shade=(90, 90, 90))[..., 0]
    assert check(grey[..., None], MAIN).passes
    assert check(save_image(tmp_path / "grey.png", grey), MAIN).passes
    deep = save_image(tmp_path / "deep.png", grey.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(deep)[..., 0], grey)
    assert check(deep, MAIN).passes


def test_size():
    assert only(check(packshot(800), "white_main"), "size", "800 x 800 px", "at least 1000")
    wide = np.pad(packshot(), ((0, 0), (10, 10), (0, 0)), constant_values=255)
    assert check(wide, MAIN).passes
    assert only(check(wide, SQUARE), "size", "420 x 400 px", "square")


@pytest.mark.parametrize(
    ("ground", "words"),
    [(254, ("0.0% of it is exactly white", "80%", "1.0 levels off")), (240, ("15.0 levels",))],
)
def test_background_that_is_not_white(ground, words):
    assert only(check(packshot(ground=ground), MAIN), "background", *words)
    assert check(packshot(ground=ground), EVEN).passes


def test_background_with_a_logo_or_a_gradient():
    logo = packshot().copy()
    logo[10:18, 10:26] = 0
    assert only(check(logo, MAIN), "background", "up to 255 levels", "at most 24")
    ramp = 220 + np.linspace(0, 30, 400)[None, :, None]
    uneven_image = np.uint8(np.where(packshot() == 255, ramp, packshot()))
    assert only(check(uneven_image, EVEN), "background", "varies by", "at most 4")


def test_fill_and_off_centre():
    small = check(packshot(radius=0.3), MAIN)
    assert only(small, "fill", "60.0% of the frame", "85% to 100%")
    tight = check(packshot(radius=0.49), SQUARE)
    assert only(tight, "fill", "98.0%", "70% to 95%")
    aside = check(packshot(radius=0.375, right=24, down=-4), SQUARE)
    assert only(aside, "off_centre", "+6.0% right", "-1.0% down", "at most 3%")


def test_no_product():
    verdict = check(np.full((400, 400, 3), 255, np.uint8), MAIN)
    assert only(verdict, "no_product") and verdict.measures.blank


def test_transparent(tmp_path):
    path = save_image(tmp_path / "cut.png", with_alpha(packshot()))
    assert only(check(path, MAIN), "transparent", "36.", "none may be")
    opaque = np.dstack([packshot(), np.full((400, 400), 255, np.uint8)])
    assert check(opaque, MAIN).passes
    palette = Image.fromarray(packshot()).quantize(16)
    palette.save(tmp_path / "cut.gif", transparency=palette.getpixel((0, 0)))
    assert "transparent" in check(tmp_path / "cut.gif", MAIN).keys


@pytest.mark.parametrize("how", ["NEAREST", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_an_enlarged_image_is_upscaled_not_blurred(tmp_path, how):
    path = tmp_path / "large.jpg"
    large = Image.fromarray(packshot(300)).resize((1000, 1000), Image.Resampling[how])
    large.save(path, quality=90)
    verdict = check(path, "white_main")
    assert only(verdict, "upscaled", "px on the longest side of 1000", "at least 500")
    assert verdict.measures.native == pytest.approx(300, rel=0.25)


def test_an_honest_reduction_is_not_upscaled():
    large = Image.fromarray(packshot(1400)).resize((1000, 1000), Image.Resampling.LANCZOS)
    assert check(np.asarray(large), "white_main").passes


def test_blurred_is_what_has_the_pixels_but_not_the_edges():
    profile = dataclasses.replace(MAIN, min_native=20)
    soft = Image.fromarray(packshot(120)).resize((400, 400), Image.Resampling.BICUBIC)
    assert only(check(np.asarray(soft), profile), "blurred", "px at 400 px", "at most 1.0")
    # As blurred in an image three times as large, it is sharp at the size that is asked for.
    soft = Image.fromarray(packshot(400)).resize((1200, 1200), Image.Resampling.BICUBIC)
    assert check(np.asarray(soft), profile).passes


def test_several_reasons_are_all_listed():
    verdict = check(packshot(300, radius=0.2, right=45, ground=230), MAIN)
    assert verdict.keys == ("size", "background", "fill", "off_centre")


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(ValueError, match="white_main, square_catalogue, any_even"):
        check(packshot(), "nowhere")
    with pytest.raises(ValueError, match="uint8"):
        check(np.zeros((40, 40, 3)), MAIN)


# --- files that are no images ----------------------------------------------------------------


def unreadable(path, *words):
    verdict = check(path, "white_main")
    assert verdict.measures is None
    with pytest.raises(RejectedItem):
        read_image(path)
    return only(verdict, "unreadable", *words)


def test_files_that_cannot_be_read_are_verdicts(tmp_path):
    assert unreadable(tmp_path / "none.png", "no such file")
    assert unreadable(tmp_path, "a folder")
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert unreadable(tmp_path / "empty.jpg", "the file is empty")
    (tmp_path / "text.png").write_text("this is no image")
    assert unreadable(tmp_path / "text.png", "no JPEG, PNG")
    whole = save_image(tmp_path / "whole.jpg", packshot()).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert unreadable(tmp_path / "cut.jpg", "truncated")
    whole = save_image(tmp_path / "whole.png", packshot()).read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[:2000] + b"\0" * 50 + whole[2050:])
    assert unreadable(tmp_path / "broken.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert unreadable(tmp_path / "pipe.png", "not a regular file")
    save_image(tmp_path / "tiny.png", packshot()[:9, :9])
    assert unreadable(tmp_path / "tiny.png", "9 x 9 px")
    Image.fromarray(np.zeros((40, 40), np.float32)).save(tmp_path / "float.tiff")
    assert unreadable(tmp_path / "float.tiff", "floating-point pixels")


def test_too_many_pixels_are_rejected_from_the_header(tmp_path, monkeypatch):
    path = save_image(tmp_path / "large.png", packshot())
    monkeypatch.setattr(marketplace, "MAX_PIXELS", 159_999)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    assert only(check(path, "white_main"), "unreadable", "160000 px > limit 159999")


def test_an_animation_is_rejected(tmp_path):
    frames = [Image.fromarray(packshot(200, right=k)) for k in range(3)]
    for suffix in (".gif", ".png", ".webp"):
        path = tmp_path / f"moving{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        assert unreadable(path, "animated: 3 frames")


def test_exif_orientation_is_applied(tmp_path):
    tall = np.pad(packshot(), ((0, 80), (0, 0), (0, 0)), constant_values=255)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    path = save_image(tmp_path / "turned.jpg", np.rot90(tall), exif=exif, quality=95)
    assert Image.open(path).size == (480, 400)
    image = read_image(path)
    assert image.shape == tall.shape and np.abs(image.astype(int) - tall).mean() < 1
    (tmp_path / "odd.jpg").write_bytes(spoilt_exif(path))
    assert read_image(tmp_path / "odd.jpg").shape == (400, 480, 3)


def spoilt_exif(path):
    data = bytearray(path.read_bytes())
    start = data.index(b"Exif\0\0") + 6
    data[start : start + 8] = b"\xff" * 8
    return bytes(data)


# --- repairs -----------------------------------------------------------------------------------


def test_a_good_image_is_not_changed():
    result = repair(packshot(), MAIN)
    assert result.image is packshot() and result.changes == () and result.refusal == ""


def test_a_small_product_aside_is_centred_and_padded_without_resampling():
    image = packshot(800, radius=0.3, right=-100, down=45)
    result = repair(image, MAIN)
    assert result.image.shape == (533, 533, 3)  # 480 / 0.9
    assert len(result.changes) == 2
    assert "-12.5% right, +5.6% down" in result.changes[0]
    assert "800 x 800 px to 533 x 533, fill 60.0% to 90.1%" in result.changes[1]
    verdict = check(result.image, MAIN)
    assert verdict.passes and max(map(abs, verdict.measures.offset)) <= 1 / 533
    top, left, bottom, right = product.measure(image).box
    box = verdict.measures.box
    np.testing.assert_array_equal(
        result.image[box[0] : box[2], box[1] : box[3]], image[top:bottom, left:right]
    )


def test_the_frame_grows_to_the_required_size_but_not_the_product():
    result = repair(packshot(800, radius=0.2175), MAIN)  # 348 px: 0.9 of 387, 0.87 of 400
    assert result.image.shape == (400, 400, 3) and check(result.image, MAIN).passes


def test_a_repair_never_ends_below_the_size_that_the_profile_requires():
    """A product of 100 px in a frame of 500, which itself is large enough."""
    image = packshot(500, radius=0.1)
    assert check(image, MAIN).keys == ("fill",)
    result = repair(image, MAIN)
    assert result.image is image and result.changes == ()
    for words in ("111 x 111 px", "the product has 100", "400 px", "nothing is enlarged"):
        assert words in result.refusal
    assert "200 x 200 px" in repair(packshot(200), MAIN).refusal  # small, and nothing else
    for profile in (marketplace.PROFILES["white_main"], marketplace.PROFILES["etsy"]):
        for side, radius in ((900, 0.3), (1200, 0.42)):
            mended_image = repair(packshot(side, radius, right=40), profile)
            if mended_image.changes:
                assert min(mended_image.image.shape[:2]) >= profile.min_square_side


def test_a_wide_image_becomes_square():
    wide = np.pad(packshot(), ((0, 0), (120, 20), (0, 0)), constant_values=255)
    result = repair(wide, SQUARE)
    assert result.image.shape == (424, 424, 3)  # 360 / 0.85
    assert check(result.image, SQUARE).passes


def test_a_nearly_white_background_becomes_white_without_a_seam():
    image = packshot(600, radius=0.34, right=20, ground=247).copy()
    image[300:302, 30:32] = 180  # dust
    result = repair(image, MAIN)
    assert any("set to (255, 255, 255)" in change for change in result.changes)
    verdict = check(result.image, MAIN)
    assert verdict.passes and verdict.measures.white_share == 1
    assert (result.image[:60, :60] == 255).all()
    middle = len(result.image) // 2
    np.testing.assert_array_equal(result.image[middle, middle], (60, 90, 150))


def test_a_faint_shadow_on_white_survives():
    image = packshot(600, radius=0.3).copy()
    image[485:498, 200:400] = 250
    result = repair(image, MAIN)
    assert result.image.shape == (400, 400, 3)
    assert (result.image[:, 200] == 250).all(axis=-1).sum() == 13


def test_any_background_pads_with_its_own_colour():
    result = repair(packshot(800, radius=0.22, ground=180), EVEN)
    assert (result.image[:20] == 180).all() and len(result.changes) == 2
    assert check(result.image, EVEN).passes


def test_transparency_is_composed():
    result = repair(with_alpha(packshot()), MAIN)
    assert result.changes == ("transparency: composed on (255, 255, 255)",)
    assert check(result.image, MAIN).passes
    assert np.abs(result.image.astype(int) - packshot()).max() <= 1


def test_images_that_cannot_be_repaired_have_a_refusal_and_stay_unchanged():
    blank = np.full((200, 200, 3), 255, np.uint8)
    cropped_image = packshot(400, radius=0.3, right=150)
    ramp = 210 + np.linspace(0, 45, 400)[None, :, None]
    uneven_image = np.uint8(np.where(packshot() == 255, ramp, packshot()))
    for image, words in (
        (blank, "no product"),
        (cropped_image, "cuts the product off"),
        (uneven_image, "varies by"),
        (packshot(ground=180), "75 levels from the required colour"),
    ):
        result = repair(image, MAIN)
        assert words in result.refusal
        assert result.image is image and result.changes == ()


# --- marketplaces ---------------------------------------------------------------------------------


def test_every_marketplace_names_its_source():
    for name in ("amazon", "ebay", "google", "etsy", "shopify"):
        source = marketplace.PROFILES[name].source
        assert source.url.startswith("https://") and source.title
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", source.date) and source.open_points


def test_what_a_marketplace_only_advises_is_a_note():
    grey = packshot(1000, radius=0.3, ground=230)
    assert check(grey, "amazon").keys == ("background", "fill")
    verdict = check(grey, "google")
    assert verdict.passes and [note.partition(":")[0] for note in verdict.notes] == [
        "background", "fill", "recommended_size",
    ]  # fmt: skip
    wide = np.pad(packshot(1000), ((0, 0), (30, 30), (0, 0)), constant_values=255)
    assert check(wide, "shopify").passes and "square" in check(wide, "shopify").notes[0]


def test_sizes_of_marketplaces():
    flat = np.pad(packshot(420), ((0, 0), (100, 100), (0, 0)), constant_values=255)
    assert check(flat, "ebay").keys == () and flat.shape == (420, 620, 3)
    assert only(check(flat, "google"), "size", "620 x 420 px", "the shortest side at least 500")
    large = dataclasses.replace(MAIN, max_pixels=100 * 100)
    assert only(check(packshot(), large), "size", "400 x 400 px", "at most 100 px a side")


def test_format_and_size_of_a_file(tmp_path):
    webp = save_image(tmp_path / "a.webp", packshot(1000), lossless=True)
    assert only(check(webp, "amazon"), "format", "WEBP", "JPEG, PNG")
    assert check(webp, "google").passes
    small_files = dataclasses.replace(MAIN, max_bytes=1000)
    path = save_image(tmp_path / "a.png", packshot())
    assert only(check(path, small_files), "file_size", "0.0 MB")


# --- close-ups ------------------------------------------------------------------------------------


def cloth(height, width, shade):
    """A weave with grain: two waves of eight pixels and noise."""
    y, x = np.mgrid[:height, :width]
    weave = 12 * np.sin(2 * np.pi * x / 8) + 12 * np.sin(2 * np.pi * y / 8)
    noise = np.random.default_rng(0).normal(0, 3, (height, width))
    return np.uint8(np.clip(np.array(shade) + (weave + noise)[..., None], 0, 255))


def test_a_close_up_has_a_verdict_of_its_own():
    fabric = cloth(400, 400, (90, 110, 150))
    collar = fabric.copy()
    collar[:150, :150] = 255  # a corner of white is left
    sole = np.full((400, 400, 3), 255, np.uint8)
    sole[60:, 60:] = cloth(340, 340, (60, 40, 30))
    for image in (fabric, collar, sole):
        verdict = check(image, MAIN)
        assert verdict.is_close_up and verdict.name == "close_up" and not verdict.passes
        assert not {"background", "fill", "off_centre", "no_product"} & set(verdict.keys)
        assert "close-up" in repair(image, MAIN).refusal


def test_what_is_no_close_up():
    """A worn shirt cut off below, a plain wall, a product on a rough table, a white weave."""
    model_photo = packshot(400, radius=0.3, down=170)
    table = cloth(400, 400, (120, 100, 80))
    table[120:280, 120:280] = (20, 60, 160)
    for image in (
        model_photo,
        np.full((400, 400, 3), 150, np.uint8),
        table,
        packshot(radius=0.499),
        np.uint8(np.clip(cloth(400, 400, (250, 250, 250)), 0, 255)),
    ):
        assert not check(image, MAIN).is_close_up


# --- real images -----------------------------------------------------------------------------


def test_real_packshots_are_too_small_and_nothing_else():
    if not REAL.exists():
        pytest.skip("real pictures are not here")
    verdicts = [check(path, "white_main") for path in sorted(REAL.glob("*.jpg"))[::101][:50]]
    assert len(verdicts) == 50 and all("size" in verdict.keys for verdict in verdicts)
    assert sum(verdict.keys == ("size",) for verdict in verdicts) >= 47
    path = next(iter(sorted(REAL.glob("*.jpg"))))
    large = Image.open(path).resize((1200, 1200), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    large.save(out, "JPEG", quality=90)
    assert check(np.asarray(Image.open(out)), "white_main").keys == ("upscaled",)
