"""The product's silhouette: gaps in an outline, holes, backgrounds that are not flat, and time."""

import time

import numpy as np
import pytest

from prodgen.photo import morphology, silhouette


@pytest.mark.parametrize("kind", ["product", "noise"])
def test_a_silhouette_of_a_million_pixels_takes_less_than_half_a_second(kind):
    image = np.full((1000, 1000, 3), 255, np.uint8)
    image[100:900, 200:700] = 90
    if kind == "noise":
        image = np.random.default_rng(0).integers(225, 256, (1000, 1000, 3), dtype=np.uint8)
    start_time = time.process_time()
    silhouette.find_silhouette(image)
    assert time.process_time() - start_time < 0.5


@pytest.mark.parametrize("gap", [0, 2])
def test_a_white_product_on_white_is_segmented_by_its_outline(gap):
    image = np.full((400, 400, 3), 255, np.uint8)
    image[50:350, 80:320] = 180
    image[53:347, 83:317] = 255
    image[200 : 200 + gap, 80:83] = 255  # a gap in the outline, too narrow for the flood
    mask = silhouette.find_silhouette(image).mask
    assert morphology.bounding_box(mask) == (50, 80, 350, 320)
    assert mask.mean() == pytest.approx(0.45, abs=1e-3)


def test_a_hole_belongs_to_the_product_and_a_bay_does_not():
    image = np.full((300, 300), 200, np.uint8)
    image[50:250, 50:250] = 40
    image[100:150, 100:150] = 200  # a hole
    image[180:250, 140:160] = 200  # a bay, open below
    mask = silhouette.find_silhouette(image[..., None]).mask
    assert mask[125, 125] and not mask[220, 150]
    assert mask.sum() == pytest.approx(200 * 200 - 70 * 20, abs=4)


def test_the_background_may_be_any_colour_or_a_gradient():
    ramp = np.linspace(-20, 20, 400)
    light = 190 + ramp[:, None] + 0.5 * ramp[None] - 0.02 * ramp[None] ** 2
    image = np.repeat(np.rint(light)[..., None], 3, axis=-1).astype(np.uint8)
    image[50:350, 80:320] = (200, 60, 60)
    product = silhouette.find_silhouette(image)
    assert morphology.bounding_box(product.mask) == (50, 80, 350, 320)
    assert np.abs(product.background - light[..., None]).max() < 1
    image[:] = (20, 90, 30)
    image[100:300, 40:180] = image[120:300, 230:360] = 250  # a pair is one product
    assert morphology.bounding_box(silhouette.find_silhouette(image).mask) == (100, 40, 300, 360)
