"""Signed distance functions (SDFs) of simple solids, and operators that combine them.

Points are three float32 arrays (x, y, z) of one shape, with y up. A solid returns float32 of that
shape: negative inside, positive outside, in the same unit. Solids are at the origin; translate,
rotate and mirror act on the points. Arrays are combined only by + - * / sqrt min max floor and
gathers, which are exact in IEEE arithmetic and so give the same bits on all processors.
Trigonometry is done on scalars and rounded. After Inigo Quilez, "Distance functions".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np

Field = np.ndarray
Points = tuple[np.ndarray, np.ndarray, np.ndarray]
Vector = tuple[float, float, float]


def sine_cosine(degrees: float) -> tuple[float, float]:
    """Sine and cosine, rounded so that differences between math libraries have no effect."""
    angle = math.radians(degrees)
    return round(math.sin(angle), 9), round(math.cos(angle), 9)


# Transformations: each returns the points in the coordinates of the transformed solid.


def translate(p: Points, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Points:
    """Move the solid to (x, y, z)."""
    return p[0] - x, p[1] - y, p[2] - z


def rotate(p: Points, axis: str, degrees: float) -> Points:
    """Rotate the solid counterclockwise about an axis, "x", "y" or "z"."""
    s, c = sine_cosine(degrees)
    x, y, z = p
    if axis == "x":
        return x, c * y + s * z, c * z - s * y
    if axis == "y":
        return c * x - s * z, y, s * x + c * z
    return c * x + s * y, c * y - s * x, z


def mirror(p: Points, axes: str) -> Points:
    """Repeat the solid on the negative side of each axis in `axes` ("x", "xz")."""
    x, y, z = p
    return abs(x) if "x" in axes else x, y, abs(z) if "z" in axes else z


# Solids.


def length(x: Field, y: Field, z: Field | None = None) -> Field:
    """The Euclidean norm of vectors given by their components."""
    square = x * x
    square += y * y
    if z is not None:
        square += z * z
    return np.sqrt(square, out=square)


def clamp(x: Field, low: float, high: float) -> Field:
    """The same as np.clip without its overhead, which counts with thousands of small arrays."""
    return np.minimum(np.maximum(x, low), high)


def sphere(p: Points, radius: float) -> Field:
    return length(*p) - radius


def ellipsoid(p: Points, radii: Vector) -> Field:
    """An axis-aligned ellipsoid: exact on the surface, a close bound near it."""
    x, y, z = (component * (1.0 / radius) for component, radius in zip(p, radii, strict=True))
    return (length(x, y, z) - 1.0) * min(radii)


def rectangle(x: Field, y: Field, half: tuple[float, float], rounding: float = 0.0) -> Field:
    """A two-dimensional rectangle; the `half` sizes include the rounding of the corners."""
    a, b = abs(x) - (half[0] - rounding), abs(y) - (half[1] - rounding)
    outside = length(np.maximum(a, 0.0), np.maximum(b, 0.0))
    return outside + np.minimum(np.maximum(a, b), 0.0) - rounding


def box(p: Points, half: Vector, rounding: float = 0.0) -> Field:
    """An axis-aligned box; the `half` sizes include the rounding of the edges."""
    a, b, c = (abs(component) - (size - rounding) for component, size in zip(p, half, strict=True))
    outside = length(np.maximum(a, 0.0), np.maximum(b, 0.0), np.maximum(c, 0.0))
    return outside + np.minimum(np.maximum(np.maximum(a, b), c), 0.0) - rounding


def cylinder(p: Points, radius: float, half: float, rounding: float = 0.0) -> Field:
    """A cylinder along y; `radius` and `half` height include the rounding of the rims."""
    return extrude(length(p[0], p[2]) - radius, p[1], half, rounding)


def extrude(outline: Field, along: Field, half: float, rounding: float = 0.0) -> Field:
    """Extrude a two-dimensional distance to +-`half` along a third coordinate."""
    a, b = outline + rounding, abs(along) - (half - rounding)
    outside = length(np.maximum(a, 0.0), np.maximum(b, 0.0))
    return outside + np.minimum(np.maximum(a, b), 0.0) - rounding


def torus(p: Points, radius: float, tube_radius: float) -> Field:
    """A ring in the xz plane."""
    return length(length(p[0], p[2]) - radius, p[1]) - tube_radius


def capsule(p: Points, start: Vector, stop: Vector, radius: float, end_radius: float | None = None):
    """A rod with round ends whose radius goes from `radius` to `end_radius` (then a bound)."""
    ax, ay, az = (b - a for a, b in zip(start, stop, strict=True))
    x, y, z = translate(p, *start)
    scale = 1.0 / max(ax * ax + ay * ay + az * az, 1e-12)
    along = clamp((x * ax + y * ay + z * az) * scale, 0.0, 1.0)
    gap = length(x - ax * along, y - ay * along, z - az * along)
    if end_radius is None:
        return gap - radius
    return gap - (radius + (end_radius - radius) * along)


def tube(p: Points, knots: Sequence[Vector], radii: Sequence[float], blend: float = 0.0) -> Field:
    """A bent rod through `knots` with `radii` at the knots; `blend` is the fillet's width."""
    pieces = [
        capsule(p, knots[i], knots[i + 1], radii[i], radii[i + 1]) for i in range(len(knots) - 1)
    ]
    return reduce(lambda a, b: smooth_union(a, b, blend), pieces) if blend else union(*pieces)


# Operators.


def union(*fields: Field) -> Field:
    return reduce(np.minimum, fields)


def intersect(*fields: Field) -> Field:
    return reduce(np.maximum, fields)


def subtract(a: Field, *others: Field) -> Field:
    """The solid `a` without the other solids."""
    return reduce(lambda rest, other: np.maximum(rest, -other), others, a)


def smooth_union(a: Field, b: Field, width: float) -> Field:
    """Union with a fillet of about `width` (polynomial smooth minimum)."""
    overlap = np.maximum(width - abs(a - b), 0.0)
    return np.minimum(a, b) - overlap * overlap * (0.25 / width)


def smooth_intersect(a: Field, b: Field, width: float) -> Field:
    """Intersection with an edge that is rounded over about `width`."""
    return -smooth_union(-a, -b, width)


class Curve:
    """A smooth function of one coordinate through a few knots, stored as a table.

    A cubic through the knots with slopes that do not overshoot (Fritsch and Carlson 1980), and
    constant beyond the ends. The table of `SAMPLES` intervals is interpolated linearly.
    """

    SAMPLES = 384

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        coordinates, values = zip(*knots, strict=True)
        slopes = _estimate_slopes(coordinates, values)
        self.start, self.stop = coordinates[0], coordinates[-1]
        self.step = (self.stop - self.start) / self.SAMPLES
        grid = [self.start + self.step * i for i in range(self.SAMPLES + 1)]
        table = [_evaluate_hermite(coordinates, values, slopes, s) for s in grid]
        rise = [b - a for a, b in zip(table, table[1:], strict=False)]
        self.table = np.array(table[:-1], np.float32)
        self.rise = np.array(rise, np.float32)
        self.slope_cosine = np.array(
            [1 / math.sqrt(1 + (r / self.step) * (r / self.step)) for r in rise], np.float32
        )
        self.maximum, self.minimum = max(table), min(table)

    def locate(self, s: Field) -> tuple[np.ndarray, Field]:
        """The table interval of each coordinate, and the fraction within it, 0..1."""
        position = clamp((s - self.start) * (1.0 / self.step), 0.0, self.SAMPLES - 0.001)
        cell = position.astype(np.int32)
        return cell, position - cell.astype(np.float32)

    def __call__(self, s: Field) -> Field:
        cell, fraction = self.locate(s)
        return self.table[cell] + self.rise[cell] * fraction

    def signed_distance(self, across: Field, s: Field) -> Field:
        """The distance of points (s, across) to the curve, positive above it.

        It is corrected by the curve's slope, and so is nearly exact close to the curve.
        """
        cell, fraction = self.locate(s)
        return (across - (self.table[cell] + self.rise[cell] * fraction)) * self.slope_cosine[cell]


def _estimate_slopes(coordinates: Sequence[float], values: Sequence[float]) -> list[float]:
    """Slopes at the knots: the harmonic mean of both sides, 0 at an extremum."""
    steps = [b - a for a, b in zip(coordinates, coordinates[1:], strict=False)]
    rises = [(b - a) / h for a, b, h in zip(values, values[1:], steps, strict=False)]
    inner = [
        0.0 if a * b <= 0 else 2 * a * b / (a + b) for a, b in zip(rises, rises[1:], strict=False)
    ]
    return [rises[0], *inner, rises[-1]]


def _evaluate_hermite(
    coordinates: Sequence[float], values: Sequence[float], slopes: Sequence[float], s: float
) -> float:
    """The cubic Hermite spline through the knots, at the coordinate s."""
    last = len(coordinates) - 2
    i = next((j for j in range(last) if s < coordinates[j + 1]), last)
    h = coordinates[i + 1] - coordinates[i]
    t = (s - coordinates[i]) / h
    a, b = values[i], values[i + 1]
    left = a * (1 + 2 * t) + h * slopes[i] * t
    right = b * (3 - 2 * t) - h * slopes[i + 1] * (1 - t)
    return left * (1 - t) * (1 - t) + right * t * t


def section_radius(x: Field, z: Field, squareness: float = 0.0) -> Field:
    """The radius in a cross-section between a circle (0) and a rounded square (1)."""
    circle = length(x, z)
    if not squareness:
        return circle
    x2, z2 = x * x, z * z
    square = np.sqrt(np.sqrt(x2 * x2 + z2 * z2))
    return circle + (square - circle) * squareness


def revolve(p: Points, profile: Curve, squareness: float = 0.0, edge: float = 0.0) -> Field:
    """Revolve a profile radius(y) about y, with flat ends; `edge` rounds the ends' edges."""
    side = profile.signed_distance(section_radius(p[0], p[2], squareness), p[1])
    middle, half = (profile.start + profile.stop) / 2, (profile.stop - profile.start) / 2
    ends = abs(p[1] - middle) - half
    return smooth_intersect(side, ends, edge) if edge else np.maximum(side, ends)
