"""The plain cut-out against known masks: light, holes, shadows, white on white, the catalogue."""

import numpy as np
import pytest

from prodgen.data.catalogue import render_product, sample_product
from prodgen.photo import background_removal, plain
from tests.photo.scenes import cloth, disc, lit_background, overlap, photo


@pytest.mark.parametrize("ground", [(252, 252, 252), (128, 150, 170), (30, 32, 40)])
def test_a_product_is_found_on_a_background_with_uneven_light(ground):
    alpha = disc(256, 80, softness=2, right=10)
    estimate = plain.segment(photo(cloth(256, (200, 60, 70)), alpha, lit_background(256, ground)))
    assert overlap(estimate.mask, alpha) > 0.97 and estimate.uncertainty < 0.3


def test_a_hole_shows_the_background_and_a_highlight_does_not():
    ring = disc(256, 90) * (1 - disc(256, 40))
    colours = cloth(256, (60, 90, 150))
    shine = disc(256, 25, softness=30, down=-65)[..., None]  # fades from white to the colour
    image = photo(colours * (1 - shine) + 255 * shine, ring, np.full((256, 256, 3), 255.0))
    mask = plain.segment(image).mask
    assert overlap(mask, ring) > 0.96
    assert mask[128 - 65, 128] == 1 and mask[128, 128] == 0


def test_a_white_product_on_white_keeps_its_inside_and_loses_its_shadow():
    body = disc(256, 70, softness=1.5)
    shade = np.clip(1 - disc(256, 69, softness=2.0) - 0.2, 0, 1)[..., None]
    colours = 250 - 90 * shade * np.ones(3)  # darker at its rim, as a ball is
    shadow = 40 * disc(256, 60, softness=50, down=55)[..., None]
    image = photo(colours, body, 255 - shadow * np.ones(3))
    assert overlap(plain.segment(image).mask, body) > 0.93


def test_a_soft_shadow_is_not_part_of_the_product():
    body, ground = disc(256, 60), np.full((256, 256, 3), 255.0)
    ground -= 70 * disc(256, 70, softness=60, down=40, right=30)[..., None]
    image = photo(cloth(256, (180, 120, 30)), body, ground)
    assert overlap(plain.segment(image).mask, body) > 0.95


@pytest.mark.parametrize("number", [1, 2, 4, 7, 10, 11, 13, 15])
def test_catalogue_packshots_against_their_own_masks(number):
    """Bottle, vase, lamp, sofa, hat, T-shirt, headphones, camera, all with their shadows."""
    rgba = render_product(sample_product(0, number), 192)
    cutout = background_removal.cut_out(np.ascontiguousarray(rgba[..., :3]), plain.make_segmenter())
    min_overlap = {4: 0.8, 7: 0.84, 13: 0.8}.get(number, 0.9)  # thin parts; a dark shadow beneath
    assert overlap(cutout.alpha, rgba[..., 3]) >= min_overlap


def test_a_cluttered_background_gives_a_high_uncertainty():
    rng = np.random.default_rng(0)
    clutter = np.kron(rng.integers(0, 255, (16, 16, 3)), np.ones((16, 16, 1)))
    image = photo(cloth(256, (200, 60, 70)), disc(256, 80), clutter)
    assert plain.segment(image).uncertainty > 0.5
