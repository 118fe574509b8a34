"""Components against a flood fill, dilation against SciPy, bounding boxes by hand."""

import numpy as np
import pytest
from scipy import ndimage

from prodgen.photo import morphology


def flood_fill(mask):
    """4-connected components, numbered in reading order, one pixel after another."""
    labels, count = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        stack = [start]
        while stack:
            y, x = stack.pop()
            inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
            if inside and mask[y, x] and not labels[y, x]:
                labels[y, x] = count
                stack += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return labels, count


def spiral():
    """One long corridor: the worst case for propagating labels."""
    mask = np.zeros((65, 65), bool)
    for k in range(0, 32, 2):
        mask[k, k : 65 - k] = mask[64 - k, k : 65 - k] = True
        mask[k : 65 - k, 64 - k] = mask[k + 2 : 65 - k, k] = True
        mask[k + 2, k : k + 3] = True
    return mask


MASKS = [np.random.default_rng(i).random((37, 53)) < p for i, p in enumerate((0.3, 0.5, 0.6, 0.8))]


@pytest.mark.parametrize("mask", [*MASKS, spiral(), np.zeros((4, 4), bool), np.ones((4, 4), bool)])
def test_components_equal_those_of_a_flood_fill(mask):
    labels, areas = morphology.label_components(mask)
    expected_labels, count = flood_fill(mask)
    np.testing.assert_array_equal(labels, expected_labels)
    assert len(areas) == count + 1 and areas[0] == 0 and areas.sum() == mask.sum()
    assert all(areas[i] == (labels == i).sum() for i in range(1, count + 1))


@pytest.mark.parametrize("mask", MASKS)
def test_border_components_are_all_that_touch_the_border(mask):
    labels, _ = flood_fill(mask)
    at_border = {*labels[0], *labels[-1], *labels[:, 0], *labels[:, -1]} - {0}
    expected_mask = np.isin(labels, list(at_border))
    np.testing.assert_array_equal(morphology.select_border_components(mask), expected_mask)


@pytest.mark.parametrize("pixels", [0, 1, 2, 5])
def test_dilation_equals_scipys_by_a_cross_and_a_square_in_turn(pixels):
    mask = np.random.default_rng(0).random((37, 53)) < 0.02
    expected_mask = mask
    for step in range(pixels):
        structure = ndimage.generate_binary_structure(2, 1 + step % 2)
        expected_mask = ndimage.binary_dilation(expected_mask, structure)
    np.testing.assert_array_equal(morphology.dilate(mask, pixels), expected_mask)


def test_a_bounding_box_excludes_its_ends():
    mask = np.zeros((9, 12), bool)
    mask[2, 3] = mask[6, 10] = True
    assert morphology.bounding_box(mask) == (2, 3, 7, 11)
