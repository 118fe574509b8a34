"""A small photo studio: traces a solid, lights it, and returns its packshot.

Light and camera stand still and the product turns, as on a turntable. Rays start at a coarse pass
of cones, which also frames the product. Per-pixel arithmetic is IEEE-exact (see sdf.py), so the
bytes are the same everywhere; display brightness is the square root of light (gamma 2).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from prodgen.catalogue import lighting
from prodgen.catalogue.lighting import Finish
from prodgen.catalogue.sdf import Field, Points, Vector, length, sine_cosine, union

CHUNK = 4096  # points evaluated at once
CELLS = 36  # cones a side of the coarse pass
DISTANCE = 7.0  # of the camera, in radii of the product: a moderately long lens


def in_chunks(field: Callable[[Points], Field], p: Points) -> Field:
    """The field at points [N], a chunk at a time, so that arrays stay in the processor's cache."""
    n = p[0].size
    if n <= CHUNK:
        return field(p)
    pieces = -(-n // CHUNK)
    bounds = [n * i // pieces for i in range(pieces + 1)]
    return np.concatenate(
        [
            field(tuple(axis[start:stop] for axis in p))
            for start, stop in zip(bounds, bounds[1:], strict=False)
        ]
    )


@dataclasses.dataclass(frozen=True)
class Body:
    """A product as solids: distances by part name, within a box that stands on the floor y = 0.

    relax: how much of each distance a ray may go; below 1 where distances are only estimates.
    details: further, small parts, which are seen but cast no shadow.
    """

    parts: Callable[[Points], dict[str, Field]]
    low: Vector
    high: Vector
    relax: float = 0.9
    details: Callable[[Points], dict[str, Field]] | None = None

    def all_parts(self, p: Points) -> dict[str, Field]:
        return {**self.parts(p), **self.details(p)} if self.details else self.parts(p)

    def distance(self, p: Points) -> Field:
        """Distances [N] to the nearest part."""
        return in_chunks(lambda q: union(*self.all_parts(q).values()), p)

    def bulk(self, p: Points) -> Field:
        """Distances [N] to the nearest part that casts shadows."""
        return in_chunks(lambda q: union(*self.parts(q).values()), p)

    def part(self, p: Points) -> np.ndarray:
        """Index of the nearest part, int8, in the order of `all_parts`."""
        best, *others = self.all_parts(p).values()
        index = np.zeros(best.shape, np.int8)
        for i, other in enumerate(others, start=1):
            index[other < best] = i
            best = np.minimum(best, other)
        return index

    @property
    def centre(self) -> Vector:
        return tuple((a + b) / 2 for a, b in zip(self.low, self.high, strict=True))

    @property
    def radius(self) -> float:
        sides = [b - a for a, b in zip(self.low, self.high, strict=True)]
        return math.sqrt(sum(side * side for side in sides)) / 2


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
    body: Body, camera: Camera, rays: Points, start: Field, tight: float, loose: float, steps: int
) -> tuple[Field, Field]:
    """March each ray from depth `start`: the depth where it is closest, and its coverage 0..1.

    Coverage is 1 for a ray that comes within `tight` x depth of the surface and falls to 0 at
    `loose`, which softens outlines. Only rays that are still on their way are evaluated.
    """
    far = camera.away + 1.05 * body.radius
    depth, gap = start.copy(), np.full(start.shape, np.float32(1e9))
    going, way, t = np.arange(start.size), rays, start
    nearest, least = depth, gap
    for step in range(steps):
        d = body.distance(camera.at(way, t))
        ratio = abs(d) / t
        closer = ratio < least
        nearest, least = np.where(closer, t, nearest), np.where(closer, ratio, least)
        # A ray that skims a surface still advances; one that steps inside comes back.
        t = t + np.where(d > 0.0, np.maximum(d * body.relax, t * (2.0 * tight)), d)
        going_on = (least >= tight) & (t <= far)
        left = np.count_nonzero(going_on)
        if left < 0.85 * going_on.size or step == steps - 1:
            depth[going], gap[going] = nearest, least
            going, t, nearest, least = (a[going_on] for a in (going, t, nearest, least))
            way = tuple(ray[going_on] for ray in way)
            if not left:
                break
    return depth, np.clip((loose - gap) * (1.0 / max(loose - tight, 1e-9)), 0.0, 1.0)


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
    depth, hit = trace(body, camera, rays, start, cone, cone, 40)
    hit = hit > 0.0
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
    body: Body,
    camera: Camera,
    rays: Points,
    finishes: dict[str, Finish],
    start: Field,
    pixel: float,
) -> np.ndarray:
    """Trace and light rays [N] that start at depth `start`: display RGB and coverage [N, 4].

    RGB is multiplied by the coverage. pixel: the side of a sample in tangents.
    """
    depth, cover = trace(body, camera, rays, start, 0.25 * pixel, 0.9 * pixel, 44)
    hit = np.flatnonzero(cover)
    rays, cover = tuple(ray[hit] for ray in rays), cover[hit]
    depth = depth[hit]
    depth = depth + np.where(cover == 1.0, body.distance(camera.at(rays, depth)), 0.0)  # polished
    p = camera.at(rays, depth)
    n = normals(body, p, max(0.25 * pixel * camera.away, 0.002 * body.radius))
    part = body.part(p)
    used = [finishes[name] for name in body.all_parts(tuple(axis[:1] for axis in p))]
    linear = np.array([[c * c for c in finish.colour] for finish in used], np.float32)
    material = np.array([lighting.MATERIALS.index(finish.material) for finish in used], np.int8)
    glow = np.array([finish.glow for finish in used], np.float32)
    finish = linear[part], material[part], glow[part]
    light = lighting.surface(body.bulk, p, n, rays, finish, camera.axes, body.radius)
    colour = np.zeros((start.size, 4), np.float32)
    for channel, values in enumerate(light):
        colour[hit, channel] = lighting.display(values) * cover
    colour[hit, 3] = cover
    return colour


def floor_light(body: Body, camera: Camera, window: Window, n: int) -> Field:
    """The white floor with the product's shadow, display grey float32 [n * n], 1 at the border.

    Two shadows: a wide one away from the key lamp, and a dark one where the product touches.
    """
    u, v = window.grid(n)
    grey = np.ones(u.shape, np.float32)
    rays = camera.rays(u, v)
    depth = camera.eye[1] / np.maximum(-rays[1], 1e-3)
    x, _, z = camera.at(rays, depth)
    reach = 0.5 * body.radius
    aside = length(
        *(
            np.maximum(np.maximum(low - a, a - high), 0.0)
            for a, low, high in ((x, body.low[0], body.high[0]), (z, body.low[2], body.high[2]))
        )
    )
    side = np.maximum(abs(u - window.u), abs(v - window.v)) * (1.0 / window.half)
    fade = lighting.smooth(aside, reach, 0.0) * lighting.smooth(side, 0.985, 0.74)
    near = np.flatnonzero(fade * (rays[1] < -1e-3) > 0.0)
    p = (x[near], np.zeros(near.size, np.float32), z[near])
    key = lighting.to_world(lighting.FLOOR_KEY, camera.axes)
    cast = lighting.cone_shadow(body.bulk, p, key, body.radius)
    touch = 1.0 - lighting.occlusion(body.bulk, p, (0.0, 1.0, 0.0), 0.7 * body.radius)
    dark = (0.36 * cast + 0.50 * touch) * fade[near]
    grey[near] = np.sqrt(1.0 - np.clip(dark - 0.004, 0.0, 0.85))
    return grey


def packshot(
    body: Body, finishes: dict[str, Finish], view: View, resolution: int, samples: int = 2
) -> np.ndarray:
    """The finished picture, uint8 [R, R, 4]: RGB on white with its shadow, and the mask as alpha.

    finishes: by part name. samples: rays along a pixel's side. Samples are averaged as
    displayed, so that picture = mask * product + (1 - mask) * background holds for its bytes.
    """
    camera = Camera(body, view)
    window, coarse, coarse_depth = frame(body, camera, view.fill)
    n = resolution * samples
    depth = starts(window, n, coarse, coarse_depth)
    active = np.flatnonzero(depth < np.inf)
    rays = camera.rays(*(place[active] for place in window.grid(n)))
    full = np.zeros((n * n, 4), np.float32)
    full[active] = product_light(body, camera, rays, finishes, depth[active], 2.0 * window.half / n)
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


def proportions(body: Body, n: int = 26) -> Vector:
    """Width, height and depth of a body as shares of the largest, to about a hundredth.

    From distances on a grid: next to the surface, a place minus its distance is the surface.
    """
    lines = [
        np.linspace(low - 0.02, high + 0.02, n).astype(np.float32)
        for low, high in zip(body.low, body.high, strict=True)
    ]
    grid = tuple(axis.ravel() for axis in np.meshgrid(*lines, indexing="ij"))
    d = body.distance(grid)
    steps = [(line[1] - line[0]) for line in lines]
    near = d < 0.6 * float(max(steps))
    sizes = [float((a[near] - d[near]).max() - (a[near] + d[near]).min()) for a in grid]
    return tuple(size / max(sizes) for size in sizes)
