"""Lab and CIEDE2000 against published values, known palettes, transport against an LP."""

import numpy as np
import pytest
from scipy.optimize import linprog

from prodgen.photo import colorimetry, dominant_colours

# Sharma, Wu, Dalal 2005, table 1: L1 a1 b1, L2 a2 b2, difference.
SHARMA = np.array(
    [
        [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
        [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
        [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
        [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
        [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
        [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
        [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
        [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
        [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
        [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
        [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
        [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)  # fmt: skip


def flat(*parts):
    """Pixels [N, 3] of (colour, count) pairs."""
    return np.concatenate([np.tile(np.uint8(rgb), (count, 1)) for rgb, count in parts])


def test_ciede2000_equals_all_34_pairs_of_sharma_in_both_orders():
    first, second, reference = SHARMA[:, :3], SHARMA[:, 3:6], SHARMA[:, 6]
    assert len(SHARMA) == 34
    np.testing.assert_allclose(colorimetry.ciede2000(first, second), reference, atol=5e-5)
    np.testing.assert_allclose(colorimetry.ciede2000(second, first), reference, atol=5e-5)


def test_ciede2000_broadcasts_and_is_zero_on_itself():
    points = SHARMA[:, :3]
    table = colorimetry.ciede2000(points[:, None], points[None])
    assert table.shape == (34, 34) and (np.diag(table) == 0).all()
    np.testing.assert_allclose(table, table.T, atol=1e-12)
    black = np.zeros(3)
    assert colorimetry.ciede2000(black, black) == 0 and np.isfinite(
        colorimetry.ciede2000(black, points[0])
    )


@pytest.mark.parametrize(
    ("rgb", "reference"),
    [  # Lindbloom's calculator, sRGB, D65
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 255, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 255), (32.2970, 79.1875, -107.8602)),
        ((119, 119, 119), (50.0344, 0, 0)),
        ((5, 5, 5), (1.3708, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb, reference):
    np.testing.assert_allclose(colorimetry.srgb_to_lab(np.uint8(rgb)), reference, atol=2e-3)
    np.testing.assert_allclose(colorimetry.srgb_to_lab(np.float64(rgb) / 255), reference, atol=2e-3)


def test_lab_of_a_grey_has_no_colour_at_all():
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    assert np.abs(colorimetry.srgb_to_lab(greys)[:, 1:]).max() < 1e-10


def test_lab_of_values_outside_srgb_is_an_error():
    for wrong in (np.float32([[-1, 0, 1]]), np.float32([np.nan, 0, 0]), np.float64([0, 0, 255])):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            colorimetry.srgb_to_lab(wrong)
    with pytest.raises(ValueError, match="int64"):
        colorimetry.srgb_to_lab(np.int64([1, 2, 3]))
    with pytest.raises(ValueError, match="4, 1"):
        colorimetry.srgb_to_lab(np.zeros((4, 1), np.uint8))


def test_the_mean_colour_difference_to_a_target():
    assert colorimetry.mean_colour_difference(flat(((200, 30, 40), 9)), (200, 30, 40)) == 0
    two_colours = flat(((100, 50, 0), 5), ((110, 60, 10), 5))
    assert colorimetry.mean_colour_difference(two_colours, (105, 55, 5)) == pytest.approx(
        0, abs=1e-9
    )
    far = colorimetry.mean_colour_difference(flat(((255, 0, 0), 3)), (0, 255, 0))
    assert far == pytest.approx(86.6082, abs=2e-3)
    with pytest.raises(ValueError, match="N > 0"):
        colorimetry.mean_colour_difference(np.zeros((0, 3), np.uint8), (0, 0, 0))


def test_a_palette_has_flat_colours_exactly_with_their_shares():
    parts = [((250, 10, 10), 600), ((10, 10, 240), 300), ((20, 200, 30), 100)]
    pixels = flat(*parts)
    result = dominant_colours.extract_palette(pixels, 3)
    np.testing.assert_allclose(
        result.colours, colorimetry.srgb_to_lab(np.uint8([rgb for rgb, _ in parts]))
    )
    np.testing.assert_allclose(result.weights, [0.6, 0.3, 0.1])
    assert len(dominant_colours.extract_palette(pixels, 8).weights) == 3


def test_a_palette_does_not_depend_on_the_order_of_the_pixels():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    shuffled_pixels = rng.permutation(pixels.reshape(-1, 3))
    first, again = (
        dominant_colours.extract_palette(pixels, 6),
        dominant_colours.extract_palette(shuffled_pixels, 6),
    )
    np.testing.assert_allclose(first.colours, again.colours, atol=1e-9)
    np.testing.assert_allclose(first.weights, again.weights)
    assert (np.diff(first.weights) <= 0).all() and first.weights.sum() == pytest.approx(1)


def test_a_palette_of_noisy_colours_is_near_them():
    rng = np.random.default_rng(1)
    parts = [((200, 60, 60), 5000), ((60, 60, 180), 3000), ((230, 220, 90), 400)]
    noisy = np.clip(flat(*parts) + rng.normal(0, 6, (8400, 3)), 0, 255).astype(np.uint8)
    result = dominant_colours.extract_palette(noisy, 3)
    gap = colorimetry.ciede2000(
        result.colours, colorimetry.srgb_to_lab(np.uint8([rgb for rgb, _ in parts]))
    )
    assert (
        gap.max() < 1 and np.abs(result.weights - np.array([5000, 3000, 400]) / 8400).max() < 0.01
    )


def test_a_palette_of_no_pixels_is_an_error():
    with pytest.raises(ValueError, match="0 pixels"):
        dominant_colours.extract_palette(np.zeros((0, 3), np.uint8), 3)
    with pytest.raises(ValueError, match="k = 0"):
        dominant_colours.extract_palette(np.zeros((4, 3), np.uint8), 0)


def test_palette_differences_equal_hand_computed_values():
    red, blue = colorimetry.srgb_to_lab(np.uint8([[255, 0, 0], [0, 0, 255]]))
    gap = float(colorimetry.ciede2000(red, blue))
    one = dominant_colours.Palette(np.stack([red, blue]), np.array([0.7, 0.3]))
    other = dominant_colours.Palette(np.stack([blue, red]), np.array([0.6, 0.4]))
    assert dominant_colours.palette_difference(one, one) == 0
    assert dominant_colours.palette_difference(one, other) == pytest.approx(0.3 * gap, rel=1e-6)
    single = dominant_colours.Palette(red[None], np.array([1.0]))
    assert dominant_colours.palette_difference(single, one) == pytest.approx(0.3 * gap, rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_optimal_transport_equals_the_linear_program(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 9, 2)
    one, other = (
        dominant_colours.Palette(
            colorimetry.srgb_to_lab(rng.integers(0, 256, (k, 3), dtype=np.uint8)),
            rng.dirichlet(np.ones(k)),
        )
        for k in (n, m)
    )
    cost = colorimetry.ciede2000(one.colours[:, None], other.colours[None])
    sums = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    reference = linprog(
        cost.ravel(), A_eq=sums, b_eq=np.concatenate([one.weights, other.weights])
    ).fun
    result = dominant_colours.palette_difference(one, other)
    assert result == pytest.approx(reference, abs=1e-3)
    assert dominant_colours.palette_difference(other, one) == pytest.approx(result, abs=1e-4)
