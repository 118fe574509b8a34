"""The product's silhouette: gaps in an outline, holes, backgrounds that are not flat, and time."""

import time

import numpy as np
import pytest

from prodgen.photo import morphology, silhouette


@pytest.mark.parametrize("kind", ["product", "noise"])
def test_finding_a_product_among_a_million_pixels_takes_no_half_second(kind):
    picture = np.full((1000, 1000, 3), 255, np.uint8)
    picture[100:900, 200:700] = 90
    if kind == "noise":
        picture = np.random.default_rng(0).integers(225, 256, (1000, 1000, 3), dtype=np.uint8)
    started = time.process_time()
    silhouette.find_silhouette(picture)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("gap", [0, 2])
def test_a_white_product_on_white_is_found_by_its_outline(gap):
    picture = np.full((400, 400, 3), 255, np.uint8)
    picture[50:350, 80:320] = 180
    picture[53:347, 83:317] = 255
    picture[200 : 200 + gap, 80:83] = 255  # a break in the outline, no way in
    mask = silhouette.find_silhouette(picture).mask
    assert morphology.bounding_box(mask) == (50, 80, 350, 320)
    assert mask.mean() == pytest.approx(0.45, abs=1e-3)


def test_a_hole_belongs_to_the_product_and_a_bay_does_not():
    picture = np.full((300, 300), 200, np.uint8)
    picture[50:250, 50:250] = 40
    picture[100:150, 100:150] = 200  # a hole
    picture[180:250, 140:160] = 200  # a bay, open below
    mask = silhouette.find_silhouette(picture[..., None]).mask
    assert mask[125, 125] and not mask[220, 150]
    assert mask.sum() == pytest.approx(200 * 200 - 70 * 20, abs=4)


def test_the_background_may_be_any_colour_or_a_gradient():
    ramp = np.linspace(-20, 20, 400)
    light = 190 + ramp[:, None] + 0.5 * ramp[None] - 0.02 * ramp[None] ** 2
    picture = np.repeat(np.rint(light)[..., None], 3, axis=-1).astype(np.uint8)
    picture[50:350, 80:320] = (200, 60, 60)
    found = silhouette.find_silhouette(picture)
    assert morphology.bounding_box(found.mask) == (50, 80, 350, 320)
    assert np.abs(found.background - light[..., None]).max() < 1
    picture[:] = (20, 90, 30)
    picture[100:300, 40:180] = picture[120:300, 230:360] = 250  # a pair is one product
    assert morphology.bounding_box(silhouette.find_silhouette(picture).mask) == (100, 40, 300, 360)
