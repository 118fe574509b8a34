"""Recolouring shaded discs, whose colour and shading are known, and real clothes."""

import csv

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import BadData
from prodgen.photo import colorimetry, outside_change, recolour, silhouette
from tests.tiny import ROOT

REAL = ROOT.parent / "shared" / "data" / "clothing-white"
TARGETS = {
    "red": (192, 43, 43), "teal": (40, 148, 146), "navy": (32, 58, 95), "yellow": (244, 200, 66),
    "white": (243, 242, 240), "black": (40, 41, 44), "grey": (138, 142, 146),
}  # fmt: skip
STARTS = {"blue": (48, 94, 182), "grey": (150, 150, 150), "white": (235, 235, 232),
          "black": (38, 38, 40)}  # fmt: skip


def ball(rgb, side=96, radius=40, highlight=False):
    """A disc shaded from 0.55 to 1.15 of its linear light before white; its mask bool."""
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    mask = np.hypot(y, x) < radius
    light = colorimetry.srgb_to_linear(np.array(rgb) / 255) * (
        0.85 - 0.3 * (x + y)[..., None] / radius / 1.41
    )
    if highlight:
        spot = np.exp(-(np.square(x + 15) + np.square(y + 15)) / 18)[..., None]
        light = light + spot * (1 - light)
    levels = 255 * colorimetry.linear_to_srgb(np.clip(light, 0, 1))
    return np.where(mask[..., None], np.rint(levels), 255).astype(np.uint8), mask


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("region", recolour.REGIONS)
def test_the_target_colour_is_reached_and_the_order_of_lightness_stays(start, target, region):
    image, mask = ball(STARTS[start])
    result = recolour.recolour(image, mask, TARGETS[target], region=region)
    assert result.delta_e_after <= 3
    assert (
        abs(
            colorimetry.mean_colour_difference(result.image[mask], TARGETS[target])
            - result.delta_e_after
        )
        < 0.5
    )
    assert result.region_fraction > 0.99
    np.testing.assert_array_equal(result.image[~mask], image[~mask])
    assert result.outside_change == outside_change.OutsideChange(0, 0)
    before = colorimetry.srgb_to_lab(image[mask])[:, 0]
    after = colorimetry.srgb_to_lab(result.image[mask])[:, 0]
    order = np.argsort(before, kind="stable")
    # Rounding to whole levels moves L* by up to some tenths, in the dark by more.
    assert np.maximum.accumulate(after[order]).max() > after[order].min() + 2  # shading is there
    assert (np.maximum.accumulate(after[order]) - after[order]).max() < 1.0


def test_highlights_stay_white_and_shade_stays_dark():
    image, mask = ball((48, 94, 182), highlight=True)
    image[40:44, 60:64] = 0
    result = recolour.recolour(image, mask, TARGETS["red"]).image
    brightest = np.unravel_index(image.sum(axis=2)[20:45, 20:45].argmax(), (25, 25))
    spot = result[20:45, 20:45][brightest]
    assert spot.min() > 230
    assert result[40:44, 60:64].max() < 25


def test_a_print_in_another_colour_is_unchanged():
    image, mask = ball((48, 94, 182))
    image[40:56, 40:56] = (240, 235, 60)
    result = recolour.recolour(image, mask, TARGETS["red"], region="dominant")
    np.testing.assert_array_equal(result.image[40:56, 40:56], image[40:56, 40:56])
    assert result.delta_e_after <= 3 and 0.9 < result.region_fraction < 0.98
    whole = recolour.recolour(image, mask, TARGETS["red"], region="whole")
    assert np.abs(whole.image[40:56, 40:56].astype(int) - image[40:56, 40:56]).max() > 20


def test_white_on_black_is_two_colours():
    image, mask = ball((38, 38, 40))
    image[40:56, 40:56] = 240
    result = recolour.recolour(image, mask, TARGETS["teal"], region="dominant")
    np.testing.assert_array_equal(result.image[40:56, 40:56], image[40:56, 40:56])


def test_the_colour_difference_falls_with_strength():
    image, mask = ball((48, 94, 182))
    gaps = []
    for strength in (0.0, 0.3, 0.7, 1.0):
        result = recolour.recolour(image, mask, TARGETS["red"], strength)
        gaps.append(result.delta_e_after)
        if not strength:
            np.testing.assert_array_equal(result.image, image)
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 3 < gaps[1]


def test_a_soft_mask_blends():
    image, mask = ball((48, 94, 182))
    soft = np.where(mask, np.uint8(255), np.uint8(0))
    soft[:, 48:] //= 2
    full = recolour.recolour(image, mask, TARGETS["red"]).image.astype(float)
    half = recolour.recolour(image, soft, TARGETS["red"]).image.astype(float)
    change = np.abs(half - image).sum(axis=2)[mask], np.abs(full - image).sum(axis=2)[mask]
    right = np.nonzero(mask)[1] >= 48
    assert change[0][right].mean() < 0.75 * change[1][right].mean()
    assert (half[~mask] == image[~mask]).all()


def test_the_same_input_gives_the_same_bytes():
    image, mask = ball((48, 94, 182))
    first, second = (recolour.recolour(image, mask, (9, 99, 199)).image for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_outside_change_is_the_largest_and_the_mean():
    before = np.full((2, 2, 1), 100, np.uint8)
    after = np.uint8([[[90], [103]], [[100], [0]]])
    mask = np.array([[0, 0], [0, 255]], np.uint8)
    assert outside_change.measure_outside_change(
        before, after, mask
    ) == outside_change.OutsideChange(10.0, 13 / 3)
    assert outside_change.measure_outside_change(
        before, after, np.ones((2, 2), bool)
    ) == outside_change.OutsideChange(0, 0)
    with pytest.raises(BadData, match="outside its mask by up to 10 levels"):
        outside_change.check_outside_change(before, after, mask)
    assert outside_change.check_outside_change(before, after, mask, max_change=10).largest == 10


def test_invalid_arguments_are_errors():
    image, mask = ball((48, 94, 182))
    with pytest.raises(BadData, match="no product"):
        recolour.recolour(image, np.zeros_like(mask), TARGETS["red"])
    with pytest.raises(ValueError, match="does not fit"):
        recolour.recolour(image, mask[:-1], TARGETS["red"])
    with pytest.raises(ValueError, match="strength"):
        recolour.recolour(image, mask, TARGETS["red"], 1.5)
    with pytest.raises(ValueError, match="region"):
        recolour.recolour(image, mask, TARGETS["red"], region="logo")


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared images are not here")
def test_real_clothes_reach_a_colour():
    with open(REAL / "products.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["category"] == "T-Shirt"][:80:10]
    gaps = []
    for row in rows:
        image = np.asarray(Image.open(REAL / row["image"]).convert("RGB"))
        mask = silhouette.find_silhouette(image).mask
        gaps += [recolour.recolour(image, mask, TARGETS[name], region="dominant").delta_e_after
                 for name in ("red", "teal", "black")]  # fmt: skip
    assert np.median(gaps) < 1 and max(gaps) < 3
