"""Compositing against values computed by hand, and where a shadow may fall."""

import numpy as np
import pytest

from prodgen.metrics import marketplace
from prodgen.photo import backdrop

WHITE = (255, 255, 255)


def disc(side, radius, rgb=(60, 90, 150), down=0):
    """RGBA uint8 [S, S, 4]: a disc with an edge one pixel soft, `down` pixels below the middle."""
    place = np.arange(side) + 0.5 - side / 2
    share = np.clip(radius - np.hypot(place[:, None] - down, place[None]) + 0.5, 0, 1)
    colours = np.broadcast_to(np.uint8(rgb), (side, side, 3))
    return np.dstack([colours, np.uint8(np.rint(255 * share))])


def test_composite_over_equals_porter_and_duffs_over_of_the_stored_values():
    product = np.uint8([[[0, 0, 0, 128], [200, 100, 0, 51], [9, 9, 9, 0], [7, 8, 9, 255]]])
    result = backdrop.composite_over(
        product, np.uint8([[WHITE, (0, 50, 255), (1, 2, 3), (4, 5, 6)]])
    )
    # 255 (1 - 128/255) = 127; 0.2 of 200, 0.2 of 100 and 0.8 of 50, 0.8 of 255
    assert result.tolist() == [[[127, 127, 127], [40, 60, 204], [1, 2, 3], [7, 8, 9]]]


def test_a_cutout_on_its_own_background_gives_the_photo_again():
    photo = backdrop.composite_over(disc(64, 20), backdrop.fill((64, 64), (230, 228, 220)))
    second = backdrop.composite_over(
        disc(64, 20), photo
    )  # the soft edge is mixed twice, all else stays
    whole = disc(64, 20)[..., 3]
    np.testing.assert_array_equal(second[whole == 0], photo[whole == 0])
    np.testing.assert_array_equal(second[whole == 255], photo[whole == 255])


def test_a_shadow_is_applied_in_linear_light():
    background = backdrop.fill((200, 200), WHITE)
    alpha = disc(200, 60)[..., 3]
    share = backdrop.compute_shadow(alpha)
    in_shadow = backdrop.add_shadow(background, alpha, 0.5)
    at = np.unravel_index(share.argmax(), share.shape)
    light = 1 - 0.5 * share[at]
    reference = 255 * (1.055 * light ** (1 / 2.4) - 0.055)
    assert abs(float(in_shadow[at][0]) - reference) <= 0.5
    np.testing.assert_array_equal(in_shadow[share == 0], background[share == 0])


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_a_shadow_is_at_the_bottom_of_the_product_and_never_on_it(strength):
    product, background = disc(400, 120), backdrop.fill((400, 400), WHITE)
    result = backdrop.composite_with_shadow(product, background, strength)
    solid = product[..., 3] == 255
    np.testing.assert_array_equal(result[solid], product[solid][:, :3])
    rows, columns = np.nonzero((result < 255).any(axis=2) & (product[..., 3] == 0))
    foot = 320  # the row below the disc
    reach = backdrop.SHADOW_CUTOFF * 240
    assert np.abs(rows - foot).max() <= backdrop.HALO_SHADOW[0] * reach + 1
    assert np.abs(columns - 199.5).max() <= 60 + backdrop.HALO_SHADOW[1] * reach
    below = result[foot + 2 : foot + 12, 200, 0].astype(int)
    assert (below < 255).all() and (np.diff(below) >= 0).all()  # it fades downwards
    wide = backdrop.composite_with_shadow(product, background, strength, softness=2)
    assert ((wide < 255).any(axis=2)).sum() > ((result < 255).any(axis=2)).sum()


def test_each_leg_casts_its_own_shadow():
    alpha = np.zeros((300, 300), np.uint8)
    alpha[100:140, 60:240] = 255
    alpha[140:240, 60:80] = alpha[140:240, 220:240] = 255
    line = backdrop.compute_shadow(alpha)[242]
    assert line[70] > 0.3 and line[230] > 0.3 and line[150] < 1e-9


def test_a_product_without_pixels_has_no_shadow():
    assert not backdrop.compute_shadow(np.zeros((40, 40), np.uint8)).any()


@pytest.mark.parametrize("radius, down", [(450, 0), (240, 230)])
def test_the_frame_s_border_stays_white_and_passes_the_marketplace_check(radius, down):
    result = backdrop.composite_with_shadow(
        disc(1000, radius, down=down), backdrop.fill((1000, 1000), WHITE), 0.3
    )
    edge = np.concatenate([result[:20], result[-20:], result[:, :20].swapaxes(0, 1),
                           result[:, -20:].swapaxes(0, 1)])  # fmt: skip
    assert (edge == 255).all()
    verdict = marketplace.check(result, "white_main")
    assert "background" not in verdict.keys, verdict.reasons


def test_an_image_covers_the_frame_and_keeps_its_centre():
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = (10, 200, 30)
    result = backdrop.cover(image, (50, 50))
    assert result.shape == (50, 50, 3)
    assert (result[:, 5:45] == (10, 200, 30)).all()
    assert backdrop.cover(image, (40, 200)).shape == (40, 200, 3)


def test_a_product_partly_outside_the_frame_is_cropped():
    result = backdrop.place(np.full((4, 4, 4), 9, np.uint8), (6, 6), -2, 4)
    assert (result[:2, 4:] == 9).all() and result.sum() == 4 * 4 * 9
    assert not backdrop.place(np.full((4, 4, 4), 9, np.uint8), (6, 6), 7, 0).any()


def test_shapes_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="does not fit"):
        backdrop.composite_with_shadow(disc(20, 5), backdrop.fill((21, 20), WHITE))
    with pytest.raises(ValueError, match="uint8"):
        backdrop.composite_over(disc(20, 5)[..., :3], backdrop.fill((20, 20), WHITE))
    with pytest.raises(ValueError, match="strength"):
        backdrop.composite_with_shadow(disc(20, 5), backdrop.fill((20, 20), WHITE), 1.2)
