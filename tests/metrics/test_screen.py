"""The screen finds every copy that a comparison in full finds, and compares few pairs in full."""

import functools

import numpy as np
import pytest

from prodgen.data.catalogue import Catalogue
from prodgen.metrics import likeness, screen
from tests.metrics.test_memorisation import CHANGES, blots, shift_image

LINES = (0.002, 0.01, 0.03, 0.1)
NUM_REFERENCES, FRESH, EACH = 48, 20, 3  # images; known ones that every change is made to


def partly(down, right):
    """Moved by parts of a pixel, as an enlarged and reduced copy is."""

    def change(image):
        whole = [shift_image(image, y, x).astype(float) for y in (0, 1) for x in (0, 1)]
        weights = [y * x for y in (1 - down, down) for x in (1 - right, right)]
        return np.uint8(sum(w * x for w, x in zip(weights, whole, strict=True)).round())

    return change


def grain(image):
    noise = np.random.default_rng(int(image.sum())).normal(0, 8, image.shape)
    return np.uint8(np.clip(image + noise, 0, 255).round())


def in_turn(*changes):
    def change(image):
        for one in changes:
            image = one(image)
        return image

    return change


MORE = {
    "half a pixel": partly(0.5, 0.5),
    "parts of a pixel": partly(0.3, 0.8),
    "grain": grain,
    "mirrored, moved, grain": in_turn(CHANGES["mirrored"], shift_image, grain),
    "moved, jpeg, darker": in_turn(shift_image, CHANGES["jpeg"], CHANGES["darker"]),
    "all": in_turn(CHANGES["mirrored"], shift_image, partly(0.5, 0.5), grain, CHANGES["jpeg"]),
}


@functools.cache
def products(side):
    """(known, fresh) renders of the catalogue."""
    items = Catalogue(NUM_REFERENCES + FRESH, side).stream(0, NUM_REFERENCES + FRESH)
    return np.split(np.stack([item.image[..., :3] for item in items]), [NUM_REFERENCES])


SHAPES = [  # side and channels; by day a small grey one and a large one in colour
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((16, 3), (32, 3), (64, 3))),
    (28, 1),
    (80, 3),
]


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def images(request):
    """(known images, images of which most are copies of them)."""
    side, channels = request.param
    references, fresh = products(side)
    copies = [
        change(image)
        for number, change in enumerate([*CHANGES.values(), *MORE.values()])
        for image in references[EACH * number : EACH * (number + 1)]
    ]
    return references[..., -channels:], np.concatenate([copies, fresh])[..., -channels:]


@pytest.mark.parametrize("margin", [1.0, screen.BOUND_MARGIN])
def test_every_copy_of_the_full_comparison_is_detected(images, margin, monkeypatch):
    monkeypatch.setattr(screen, "BOUND_MARGIN", margin)
    references, queries = images
    full = likeness.find_matches(queries, references, np.zeros((len(queries), 0), int))
    look = screen.Screen(references)
    for line in LINES:
        result = look(queries, line)
        copy = result.distance < line
        assert copy[full.distance < line].all() and copy.sum() > 5 and not copy.all()
        same = copy & (result.index == full.index) & (result.is_mirrored == full.is_mirrored)
        assert same.sum() > 0.9 * copy.sum()
        np.testing.assert_allclose(result.distance[same], full.distance[same], atol=1e-6)
        np.testing.assert_array_equal(result.shift[same], full.shift[same])


def test_few_pairs_are_compared_in_full(monkeypatch):
    references, fresh = products(64)
    refine_pairs, counts = likeness.refine_pairs, []

    def count_pairs(pairs, selection, *rest):
        counts.append(selection.sum())
        return refine_pairs(pairs, selection, *rest)

    monkeypatch.setattr(likeness, "refine_pairs", count_pairs)
    screen.Screen(references)(fresh, 0.01)
    middle, full = counts
    assert full < 0.5 * FRESH and full < middle < screen.NUM_FINALISTS * FRESH


def test_a_match_does_not_depend_on_the_other_images_of_a_batch():
    references, queries = blots(60, 32), blots(70, 32, seed=1)
    queries[::7] = references[:10]
    look = screen.Screen(references)
    together, alone = look(queries, 0.02), screen.Screen(references)(queries[63:64], 0.02)
    assert (together.distance[::7] < 1e-5).all() and (together.index[::7] == range(10)).all()
    assert alone.index == together.index[63]
    np.testing.assert_allclose(alone.distance, together.distance[63:64], atol=1e-6)
    with pytest.raises(ValueError, match="against"):
        look(queries[:, :16], 0.02)
