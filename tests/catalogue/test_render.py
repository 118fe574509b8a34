"""Signed distances against values computed by hand, and properties of rendered packshots."""

import numpy as np
import pytest

from prodgen.catalogue import sdf
from prodgen.catalogue.render import Body, Finish, View, measure_proportions, render_packshot


def make_points(*coordinates):
    return tuple(np.float32(axis) for axis in zip(*coordinates, strict=True))


ORIGIN, RIGHT, TOP, CORNER = (0, 0, 0), (3, 0, 0), (0, 3, 0), (4, 5, 0)


@pytest.mark.parametrize(
    "solid, expected",
    [
        (lambda p: sdf.sphere(p, 1.0), (-1, 2, 2, 41**0.5 - 1)),
        (lambda p: sdf.box(p, (1, 2, 1)), (-1, 2, 1, 18**0.5)),
        (lambda p: sdf.box(p, (1, 2, 1), 0.5), (-1, 2, 1, 24.5**0.5 - 0.5)),
        (lambda p: sdf.cylinder(p, 1, 2), (-1, 2, 1, 18**0.5)),
        (lambda p: sdf.torus(p, 2, 0.5), (1.5, 0.5, 13**0.5 - 0.5, 29**0.5 - 0.5)),
        (lambda p: sdf.capsule(p, (0, 0, 0), (0, 2, 0), 0.5), (-0.5, 2.5, 0.5, 4.5)),
        (lambda p: sdf.capsule(p, (0, 0, 0), (0, 2, 0), 1, 0.5), (-1, 2, 0.5, 4.5)),
        (lambda p: sdf.sphere(sdf.translate(p, x=3), 1), (2, -1, 18**0.5 - 1, 26**0.5 - 1)),
        (lambda p: sdf.box(sdf.rotate(p, "z", 90), (1, 2, 3)), (-1, 1, 2, 20**0.5)),
        (lambda p: sdf.subtract(sdf.sphere(p, 2), sdf.sphere(p, 1)), (1, 1, 1, 41**0.5 - 2)),
        (lambda p: sdf.union(sdf.sphere(p, 1), sdf.sphere(p, 2)), (-2, 1, 1, 41**0.5 - 2)),
    ],
)
def test_distances_equal_the_hand_computed_values(solid, expected):
    distance = solid(make_points(ORIGIN, RIGHT, TOP, CORNER))
    assert distance.dtype == np.float32
    np.testing.assert_allclose(distance, expected, rtol=1e-5, atol=1e-5)


def test_mirror_repeats_a_solid():
    p = sdf.mirror(make_points((2, 0, 0), (-2, 0, 0), (0, 0, 0)), "x")
    np.testing.assert_allclose(sdf.sphere(sdf.translate(p, 2), 0.5), (-0.5, -0.5, 1.5))


def test_a_smooth_union_fills_the_crease_and_nothing_else():
    a, b = np.float32([1, 0, 5]), np.float32([1, 3, 1])
    np.testing.assert_allclose(sdf.smooth_union(a, b, 0.4), (0.9, 0.0, 1.0), atol=1e-6)


def test_a_curve_passes_through_its_knots_and_does_not_overshoot():
    curve = sdf.Curve([(0, 1.0), (1, 3.0), (2, 3.0), (4, 0.5)])
    for s, value in ((-1, 1.0), (0, 1.0), (1, 3.0), (2, 3.0), (4, 0.5), (9, 0.5)):
        assert float(curve(np.float32([s]))[0]) == pytest.approx(value, abs=0.02)
    assert curve.maximum < 3.0 + 1e-9 and curve.minimum > 0.5 - 1e-9


def test_a_straight_revolved_profile_is_a_cylinder():
    profile = sdf.Curve([(0, 1.0), (2, 1.0)])
    p = make_points((0, 1, 0), (3, 1, 0), (0, 1, 2))
    np.testing.assert_allclose(sdf.revolve(p, profile), (-1, 2, 1), atol=1e-6)


def make_ball(radius=1.0):
    return Body(
        lambda p: {"main": sdf.sphere(sdf.translate(p, y=radius), radius)},
        (-radius, 0, -radius),
        (radius, 2 * radius, radius),
    )


def test_a_ball_is_round_and_centred_and_has_light_from_the_left():
    image = render_packshot(make_ball(), {"main": Finish((0.8, 0.3, 0.2))}, View(0, 10, 0.8), 48)
    mask = image[..., 3] > 127
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert mask.sum() == pytest.approx(np.pi * (0.4 * 48) ** 2, rel=0.12)
    assert abs(rows.mean() - 23.5) < 1.1 and abs(columns.mean() - 23.5) < 1.1
    assert image[24, 12, :3].sum() > 1.2 * image[24, 36, :3].sum()
    assert (image[0, :, :3] == 255).all()
    below = slice(rows[-1] - 1, rows[-1] + 3), slice(20, 28)
    assert image[below][~mask[below]][:, :3].min() < 235  # the shadow on the floor


def test_each_material_gives_another_image():
    packshots = [
        render_packshot(
            make_ball(), {"main": Finish((0.3, 0.4, 0.7), material)}, View(0, 20), 24
        ).tobytes()
        for material in ("matte", "glossy", "metal")
    ]
    assert len(set(packshots)) == 3


def test_proportions_of_a_box():
    body = Body(lambda p: {"main": sdf.box(p, (1, 0.5, 0.25))}, (-1.1, -0.6, -0.4), (1.1, 0.6, 0.4))
    np.testing.assert_allclose(measure_proportions(body), (1, 0.5, 0.25), atol=0.02)
