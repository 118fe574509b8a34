"""The product's mask: pieces against SciPy's labels, gaps in an outline, and time."""

import time

import numpy as np
import pytest
from scipy import ndimage

from prodgen.photo import silhouette


@pytest.mark.parametrize("seed", range(4))
def test_components_are_scipys(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((37, 53)) < (0.3, 0.5, 0.6, 0.8)[seed]
    labels, sizes = silhouette.components(mask)
    asked, count = ndimage.label(mask)
    assert len(sizes) == count + 1 and sizes[0] == 0 and sizes.sum() == mask.sum()
    pairs = set(zip(labels.ravel().tolist(), asked.ravel().tolist(), strict=True))
    assert len(pairs) == count + (not mask.all())  # one of ours for one of theirs


def test_components_of_a_spiral_and_of_nothing():
    spiral = np.zeros((65, 65), bool)
    for k in range(0, 32, 2):  # one long corridor: the worst case for passing labels on
        spiral[k, k : 65 - k] = spiral[64 - k, k : 65 - k] = True
        spiral[k : 65 - k, 64 - k] = spiral[k + 2 : 65 - k, k] = True
        spiral[k + 2, k : k + 3] = True
    assert len(silhouette.components(spiral)[1]) == ndimage.label(spiral)[1] + 1
    assert len(silhouette.components(np.zeros((4, 4), bool))[1]) == 1


@pytest.mark.parametrize("kind", ["product", "noise"])
def test_finding_a_product_among_a_million_pixels_takes_no_half_second(kind):
    picture = np.full((1000, 1000, 3), 255, np.uint8)
    picture[100:900, 200:700] = 90
    if kind == "noise":
        picture = np.random.default_rng(0).integers(225, 256, (1000, 1000, 3), dtype=np.uint8)
    started = time.process_time()
    silhouette.find(picture)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("gap", [0, 2])
def test_a_white_product_on_white_is_found_by_its_outline(gap):
    picture = np.full((400, 400, 3), 255, np.uint8)
    picture[50:350, 80:320] = 180
    picture[53:347, 83:317] = 255
    picture[200 : 200 + gap, 80:83] = 255  # a break in the outline, no way in
    mask = silhouette.find(picture).mask
    assert silhouette.box_of(mask) == (50, 80, 350, 320)
    assert mask.mean() == pytest.approx(0.45, abs=1e-3)


def test_a_hole_belongs_to_the_product_and_a_bay_does_not():
    picture = np.full((300, 300), 200, np.uint8)
    picture[50:250, 50:250] = 40
    picture[100:150, 100:150] = 200  # a hole
    picture[180:250, 140:160] = 200  # a bay, open below
    mask = silhouette.find(picture[..., None]).mask
    assert mask[125, 125] and not mask[220, 150]
    assert mask.sum() == pytest.approx(200 * 200 - 70 * 20, abs=4)


def test_the_background_may_be_any_colour_or_a_gradient():
    ramp = np.linspace(-20, 20, 400)
    light = 190 + ramp[:, None] + 0.5 * ramp[None] - 0.02 * ramp[None] ** 2
    picture = np.repeat(np.rint(light)[..., None], 3, axis=-1).astype(np.uint8)
    picture[50:350, 80:320] = (200, 60, 60)
    found = silhouette.find(picture)
    assert silhouette.box_of(found.mask) == (50, 80, 350, 320)
    assert np.abs(found.background - light[..., None]).max() < 1
    picture[:] = (20, 90, 30)
    picture[100:300, 40:180] = picture[120:300, 230:360] = 250  # a pair is one product
    assert silhouette.box_of(silhouette.find(picture).mask) == (100, 40, 300, 360)
