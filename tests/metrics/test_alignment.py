"""The alignment of images is that of its definition, for every shift and for parts of a pixel."""

import itertools

import numpy as np
import pytest

from prodgen.metrics import alignment
from tests.metrics.test_memorisation import blots

SHAPE = (13, 17, 3)


def by_hand(a, b, low, high):
    """(mean squared difference, move) of two images, shift by shift."""
    slopes = np.gradient(a, axis=(0, 1))
    bend = np.array([[(x * y).mean() for y in slopes] for x in slopes]) + 1e-3 * np.eye(2)
    result = []
    for down, right in itertools.product(
        *(range(*ends) for ends in zip(low, high + 1, strict=True))
    ):
        here, there = [], []
        for side, move in zip(a.shape[:2], (down, right), strict=True):
            here.append(slice(max(move, 0), side + min(move, 0)))
            there.append(slice(max(-move, 0), side - max(move, 0)))
        gap = a[*here] - b[*there]
        pull = np.array([(slope[*here] * gap).mean() for slope in slopes])
        move = np.clip(
            np.linalg.solve(bend, pull), -alignment.MAX_TANGENT_MOVE, alignment.MAX_TANGENT_MOVE
        )
        gain = 2 * move @ pull - move @ bend @ move
        result.append(((gap**2).mean() - max(gain, 0), (down, right) - move * (gain > 0)))
    return min(result, key=lambda pair: pair[0])


def test_the_least_difference_and_its_move_are_those_of_the_definition():
    height, width, _ = SHAPE
    images = blots(10, 20, 3).astype(np.float32)[:, :height, :width]
    a, b = images[:4].reshape(2, 2, *SHAPE), images[4:].reshape(2, 3, *SHAPE)
    low, high = np.array([[-2, -1], [0, -4]]), np.array([[2, 3], [1, 0]])
    square, move = alignment.align(a, b, low, high)
    for g, v, k in np.ndindex(2, 2, 3):
        least, where = by_hand(*map(np.float64, (a[g, v], b[g, k])), low[g], high[g])
        assert square[g, v, k] == pytest.approx(least, rel=1e-4)
        np.testing.assert_allclose(move[g, v, k], where, atol=1e-3)


def test_a_move_by_parts_of_a_pixel_is_detected():
    image = blots(1, 24, 1).astype(np.float32)
    part = 0.7 * image + 0.3 * np.roll(image, 1, 2)  # to the right by about 0.3
    shifted_image = np.roll(part, (2, -1), (1, 2))[:, 4:20, 4:20]
    low = np.array([[-3, -3]])
    square, move = alignment.align(shifted_image[None], image[None, :, 4:20, 4:20], low, -low)
    np.testing.assert_allclose(move[0, 0, 0], [2, -0.7], atol=0.1)
    assert square < 0.02 * image.var()


def test_of_equal_shifts_the_least_is_taken():
    flat = np.full((1, 1, 12, 12, 1), 80, np.float32)
    square, move = alignment.align(flat, flat + 3, np.array([[-2, -2]]), np.array([[2, 2]]))
    assert square == pytest.approx(9) and (move == 0).all()
