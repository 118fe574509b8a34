"""Scenes with true masks for benchmarks/cutout.py: products of the catalogue, and drawn ones.

A scene is an image uint8 [S, S, 3], saved once as JPEG of quality 90, and the product's alpha
float32 [S, S], without its shadow. Every scene is a function of (seed, index).
"""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from prodgen.apps.common.image_files import list_image_files
from prodgen.data.catalogue import render_product, sample_product
from prodgen.photo.backdrop import compute_shadow

SUPERSAMPLING = 3  # drawn outlines, per pixel and direction
MAX_BACKGROUNDS = 40  # photos that are read for the scene `clutter`
COLOURS = ((176, 40, 46), (36, 72, 138), (44, 110, 66), (60, 60, 66), (196, 150, 40), 
           (120, 70, 130), (150, 96, 60), (30, 120, 130))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Canvas:
    """What a scene is drawn with. photos: backgrounds [S, S, 3] of the user."""

    rng: np.random.Generator
    seed: int
    index: int
    side: int
    photos: tuple[np.ndarray, ...] = ()

    def choose_colour(self) -> np.ndarray:
        return np.float64(COLOURS[self.rng.integers(len(COLOURS))])

    def jitter(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def render_catalogue(self) -> tuple[np.ndarray, np.ndarray]:
        """The colour [S, S, 3] of a catalogue product and its alpha [S, S]."""
        packshot = render_product(sample_product(self.seed, self.index), self.side)
        alpha = packshot[..., 3] / np.float32(255)
        # Undo the blending with white to get the product's own colour.
        colour = (packshot[..., :3] - 255 * (1 - alpha[..., None])) / np.maximum(
            alpha[..., None], 0.05
        )
        return np.clip(np.where(alpha[..., None] > 0, colour, 0), 0, 255), alpha

    def draw(self, paint: Callable[[ImageDraw.ImageDraw, Callable], None]) -> np.ndarray:
        """Alpha float32 [S, S]: `paint` draws on a square of side 1; 1 fills, 0 erases."""
        side = self.side * SUPERSAMPLING
        mask = Image.new("L", (side, side), 0)
        paint(ImageDraw.Draw(mask), lambda *xy: [round(side * value) for value in xy])
        return np.asarray(mask.resize((self.side, self.side), Image.Resampling.BOX)) / np.float32(
            255
        )

    def light_studio(self, level: float, falloff: float = 14, noise: float = 1.2) -> np.ndarray:
        """A background [S, S, 3] whose light falls off from a random point."""
        y, x = np.mgrid[0 : self.side, 0 : self.side] / self.side
        centre = self.rng.uniform(0.2, 0.8, 2)
        distance = np.hypot(y - centre[0], x - centre[1])
        tint = 1 + self.rng.uniform(-0.012, 0.012, 3)
        grain = self.rng.normal(0, noise, (self.side, self.side, 1))
        return np.clip((level - falloff * distance**2)[..., None] * tint + grain, 0, 255)

    def weave_cloth(
        self, colour: np.ndarray, alpha: np.ndarray, relief: float = 0.25
    ) -> np.ndarray:
        """A shaded surface [S, S, 3]: light from the upper left, folds and grain."""
        height = blur(alpha, 0.05 * self.side)
        folds = self.rng.normal(0, 1, (9, 9)).astype(np.float32)
        folds = np.asarray(
            Image.fromarray(folds).resize((self.side,) * 2, Image.Resampling.BICUBIC)
        )
        slope = np.gradient(height + 0.06 * folds)
        light = 1 + relief * np.clip((slope[0] + slope[1]) * self.side * 0.08, -1, 1) + 0.03 * folds
        grain = self.rng.normal(0, 1.5, (self.side, self.side, 1))
        return np.clip(colour * light[..., None] + grain, 0, 255)


def blur(values: np.ndarray, radius: float) -> np.ndarray:
    """A Gaussian blur of values [S, S] in [0, 1]."""
    image = Image.fromarray(np.uint8(np.rint(np.clip(values, 0, 1) * 255)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius))) / np.float32(255)


def composite(colour: np.ndarray, alpha: np.ndarray, background: np.ndarray,
              shadow: float = 0.0) -> np.ndarray:  # fmt: skip
    """The product over a background [S, S, 3], with a contact shadow, as JPEG."""
    if shadow:
        density = compute_shadow(np.uint8(alpha * 255)) * shadow
        background = background * (1 - density[..., None])
    return compress_as_jpeg(colour * alpha[..., None] + background * (1 - alpha[..., None]))


def compress_as_jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.rint(np.clip(image, 0, 255)))).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


def draw_shirt(canvas: Canvas) -> np.ndarray:
    """The alpha of a shirt with spread sleeves."""
    w, hem, s = canvas.jitter(0.15, 0.21), canvas.jitter(0.72, 0.86), canvas.jitter(0.34, 0.44)

    def paint(draw, at):
        xs = [-0.07, -w, -s, -s + 0.06, -w, -w - 0.02, w + 0.02, w, s - 0.06, s, w, 0.07]
        ys = [0.16, 0.2, 0.44, 0.5, 0.36, hem, hem, 0.36, 0.5, 0.44, 0.2, 0.16]
        draw.polygon(at(*np.stack([0.5 + np.array(xs), ys], 1).ravel()), fill=255)
        draw.ellipse(at(0.42, 0.1, 0.58, 0.22), fill=0)

    return canvas.draw(paint)


def draw_person(canvas: Canvas) -> np.ndarray:
    """The alpha of a person who wears the product: legs apart, hands on the hips."""
    gap, elbow = canvas.jitter(0.02, 0.05), canvas.jitter(0.2, 0.26)

    def paint(draw, at):
        draw.ellipse(at(0.44, 0.05, 0.56, 0.19), fill=255)
        draw.polygon(at(0.37, 0.22, 0.63, 0.22, 0.6, 0.52, 0.4, 0.52), fill=255)
        for sign in (-1, 1):
            arm = [(0.5 + sign * x, y) for x, y in ((0.12, 0.25), (elbow, 0.4), (0.1, 0.5))]
            draw.line(at(*np.ravel(arm)), fill=255, width=at(0.05)[0], joint="curve")
            leg = ((gap / 3, 0.5), (0.11, 0.5), (0.15 + gap, 1.0), (0.06 + gap, 1.0))
            draw.polygon(at(*np.ravel([(0.5 + sign * x, y) for x, y in leg])), fill=255)
        draw.rectangle(at(0.46, 0.17, 0.54, 0.24), fill=255)

    return canvas.draw(paint)


def draw_strapped(canvas: Canvas) -> np.ndarray:
    """The alpha of a bag with a thin handle, or of a watch with a closed strap."""
    width = canvas.jitter(0.008, 0.018)
    if canvas.index % 2:
        top, spread = canvas.jitter(0.08, 0.2), canvas.jitter(0.1, 0.18)

        def paint(draw, at):
            draw.rounded_rectangle(at(0.22, 0.45, 0.78, 0.86), at(0.04)[0], fill=255)
            box = at(0.5 - spread, top, 0.5 + spread, 0.92 - top)
            draw.arc(box, 180, 360, fill=255, width=max(2, at(width)[0]))
            draw.rectangle(at(0.495 - spread, 0.44, 0.5 - spread + width, 0.5), fill=255)

        return canvas.draw(paint)
    bend = canvas.jitter(0.1, 0.16)

    def paint_watch(draw, at):
        box = at(0.5 - bend, 0.16, 0.5 + bend, 0.78)
        draw.arc(box, 0, 360, fill=255, width=at(2.5 * width)[0])
        draw.ellipse(at(0.36, 0.58, 0.64, 0.86), fill=255)

    return canvas.draw(paint_watch)


def shoot_white(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    colour, alpha = canvas.render_catalogue()
    light = colour.mean(-1, keepdims=True) / max(1, np.percentile(colour[alpha > 0.5], 95))
    paint = 205 + 45 * np.clip(light, 0, 1) * np.array([1, 1, 0.985])
    return composite(paint, alpha, canvas.light_studio(canvas.jitter(243, 255), 8, 0.8), 0.3), alpha


def shoot_black(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    colour, alpha = canvas.render_catalogue()
    light = colour.mean(-1, keepdims=True) / max(1, np.percentile(colour[alpha > 0.5], 95))
    paint = 8 + 52 * np.clip(light, 0, 1) ** 1.5 * np.array([1, 1, 1.06])
    return composite(paint, alpha, canvas.light_studio(canvas.jitter(26, 44), 8, 1.5), 0.5), alpha


def shoot_stripes(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """A shirt whose white stripes have the background's colour."""
    alpha, white = draw_shirt(canvas), canvas.light_studio(canvas.jitter(245, 255), 6, 0.8)
    cloth = canvas.weave_cloth(canvas.choose_colour(), alpha)
    across = canvas.rng.integers(2)
    position = np.arange(canvas.side) / canvas.side * canvas.jitter(14, 26)
    is_white = (position % 1 < canvas.jitter(0.4, 0.6))[:, None] * np.ones(canvas.side, bool)
    stripes = np.where((is_white.T if across else is_white)[..., None], 247, 0)
    shading = canvas.weave_cloth(np.array([246.0, 246, 246]), alpha, 0.1)
    colour = np.where(stripes > 0, np.minimum(shading, 254), cloth)
    return composite(colour, alpha, white, 0.2), alpha


def shoot_chrome(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """A product that mirrors a bright studio with a dark horizon."""
    _, alpha = canvas.render_catalogue()
    height = blur(alpha, 0.06 * canvas.side)
    normal = np.gradient(height)[0] * canvas.side * 0.12
    y = np.mgrid[0 : canvas.side, 0 : canvas.side][0] / canvas.side
    wave = np.sin(normal * 5 + y * canvas.jitter(9, 16) + canvas.jitter(0, 6))
    mirror = np.clip(150 + 150 * wave, 25, 250)[..., None] * np.array([0.98, 0.99, 1.0])
    level = canvas.jitter(215, 248)
    return composite(mirror, alpha, canvas.light_studio(level), 0.3), alpha


def shoot_glass(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """A bottle or tumbler through which the background is seen, its rims darker."""
    w, neck = canvas.jitter(0.14, 0.22), canvas.jitter(0.05, 0.09)
    top = canvas.jitter(0.12, 0.2)

    def paint(draw, at):
        draw.rounded_rectangle(at(0.5 - w, 0.38, 0.5 + w, 0.88), at(0.05)[0], fill=255)
        if canvas.index % 2:
            draw.polygon(
                at(0.5 - neck, top, 0.5 + neck, top, 0.5 + w, 0.42, 0.5 - w, 0.42), fill=255
            )

    alpha = canvas.draw(paint)
    background = canvas.light_studio(canvas.jitter(190, 240), 20)
    rim = np.clip(1 - 2 * np.abs(blur(alpha, 0.02 * canvas.side) - 0.5), 0, 1) * alpha
    light = 0.94 - 0.55 * rim[..., None] * np.array([1, 0.95, 0.95])
    gleam = blur(np.roll(rim, round(0.05 * canvas.side), 1) * alpha, 2)[..., None] * 60
    return composite(background * light + gleam, alpha, background, 0.15), alpha


def shoot_straps(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    alpha = draw_strapped(canvas)
    colour = canvas.weave_cloth(canvas.choose_colour(), alpha)
    return composite(colour, alpha, canvas.light_studio(canvas.jitter(225, 252)), 0.3), alpha


def shoot_carton(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """A white carton on grey: one side in shade is nearly the background's grey."""
    level = canvas.jitter(165, 200)
    x, top, low = canvas.jitter(0.42, 0.56), canvas.jitter(0.2, 0.3), canvas.jitter(0.66, 0.8)
    faces = (((0.2, top + 0.08), (x, top + 0.14), (x, low + 0.1), (0.2, low)),
             ((x, top + 0.14), (0.8, top + 0.07), (0.8, low), (x, low + 0.1)),
             ((0.2, top + 0.08), (x - 0.06, top), (0.8, top + 0.07), (x, top + 0.14)))  # fmt: skip
    levels = 238, level - canvas.jitter(14, 26), 250
    if canvas.index % 2:
        levels = levels[1], levels[0], levels[2]
    colour = np.zeros((canvas.side, canvas.side, 3))
    alpha = np.zeros((canvas.side, canvas.side), np.float32)
    for face, brightness in zip(faces, levels, strict=True):
        mask = canvas.draw(lambda draw, at, face=face: draw.polygon(at(*np.ravel(face)), fill=255))
        gradient = np.linspace(4, -4, canvas.side)[:, None, None]
        colour = np.where(mask[..., None] > 0.5, brightness + gradient + np.zeros(3), colour)
        alpha = np.maximum(alpha, mask)
    label = canvas.draw(lambda draw, at: draw.rectangle(at(0.26, 0.5, x - 0.06, 0.6), fill=255))
    colour = np.where(label[..., None] > 0.5, canvas.choose_colour(), colour)
    # Edge pixels take the colour of the nearest face.
    spread = np.stack([blur(colour[..., c] / 255, 1.5) for c in range(3)], -1) * 255
    weight = np.maximum(blur((colour.max(-1) > 0) * 1.0, 1.5), 0.05)[..., None]
    colour = np.where(colour.max(-1, keepdims=True) > 0, colour, spread / weight)
    return composite(colour, alpha, canvas.light_studio(level, 20), 0.4), alpha


def shoot_ball(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """A ball over a strong soft shadow."""
    radius, cy = canvas.jitter(0.2, 0.3), canvas.jitter(0.45, 0.55)
    alpha = canvas.draw(
        lambda draw, at: draw.ellipse(
            at(0.5 - radius, cy - radius, 0.5 + radius, cy + radius), fill=255
        )
    )
    y, x = np.mgrid[0 : canvas.side, 0 : canvas.side] / canvas.side
    light = np.clip(
        1.05 - np.hypot(y - cy + radius / 2, x - 0.5 + radius / 2) / (3 * radius), 0.2, 1.1
    )
    colour = np.clip(canvas.choose_colour() * 1.2 * light[..., None], 0, 255)
    background = canvas.light_studio(canvas.jitter(215, 250))
    distance = (
        np.hypot((y - cy - 0.95 * radius) / 0.3, x - 0.5 - canvas.jitter(-0.05, 0.15)) / radius
    )
    shadow = canvas.jitter(0.4, 0.7) * np.clip(1.3 - distance, 0, 1) ** 1.5
    return composite(colour, alpha, background * (1 - shadow[..., None])), alpha


def shoot_worn(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Clothes that a person wears: background between legs and arms, feet beyond the frame."""
    alpha = draw_person(canvas)
    y = np.mgrid[0 : canvas.side, 0 : canvas.side][0][..., None] / canvas.side
    skin, hair = np.array([206, 164, 140]), np.array([70, 50, 40])
    top, legs = canvas.choose_colour(), canvas.choose_colour() * 0.7
    colour = np.where(y < 0.09, hair, np.where(y < 0.22, skin, np.where(y < 0.52, top, legs)))
    cloth = canvas.weave_cloth(colour, alpha)
    return composite(cloth, alpha, canvas.light_studio(canvas.jitter(235, 252)), 0.0), alpha


def shoot_packshot(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    packshot = render_product(sample_product(canvas.seed, canvas.index), canvas.side)
    return compress_as_jpeg(packshot[..., :3]), packshot[..., 3] / np.float32(255)


def shoot_wall(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    colour, alpha = canvas.render_catalogue()
    ramp = np.linspace(0, 1, canvas.side)
    light = 205 - 45 * (ramp[:, None] + ramp[None]) / 2
    wall = light[..., None] * (1, 0.98, 0.95)
    return composite(colour, alpha, wall + canvas.rng.normal(0, 2, wall.shape)), alpha


def shoot_edge(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """A product before the edge of a table: a thin line over the whole width."""
    colour, alpha = canvas.render_catalogue()
    background = canvas.light_studio(canvas.jitter(225, 248), 10)
    row = round(canvas.jitter(0.55, 0.85) * canvas.side)
    background[row : row + max(1, canvas.side // 170)] -= canvas.jitter(30, 90)
    return composite(colour, alpha, background, 0.3), alpha


def shoot_clutter(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    colour, alpha = canvas.render_catalogue()
    return composite(colour, alpha, canvas.photos[canvas.index % len(canvas.photos)]), alpha


SCENES: dict[str, Callable[[Canvas], tuple[np.ndarray, np.ndarray]]] = {
    "white with shadow": shoot_packshot,
    "wall": shoot_wall,
    "clutter": shoot_clutter,
    "white on white": shoot_white,
    "black on dark": shoot_black,
    "white stripes": shoot_stripes,
    "chrome": shoot_chrome,
    "glass": shoot_glass,
    "straps": shoot_straps,
    "carton on grey": shoot_carton,
    "ball and shadow": shoot_ball,
    "worn": shoot_worn,
    "table edge": shoot_edge,
}


def read_backgrounds(folder: str, side: int, seed: int) -> tuple[np.ndarray, ...]:
    """Corners of photos, which rarely show the photo's own product, [S, S, 3] each."""
    if not folder:
        return ()
    paths = list_image_files(Path(folder), "--backgrounds")
    paths = np.random.default_rng(seed).permutation(len(paths))[:MAX_BACKGROUNDS], paths
    photos = (Image.open(paths[1][i]).convert("RGB") for i in paths[0])
    return tuple(np.asarray(crop_corner(photo).resize((side, side))) for photo in photos)


def crop_corner(photo: Image.Image) -> Image.Image:
    """The lower left corner of a photo, 40 % of its shorter side."""
    side = 2 * min(photo.size) // 5
    return photo.crop((0, photo.height - side, side, photo.height))


def shoot(name: str, seed: int, index: int, side: int,
          photos: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The image and the alpha of one scene."""
    number = list(SCENES).index(name)
    rng = np.random.default_rng((seed, number, index))
    return SCENES[name](Canvas(rng, seed, index, side, photos))
