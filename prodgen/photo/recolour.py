"""A product in another colour, its texture, shading and highlights kept: classical, in a mask.

Images are uint8 [H, W, 3], masks bool, uint8 or float in [0, 1], [H, W]. In CIELAB: a monotone map
of lightness carries the product's mean to the target's, and its spread along. Hue and chroma are
replaced by the target's, in proportion to the lightness as under shading, fading out towards
highlights. Colours outside sRGB keep their lightness and lose chroma.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from prodgen.core.errors import BadData, RejectedItem
from prodgen.photo import colorimetry
from prodgen.photo.colour_areas import ColourArea, ColourAreas, find_areas, measure_skin
from prodgen.photo.cutout_relevance import CutoutRelevance, measure_relevance
from prodgen.photo.outside_change import OutsideChange, check_outside_change
from prodgen.photo.rim import extend_to_rim

REGIONS = ("whole", "dominant")
POINT_RADIUS = 2  # pixels around a point whose colour names an area
MAX_SAMPLE_PIXELS = 10_000  # pixels that the colours are estimated from; all pixels are changed
CHUNK_SIZE = 500_000  # pixels in memory at a time, as float64
MAX_AIM_ITERATIONS = 12  # clipping and shading bend the mean, which some iterations correct
MAX_LIGHTNESS_SLOPE = 4.0  # of the map of lightness, beyond the product's own range
MAX_CHROMA_GAIN = 1.3  # times the target's chroma: the maximum of bright parts before they fade
AIM_TOLERANCE = 0.2  # CIEDE2000: a smaller difference is invisible
MIN_HUE_CHROMA = 6.0  # below, a colour has no reliable hue


@dataclasses.dataclass(frozen=True)
class RecolouredImage:
    """image: uint8 [H, W, 3]. delta_e_before, delta_e_after: CIEDE2000 of the region's mean colour
    to the target.

    region_fraction: the share of the mask's pixels that the region takes, [0, 1]. outside_change:
    what changed outside the mask, levels. areas: the product's colour areas, and `area` which of
    them was changed; none and -1 for the whole product. relevance: which doubts about the cut-out
    concern the change (photo/cutout_relevance.py).
    """

    image: np.ndarray
    delta_e_before: float
    delta_e_after: float
    region_fraction: float
    outside_change: OutsideChange
    areas: tuple[ColourArea, ...] = ()
    area: int = -1
    relevance: CutoutRelevance = CutoutRelevance()

    @property
    def other_areas(self) -> tuple[ColourArea, ...]:
        """The product's areas that were not changed."""
        return tuple(area for i, area in enumerate(self.areas) if i != self.area)


@dataclasses.dataclass(frozen=True)
class _RegionColour:
    """Lightness of a region: percentiles and mean, low <= middle <= high, and its mean a*, b*.

    is_single: the region is one colour, so that deviations from the mean are light, not print.
    """

    low: float
    middle: float
    high: float
    tint: np.ndarray
    is_single: bool

    @staticmethod
    def of(pixels: np.ndarray, weights: np.ndarray, is_single: bool) -> _RegionColour:
        """Of pixels uint8 [N, 3], weighted by [N]."""
        lab = colorimetry.srgb_to_lab(pixels)
        low, high = np.percentile(lab[weights > 0.5 * weights.max(), 0], (2, 98))
        middle, *tint = np.average(lab, axis=0, weights=weights)
        return _RegionColour(min(low, middle), middle, max(high, middle), np.array(tint), is_single)


def recolour(
    image: np.ndarray,
    mask: np.ndarray,
    target: tuple[int, int, int],
    strength: float = 1.0,
    region: str = "whole",
    source: tuple[int, int, int] | None = None,
    point: tuple[int, int] | None = None,
) -> RecolouredImage:
    """The masked product in the target's sRGB colour, levels.

    strength: the share of the full change, [0, 1]; 0 returns the image as it was. region: the
    `whole` product, or its `dominant` colour, in light and shade, without prints and logos. source,
    point: instead of the dominant colour the one nearest to an sRGB colour, or that at (x, y).
    BadData where the mask is empty, or where anything changed outside it. RejectedItem where the
    product lacks the colour, or the point is outside it. Other faults of arguments are a
    ValueError.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image is uint8 [H, W, 3], not {image.dtype} {image.shape}")
    if mask.shape != image.shape[:2]:
        raise ValueError(f"a mask {mask.shape} does not fit an image {image.shape}")
    if not 0 <= strength <= 1 or region not in REGIONS:
        raise ValueError(f"strength in [0, 1], region of {REGIONS}: not {strength}, {region!r}")
    mask = mask.astype(np.float64) / (255 if mask.dtype == np.uint8 else 1)
    is_product = mask > 0
    pixels, alpha = image[is_product], mask[is_product]
    if not len(pixels):
        raise BadData("nothing to recolour: the mask shows no product", "cut the product out first")
    # The region's colour and the colour to aim at, from a sample of the pixels.
    step = -(-len(pixels) // MAX_SAMPLE_PIXELS)
    sample, sample_alpha = pixels[::step], alpha[::step]
    membership, areas, index = None, (), -1
    if region == "dominant":
        product_areas = find_areas(sample[sample_alpha > 0.5 * sample_alpha.max()])
        index = _choose_area(product_areas, image, mask, source, point)
        areas = measure_skin(image, mask, product_areas)
        membership = lambda x: product_areas.membership(x, index)  # noqa: E731
    weights = sample_alpha * (membership(sample) if membership else 1)
    target_lab = colorimetry.srgb_to_lab(np.asarray(target) / 255)
    colour = _RegionColour.of(sample, weights, is_single=region == "dominant")
    aim = _find_aim(sample, weights, colour, target_lab) if strength else target_lab
    # All pixels, in chunks.
    opacity_of_pixel = alpha
    if membership:
        opacity_of_pixel = alpha * _measure_membership(
            image, mask, membership, areas[index].rgb, is_product
        )
    out = image.copy()
    new_pixels = np.empty_like(pixels)
    for start in range(0, len(pixels), CHUNK_SIZE):
        part = slice(start, start + CHUNK_SIZE)
        recoloured_pixels = _map_colours(pixels[part], colour, aim, strength)
        new_pixels[part] = _blend(pixels[part], recoloured_pixels, opacity_of_pixel[part])
    out[is_product] = new_pixels
    return RecolouredImage(
        out,
        delta_e_before=float(colorimetry.ciede2000(_mean_lab(sample, weights), target_lab)),
        delta_e_after=float(
            colorimetry.ciede2000(_mean_lab(new_pixels[::step], weights), target_lab)
        ),
        region_fraction=float(weights.sum() / sample_alpha.sum()),
        outside_change=check_outside_change(image, out, mask),
        areas=areas,
        area=index,
        relevance=_measure_relevance(image, mask, opacity_of_pixel),
    )


def _measure_relevance(image: np.ndarray, mask: np.ndarray, opacity: np.ndarray) -> CutoutRelevance:
    """measure_relevance with the opacity [N] of the mask's pixels."""
    values = np.zeros(mask.shape, np.float32)
    values[mask > 0] = opacity
    return measure_relevance(image, mask, values)


def _measure_membership(
    image: np.ndarray, mask: np.ndarray, membership: Callable[[np.ndarray], np.ndarray],
    rgb: tuple[int, int, int], is_product: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """How far each pixel of the product belongs to the area of colour `rgb`, float [N]."""
    pixels = image[is_product]
    chunks = [
        membership(pixels[start : start + CHUNK_SIZE])
        for start in range(0, len(pixels), CHUNK_SIZE)
    ]
    values = np.zeros(mask.shape, np.float32)
    values[is_product] = np.concatenate(chunks)
    return extend_to_rim(values, image, mask, rgb)[is_product]


def _choose_area(
    areas: ColourAreas,
    image: np.ndarray,
    mask: np.ndarray,
    source: tuple[int, int, int] | None,
    point: tuple[int, int] | None,
) -> int:
    """The area of a colour, or at a point (x, y) of the image, or else the largest one."""
    if source is not None:
        return areas.find_nearest(source)
    if point is None:
        return areas.find_largest()
    (x, y), (height, width) = point, mask.shape
    if not (0 <= x < width and 0 <= y < height and mask[y, x] > 0.5):
        raise RejectedItem(f"the point {x},{y} is outside the product")
    rows = slice(max(y - POINT_RADIUS, 0), y + POINT_RADIUS + 1)
    columns = slice(max(x - POINT_RADIUS, 0), x + POINT_RADIUS + 1)
    return areas.find_covering(image[rows, columns][mask[rows, columns] > 0.5])


def _find_aim(
    pixels: np.ndarray, weights: np.ndarray, source: _RegionColour, target: np.ndarray
) -> np.ndarray:
    """The Lab colour to aim at, at full strength, so that the region's mean is the target's."""
    aim, best_aim, best_delta_e = target.copy(), target, np.inf
    for _ in range(MAX_AIM_ITERATIONS):
        new_pixels = _blend(pixels, _map_colours(pixels, source, aim, 1.0), weights)
        mean = _mean_lab(new_pixels, weights)
        delta_e = float(colorimetry.ciede2000(mean, target))
        if delta_e < best_delta_e:
            best_aim, best_delta_e = aim, delta_e
        if delta_e < AIM_TOLERANCE:
            break
        # Correct the aim by the error of the mean.
        aim = np.clip(aim + target - mean, (1, -120, -120), (99, 120, 120))
    return best_aim


def _map_colours(
    pixels: np.ndarray, source: _RegionColour, aim: np.ndarray, strength: float
) -> np.ndarray:
    """The pixels uint8 [N, 3] as sRGB levels float64 [N, 3] in the new colour."""
    before = colorimetry.srgb_to_lab(pixels)
    knots, values = _lightness_map(source, aim[0])
    lightness = np.interp(before[:, 0], knots, values)
    # Exchange the mean colour, shaded as the pixel is, for the new one.
    old_tint = _chroma_gain(before[:, 0], source.middle, source.high)[:, None] * source.tint
    new_tint = _chroma_gain(lightness, aim[0], values[3])[:, None] * aim[1:]
    # The deviation of a*, b* from the mean. In several colours it is the print, and stays. In one
    # it is a little more or less chroma, or JPEG's blocks: it turns with the hue, and shrinks with
    # the chroma.
    tint_offset = before[:, 1:] - old_tint
    old_hue, new_hue = complex(*source.tint), complex(*aim[1:])
    if source.is_single and abs(old_hue) >= MIN_HUE_CHROMA:
        factor = new_hue / old_hue
        factor *= np.clip(abs(factor), 0.25, 1) / max(abs(factor), 1e-9)
        product = (tint_offset[:, 0] + 1j * tint_offset[:, 1]) * factor
        tint_offset = np.stack([product.real, product.imag], axis=1)
    after = np.concatenate([lightness[:, None], tint_offset + new_tint], axis=1)
    light = _clip_to_gamut(before + strength * (after - before))
    return 255 * colorimetry.linear_to_srgb(light)


def _lightness_map(source: _RegionColour, aim: float) -> tuple[np.ndarray, np.ndarray]:
    """The knots of a monotone map of L*, and its values there.

    The product's range keeps its contrast, less where the target is too near to black or white.
    Black and white stay, unless the product itself is nearly black or white: MAX_LIGHTNESS_SLOPE
    limits how steep the map is beyond the product's range.
    """
    low, middle, high = source.low, source.middle, min(source.high, 99.5)
    contrast_below = min(middle - low, 0.7 * aim) if middle > low else 0.0
    contrast_above = min(high - middle, 0.7 * (100 - aim)) if high > middle else 0.0
    bottom = max(0.0, aim - contrast_below - MAX_LIGHTNESS_SLOPE * low)
    top = min(100.0, aim + contrast_above + MAX_LIGHTNESS_SLOPE * (100 - high))
    knots = np.array([0, low, middle, high, 100.0])
    values = np.array([bottom, aim - contrast_below, aim, aim + contrast_above, top])
    # np.interp needs increasing knots, and two of these may be equal.
    return knots + 1e-9 * np.arange(5), values


def _chroma_gain(lightness: np.ndarray, middle: float, high: float) -> np.ndarray:
    """Chroma as a share of the mean colour's: it grows with the light, highlights have none."""
    middle, high = max(middle, 1.0), min(max(high, middle + 1e-6), 99.9)
    gain_at_high = min(high / middle, MAX_CHROMA_GAIN)
    return np.interp(lightness, (0, middle, high, 100), (0, 1, gain_at_high, 0))


def _clip_to_gamut(colours: np.ndarray) -> np.ndarray:
    """Linear sRGB [N, 3] in [0, 1] of Lab colours, chroma lowered where they lie outside sRGB."""
    light = colorimetry.lab_to_linear(colours)
    outside_gamut = np.flatnonzero((light < 0).any(axis=1) | (light > 1).any(axis=1))
    if len(outside_gamut):
        # Bisect the share of the chroma that stays.
        lab = colours[outside_gamut]
        low, high = np.zeros(len(outside_gamut)), np.ones(len(outside_gamut))
        for _ in range(8):
            share = (low + high) / 2
            scale = np.stack([np.ones_like(share), share, share], axis=1)
            trial = colorimetry.lab_to_linear(lab * scale)
            is_inside = ((trial >= 0) & (trial <= 1)).all(axis=1)
            low, high = np.where(is_inside, share, low), np.where(is_inside, high, share)
        scale = np.stack([np.ones_like(low), low, low], axis=1)
        light[outside_gamut] = colorimetry.lab_to_linear(lab * scale)
    return np.clip(light, 0, 1)


def _blend(before: np.ndarray, after: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """uint8 levels between two images' pixels [N, 3], by an opacity [N]."""
    levels = before + opacity[:, None] * (after - before)
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def _mean_lab(pixels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Lab of the mean sRGB colour, as tables of products give it."""
    return colorimetry.srgb_to_lab(np.average(pixels, axis=0, weights=weights) / 255)
