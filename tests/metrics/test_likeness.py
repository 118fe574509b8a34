"""Distances stay what they were when they were computed pair by pair, and shift by shift."""

import numpy as np
import pytest

from prodgen.metrics import likeness
from tests.metrics.test_memorisation import blots, shift_image

WERE = {
    (28, 28, 1): (
        [9, 23, 21, 7, 3, 4],
        [0.506385, 0.553146, 0.545412, 0.000312, 0.004257, 0.0],
        [[-3, 0], [-3, 3], [3, 1], [2, 1], [0, 0], [0, 0]],
    ),
    (64, 64, 3): (
        [37, 1, 25, 7, 3, 4],
        [0.819381, 0.825421, 0.846151, 0.000547, 0.002867, 0.000115],
        [[-3, 1], [-4, -6], [6, 1], [2, 1], [0, 0], [0, 0]],
    ),
    (40, 24, 3): (
        [11, 21, 32, 7, 3, 4],
        [0.761034, 0.702593, 0.737621, 0.000944, 0.003008, 0.0],
        [[0, -3], [-3, 2], [-1, -2], [2, 1], [0, 0], [0, 0]],
    ),
}


def queries(shape):
    """(six images, 40 others): three new ones, then copies of others: mirrored and shifted, with
    noise, mirrored and shifted by half a pixel."""
    height, width, channels = shape
    others = blots(40, 80, channels)[:, :height, :width]
    fresh = blots(3, 80, channels, seed=1)[:, :height, :width]
    noise = np.random.default_rng(2).normal(0, 9, shape)
    noisy = np.clip(others[3] + noise, 0, 255).astype(np.uint8)
    half = ((others[4].astype(int) + shift_image(others[4], 0, 1)) // 2).astype(np.uint8)
    copies = [shift_image(others[7][:, ::-1], 2, -1), noisy, half[:, ::-1]]
    return np.concatenate([fresh, copies]), others


@pytest.mark.parametrize("shape", list(WERE))
def test_distances_are_what_they_were(shape):
    images, others = queries(shape)
    result = likeness.find_matches(images, others, np.arange(6)[:, None])
    index, distance, shift = WERE[shape]
    assert result.index.tolist() == index and result.shift.tolist() == shift
    np.testing.assert_allclose(result.distance, distance, atol=3e-6)
    assert result.is_mirrored[[3, 5]].all() and not result.is_mirrored[4]


def test_softening_keeps_flat_images_and_blurs_colour_most():
    flat = np.full((1, 20, 20, 3), (10, 120, 240), np.uint8)
    np.testing.assert_allclose(likeness.soften(flat), flat, atol=1e-3)
    grain = np.random.default_rng(0).normal(0, 20, (1, 40, 40, 1)) * [1, -0.3, -1]
    std_ratio = likeness.soften((128 + grain).astype(np.uint8)).std((1, 2)) / grain.std((1, 2))
    assert (std_ratio < 0.35).all()


def test_shrinking_takes_means_over_areas():
    images = blots(2, 20, 3)[:, :, :12]
    result = likeness.shrink(images, 4)
    np.testing.assert_allclose(result, images.reshape(2, 4, 5, 4, 3, 3).mean((2, 4)), rtol=1e-5)
    np.testing.assert_array_equal(likeness.shrink(images, 20), images)
