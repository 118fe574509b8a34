"""Signed distances against values worked out by hand, and the studio's promises."""

import numpy as np
import pytest

from prodgen.catalogue import sdf
from prodgen.catalogue.render import Body, Finish, View, packshot, proportions


def points(*places):
    return tuple(np.float32(axis) for axis in zip(*places, strict=True))


ORIGIN, RIGHT, TOP, CORNER = (0, 0, 0), (3, 0, 0), (0, 3, 0), (4, 5, 0)


@pytest.mark.parametrize(
    "solid, expected",
    [
        (lambda p: sdf.sphere(p, 1.0), (-1, 2, 2, 41**0.5 - 1)),
        (lambda p: sdf.box(p, (1, 2, 1)), (-1, 2, 1, 18**0.5)),
        (lambda p: sdf.box(p, (1, 2, 1), 0.5), (-1, 2, 1, 24.5**0.5 - 0.5)),
        (lambda p: sdf.cylinder(p, 1, 2), (-1, 2, 1, 18**0.5)),
        (lambda p: sdf.torus(p, 2, 0.5), (1.5, 0.5, 13**0.5 - 0.5, 29**0.5 - 0.5)),
        (lambda p: sdf.rod(p, (0, 0, 0), (0, 2, 0), 0.5), (-0.5, 2.5, 0.5, 4.5)),
        (lambda p: sdf.rod(p, (0, 0, 0), (0, 2, 0), 1, 0.5), (-1, 2, 0.5, 4.5)),
        (lambda p: sdf.sphere(sdf.move(p, x=3), 1), (2, -1, 18**0.5 - 1, 26**0.5 - 1)),
        (lambda p: sdf.box(sdf.turn(p, "z", 90), (1, 2, 3)), (-1, 1, 2, 20**0.5)),
        (lambda p: sdf.cut(sdf.sphere(p, 2), sdf.sphere(p, 1)), (1, 1, 1, 41**0.5 - 2)),
        (lambda p: sdf.union(sdf.sphere(p, 1), sdf.sphere(p, 2)), (-2, 1, 1, 41**0.5 - 2)),
    ],
)
def test_distances(solid, expected):
    distance = solid(points(ORIGIN, RIGHT, TOP, CORNER))
    assert distance.dtype == np.float32
    np.testing.assert_allclose(distance, expected, rtol=1e-5, atol=1e-5)


def test_mirror_repeats_a_solid():
    p = sdf.mirror(points((2, 0, 0), (-2, 0, 0), (0, 0, 0)), "x")
    np.testing.assert_allclose(sdf.sphere(sdf.move(p, 2), 0.5), (-0.5, -0.5, 1.5))


def test_a_blended_union_fills_the_crease_and_nothing_else():
    a, b = np.float32([1, 0, 5]), np.float32([1, 3, 1])
    np.testing.assert_allclose(sdf.blend_union(a, b, 0.4), (0.9, 0.0, 1.0), atol=1e-6)


def test_a_curve_goes_through_its_knots_and_never_beyond_them():
    curve = sdf.Curve([(0, 1.0), (1, 3.0), (2, 3.0), (4, 0.5)])
    for place, value in ((-1, 1.0), (0, 1.0), (1, 3.0), (2, 3.0), (4, 0.5), (9, 0.5)):
        assert curve.at(place) == pytest.approx(value, abs=0.02)
    assert curve.largest < 3.0 + 1e-9 and curve.smallest > 0.5 - 1e-9


def test_a_straight_revolved_profile_is_a_cylinder():
    profile = sdf.Curve([(0, 1.0), (2, 1.0)])
    p = points((0, 1, 0), (3, 1, 0), (0, 1, 2))
    np.testing.assert_allclose(sdf.revolve(p, profile), (-1, 2, 1), atol=1e-6)


def ball(radius=1.0):
    return Body(
        lambda p: {"main": sdf.sphere(sdf.move(p, y=radius), radius)},
        (-radius, 0, -radius),
        (radius, 2 * radius, radius),
    )


def test_a_ball_is_round_centred_framed_and_lit_from_the_left():
    picture = packshot(ball(), {"main": Finish((0.8, 0.3, 0.2))}, View(0, 10, 0.8), 48)
    mask = picture[..., 3] > 127
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask.sum() == pytest.approx(np.pi * (0.4 * 48) ** 2, rel=0.12)
    assert abs(rows.mean() - 23.5) < 1.1 and abs(columns.mean() - 23.5) < 1.1
    assert picture[24, 12, :3].sum() > 1.2 * picture[24, 36, :3].sum()
    assert (picture[0, :, :3] == 255).all()
    below = slice(rows[-1] - 1, rows[-1] + 3), slice(20, 28)
    assert picture[below][~mask[below]][:, :3].min() < 235  # its shadow on the floor


def test_materials_differ():
    pictures = [
        packshot(ball(), {"main": Finish((0.3, 0.4, 0.7), material)}, View(0, 20), 24).tobytes()
        for material in ("matte", "glossy", "metal")
    ]
    assert len(set(pictures)) == 3


def test_proportions_of_a_box():
    body = Body(lambda p: {"main": sdf.box(p, (1, 0.5, 0.25))}, (-1.1, -0.6, -0.4), (1.1, 0.6, 0.4))
    np.testing.assert_allclose(proportions(body), (1, 0.5, 0.25), atol=0.02)
