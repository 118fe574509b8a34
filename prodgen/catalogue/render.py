"""The renderer of packshots: sphere tracing of signed distances, lighting and shadows.

The lights are fixed to the camera, and the product rotates. A coarse pass of cones finds where rays
start, and frames the product. Per-pixel arithmetic is IEEE-exact (see sdf.py), so the bytes are the
same on all machines. Display brightness is the square root of light (gamma 2).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from prodgen.catalogue import lighting
from prodgen.catalogue.lighting import Finish
from prodgen.catalogue.sdf import Field, Points, Vector, length, sine_cosine, union

CHUNK_POINTS = 4096  # points evaluated at once
COARSE_CELLS = 36  # cones per side of the coarse pass
CAMERA_DISTANCE_RADII = 7.0  # in radii of the product: a moderately long lens


def evaluate_in_chunks(field: Callable[[Points], Field], p: Points) -> Field:
    """The field at points [N], in chunks, so that arrays stay in the processor's cache."""
    n = p[0].size
    if n <= CHUNK_POINTS:
        return field(p)
    num_chunks = -(-n // CHUNK_POINTS)
    bounds = [n * i // num_chunks for i in range(num_chunks + 1)]
    return np.concatenate(
        [
            field(tuple(axis[start:stop] for axis in p))
            for start, stop in zip(bounds, bounds[1:], strict=False)
        ]
    )


@dataclasses.dataclass(frozen=True)
class Body:
    """A product as solids: signed distances by part name, in a box on the floor y = 0.

    parts: points [N] -> distances [N] by part name. low, high: corners of the box.
    step_scale: the share of a distance that a ray may advance; below 1 where distances are
    estimates. details: further, small parts that are visible but cast no shadow.
    """

    parts: Callable[[Points], dict[str, Field]]
    low: Vector
    high: Vector
    step_scale: float = 0.9
    details: Callable[[Points], dict[str, Field]] | None = None

    def evaluate_parts(self, p: Points) -> dict[str, Field]:
        return {**self.parts(p), **self.details(p)} if self.details else self.parts(p)

    def distance(self, p: Points) -> Field:
        """Distances [N] to the nearest part."""
        return evaluate_in_chunks(lambda q: union(*self.evaluate_parts(q).values()), p)

    def shadow_distance(self, p: Points) -> Field:
        """Distances [N] to the nearest part that casts shadows."""
        return evaluate_in_chunks(lambda q: union(*self.parts(q).values()), p)

    def find_nearest_part(self, p: Points) -> np.ndarray:
        """Index [N] of the nearest part, int8, in the order of `evaluate_parts`."""
        smallest, *others = self.evaluate_parts(p).values()
        index = np.zeros(smallest.shape, np.int8)
        for i, distance in enumerate(others, start=1):
            index[distance < smallest] = i
            smallest = np.minimum(smallest, distance)
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
    """The camera's direction in degrees. fill: the product's share of the frame's side, 0..1."""

    azimuth: float
    elevation: float
    fill: float = 0.84


class Camera:
    """A perspective camera that is pointed at the middle of a body."""

    def __init__(self, body: Body, view: View) -> None:
        sa, ca = sine_cosine(view.azimuth)
        se, ce = sine_cosine(view.elevation)
        self.right, self.up = (ca, 0.0, -sa), (-se * sa, ce, -se * ca)
        self.back = (ce * sa, se, ce * ca)
        self.axes = (self.right, self.up, self.back)
        self.distance = CAMERA_DISTANCE_RADII * body.radius
        self.eye = tuple(c + self.distance * b for c, b in zip(body.centre, self.back, strict=True))

    def rays(self, u: Field, v: Field) -> Points:
        """Unit directions [N] through image-plane points (u, v), tangents of the viewing angle."""
        scale = 1.0 / np.sqrt(u * u + v * v + 1.0)
        return tuple((u * r + v * t - b) * scale for r, t, b in zip(*self.axes, strict=True))

    def points_at(self, rays: Points, depth: Field) -> Points:
        """The points [N] at a depth along each ray."""
        return tuple(e + ray * depth for e, ray in zip(self.eye, rays, strict=True))

    def project(self, point: Vector) -> tuple[float, float]:
        """The image-plane coordinates (u, v) of a point."""
        offset = [c - e for c, e in zip(point, self.eye, strict=True)]
        u, v, w = (
            sum(o * component for o, component in zip(offset, axis, strict=True))
            for axis in self.axes
        )
        return u / -w, v / -w


@dataclasses.dataclass(frozen=True)
class Window:
    """A square of the image plane: its middle and half side, in tangents."""

    u: float
    v: float
    half: float

    def grid(self, n: int) -> tuple[Field, Field]:
        """Coordinates (u, v) of the middles of n x n cells, float32 [n * n], row by row."""
        line = (np.arange(n, dtype=np.float32) * 2.0 + (1.0 - n)) * (self.half / n)
        return np.tile(self.u + line, n), np.repeat(self.v - line, n)


def sphere_trace(
    body: Body, camera: Camera, rays: Points, start: Field, hit: float, miss: float, steps: int
) -> tuple[Field, Field]:
    """Sphere-trace rays from depth `start`: the depth nearest to a surface, and coverage 0..1.

    A ray's ratio is its distance to the surface over its depth, the smallest on its way. Coverage
    is 1 up to the ratio `hit` and falls to 0 at `miss`, which softens outlines.
    """
    far = camera.distance + 1.05 * body.radius
    depth, ratio = start.copy(), np.full(start.shape, np.float32(1e9))
    # Values of the active rays only, and their indices. t: the current depth.
    index, active_rays, t = np.arange(start.size), rays, start
    best_t, best_ratio = depth, ratio
    for step in range(steps):
        d = body.distance(camera.points_at(active_rays, t))
        step_ratio = abs(d) / t
        is_closer = step_ratio < best_ratio
        best_t = np.where(is_closer, t, best_t)
        best_ratio = np.where(is_closer, step_ratio, best_ratio)
        # A ray along a surface still advances; one that stepped inside goes back.
        t = t + np.where(d > 0.0, np.maximum(d * body.step_scale, t * (2.0 * hit)), d)
        is_active = (best_ratio >= hit) & (t <= far)
        num_active = np.count_nonzero(is_active)
        # Store the results and drop finished rays, once they are enough to be worth the copies.
        if num_active < 0.85 * is_active.size or step == steps - 1:
            depth[index], ratio[index] = best_t, best_ratio
            index, t, best_t, best_ratio = (a[is_active] for a in (index, t, best_t, best_ratio))
            active_rays = tuple(ray[is_active] for ray in active_rays)
            if not num_active:
                break
    return depth, np.clip((miss - ratio) * (1.0 / max(miss - hit, 1e-9)), 0.0, 1.0)


def frame_product(body: Body, camera: Camera, fill: float) -> tuple[Window, Window, np.ndarray]:
    """Frame the product with a coarse pass of cones, each as wide as a cell.

    Returns the image's window, the window of the coarse pass, and its start depths
    [COARSE_CELLS, COARSE_CELLS], inf for empty cells. Cones do not miss thin parts, so the image
    clips nothing. fill: the product's share of the frame's side.
    """
    # The coarse window holds the projected corners of the body's box.
    corners = [
        camera.project((x, y, z))
        for x in (body.low[0], body.high[0])
        for y in (body.low[1], body.high[1])
        for z in (body.low[2], body.high[2])
    ]
    us, vs = zip(*corners, strict=True)
    half = 0.53 * max(max(us) - min(us), max(vs) - min(vs))
    coarse = Window((max(us) + min(us)) / 2, (max(vs) + min(vs)) / 2, half)
    rays = camera.rays(*coarse.grid(COARSE_CELLS))
    # Half the diagonal of a cell is 1.42 half / COARSE_CELLS: the cone covers its cell.
    cone = 1.5 * half / COARSE_CELLS
    start = np.full(rays[0].shape, camera.distance - 1.02 * body.radius, np.float32)
    depth, cover = sphere_trace(body, camera, rays, start, cone, cone, 40)
    is_hit = cover > 0.0
    depth = np.where(is_hit, depth * (1.0 - 1.5 * cone), np.float32(np.inf))
    # The image's window is the square around all cells that were hit.
    mask = is_hit.reshape(COARSE_CELLS, COARSE_CELLS)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    size = 2.0 * half / COARSE_CELLS
    left, right = columns[0] * size - half, (columns[-1] + 1) * size - half
    top, bottom = half - rows[0] * size, half - (rows[-1] + 1) * size
    middle = (coarse.u + float(left + right) / 2, coarse.v + float(top + bottom) / 2)
    extent = max(float(right - left), float(top - bottom)) - size
    window = Window(*middle, extent / 2 / fill)
    return window, coarse, depth.reshape(COARSE_CELLS, COARSE_CELLS)


def find_start_depths(window: Window, n: int, coarse: Window, depth: np.ndarray) -> Field:
    """The start depth of each of n x n rays, float32 [n * n]; inf outside the coarse pass's hits.

    depth: the start depths of the coarse pass, [COARSE_CELLS, COARSE_CELLS].
    """
    u, v = window.grid(n)
    scale = COARSE_CELLS / (2.0 * coarse.half)
    column = np.floor((u - (coarse.u - coarse.half)) * scale).astype(np.int32)
    row = np.floor(((coarse.v + coarse.half) - v) * scale).astype(np.int32)
    inside = (column >= 0) & (column < COARSE_CELLS) & (row >= 0) & (row < COARSE_CELLS)
    cell_depth = depth[np.clip(row, 0, COARSE_CELLS - 1), np.clip(column, 0, COARSE_CELLS - 1)]
    return np.where(inside, cell_depth, np.float32(np.inf))


def estimate_normals(body: Body, p: Points, offset: float) -> Points:
    """Unit surface normals, from the distances at the corners of a tetrahedron of size `offset`."""
    x, y, z = p
    gradient = [np.zeros_like(x) for _ in range(3)]
    for sx, sy, sz in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)):
        d = body.distance((x + sx * offset, y + sy * offset, z + sz * offset))
        for axis, sign in zip(gradient, (sx, sy, sz), strict=True):
            axis += sign * d
    scale = 1.0 / np.maximum(length(*gradient), 1e-12)
    return tuple(axis * scale for axis in gradient)


def shade_product(
    body: Body,
    camera: Camera,
    rays: Points,
    finishes: dict[str, Finish],
    start: Field,
    pixel: float,
) -> np.ndarray:
    """Trace and light rays [N] that start at depth `start`: display RGB and coverage [N, 4].

    RGB is multiplied by the coverage. pixel: the side of a sample, in tangents.
    """
    depth, cover = sphere_trace(body, camera, rays, start, 0.25 * pixel, 0.9 * pixel, 44)
    hit_index = np.flatnonzero(cover)
    rays, cover = tuple(ray[hit_index] for ray in rays), cover[hit_index]
    depth = depth[hit_index]
    # Move full hits onto the surface: one more step by the remaining distance.
    depth = depth + np.where(cover == 1.0, body.distance(camera.points_at(rays, depth)), 0.0)
    p = camera.points_at(rays, depth)
    n = estimate_normals(body, p, max(0.25 * pixel * camera.distance, 0.002 * body.radius))
    # Look up each point's linear colour, material and glow by its nearest part.
    part = body.find_nearest_part(p)
    part_names = body.evaluate_parts(tuple(axis[:1] for axis in p))
    part_finishes = [finishes[name] for name in part_names]
    linear = np.array([[c * c for c in finish.colour] for finish in part_finishes], np.float32)
    material = np.array([lighting.MATERIALS.index(f.material) for f in part_finishes], np.int8)
    glow = np.array([finish.glow for finish in part_finishes], np.float32)
    finish = linear[part], material[part], glow[part]
    light = lighting.shade_surface(
        body.shadow_distance, p, n, rays, finish, camera.axes, body.radius
    )
    colour = np.zeros((start.size, 4), np.float32)
    for channel, values in enumerate(light):
        colour[hit_index, channel] = lighting.tone_map(values) * cover
    colour[hit_index, 3] = cover
    return colour


def shade_floor(body: Body, camera: Camera, window: Window, n: int) -> Field:
    """The white floor with the product's shadow, display grey float32 [n * n], 1 at the border.

    There are two shadows: a wide one away from the key light, and a dark contact shadow.
    """
    u, v = window.grid(n)
    grey = np.ones(u.shape, np.float32)
    # Intersect the rays with the floor y = 0.
    rays = camera.rays(u, v)
    depth = camera.eye[1] / np.maximum(-rays[1], 1e-3)
    x, _, z = camera.points_at(rays, depth)
    # Fade the shadow out with the distance from the product's box, and towards the image's border.
    fade_distance = 0.5 * body.radius
    box_distance = length(
        *(
            np.maximum(np.maximum(low - a, a - high), 0.0)
            for a, low, high in ((x, body.low[0], body.high[0]), (z, body.low[2], body.high[2]))
        )
    )
    side = np.maximum(abs(u - window.u), abs(v - window.v)) * (1.0 / window.half)
    fade = lighting.smoothstep(box_distance, fade_distance, 0.0)
    fade = fade * lighting.smoothstep(side, 0.985, 0.74)
    index = np.flatnonzero(fade * (rays[1] < -1e-3) > 0.0)
    p = (x[index], np.zeros(index.size, np.float32), z[index])
    # The two shadows reduce the floor's linear light; the root makes it a display value.
    key = lighting.to_world(lighting.FLOOR_KEY_DIRECTION, camera.axes)
    wide = lighting.cone_shadow(body.shadow_distance, p, key, body.radius)
    contact = 1.0 - lighting.occlusion(body.shadow_distance, p, (0.0, 1.0, 0.0), 0.7 * body.radius)
    darkness = (0.36 * wide + 0.50 * contact) * fade[index]
    grey[index] = np.sqrt(1.0 - np.clip(darkness - 0.004, 0.0, 0.85))
    return grey


def render_packshot(
    body: Body, finishes: dict[str, Finish], view: View, resolution: int, samples: int = 2
) -> np.ndarray:
    """The packshot, uint8 [R, R, 4]: RGB on white with a shadow, and the product's mask as alpha.

    finishes: by part name. samples: rays along the side of a pixel. Samples are averaged in display
    values, so that image = mask * product + (1 - mask) * background holds for the bytes.
    """
    camera = Camera(body, view)
    window, coarse, coarse_depth = frame_product(body, camera, view.fill)
    n = resolution * samples
    # Trace the rays that can hit the product; all others stay empty.
    depth = find_start_depths(window, n, coarse, coarse_depth)
    active = np.flatnonzero(depth < np.inf)
    rays = camera.rays(*(axis[active] for axis in window.grid(n)))
    rgba = np.zeros((n * n, 4), np.float32)
    rgba[active] = shade_product(body, camera, rays, finishes, depth[active], 2.0 * window.half / n)
    # Average the samples of each pixel.
    grid = rgba.reshape(resolution, samples, resolution, samples, 4)
    total = np.zeros((resolution, resolution, 4), np.float32)
    for i in range(samples):  # in a fixed order: float sums depend on it
        for j in range(samples):
            total = total + grid[:, i, :, j]
    total = total * (1.0 / (samples * samples))
    alpha = total[..., 3:]
    floor = shade_floor(body, camera, window, resolution).reshape(resolution, resolution, 1)
    rgb = total[..., :3] + (1.0 - alpha) * floor
    return np.floor(np.concatenate([rgb, alpha], -1) * 255.0 + 0.5).clip(0, 255).astype(np.uint8)


def measure_proportions(body: Body, n: int = 26) -> Vector:
    """Width, height and depth of a body as shares of the largest, to about 0.01.

    Measured from distances on a grid of n points per side: next to the surface, a coordinate minus
    the distance is the coordinate of the surface.
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
