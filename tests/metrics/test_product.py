"""Images drawn here, whose box, background, fringe, blur and true resolution are known."""

import csv
import functools
import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage

from prodgen.metrics import product
from prodgen.photo import colorimetry, silhouette

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "clothing-white"
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def rectangle(box=(50, 80, 350, 320), size=(400, 400), ground=255, shade=(40, 90, 160)):
    """uint8 [H, W, 3]: a box (top, left, bottom, right) of one colour."""
    image = np.empty((*size, 3), np.uint8)
    image[:] = ground
    image[box[0] : box[2], box[1] : box[3]] = shade
    return image


@functools.cache
def disc(side=400, radius=0.425, shade=75, ground=255, rim=0.0, rim_shade=255):
    """uint8 [S, S, 3], antialiased; radius is a share of the side, rim is in pixels."""
    place = np.arange(side) + 0.5 - side / 2
    distance = np.hypot(place[:, None], place[None])[..., None]
    levels = np.full((side, side, 3), float(ground))
    for reach, level in ((radius * side + rim, rim_shade), (radius * side, shade)):
        levels += np.clip(reach - distance + 0.5, 0, 1) * (level - levels)
    return frozen(levels)


@functools.cache
def cloth(side=1000):
    """A disc with a natural texture: amplitudes that fall with the frequency, sharp to a pixel."""
    rng = np.random.default_rng(0)
    fy, fx = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    wave = np.fft.rfft2(rng.normal(size=(side, side))) / np.maximum(np.hypot(fy, fx), 1 / side)
    texture = np.fft.irfft2(wave, (side, side))[..., None]
    return frozen(255 - (255 - disc(side, shade=0)) / 255 * (150 + 35 * texture / texture.std()))


def frozen(levels):
    image = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    image.flags.writeable = False  # it is shared by the tests
    return image


def blur_image(image, deviation):
    soft = ndimage.gaussian_filter(image.astype(np.float64), (deviation, deviation, 0))
    return np.rint(soft).astype(np.uint8)


def jpeg(image, quality=90):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


def enlarge_image(image, small, side, how):
    little = Image.fromarray(image).resize((small, small), Image.Resampling.LANCZOS)
    return np.asarray(little.resize((side, side), how))


def native(image):
    return product.measure_native_share(product.to_luma(image)) * max(image.shape[:2])


# --- the product's place -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((50, 80, 350, 320), (400, 400)),
        ((20, 20, 380, 380), (400, 400)),
        ((100, 30, 200, 130), (300, 500)),
        ((0, 60, 400, 200), (400, 400)),  # from the upper edge to the lower
        ((3, 3, 61, 40), (64, 64)),
    ],
)
def test_box_fill_area_and_offset_of_a_rectangle(box, size):
    m = product.measure(rectangle(box, size))
    top, left, bottom, right = box
    height, width = size
    assert m.size == size and m.box == box and not m.blank
    assert m.fill == max((bottom - top) / height, (right - left) / width)
    assert m.area == (bottom - top) * (right - left) / (height * width)
    across, down = (left + right) / 2 / width - 0.5, (top + bottom) / 2 / height - 0.5
    assert m.offset == pytest.approx((across, down))


def test_grey_and_coloured_images_have_equal_measures():
    image = disc(300)
    grey, rgb = product.measure(image[..., :1]), product.measure(image)
    assert grey.background == (255,) and rgb.background == (255, 255, 255)
    assert (grey.box, grey.area, grey.white_share) == (
        rgb.box, rgb.area, rgb.white_share
    )  # fmt: skip
    assert grey.halo == pytest.approx(rgb.halo, abs=0.01)
    assert grey.blur == pytest.approx(rgb.blur, rel=1e-3)


def test_jpeg_and_grain_move_the_box_by_a_block_at_most():
    clean = product.measure(disc(500))
    grain = np.random.default_rng(0).normal(0, 4, (500, 500, 1))
    for worse in (jpeg(disc(500)), np.clip(disc(500) + grain, 0, 255).astype(np.uint8)):
        assert np.abs(np.subtract(product.measure(worse).box, clean.box)).max() <= 4


def test_dust_is_no_product_but_spoils_the_background():
    image = rectangle()
    image[20:24, 370:374] = 100
    m = product.measure(image)
    assert m.box == (50, 80, 350, 320)
    assert m.white_worst == 155
    assert m.white_share == pytest.approx(1 - 16 / (400 * 400 - 306 * 246), abs=1e-5)


def test_a_known_mask_is_used():
    image = rectangle()
    mask = np.zeros((400, 400), np.uint8)
    mask[100:200, 100:300] = 255
    for mask_image in (mask, mask > 0):
        m = product.measure(image, mask_image)
        assert m.box == (100, 100, 200, 300) and m.fill == 0.5


@pytest.mark.parametrize("level", [255, 128, 0])
def test_a_blank_image_has_measures(level):
    m = product.measure(np.full((60, 80, 3), level, np.uint8))
    assert m.blank and m.box is None and m.background == (level,) * 3
    assert m.white_mean == 255 - level and m.evenness == 0
    assert all(math.isnan(x) for x in (m.fill, m.area, *m.offset, m.halo, m.blur, m.native))


def test_noise_alone_and_a_full_frame_are_no_crash():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (100, 120, 3), dtype=np.uint8)
    product.measure(noise)
    full = product.measure(rectangle(), np.ones((400, 400), bool))
    assert full.fill == 1 and math.isnan(full.white_mean)
    line = product.measure(rectangle((200, 50, 202, 350)))
    assert line.box == (200, 50, 202, 350) and math.isnan(line.halo)


def test_invalid_images_are_rejected():
    for wrong in (np.zeros((40, 40, 3)), np.zeros((40, 40), np.uint8), np.zeros((40, 40, 4), "u1")):
        with pytest.raises(ValueError, match="uint8"):
            product.measure(wrong)
    with pytest.raises(ValueError, match="16 pixels"):
        product.measure(np.zeros((8, 40, 3), np.uint8))
    with pytest.raises(ValueError, match="does not fit"):
        product.measure(rectangle(), np.ones((20, 20), bool))
    with pytest.raises(ValueError, match="float"):
        product.measure(np.zeros((2000, 2000, 1), np.float32))


def test_a_large_image_has_the_measures_of_a_smaller_one():
    small, large = product.measure(disc(800)), product.measure(disc(1600))
    assert large.fill == pytest.approx(small.fill, abs=2e-3)
    assert large.area == pytest.approx(small.area, abs=2e-3)
    assert large.native == 1600 and large.white_share == 1
    odd = product.measure(rectangle((101, 203, 1401, 1103), (1601, 1201)))
    assert np.abs(np.subtract(odd.box, (101, 203, 1401, 1103))).max() <= 2


# --- the background ----------------------------------------------------------------------------


def test_a_tint_is_its_distance_from_white():
    m = product.measure(rectangle(ground=(250, 252, 245)))
    assert m.background == (250, 252, 245)
    assert (m.white_mean, m.white_worst, m.white_share) == (10, 10, 0)
    assert m.evenness == pytest.approx(0, abs=1e-6) and m.slope == pytest.approx(0, abs=1e-3)


def test_a_ramp_is_its_slope():
    image = np.repeat(np.linspace(200, 240, 500)[None, :, None], 500, axis=0)
    image = np.repeat(np.rint(image), 3, axis=-1).astype(np.uint8)
    assert product.measure(image).slope == pytest.approx(40, rel=0.02)
    assert product.measure(image).evenness == pytest.approx(40 / math.sqrt(12), rel=0.02)
    image[150:350, 150:350] = 30
    assert product.measure(image).slope == pytest.approx(40, rel=0.02)


def test_exact_white_is_counted():
    image = rectangle()
    image[:, 360:] = 254  # 40 of the columns beside the product
    m = product.measure(image)
    clear = 400 * 400 - 306 * 246
    assert m.white_share == pytest.approx(1 - 40 * 400 / clear, abs=1e-4)
    assert m.white_worst == 1 and m.white_mean == pytest.approx(40 * 400 / clear, abs=1e-4)


# --- the edge ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "side"), [(2, 500), (3, 500), (5, 800)])
@pytest.mark.parametrize(
    ("shade", "ground", "rim", "target"),
    [
        (40, 128, 255, 127),  # a white fringe on grey: beyond the background
        (160, 255, 30, -130),  # a dark fringe on white: beyond the product
    ],
)
def test_a_painted_halo_has_its_width_strength_and_sign(width, side, shade, ground, rim, target):
    m = product.measure(disc(side, 0.4, shade, ground, width, rim))
    assert m.halo == pytest.approx(target, rel=0.05)
    assert m.halo_width == pytest.approx(width, abs=0.35)


def test_a_coloured_fringe_lies_off_the_line():
    image = rectangle((60, 60, 440, 440), (500, 500))
    image[57:443, 57:443] = (60, 200, 60)
    image[60:440, 60:440] = (200, 40, 40)
    m = product.measure(image)
    b, f, p = (np.float64(x) for x in ((255, 255, 255), (200, 40, 40), (60, 200, 60)))
    t = np.clip((p - b) @ (f - b) / ((f - b) @ (f - b)), 0, 1)
    off = p - b - t * (f - b)
    assert abs(m.halo) == pytest.approx(math.sqrt((off**2).mean()), rel=0.02)
    assert m.halo_width == pytest.approx(3, abs=0.1)


def test_clean_edges_have_no_halo():
    assert abs(product.measure(disc(500)).halo) < 0.5
    assert abs(product.measure(blur_image(disc(500), 1)).halo) < product.MIN_HALO_LEVELS
    texture = disc(500)
    grain = np.random.default_rng(0).normal(0, 20, (500, 500, 1)) * (texture < 200)
    m = product.measure(np.clip(texture + grain, 0, 255).astype(np.uint8))
    assert abs(m.halo) < product.MIN_HALO_LEVELS and m.halo_width == 0
    between = product.measure(disc(500, rim=3, rim_shade=180))  # only as a soft edge would be
    assert abs(between.halo) < product.MIN_HALO_LEVELS


# --- sharpness and true resolution -------------------------------------------------------------


def test_blur_is_the_gaussians_deviation():
    sharp = disc(500)
    result = [
        product.measure_blur(product.to_luma(blur_image(sharp, s))) for s in (1, 1.5, 2, 3, 4, 6)
    ]
    np.testing.assert_allclose(result, [1, 1.5, 2, 3, 4, 6], rtol=0.1)
    assert product.measure_blur(product.to_luma(sharp)) < 0.3


def test_blur_does_not_depend_on_contrast_or_direction():
    faint, strong = (product.to_luma(blur_image(disc(400, shade=s), 2)) for s in (180, 0))
    assert product.measure_blur(faint) == pytest.approx(product.measure_blur(strong), rel=0.1)
    straight = rectangle((100, 100, 300, 300), shade=0)
    fine = Image.fromarray(rectangle((400, 400, 1200, 1200), (1600, 1600), shade=0))
    tilted_image = fine.rotate(30, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255))
    tilted_image = np.asarray(tilted_image.resize((400, 400), Image.Resampling.BOX))
    straight, tilted_image = (product.to_luma(blur_image(p, 2)) for p in (straight, tilted_image))
    assert product.measure_blur(straight) == pytest.approx(
        product.measure_blur(tilted_image), rel=0.1
    )


def test_native_resolution_falls_with_every_step_of_blur():
    for image in (disc(500), cloth(500)):
        sweep = [native(blur_image(image, s)) for s in (0.7, 1, 1.5, 2, 3, 5)]
        assert (np.diff(sweep) < 0).all(), sweep
        assert sweep[-1] < 100


@pytest.mark.parametrize("make", [disc, cloth])
@pytest.mark.parametrize("side", [250, 1000])
def test_a_sharp_image_has_its_own_resolution(make, side):
    image = make(side)
    assert native(image) > 0.9 * side
    assert native(jpeg(image)) > 0.9 * side
    large = np.asarray(Image.fromarray(make(1000)).resize((400, 400), Image.Resampling.LANCZOS))
    assert native(large) > 0.9 * 400  # brought down, as a shop would


@pytest.mark.parametrize("make", [disc, cloth])
@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize("small", [100, 200, 333, 500])
def test_an_enlarged_image_has_its_original_resolution(make, how, small):
    image = enlarge_image(make(1000), small, 1000, FILTERS[how])
    assert native(image) == pytest.approx(small, rel=0.25)
    assert native(jpeg(image)) == pytest.approx(small, rel=0.25)


@pytest.mark.parametrize("small", [100, 200, 333, 400])
def test_repeated_pixels_are_counted(small):
    for image in (disc(1000), cloth(1000)):
        large = enlarge_image(image, small, 1000, Image.Resampling.NEAREST)
        assert native(large) == pytest.approx(small, rel=0.05)
        assert native(jpeg(large)) == pytest.approx(small, rel=0.05)


def test_measures_say_200_of_an_enlarged_200():
    m = product.measure(jpeg(enlarge_image(cloth(1000), 200, 1000, Image.Resampling.BICUBIC)))
    assert m.native == pytest.approx(200, rel=0.25) and m.blur > 1.3
    m = product.measure(cloth(1000))
    assert m.native == 1000 and m.blur < 0.5


def test_an_enlarged_box_is_not_measured_as_sharp():
    """Edges along the pixel grid without antialiasing hold more than their pixels: up to 1.6."""
    large = enlarge_image(rectangle((14, 40, 186, 160), (200, 200)), 200, 1000, FILTERS["bicubic"])
    assert native(large) < 1.6 * 200
    assert native(rectangle((70, 200, 930, 800), (1000, 1000))) == 1000


def test_a_flat_image_has_no_resolution():
    flat = np.full((50, 50), 7.0, np.float32)
    assert math.isnan(product.measure_native_share(flat)) and math.isnan(product.measure_blur(flat))


# --- real images -----------------------------------------------------------------------------


def test_real_packshots():
    if not (REAL / "products.csv").exists():
        pytest.skip("real pictures are not here")
    with open(REAL / "products.csv", newline="") as file:
        rows = list(csv.DictReader(file))[::100][:50]
    measures, gaps = [], []
    for row in rows:
        image = np.asarray(Image.open(REAL / row["image"]).convert("RGB"))
        measures.append(product.measure(image))
        mask = silhouette.find_silhouette(image).mask
        target = [float(row[f"colour_{c}"]) for c in "rgb"]
        gaps.append(colorimetry.mean_colour_difference(image[mask], target))
    assert len(measures) == 50 and not any(m.blank for m in measures)
    fill = np.array([m.fill for m in measures])
    assert np.abs(fill - 0.865).max() < 0.02  # 86 % and the rim of the cut-out
    assert max(max(map(abs, m.offset)) for m in measures) < 0.02
    assert all(m.background == (255, 255, 255) for m in measures)
    assert max(m.white_mean for m in measures) < 1
    assert min(m.white_share for m in measures) > 0.8
    natives = np.array([m.native for m in measures])
    assert np.median(natives) > 0.9 * 256 and natives.min() > 0.6 * 256
    assert np.median(gaps) < 3
    enlarged_one = Image.open(REAL / rows[0]["image"]).resize((1000, 1000), FILTERS["bicubic"])
    assert native(np.asarray(enlarged_one)) < 400
    soft = Image.open(REAL / rows[0]["image"]).filter(ImageFilter.GaussianBlur(2))
    assert product.measure(np.asarray(soft)).blur > 2 * measures[0].blur
