"""The areas of a product that have one colour each, in light and in shade.

A palette of the product's pixels is grouped: centres that differ as light and shade differ are one
area. An area is chosen as the dominant one, by its colour, or by a point that it covers.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.core.errors import RejectedItem
from prodgen.photo import colorimetry
from prodgen.photo.dominant_colours import extract_palette
from prodgen.photo.mask_estimate import limit_shape, resize
from prodgen.photo.morphology import dilate

NUM_CENTRES = 6  # of the palette
MAX_AREA_PIXELS = 10_000  # from which `measure_areas` finds the areas
MIN_HUE_LIGHTNESS = 20.0  # L*: below, the hue of a photo is noise
MAX_SHADE_DISTANCE = 15.0  # in `_shading_invariant`: nearer colours are shades of one colour
MAX_SHADE_LIGHTNESS = 40.0  # L*: a larger difference to the area's first centre is not shading
MAX_NAMED_DISTANCE = 30.0  # CIEDE2000 of an area's mean to a colour that names it
MAX_GREY_CHROMA, MIN_NAMED_CHROMA = 8.0, 20.0  # a grey area is never what a strong colour names
RIVAL_RATIO = 0.75  # of the chosen area's share: a larger area may be meant as well
SKIN_SIDE, SKIN_RADIUS = 128, 3  # pixels: of the copy in which skin is found; thinner is none
MIN_SKIN_FRACTION = 0.05  # of the product: less is a button or a label
MAX_SILENT_SKIN = 0.5  # of the product: more may be a person, or wood and leather
MIN_SKIN_CONTRAST = 2.5  # standard deviations: light and shade on one cloth give up to 1.6
# Skin of all tones in Lab: lightness, chroma, and hue in degrees (after Kakumanu et al. 2007).
SKIN_LIGHTNESS, SKIN_CHROMA, SKIN_HUE = (28.0, 90.0), (11.0, 45.0), (28.0, 72.0)


@dataclasses.dataclass(frozen=True)
class ColourArea:
    """rgb: the mean sRGB colour, levels. fraction: its share of the product, [0, 1]. skin_fraction:
    the share of the product that is in it and looks like skin. skin_contrast: how far the colour of
    that part is from the rest of the area, in standard deviations: cloth has no such step."""

    rgb: tuple[int, int, int]
    fraction: float
    skin_fraction: float = 0.0
    skin_contrast: float = 0.0


@dataclasses.dataclass(frozen=True)
class ColourAreas:
    """The areas of a product, that of the most frequent colour first.

    centres: [k, 3], colours in `_shading_invariant`; area_of_centre: int [k].
    """

    areas: tuple[ColourArea, ...]
    centres: np.ndarray
    area_of_centre: np.ndarray

    def membership(self, pixels: np.ndarray, index: int) -> np.ndarray:
        """How far pixels uint8 [N, 3] belong to an area, [N] in [0, 1].

        Between its centres and those of other areas it falls from 1 to 0.
        """
        is_own = self.area_of_centre == index
        if is_own.all():
            return np.ones(len(pixels))
        lab = colorimetry.srgb_to_lab(pixels)
        distance = np.linalg.norm(_shading_invariant(lab)[:, None] - self.centres[None], axis=-1)
        to_own, to_other = distance[:, is_own].min(axis=1), distance[:, ~is_own].min(axis=1)
        # 1 up to a third of the way between two colours, 0 from half of it on: where a print is
        # mixed with cloth, the print determines most of the colour.
        t = np.clip(3 - 6 * to_own / np.maximum(to_own + to_other, 1e-9), 0, 1)
        return t * t * (3 - 2 * t)

    def find_largest(self) -> int:
        """The area with the largest share of the product: its dominant colour."""
        return max(range(len(self.areas)), key=lambda index: self.areas[index].fraction)

    def find_nearest(self, rgb: tuple[int, int, int]) -> int:
        """The area whose mean colour is nearest to `rgb`; RejectedItem where none is near."""
        target = colorimetry.srgb_to_lab(np.asarray(rgb) / 255)
        means = colorimetry.srgb_to_lab(np.asarray([area.rgb for area in self.areas]) / 255)
        distances = colorimetry.ciede2000(means, target)
        chroma, target_chroma = np.hypot(means[:, 1], means[:, 2]), np.hypot(*target[1:])
        is_other = (chroma < MAX_GREY_CHROMA) & (target_chroma > MIN_NAMED_CHROMA)
        is_other |= (chroma > MIN_NAMED_CHROMA) & (target_chroma < MAX_GREY_CHROMA)
        distances = np.where(is_other, np.inf, distances)
        index = int(distances.argmin())
        if distances[index] > MAX_NAMED_DISTANCE:
            raise RejectedItem(
                f"no part of the product has that colour; its colours: {format_areas(self.areas)}"
            )
        return index

    def find_covering(self, pixels: np.ndarray) -> int:
        """The area that most of these pixels uint8 [N, 3] belong to."""
        shares = [self.membership(pixels, i).mean() for i in range(len(self.areas))]
        return int(np.argmax(shares))


def find_areas(pixels: np.ndarray) -> ColourAreas:
    """The colour areas of a product's pixels uint8 [N, 3]."""
    palette = extract_palette(pixels, NUM_CENTRES)
    centres = _shading_invariant(palette.colours)
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    area_of_centre = np.full(len(centres), -1)
    while (area_of_centre < 0).any():
        # The most frequent centre that is left, and all that are shades of it or of its shades.
        first = int(np.flatnonzero(area_of_centre < 0)[0])
        lightness = palette.colours[:, 0]
        is_shade = np.abs(lightness - lightness[first]) < MAX_SHADE_LIGHTNESS
        is_shade &= area_of_centre < 0
        is_member = np.arange(len(centres)) == first
        while True:
            is_near = is_shade & (distances[is_member] < MAX_SHADE_DISTANCE).any(axis=0)
            if np.array_equal(is_near, is_member):
                break
            is_member = is_near
        area_of_centre[is_member] = area_of_centre.max() + 1
    areas = []
    for index in range(area_of_centre.max() + 1):
        weights = np.where(area_of_centre == index, palette.weights, 0.0)
        mean = np.average(palette.colours, axis=0, weights=weights)
        levels = 255 * colorimetry.linear_to_srgb(np.clip(colorimetry.lab_to_linear(mean), 0, 1))
        rgb = tuple(int(level) for level in np.rint(levels))
        areas.append(ColourArea(rgb, float(weights.sum())))
    return ColourAreas(tuple(areas), centres, area_of_centre)


def measure_areas(image: np.ndarray, mask: np.ndarray) -> tuple[ColourArea, ...]:
    """The areas of what a mask uint8 [H, W] shows of an image uint8 [H, W, 3], with their skin."""
    pixels = image[mask > 127] if (mask > 127).any() else image[mask > 0]
    areas = find_areas(pixels[:: -(-len(pixels) // MAX_AREA_PIXELS)])
    return measure_skin(image, mask / np.float32(255), areas)


def measure_skin(image: np.ndarray, mask: np.ndarray, areas: ColourAreas) -> tuple[ColourArea, ...]:
    """The areas with what looks like skin in them, in an image [H, W, 3] and a mask [H, W].

    Skin has a colour of skin and is compact: highlights and folds of a brown product are not.
    """
    shape = limit_shape(mask.shape, SKIN_SIDE)
    small, is_product = resize(image, shape), resize(mask.astype(np.float32), shape) > 0.5
    lab = colorimetry.srgb_to_lab(small)
    is_skin = is_skin_colour(lab.reshape(-1, 3)).reshape(shape) & is_product
    is_skin = dilate(~dilate(~is_skin, SKIN_RADIUS), SKIN_RADIUS) & is_skin
    points, has_skin = _shading_invariant(lab[is_product]), is_skin[is_product]
    distance = np.linalg.norm(points[:, None] - areas.centres[None], axis=-1)
    area_of_pixel = areas.area_of_centre[distance.argmin(axis=1)]
    results = []
    for index, area in enumerate(areas.areas):
        skin, rest = (points[(area_of_pixel == index) & part, 1:] for part in (has_skin, ~has_skin))
        fraction, contrast = len(skin) / max(len(points), 1), 0.0
        if len(skin) and len(rest):
            std = np.sqrt((skin.var(axis=0).sum() + rest.var(axis=0).sum()) / 2)
            contrast = float(np.linalg.norm(skin.mean(axis=0) - rest.mean(axis=0)) / (std + 0.1))
        results.append(dataclasses.replace(area, skin_fraction=fraction, skin_contrast=contrast))
    return tuple(results)


def is_skin_colour(lab: np.ndarray) -> np.ndarray:
    """Whether Lab colours [N, 3] may be human skin, bool [N]. Wood and leather may be, too."""
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    hue = np.rad2deg(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    bounds = ((lab[:, 0], SKIN_LIGHTNESS), (chroma, SKIN_CHROMA), (hue, SKIN_HUE))
    return np.all([(values >= low) & (values <= high) for values, (low, high) in bounds], axis=0)


def find_doubts(
    areas: tuple[ColourArea, ...], index: int, is_named: bool, whole: str = "product"
) -> tuple[str, ...]:
    """Why a person should look at a change of area `index`, a phrase each.

    is_named: the user has said which colour is meant. whole: what the fractions are shares of.
    """
    area, doubts = areas[index], []
    others = [other for i, other in enumerate(areas) if i != index]
    rival = max(others, key=lambda other: other.fraction, default=None)
    if not is_named and rival and rival.fraction >= RIVAL_RATIO * area.fraction:
        doubts.append(f"another colour is nearly as large ({format_area(rival)})")
    # Skin in the chosen area changes; skin beside it shows that a person wears the product.
    other_skin = sum(other.skin_fraction for other in others)
    is_part = area.skin_contrast >= MIN_SKIN_CONTRAST
    is_all = area.skin_fraction > 0.8 * area.fraction or area.skin_fraction >= MAX_SILENT_SKIN
    if area.skin_fraction >= MIN_SKIN_FRACTION and (is_part or is_all):
        doubts.append(f"skin may be changed ({area.skin_fraction:.0%} of the {whole})")
    elif other_skin >= MIN_SKIN_FRACTION and not is_named:
        doubts.append(f"a person may wear the product ({other_skin:.0%} has a colour of skin)")
    return tuple(doubts)


def format_area(area: ColourArea) -> str:
    """An area as "#1f2a44 62%"."""
    return f"#{bytes(area.rgb).hex()} {area.fraction:.0%}"


def format_areas(areas: tuple[ColourArea, ...]) -> str:
    return ", ".join(map(format_area, areas))


def _shading_invariant(colours: np.ndarray) -> np.ndarray:
    """Lab [N, 3] in coordinates that light and shade change little.

    Chroma over lightness, which shading keeps, with its logarithm for length: a hue in deep shade
    may be twice as saturated and is still that hue. Lightness has a small weight.
    """
    saturation = 50 * colours[:, 1:] / np.maximum(colours[:, :1], MIN_HUE_LIGHTNESS)
    length = np.linalg.norm(saturation, axis=1, keepdims=True)
    log_saturation = saturation * 25 * np.log1p(length / 15) / np.maximum(length, 1e-9)
    return np.concatenate([0.4 * colours[:, :1], log_saturation], axis=1)
