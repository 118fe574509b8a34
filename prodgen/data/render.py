"""A small photo studio: traces a solid, lights it, and returns its packshot.

Light and camera stand still and the product turns, as on a turntable. Rays start at a coarse pass
of cones, which also frames the product. Per-pixel arithmetic is IEEE-exact (see sdf.py), so the
bytes are the same everywhere; display brightness is the square root of light (gamma 2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from prodgen.data import lighting
from prodgen.data.lighting import Finish
from prodgen.data.sdf import Field, Points, Vector, length, sine_cosine

CELLS = 36  # cones a side of the coarse pass
DISTANCE = 7.0  # of the camera, in radii of the product: a moderately long lens


@dataclasses.dataclass(frozen=True)
class Body:
    """A product as solids: distances by part name, within a box that stands on the floor y = 0.

    relax: how much of each distance a ray may go; below 1 where distances are only estimates.
    """

    parts: Callable[[Points], dict[str, Field]]
    low: Vector
    high: Vector
    relax: float = 0.9

    def distance(self, p: Points) -> Field:
        first, *others = self.parts(p).values()
        for other in others:
            first = np.minimum(first, other)
        return first

    def part(self, p: Points) -> np.ndarray:
        """Index of the nearest part, int8, in the order of `parts`."""
        first, *others = self.parts(p).values()
        best, index = first, np.zeros(first.shape, np.int8)
        for i, other in enumerate(others, start=1):
            index[other < best] = i
            best = np.minimum(best, other)
        return index

    @property
    def centre(self) -> Vector:
        return tuple((a + b) / 2 for a, b in zip(self.low, self.high, strict=True))

    @property
    def radius(self) -> float:
        return sum(((b - a) / 2) ** 2 for a, b in zip(self.low, self.high, strict=True)) ** 0.5


@dataclasses.dataclass(frozen=True)
class View:
    """Where the camera stands: degrees; fill: the share of the frame's side that is product."""

    azimuth: float
    elevation: float
    fill: float = 0.84


class Camera:
    """A perspective camera that looks at the middle of a body."""

    def __init__(self, body: Body, view: View) -> None:
        sa, ca = sine_cosine(view.azimuth)
        se, ce = sine_cosine(view.elevation)
        self.right, self.up = (ca, 0.0, -sa), (-se * sa, ce, -se * ca)
        self.back = (ce * sa, se, ce * ca)
        self.axes = (self.right, self.up, self.back)
        self.away = DISTANCE * body.radius
        self.eye = tuple(c + self.away * b for c, b in zip(body.centre, self.back, strict=True))

    def rays(self, u: Field, v: Field) -> Points:
        """Unit directions through image-plane places (u, v), tangents of the viewing angle."""
        scale = 1.0 / np.sqrt(u * u + v * v + 1.0)
        return tuple(
            (u * r + v * t - b) * scale
            for r, t, b in zip(self.right, self.up, self.back, strict=True)
        )

    def at(self, rays: Points, depth: Field) -> Points:
        return tuple(e + ray * depth for e, ray in zip(self.eye, rays, strict=True))

    def project(self, corner: Vector) -> tuple[float, float]:
        offset = [c - e for c, e in zip(corner, self.eye, strict=True)]
        u, v, w = (
            sum(o * axis for o, axis in zip(offset, axes, strict=True))
            for axes in (self.right, self.up, self.back)
        )
        return u / -w, v / -w


@dataclasses.dataclass(frozen=True)
class Window:
    """A square of the image plane: its middle and half side, in tangents."""

    u: float
    v: float
    half: float

    def grid(self, n: int) -> tuple[Field, Field]:
        """Places of n x n cells' middles, float32 [n * n], from the top left in rows."""
        line = (np.arange(n, dtype=np.float32) * 2.0 + (1.0 - n)) * (self.half / n)
        return np.tile(self.u + line, n), np.repeat(self.v - line, n)


def trace(
    body: Body, camera: Camera, rays: Points, depth: Field, tolerance: float, steps: int
) -> tuple[Field, np.ndarray]:
    """March each ray to the surface: its depth, and whether it came within `tolerance` x depth.

    Only rays still on their way are evaluated.
    """
    depth, hit = depth.copy(), np.zeros(depth.shape, bool)
    far = camera.away + 1.05 * body.radius
    going, way, t = np.arange(depth.size), rays, depth.copy()
    for _ in range(steps):
        d = body.distance(camera.at(way, t))
        near = abs(d) < tolerance * t
        t = np.where(near, t, t + d * body.relax)
        done = near | (t > far)
        if (done.sum() * 5 > done.size) or done.all():
            depth[going], hit[going] = t, near
            keep = ~done
            going, t, way = going[keep], t[keep], tuple(ray[keep] for ray in way)
            if not going.size:
                return depth, hit
    depth[going], hit[going] = t, near
    close = abs(body.distance(camera.at(way, t))) < 4.0 * tolerance * t
    hit[going] |= close  # rays that creep along a surface
    return depth, hit


def frame(body: Body, camera: Camera, fill: float) -> tuple[Window, Window, np.ndarray]:
    """The picture's window, and the coarse pass: its window and depths [CELLS, CELLS], inf = empty.

    Cones as wide as a cell never slip past a thin part, so the frame clips nothing.
    """
    corners = [
        camera.project((x, y, z))
        for x in (body.low[0], body.high[0])
        for y in (body.low[1], body.high[1])
        for z in (body.low[2], body.high[2])
    ]
    us, vs = zip(*corners, strict=True)
    half = 0.53 * max(max(us) - min(us), max(vs) - min(vs))
    coarse = Window((max(us) + min(us)) / 2, (max(vs) + min(vs)) / 2, half)
    rays = camera.rays(*coarse.grid(CELLS))
    cone = 1.5 * half / CELLS
    start = np.full(rays[0].shape, camera.away - 1.02 * body.radius, np.float32)
    depth, hit = trace(body, camera, rays, start, cone, 48)
    depth = np.where(hit, depth * (1.0 - 1.5 * cone), np.float32(np.inf)).reshape(CELLS, CELLS)
    seen = hit.reshape(CELLS, CELLS)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    size = 2.0 * half / CELLS
    left, right = columns[0] * size - half, (columns[-1] + 1) * size - half
    top, bottom = half - rows[0] * size, half - (rows[-1] + 1) * size
    middle = (coarse.u + float(left + right) / 2, coarse.v + float(top + bottom) / 2)
    extent = max(float(right - left), float(top - bottom)) - size
    return Window(*middle, extent / 2 / fill), coarse, depth


def starts(window: Window, n: int, coarse: Window, depth: np.ndarray) -> Field:
    """Where each of n x n rays starts, float32 [n * n]; inf where the coarse pass saw nothing."""
    u, v = window.grid(n)
    scale = CELLS / (2.0 * coarse.half)
    column = np.floor((u - (coarse.u - coarse.half)) * scale).astype(np.int32)
    row = np.floor(((coarse.v + coarse.half) - v) * scale).astype(np.int32)
    inside = (column >= 0) & (column < CELLS) & (row >= 0) & (row < CELLS)
    found = depth[np.clip(row, 0, CELLS - 1), np.clip(column, 0, CELLS - 1)]
    return np.where(inside, found, np.float32(np.inf))


def normals(body: Body, p: Points, reach: float) -> Points:
    """Unit surface normals, from the distances at the corners of a small tetrahedron."""
    x, y, z = p
    total = [np.zeros_like(x) for _ in range(3)]
    for sx, sy, sz in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)):
        d = body.distance((x + sx * reach, y + sy * reach, z + sz * reach))
        for axis, sign in zip(total, (sx, sy, sz), strict=True):
            axis += sign * d
    scale = 1.0 / np.maximum(length(*total), 1e-12)
    return tuple(axis * scale for axis in total)


def product_light(
    body: Body, camera: Camera, rays: Points, finishes: dict[str, Finish], depth: Field, pixel: float
) -> tuple[np.ndarray, np.ndarray]:
    """Trace and light rays that start at `depth` [N]: display RGB float32 [N, 3], and hit [N].

    pixel: the side of a sample in tangents, the scale of everything that needs one.
    """
    depth, hit = trace(body, camera, rays, depth, 0.3 * pixel, 56)
    rays = tuple(ray[hit] for ray in rays)
    p = camera.at(rays, depth[hit])
    n = normals(body, p, max(0.7 * pixel * camera.away, 0.004 * body.radius))
    part = body.part(p)
    used = [finishes[name] for name in body.parts(tuple(axis[:1] for axis in p))]
    linear = np.array([[c * c for c in finish.colour] for finish in used], np.float32)
    material = np.array([lighting.MATERIALS.index(finish.material) for finish in used], np.int8)
    glow = np.array([finish.glow for finish in used], np.float32)
    light = lighting.surface(
        body.distance, p, n, rays, (linear[part], material[part], glow[part]), camera.axes,
        body.radius,
    )
    colour = np.zeros((hit.size, 3), np.float32)
    for channel, values in enumerate(light):
        colour[hit, channel] = lighting.display(values)
    return colour, hit


def floor_light(body: Body, camera: Camera, window: Window, n: int) -> Field:
    """The white floor with the product's shadow, display grey float32 [n * n], 1 at the border.

    Two shadows: a soft one away from the key lamp, and a dark one where the product touches.
    """
    u, v = window.grid(n)
    rays = camera.rays(u, v)
    grey = np.ones(u.shape, np.float32)
    depth = np.where(rays[1] < -1e-3, camera.eye[1] / -np.minimum(rays[1], -1e-3), np.inf)
    x, z = camera.at(rays, np.minimum(depth, 1e4))[::2]
    reach = 0.8 * body.radius
    aside = [
        np.maximum(np.maximum(low - a, a - high), 0.0)
        for a, low, high in ((x, body.low[0], body.high[0]), (z, body.low[2], body.high[2]))
    ]
    near = np.flatnonzero((depth < 1e3) & (length(*aside) < reach))
    if not near.size:
        return grey
    p = (x[near], np.zeros(near.size, np.float32), z[near])
    key = lighting.to_world(lighting.FLOOR_KEY, camera.axes)
    cast = 1.0 - lighting.shadow(body.distance, p, key, body.radius, 1.6, 12)
    touch = 1.0 - lighting.occlusion(body.distance, p, (0.0, 1.0, 0.0), body.radius)
    dark = 0.42 * cast + 0.50 * touch
    fade = lighting.smooth(length(*(a[near] for a in aside)), reach, 0.1 * reach)
    side = np.maximum(abs(u - window.u), abs(v - window.v))[near] * (1.0 / window.half)
    fade = fade * lighting.smooth(side, 0.99, 0.80)
    grey[near] = np.sqrt(1.0 - np.clip(dark * fade - 0.004, 0.0, 0.85))
    return grey


def packshot(
    body: Body, finishes: dict[str, Finish], view: View, resolution: int, samples: int = 0
) -> np.ndarray:
    """The finished picture, uint8 [R, R, 4]: RGB on white with its shadow, and the mask as alpha.

    finishes: by part name. samples: rays a pixel's side; 0 chooses. Samples are averaged as
    displayed, so that picture = mask * product + (1 - mask) * background holds for its bytes.
    """
    samples = samples or (3 if resolution <= 96 else 2)
    camera = Camera(body, view)
    window, coarse, coarse_depth = frame(body, camera, view.fill)
    n = resolution * samples
    depth = starts(window, n, coarse, coarse_depth)
    active = np.flatnonzero(depth < np.inf)
    rays = camera.rays(*(place[active] for place in window.grid(n)))
    colour, hit = product_light(
        body, camera, rays, finishes, depth[active], 2.0 * window.half / n
    )
    full = np.zeros((n * n, 4), np.float32)
    full[active, :3] = colour
    full[active, 3] = hit
    grid = full.reshape(resolution, samples, resolution, samples, 4)
    total = np.zeros((resolution, resolution, 4), np.float32)
    for i in range(samples):  # in a fixed order: float sums depend on it
        for j in range(samples):
            total = total + grid[:, i, :, j]
    total = total * (1.0 / (samples * samples))
    alpha = total[..., 3:]
    floor = floor_light(body, camera, window, resolution).reshape(resolution, resolution, 1)
    rgb = total[..., :3] + (1.0 - alpha) * floor
    return np.floor(np.concatenate([rgb, alpha], -1) * 255.0 + 0.5).clip(0, 255).astype(np.uint8)
