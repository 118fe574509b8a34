"""A product in another colour, its texture, shading and highlights kept: classical, in a mask.

Pictures are uint8 [H, W, 3], masks bool, uint8 or float in [0, 1], [H, W]. In CIELAB: lightness
goes through a monotone map that carries the product's mean to the target's and its spread along;
hue and chroma are exchanged for the target's, in proportion to the lightness as under shading,
fading out towards highlights. What sRGB lacks is brought in at its lightness, less colourful.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from prodgen.core.errors import BadData
from prodgen.photo import colour, outside
from prodgen.photo.outside import Change

REGIONS = ("whole", "dominant")
LOOKED = 10_000  # pixels that decide; all pixels are changed
CHUNK = 500_000  # pixels in memory at a time, as float64
ROUNDS = 12  # of aiming: clipping and shading bend the mean, some rounds make up for it
RISE = 4.0  # the steepest that the map of lightness may be beyond the product's own range
RICH = 1.3  # times the target's chroma: what bright parts of a product reach before they fade
NEAR_ENOUGH = 0.2  # CIEDE2000: nobody sees less
DARK = 20.0  # L*: below, the hue of a photo is noise
APART = 15.0  # in `_hues`: colours nearer than this are one colour in light and shade
GREY = 6.0  # chroma: below, a colour has no hue to speak of
SHADE = 40.0  # of L*: farther from the dominant colour than light and shade carry it


@dataclasses.dataclass(frozen=True)
class Recoloured:
    """picture: uint8 [H, W, 3]. before, after: CIEDE2000 of the region's mean colour to the target.

    share: of the mask's pixels, how much the region takes, [0, 1]. outside: what changed outside
    the mask, levels.
    """

    picture: np.ndarray
    before: float
    after: float
    share: float
    outside: Change


@dataclasses.dataclass(frozen=True)
class _Range:
    """Lightness of a region: percentiles and mean, low <= middle <= high, and its mean a*, b*.

    single: the region is one colour, so that what differs from the mean is light, not print.
    """

    low: float
    middle: float
    high: float
    tint: np.ndarray
    single: bool


def recolour(
    picture: np.ndarray,
    mask: np.ndarray,
    target: tuple[int, int, int],
    strength: float = 1.0,
    region: str = "whole",
) -> Recoloured:
    """The masked product in the target's sRGB colour, levels.

    strength: how much of the way, [0, 1]; 0 gives the picture back. region: the `whole` product,
    or its `dominant` colour, in light and shade, leaving prints and logos. BadData where the mask
    is empty, or where anything changed outside it; other faults of arguments are a ValueError.
    """
    mask = _soft(picture, mask)
    if not 0 <= strength <= 1 or region not in REGIONS:
        raise ValueError(f"strength in [0, 1], region of {REGIONS}: not {strength}, {region!r}")
    where = mask > 0
    pixels, weights = picture[where], mask[where]
    if not len(pixels):
        raise BadData("nothing to recolour: the mask shows no product", "cut the product out first")
    step = -(-len(pixels) // LOOKED)
    some, their = pixels[::step], weights[::step]
    belongs = _membership(some[their > 0.5 * their.max()]) if region == "dominant" else None
    held = their * (belongs(some) if belongs else 1)
    asked = colour.lab(np.asarray(target) / 255)
    found = _range(some, held, single=region == "dominant")
    aim = _aim(some, held, found, asked) if strength else asked
    out = picture.copy()
    changed = np.empty_like(pixels)
    for start in range(0, len(pixels), CHUNK):
        part = slice(start, start + CHUNK)
        share = weights[part] * (belongs(pixels[part]) if belongs else 1)
        changed[part] = _blend(pixels[part], _moved(pixels[part], found, aim, strength), share)
    out[where] = changed
    return Recoloured(
        out,
        before=_apart(some, held, asked),
        after=_apart(changed[::step], held, asked),
        share=float(held.sum() / their.sum()),
        outside=outside.held(picture, out, mask),
    )


def _soft(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask as float64 in [0, 1]; ValueError where it or the picture is none."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is uint8 [H, W, 3], not {picture.dtype} {picture.shape}")
    if mask.shape != picture.shape[:2]:
        raise ValueError(f"a mask {mask.shape} does not fit a picture {picture.shape}")
    return mask.astype(np.float64) / (255 if mask.dtype == np.uint8 else 1)


def _membership(pixels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function [N, 3] -> [N] in [0, 1]: how much pixels are of the dominant colour of `pixels`.

    Centres of the palette within APART of it, or of one that is, are the same colour under other
    light, but not beyond SHADE. Between those and other centres membership runs from 1 to 0.
    """
    found = colour.palette(pixels, 6).colours
    centres, lit = _hues(found), np.abs(found[:, 0] - found[0, 0]) < SHADE
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    ours = np.arange(len(centres)) == 0
    while not np.array_equal(grown := lit & (gaps[ours] < APART).any(axis=0), ours):
        ours = grown
    if ours.all():
        return lambda values: np.ones(len(values))

    def share(values: np.ndarray) -> np.ndarray:
        away = np.linalg.norm(_hues(colour.lab(values))[:, None] - centres[None], axis=-1)
        near, far = away[:, ours].min(axis=1), away[:, ~ours].min(axis=1)
        # 1 up to a third of the way between two colours, 0 from half of it on: where a print is
        # mixed into cloth, most of what is seen is the print.
        t = np.clip(3 - 6 * near / np.maximum(near + far, 1e-9), 0, 1)
        return t * t * (3 - 2 * t)

    return share


def _hues(colours: np.ndarray) -> np.ndarray:
    """Lab [N, 3] in coordinates that light and shade change little.

    Chroma over lightness, which shading keeps, with its logarithm for length: a hue in deep shade
    may be twice as saturated and is still that hue. Lightness counts little.
    """
    saturated = 50 * colours[:, 1:] / np.maximum(colours[:, :1], DARK)
    length = np.linalg.norm(saturated, axis=1, keepdims=True)
    bent = saturated * 25 * np.log1p(length / 15) / np.maximum(length, 1e-9)
    return np.concatenate([0.4 * colours[:, :1], bent], axis=1)


def _aim(pixels: np.ndarray, held: np.ndarray, found: _Range, asked: np.ndarray) -> np.ndarray:
    """The Lab colour to aim at, at full strength, so that the region's mean is as asked."""
    aim, best, least = asked.copy(), asked, np.inf
    for _ in range(ROUNDS):
        mean = _mean(_blend(pixels, _moved(pixels, found, aim, 1.0), held), held)
        gap = float(colour.ciede2000(mean, asked))
        if gap < least:
            best, least = aim, gap
        if gap < NEAR_ENOUGH:
            break
        aim = np.clip(aim + asked - mean, (1, -120, -120), (99, 120, 120))
    return best


def _range(pixels: np.ndarray, held: np.ndarray, single: bool) -> _Range:
    values = colour.lab(pixels)
    low, high = np.percentile(values[held > 0.5 * held.max(), 0], (2, 98))
    middle, *tint = np.average(values, axis=0, weights=held)
    return _Range(min(low, middle), middle, max(high, middle), np.array(tint), single)


def _moved(pixels: np.ndarray, found: _Range, aim: np.ndarray, strength: float) -> np.ndarray:
    """The pixels uint8 [N, 3] as sRGB levels float64 [N, 3] in the new colour."""
    before = colour.lab(pixels)
    knots, values = _lightness(found, aim[0])
    lightness = np.interp(before[:, 0], knots, values)
    old = _fade(before[:, 0], found.middle, found.high)[:, None] * found.tint
    new = _fade(lightness, aim[0], values[3])[:, None] * aim[1:]
    rest = _turned(before[:, 1:] - old, found, aim)
    after = np.concatenate([lightness[:, None], rest + new], axis=1)
    return 255 * colour.encoded(_in_gamut(before + strength * (after - before)))


def _turned(rest: np.ndarray, found: _Range, aim: np.ndarray) -> np.ndarray:
    """What a pixel's a*, b* [N, 2] has beyond the mean, as it is in the new colour.

    In one colour that is a little more or less chroma, or JPEG's blocks: it turns with the hue,
    and shrinks with the chroma. In several it is the print, and stays.
    """
    old, new = complex(*found.tint), complex(*aim[1:])
    if not found.single or abs(old) < GREY:
        return rest
    factor = new / old
    factor *= np.clip(abs(factor), 0.25, 1) / max(abs(factor), 1e-9)
    moved = (rest[:, 0] + 1j * rest[:, 1]) * factor
    return np.stack([moved.real, moved.imag], axis=1)


def _lightness(found: _Range, aim: float) -> tuple[np.ndarray, np.ndarray]:
    """The knots of a monotone map of L*, and its values there.

    The product's range keeps its contrast, less where the target leaves no room for it. Black and
    white stay, but a product that is nearly black or white itself takes them along: RISE limits
    how steep the map is beyond the range.
    """
    low, middle, high = found.low, found.middle, min(found.high, 99.5)
    down = min(middle - low, 0.7 * aim) if middle > low else 0.0
    up = min(high - middle, 0.7 * (100 - aim)) if high > middle else 0.0
    bottom = max(0.0, aim - down - RISE * low)
    top = min(100.0, aim + up + RISE * (100 - high))
    knots = np.array([0, low, middle, high, 100.0])
    values = np.array([bottom, aim - down, aim, aim + up, top])
    return knots + 1e-9 * np.arange(5), values


def _fade(lightness: np.ndarray, middle: float, high: float) -> np.ndarray:
    """Chroma as a share of the mean colour's: it grows with the light, highlights have none."""
    middle, high = max(middle, 1.0), min(max(high, middle + 1e-6), 99.9)
    return np.interp(lightness, (0, middle, high, 100), (0, 1, min(high / middle, RICH), 0))


def _in_gamut(colours: np.ndarray) -> np.ndarray:
    """Linear sRGB [N, 3] in [0, 1] of Lab colours, chroma lowered where sRGB lacks them."""
    light = colour.light_of(colours)
    lacking = np.flatnonzero((light < 0).any(axis=1) | (light > 1).any(axis=1))
    if len(lacking):
        wild, low, high = colours[lacking], np.zeros(len(lacking)), np.ones(len(lacking))
        for _ in range(8):
            share = (low + high) / 2
            tried = colour.light_of(wild * np.stack([np.ones_like(share), share, share], axis=1))
            good = ((tried >= 0) & (tried <= 1)).all(axis=1)
            low, high = np.where(good, share, low), np.where(good, high, share)
        light[lacking] = colour.light_of(wild * np.stack([np.ones_like(low), low, low], axis=1))
    return np.clip(light, 0, 1)


def _blend(before: np.ndarray, after: np.ndarray, share: np.ndarray) -> np.ndarray:
    """uint8 levels between two pictures' pixels [N, 3], by a share [N]."""
    mixed = before + share[:, None] * (after - before)
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)


def _mean(pixels: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Lab of the mean sRGB colour, as tables of products give it."""
    return colour.lab(np.average(pixels, axis=0, weights=held) / 255)


def _apart(pixels: np.ndarray, held: np.ndarray, asked: np.ndarray) -> float:
    return float(colour.ciede2000(_mean(pixels, held), asked))
