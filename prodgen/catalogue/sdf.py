"""Signed distances to simple solids, and the operators that join them.

Points are three float32 arrays (x, y, z) of one shape, y up; every solid returns float32 of that
shape: negative inside, positive outside, in the same unit. Solids sit at the origin; move, turn
and mirror act on the points. Only + - * / sqrt min max floor and gathers touch arrays, because
those are exact in IEEE arithmetic: the same bits on any processor. Trigonometry is done on
scalars and rounded. After Inigo Quilez, "Distance functions".
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
    """Sine and cosine, rounded so that the last digit of a math library never shows."""
    angle = math.radians(degrees)
    return round(math.sin(angle), 9), round(math.cos(angle), 9)


# Places: where the points are, seen from a solid.


def move(p: Points, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Points:
    """The points seen from a solid that was moved to (x, y, z)."""
    return p[0] - x, p[1] - y, p[2] - z


def turn(p: Points, axis: str, degrees: float) -> Points:
    """The points seen from a solid that was turned about an axis, counterclockwise."""
    s, c = sine_cosine(degrees)
    x, y, z = p
    if axis == "x":
        return x, c * y + s * z, c * z - s * y
    if axis == "y":
        return c * x - s * z, y, s * x + c * z
    return c * x + s * y, c * y - s * x, z


def mirror(p: Points, axes: str) -> Points:
    """The solid repeated on the negative side of each axis in `axes` ("x", "xz")."""
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
    """What np.clip does, without its overhead: there are thousands of small arrays."""
    return np.minimum(np.maximum(x, low), high)


def sphere(p: Points, radius: float) -> Field:
    return length(*p) - radius


def ellipsoid(p: Points, radii: Vector) -> Field:
    """Exact on the surface, a close bound nearby."""
    x, y, z = (component * (1.0 / radius) for component, radius in zip(p, radii, strict=True))
    return (length(x, y, z) - 1.0) * min(radii)


def rectangle(x: Field, y: Field, half: tuple[float, float], rounding: float = 0.0) -> Field:
    """Two-dimensional; `half` sizes include the rounding of the corners."""
    a, b = abs(x) - (half[0] - rounding), abs(y) - (half[1] - rounding)
    outside = length(np.maximum(a, 0.0), np.maximum(b, 0.0))
    return outside + np.minimum(np.maximum(a, b), 0.0) - rounding


def box(p: Points, half: Vector, rounding: float = 0.0) -> Field:
    """`half` sizes include the rounding of the edges."""
    a, b, c = (abs(component) - (size - rounding) for component, size in zip(p, half, strict=True))
    outside = length(np.maximum(a, 0.0), np.maximum(b, 0.0), np.maximum(c, 0.0))
    return outside + np.minimum(np.maximum(np.maximum(a, b), c), 0.0) - rounding


def cylinder(p: Points, radius: float, half: float, rounding: float = 0.0) -> Field:
    """Along y; both sizes include the rounding of the rims."""
    return prism(length(p[0], p[2]) - radius, p[1], half, rounding)


def prism(outline: Field, along: Field, half: float, rounding: float = 0.0) -> Field:
    """A two-dimensional distance pulled along a third coordinate."""
    a, b = outline + rounding, abs(along) - (half - rounding)
    outside = length(np.maximum(a, 0.0), np.maximum(b, 0.0))
    return outside + np.minimum(np.maximum(a, b), 0.0) - rounding


def torus(p: Points, radius: float, tube: float) -> Field:
    """A ring in the xz plane."""
    return length(length(p[0], p[2]) - radius, p[1]) - tube


def rod(p: Points, start: Vector, stop: Vector, radius: float, end_radius: float | None = None):
    """A rod with round ends, its radius going from `radius` to `end_radius` (a bound)."""
    ax, ay, az = (b - a for a, b in zip(start, stop, strict=True))
    x, y, z = move(p, *start)
    scale = 1.0 / max(ax * ax + ay * ay + az * az, 1e-12)
    along = clamp((x * ax + y * ay + z * az) * scale, 0.0, 1.0)
    gap = length(x - ax * along, y - ay * along, z - az * along)
    if end_radius is None:
        return gap - radius
    return gap - (radius + (end_radius - radius) * along)


def path(p: Points, knots: Sequence[Vector], radii: Sequence[float], blend: float = 0.0) -> Field:
    """A bent rod through `knots`, `radii` at the knots."""
    pieces = [rod(p, knots[i], knots[i + 1], radii[i], radii[i + 1]) for i in range(len(knots) - 1)]
    return reduce(lambda a, b: blend_union(a, b, blend), pieces) if blend else union(*pieces)


# Operators.


def union(*fields: Field) -> Field:
    return reduce(np.minimum, fields)


def intersect(*fields: Field) -> Field:
    return reduce(np.maximum, fields)


def cut(a: Field, *others: Field) -> Field:
    """`a` without the others."""
    return reduce(lambda rest, other: np.maximum(rest, -other), others, a)


def blend_union(a: Field, b: Field, width: float) -> Field:
    """Union with a fillet of about `width` (polynomial smooth minimum)."""
    overlap = np.maximum(width - abs(a - b), 0.0)
    return np.minimum(a, b) - overlap * overlap * (0.25 / width)


def blend_intersect(a: Field, b: Field, width: float) -> Field:
    """Intersection whose edge is rounded over about `width`."""
    return -blend_union(-a, -b, width)


class Curve:
    """A smooth function of one coordinate through a few knots, as a table.

    Cubic through the knots, with slopes that never overshoot (Fritsch and Carlson 1980), constant
    beyond the ends; sampled `SAMPLES` times and read with linear interpolation.
    """

    SAMPLES = 384

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        places, values = zip(*knots, strict=True)
        slopes = _slopes(places, values)
        self.start, self.stop = places[0], places[-1]
        self.step = (self.stop - self.start) / self.SAMPLES
        at = [self.start + self.step * i for i in range(self.SAMPLES + 1)]
        table = [_hermite(places, values, slopes, place) for place in at]
        rise = [b - a for a, b in zip(table, table[1:], strict=False)]
        self.table = np.array(table[:-1], np.float32)
        self.rise = np.array(rise, np.float32)
        self.flat = np.array(
            [1 / math.sqrt(1 + (r / self.step) * (r / self.step)) for r in rise], np.float32
        )
        self.largest, self.smallest = max(table), min(table)

    def locate(self, s: Field) -> tuple[np.ndarray, Field]:
        """The cell each coordinate falls in, and how far into it, 0..1."""
        place = clamp((s - self.start) * (1.0 / self.step), 0.0, self.SAMPLES - 0.001)
        cell = place.astype(np.int32)
        return cell, place - cell.astype(np.float32)

    def __call__(self, s: Field) -> Field:
        cell, part = self.locate(s)
        return self.table[cell] + self.rise[cell] * part

    def at(self, s: float) -> float:
        """The value at one place."""
        return float(self(np.float32([s]))[0])

    def under(self, across: Field, s: Field) -> Field:
        """The distance of points (s, across) to the curve, positive above it.

        Corrected by the curve's slope, hence close to exact near the curve.
        """
        cell, part = self.locate(s)
        return (across - (self.table[cell] + self.rise[cell] * part)) * self.flat[cell]


def _slopes(places: Sequence[float], values: Sequence[float]) -> list[float]:
    steps = [b - a for a, b in zip(places, places[1:], strict=False)]
    rises = [(b - a) / h for a, b, h in zip(values, values[1:], steps, strict=False)]
    inner = [
        0.0 if a * b <= 0 else 2 * a * b / (a + b) for a, b in zip(rises, rises[1:], strict=False)
    ]
    return [rises[0], *inner, rises[-1]]


def _hermite(places, values, slopes, s: float) -> float:
    i = next((j for j in range(len(places) - 2) if s < places[j + 1]), len(places) - 2)
    h = places[i + 1] - places[i]
    t = (s - places[i]) / h
    a, b = values[i], values[i + 1]
    left = a * (1 + 2 * t) + h * slopes[i] * t
    right = b * (3 - 2 * t) - h * slopes[i + 1] * (1 - t)
    return left * (1 - t) * (1 - t) + right * t * t


def round_section(x: Field, z: Field, squareness: float = 0.0) -> Field:
    """The radius of a section that goes from a circle (0) to a rounded square (1)."""
    circle = length(x, z)
    if not squareness:
        return circle
    x2, z2 = x * x, z * z
    square = np.sqrt(np.sqrt(x2 * x2 + z2 * z2))
    return circle + (square - circle) * squareness


def revolve(p: Points, profile: Curve, squareness: float = 0.0, edge: float = 0.0) -> Field:
    """The solid under a profile radius(y) turned about y, cut flat at the profile's ends."""
    side = profile.under(round_section(p[0], p[2], squareness), p[1])
    middle, half = (profile.start + profile.stop) / 2, (profile.stop - profile.start) / 2
    ends = abs(p[1] - middle) - half
    return blend_intersect(side, ends, edge) if edge else np.maximum(side, ends)
