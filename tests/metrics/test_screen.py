"""The screen finds every copy that a comparison in full finds, and compares few pairs in full."""

import functools

import numpy as np
import pytest

from prodgen.data.catalogue import Catalogue
from prodgen.metrics import likeness, screen
from tests.metrics.test_memorisation import CHANGES, blots, moved

LINES = (0.002, 0.01, 0.03, 0.1)
KNOWN, FRESH, EACH = 48, 20, 3  # pictures; known ones that every change is made to


def partly(down, right):
    """Moved by parts of a pixel, as an enlarged and reduced copy is."""

    def change(picture):
        whole = [moved(picture, y, x).astype(float) for y in (0, 1) for x in (0, 1)]
        weights = [y * x for y in (1 - down, down) for x in (1 - right, right)]
        return np.uint8(sum(w * x for w, x in zip(weights, whole, strict=True)).round())

    return change


def grain(picture):
    noise = np.random.default_rng(int(picture.sum())).normal(0, 8, picture.shape)
    return np.uint8(np.clip(picture + noise, 0, 255).round())


def in_turn(*changes):
    def change(picture):
        for one in changes:
            picture = one(picture)
        return picture

    return change


MORE = {
    "half a pixel": partly(0.5, 0.5),
    "parts of a pixel": partly(0.3, 0.8),
    "grain": grain,
    "mirrored, moved, grain": in_turn(CHANGES["mirrored"], moved, grain),
    "moved, jpeg, darker": in_turn(moved, CHANGES["jpeg"], CHANGES["darker"]),
    "all": in_turn(CHANGES["mirrored"], moved, partly(0.5, 0.5), grain, CHANGES["jpeg"]),
}


@functools.cache
def products(side):
    """(known, fresh) renders of the catalogue."""
    items = Catalogue(KNOWN + FRESH, side).stream(0, KNOWN + FRESH)
    return np.split(np.stack([item.image[..., :3] for item in items]), [KNOWN])


SHAPES = [  # side and channels; by day a small grey one and a large one in colour
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((16, 3), (32, 3), (64, 3))),
    (28, 1),
    (80, 3),
]


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def pictures(request):
    """(known pictures, pictures of which most are copies of them)."""
    side, channels = request.param
    known, fresh = products(side)
    copies = [
        change(picture)
        for number, change in enumerate([*CHANGES.values(), *MORE.values()])
        for picture in known[EACH * number : EACH * (number + 1)]
    ]
    return known[..., -channels:], np.concatenate([copies, fresh])[..., -channels:]


@pytest.mark.parametrize("margin", [1.0, screen.BOUND_MARGIN])
def test_what_a_comparison_in_full_finds_is_found(pictures, margin, monkeypatch):
    monkeypatch.setattr(screen, "BOUND_MARGIN", margin)
    known, asked = pictures
    full = likeness.find_matches(asked, known, np.zeros((len(asked), 0), int))
    look = screen.Screen(known)
    for line in LINES:
        found = look(asked, line)
        copy = found.distance < line
        assert copy[full.distance < line].all() and copy.sum() > 5 and not copy.all()
        same = copy & (found.index == full.index) & (found.mirrored == full.mirrored)
        assert same.sum() > 0.9 * copy.sum()
        np.testing.assert_allclose(found.distance[same], full.distance[same], atol=1e-6)
        np.testing.assert_array_equal(found.shift[same], full.shift[same])


def test_few_pairs_are_compared_in_full(monkeypatch):
    known, fresh = products(64)
    compared, counts = likeness.refine_pairs, []

    def counted(pairs, chosen, *rest):
        counts.append(chosen.sum())
        return compared(pairs, chosen, *rest)

    monkeypatch.setattr(likeness, "refine_pairs", counted)
    screen.Screen(known)(fresh, 0.01)
    middle, full = counts
    assert full < 0.5 * FRESH and full < middle < screen.NUM_FINALISTS * FRESH


def test_a_picture_is_judged_alike_whatever_stands_beside_it():
    known, asked = blots(60, 32), blots(70, 32, seed=1)
    asked[::7] = known[:10]
    look = screen.Screen(known)
    together, alone = look(asked, 0.02), screen.Screen(known)(asked[63:64], 0.02)
    assert (together.distance[::7] < 1e-5).all() and (together.index[::7] == range(10)).all()
    assert alone.index == together.index[63]
    np.testing.assert_allclose(alone.distance, together.distance[63:64], atol=1e-6)
    with pytest.raises(ValueError, match="against"):
        look(asked[:, :16], 0.02)
