"""The lights of the renderer and the shading of materials.

Light is linear and 1 is white; display values are its square root (gamma 2). Directions are unit
vectors as three float32 arrays [N]. `axes` are the camera's right, up and back, to which all lights
are fixed. Only exact arithmetic is used: smooth steps are polynomials, and powers are repeated
products (see sdf.py).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from prodgen.catalogue.sdf import Field, Points, Vector, clamp

Distance = Callable[[Points], Field]
Axes = tuple[Vector, Vector, Vector]

# Directions to the lights, along the camera's right, up and back.
KEY_DIRECTION = (-0.50, 0.70, 0.51)  # the key light: left, above, in front
FILL_DIRECTION = (0.81, 0.23, 0.54)  # a weak fill light from the right
FLOOR_KEY_DIRECTION = (-0.16, 0.98, 0.12)  # steeper: the floor's shadow stays near the product
MATERIALS = ("matte", "glossy", "metal")


@dataclasses.dataclass(frozen=True)
class Finish:
    """The surface of a part. colour: display RGB in 0..1; glow: emitted light, 0..1."""

    colour: Vector
    material: str = "matte"
    glow: float = 0.0


def smoothstep(x: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, a cubic between; `low` may be larger than `high`."""
    t = clamp((x - low) * (1.0 / (high - low)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def dot(a: Points, b: Sequence[Field] | Vector) -> Field:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def to_world(direction: Vector, axes: Axes) -> Vector:
    """A direction along the camera's axes in world coordinates; lights do not tilt with it."""
    right, _, back = axes
    norm = math.sqrt(back[0] * back[0] + back[2] * back[2])
    x, y, z = direction
    level_back = (back[0] / norm, 0.0, back[2] / norm)
    return tuple(x * right[i] + z * level_back[i] + (y if i == 1 else 0.0) for i in range(3))


def environment(r: Points, axes: Axes, blur: Field) -> Field:
    """The environment light from directions r: a white floor, dim walls, and three softboxes.

    blur [N]: from 0, a mirror, to 1; it widens the edges of the softboxes.
    """
    x, y = dot(r, to_world((1.0, 0.0, 0.0), axes)), r[1]
    z = dot(r, to_world((0.0, 0.0, 1.0), axes))
    edge = 0.10 + 0.35 * blur
    floor = smoothstep(y, 0.05, -0.5) * 0.36
    backdrop = smoothstep(z, 0.2, -0.7) * 0.45
    left = smoothstep(abs(x + 0.66), 0.22 + edge, 0.22 - edge * 0.5)
    left = left * smoothstep(abs(y - 0.05), 0.78 + edge, 0.78 - edge)
    right = smoothstep(abs(x - 0.84), 0.09 + edge, 0.07 - edge * 0.3)
    right = right * smoothstep(abs(y - 0.05), 0.7 + edge, 0.7 - edge)
    top = smoothstep(y, 0.74 - edge, 0.80 + edge)
    dim = 0.13 + 0.16 * smoothstep(y, -0.3, 0.9)
    return dim + np.maximum(floor, backdrop) + 1.25 * left + 0.55 * right + 0.85 * top


def occlusion(distance: Distance, p: Points, n: Points | Vector, scale: float) -> Field:
    """Ambient occlusion: the open share of the space over a surface, 0..1.

    From the signed distances at four heights along the normal.
    """
    blocked_share = 0.0
    for height, weight in ((0.03, 0.40), (0.08, 0.30), (0.18, 0.22), (0.36, 0.16)):
        height = height * scale
        q = tuple(a + b * height for a, b in zip(p, n, strict=True))
        share = clamp(1.0 - distance(q) * (1.0 / height), 0.0, 1.0)
        blocked_share = blocked_share + share * weight
    return clamp(1.0 - blocked_share, 0.0, 1.0)


def soft_shadow(
    distance: Distance, p: Points, to_light: Vector, scale: float, softness: float, steps: int = 10
) -> Field:
    """The visible share of a large light from p, 0..1: the narrowest gap along the ray."""
    visibility = np.ones(p[0].shape, np.float32)
    t = np.full(p[0].shape, 0.03 * scale, np.float32)
    for _ in range(steps):
        d = distance(tuple(a + b * t for a, b in zip(p, to_light, strict=True)))
        visibility = np.minimum(visibility, d * softness / t)
        t = t + clamp(d, 0.03 * scale, 0.25 * scale)
    visibility = clamp(visibility, 0.0, 1.0)
    return visibility * visibility * (3.0 - 2.0 * visibility)


def cone_shadow(distance: Distance, p: Points, to_light: Vector, scale: float) -> Field:
    """The shadow of a very large light at p, 0..1: the blocked share of a wide cone.

    The distances along the cone are fixed, so that the shadow has no visible steps.
    """
    visibility = np.float32(1.0)
    t = 0.06 * scale
    for _ in range(9):
        d = distance(tuple(a + b * t for a, b in zip(p, to_light, strict=True)))
        visibility = np.minimum(visibility, d * (1.0 / (0.55 * t + 0.02 * scale)))
        t = t * 1.42
    visibility = clamp(visibility, 0.0, 1.0)
    return 1.0 - visibility * visibility * (3.0 - 2.0 * visibility)


def specular_highlight(n: Points, half: Vector, squarings: int) -> Field:
    """The Blinn highlight max(n.h, 0) to the power 2 ** squarings."""
    value = np.maximum(dot(n, half), 0.0)
    for _ in range(squarings):
        value = value * value
    return value


def shade_surface(
    distance: Distance,
    p: Points,
    n: Points,
    rays: Points,
    finish: tuple[np.ndarray, np.ndarray, np.ndarray],
    axes: Axes,
    scale: float,
) -> tuple[Field, Field, Field]:
    """The light from surface points to the camera: linear RGB, each [N].

    finish: linear colour [N, 3], material index [N] and glow [N]. scale: the product's radius.
    """
    colour, material, glow = finish
    key, fill = to_world(KEY_DIRECTION, axes), to_world(FILL_DIRECTION, axes)
    cos_view = clamp(-dot(n, rays), 0.0, 1.0)
    cos_key = np.maximum(dot(n, key), 0.0)
    # Trace shadow rays from just above the surface, only where it faces the key light.
    origins = tuple(a + b * (0.015 * scale) for a, b in zip(p, n, strict=True))
    visibility = np.zeros(cos_view.shape, np.float32)
    index = np.flatnonzero(cos_key)
    visibility[index] = soft_shadow(distance, tuple(a[index] for a in origins), key, scale, 7.0)
    openness = occlusion(distance, p, n, scale)

    # Diffuse light. Its edges are darkened, so that white stands out against white.
    ambient = (0.30 + 0.16 * n[1]) * (0.58 + 0.42 * smoothstep(cos_view, 0.0, 0.75)) * openness
    cos_fill = np.maximum(dot(n, fill), 0.0)
    diffuse = ambient + 0.74 * cos_key * visibility + 0.20 * cos_fill * openness

    # Reflections of the environment, weaker where solids are near or cast a shadow.
    twice = 2.0 * cos_view
    mirror_rays = tuple(ray + normal * twice for ray, normal in zip(rays, n, strict=True))
    matte, glossy, metal = (material == i for i in range(3))
    blur = np.where(metal, np.float32(0.38), np.float32(0.12))
    mirror_light = environment(mirror_rays, axes, blur)
    cast_shadow = (1.0 - visibility) * smoothstep(cos_key, 0.0, 0.35)
    shade = (0.35 + 0.65 * openness) * (1.0 - 0.4 * cast_shadow)
    # Schlick's approximation of the Fresnel reflectance: (1 - cos)^5.
    fresnel = (1.0 - cos_view) * (1.0 - cos_view)
    fresnel = fresnel * fresnel * (1.0 - cos_view)
    # Blinn highlight of the key light, about the half vector between light and camera.
    half = [k + b for k, b in zip(key, axes[2], strict=True)]
    norm = math.sqrt(sum(h * h for h in half))
    half = tuple(h / norm for h in half)
    wide_spot, narrow_spot = specular_highlight(n, half, 3), specular_highlight(n, half, 6)
    spot = np.where(matte, 0.05 * wide_spot, 0.55 * narrow_spot) * visibility
    sheen = np.where(glossy, (0.055 + 0.42 * fresnel) * mirror_light * shade, 0.02 * fresnel)
    reflection = mirror_light * shade * 0.92
    return tuple(
        np.where(
            metal,
            c * (0.22 * diffuse + reflection) + 0.12 * spot,
            c * diffuse * 1.04 + sheen + spot + c * glow,
        )
        for c in (colour[:, 0], colour[:, 1], colour[:, 2])
    )


def tone_map(light: Field) -> Field:
    """Linear light to display values 0..1; values above 0.7 are compressed, not clipped hard."""
    light = np.maximum(light, 0.0)
    excess = np.maximum(light - 0.7, 0.0)
    return np.minimum(np.sqrt(np.minimum(light, 0.7) + excess / (1.0 + 1.6 * excess)), 1.0)
