"""The studio's light and how materials answer it.

Light is linear, 1 is white; display values are its square root (gamma 2). Directions are unit
vectors given as three float32 arrays [N]; `axes` are the camera's right, up and back, to which all
lamps are fixed. Smooth bumps are polynomials and powers are repeated products (see sdf.py).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from prodgen.catalogue.sdf import Field, Points, Vector, clamp

Distance = Callable[[Points], Field]
Axes = tuple[Vector, Vector, Vector]

KEY = (-0.50, 0.70, 0.51)  # the large lamp: left, above, in front (right, up, back)
FILL = (0.81, 0.23, 0.54)  # a weak one from the right
FLOOR_KEY = (-0.16, 0.98, 0.12)  # steeper: the floor's shadow stays near the product
MATERIALS = ("matte", "glossy", "metal")


@dataclasses.dataclass(frozen=True)
class Finish:
    """What a part is made of. colour: display RGB in 0..1; glow: light of its own, 0..1."""

    colour: Vector
    material: str = "matte"
    glow: float = 0.0


def smooth(x: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, a cubic between; `low` may be the larger one."""
    t = clamp((x - low) * (1.0 / (high - low)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def dot(a: Points, b: Sequence[Field] | Vector) -> Field:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def to_world(direction: Vector, axes: Axes) -> Vector:
    """A direction given along the camera's axes, level with the floor: lamps do not tilt."""
    right, _, back = axes
    flat = math.sqrt(back[0] * back[0] + back[2] * back[2])
    x, y, z = direction
    level = (back[0] / flat, 0.0, back[2] / flat)
    return tuple(x * right[i] + z * level[i] + (y if i == 1 else 0.0) for i in range(3))


def environment(r: Points, axes: Axes, blur: Field) -> Field:
    """Light that arrives from directions r: white floor, dim room, and three softboxes.

    blur [N]: from 0, a mirror, to 1; it widens the edges of the boxes.
    """
    x, y = dot(r, to_world((1.0, 0.0, 0.0), axes)), r[1]
    z = dot(r, to_world((0.0, 0.0, 1.0), axes))
    edge = 0.10 + 0.35 * blur
    floor = smooth(y, 0.05, -0.5) * 0.36
    backdrop = smooth(z, 0.2, -0.7) * 0.45
    left = smooth(abs(x + 0.66), 0.22 + edge, 0.22 - edge * 0.5)
    left = left * smooth(abs(y - 0.05), 0.78 + edge, 0.78 - edge)
    right = smooth(abs(x - 0.84), 0.09 + edge, 0.07 - edge * 0.3)
    right = right * smooth(abs(y - 0.05), 0.7 + edge, 0.7 - edge)
    top = smooth(y, 0.74 - edge, 0.80 + edge)
    dim = 0.13 + 0.16 * smooth(y, -0.3, 0.9)
    return dim + np.maximum(floor, backdrop) + 1.25 * left + 0.55 * right + 0.85 * top


def occlusion(distance: Distance, p: Points, n: Points | Vector, scale: float) -> Field:
    """How open the space over a surface is, 0..1, from four distances along the normal."""
    closed = 0.0
    for reach, weight in ((0.03, 0.40), (0.08, 0.30), (0.18, 0.22), (0.36, 0.16)):
        reach = reach * scale
        q = tuple(a + b * reach for a, b in zip(p, n, strict=True))
        closed = closed + clamp(1.0 - distance(q) * (1.0 / reach), 0.0, 1.0) * weight
    return clamp(1.0 - closed, 0.0, 1.0)


def shadow(
    distance: Distance, p: Points, to_light: Vector, scale: float, softness: float, steps: int = 10
) -> Field:
    """The share of a large lamp that is seen from p, 0..1: the narrowest gap on the way."""
    seen = np.ones(p[0].shape, np.float32)
    t = np.full(p[0].shape, 0.03 * scale, np.float32)
    for _ in range(steps):
        d = distance(tuple(a + b * t for a, b in zip(p, to_light, strict=True)))
        seen = np.minimum(seen, d * softness / t)
        t = t + clamp(d, 0.03 * scale, 0.25 * scale)
    seen = clamp(seen, 0.0, 1.0)
    return seen * seen * (3.0 - 2.0 * seen)


def cone_shadow(distance: Distance, p: Points, to_light: Vector, scale: float) -> Field:
    """How dark a very large lamp leaves p, 0..1: how far solids reach into a wide cone.

    The places along the cone are fixed, so that the shadow shows no steps.
    """
    seen = np.float32(1.0)
    t = 0.06 * scale
    for _ in range(9):
        d = distance(tuple(a + b * t for a, b in zip(p, to_light, strict=True)))
        seen = np.minimum(seen, d * (1.0 / (0.55 * t + 0.02 * scale)))
        t = t * 1.42
    seen = clamp(seen, 0.0, 1.0)
    return 1.0 - seen * seen * (3.0 - 2.0 * seen)


def highlight(n: Points, half: Vector, squarings: int) -> Field:
    """The Blinn highlight max(n.h, 0) to the power 2 ** squarings."""
    value = np.maximum(dot(n, half), 0.0)
    for _ in range(squarings):
        value = value * value
    return value


def surface(
    distance: Distance,
    p: Points,
    n: Points,
    rays: Points,
    finish: tuple[np.ndarray, np.ndarray, np.ndarray],
    axes: Axes,
    scale: float,
) -> tuple[Field, Field, Field]:
    """The light that leaves surface points towards the camera: linear RGB, each [N].

    finish: linear colour [N, 3], material index [N] and glow [N]. scale: the product's radius.
    """
    colour, material, glow = finish
    key, fill = to_world(KEY, axes), to_world(FILL, axes)
    facing = clamp(-dot(n, rays), 0.0, 1.0)
    facing_key = np.maximum(dot(n, key), 0.0)
    lifted = tuple(a + b * (0.015 * scale) for a, b in zip(p, n, strict=True))
    lit = np.zeros(facing.shape, np.float32)
    towards = np.flatnonzero(facing_key)
    lit[towards] = shadow(distance, tuple(a[towards] for a in lifted), key, scale, 7.0)
    open_sky = occlusion(distance, p, n, scale)

    # Black flags beside the product darken its edges: white stands out against white.
    ambient = (0.30 + 0.16 * n[1]) * (0.58 + 0.42 * smooth(facing, 0.0, 0.75)) * open_sky
    diffuse = ambient + 0.74 * facing_key * lit + 0.20 * np.maximum(dot(n, fill), 0.0) * open_sky

    twice = 2.0 * facing
    mirrored = tuple(ray + normal * twice for ray, normal in zip(rays, n, strict=True))
    matte, glossy, metal = (material == i for i in range(3))
    around = environment(mirrored, axes, np.where(metal, np.float32(0.38), np.float32(0.12)))
    cast = (1.0 - lit) * smooth(facing_key, 0.0, 0.35)  # shadow, as opposed to facing away
    shade = (0.35 + 0.65 * open_sky) * (1.0 - 0.4 * cast)
    grazing = (1.0 - facing) * (1.0 - facing)
    grazing = grazing * grazing * (1.0 - facing)
    half = [k + b for k, b in zip(key, axes[2], strict=True)]
    size = math.sqrt(sum(h * h for h in half))
    half = tuple(h / size for h in half)
    spot = np.where(matte, 0.05 * highlight(n, half, 3), 0.55 * highlight(n, half, 6)) * lit
    sheen = np.where(glossy, (0.055 + 0.42 * grazing) * around * shade, 0.02 * grazing)
    reflected = around * shade * 0.92
    return tuple(
        np.where(
            metal,
            c * (0.22 * diffuse + reflected) + 0.12 * spot,
            c * diffuse * 1.04 + sheen + spot + c * glow,
        )
        for c in (colour[:, 0], colour[:, 1], colour[:, 2])
    )


def display(light: Field) -> Field:
    """Linear light to display 0..1: a shoulder over 0.7 keeps highlights from clipping hard."""
    light = np.maximum(light, 0.0)
    over = np.maximum(light - 0.7, 0.0)
    return np.minimum(np.sqrt(np.minimum(light, 0.7) + over / (1.0 + 1.6 * over)), 1.0)
