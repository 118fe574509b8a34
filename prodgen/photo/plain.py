"""The cut-out for flat or smoothly lit backgrounds: NumPy alone, no model.

`silhouette.find` tells the product from the background; here its soft shadow and the background
seen through its holes are taken away again, which a silhouette keeps.
"""

from __future__ import annotations

import numpy as np

from prodgen.photo import silhouette
from prodgen.photo.guess import Cutter, Guess

DARKEST = 0.35  # share of the background's light that a soft shadow leaves at least
TINT = 4.0  # levels by which a shadow's colour may differ from the background's, dimmed alike
SLOPE = 8.0  # levels a pixel, at 256 pixels a side: a soft shadow is flatter, an edge steeper
MOST = 0.8  # of the silhouette: what looks like so large a shadow is a grey product
SEEN = 2.5  # levels beside the background, on average, of what is seen through a hole
STEP = 30.0  # levels: the rim of a hole is an edge, that of a highlight fades


def cutter(model: str = "") -> Cutter:
    """The method; it needs no model file."""
    return cut


def cut(picture: np.ndarray) -> Guess:
    """The product in a picture uint8 [h, w, 3] of at least 16 pixels a side."""
    found = silhouette.find(picture)
    off = picture.astype(np.float32) - found.background
    mask = found.mask & ~_shadow(picture, found)
    mask &= ~_holes(mask, np.abs(off).max(axis=-1))
    labels, sizes = silhouette.components(mask)
    mask = (sizes >= max(silhouette.SPECK * sizes.sum(), 4))[labels]
    return Guess(mask.astype(np.float32), 1.0, min(1.0, found.noise / silhouette.CLUTTER))


def _shadow(picture: np.ndarray, found: silhouette.Found) -> np.ndarray:
    """bool [h, w]: the background, dimmed, where it fades in from the open background.

    Flooded from outside over pixels that have the background's tint and lie flat, so the steep
    edge of a product stops it, and a gap of a few pixels in that edge does not let it in.
    """
    light = picture.astype(np.float32) / np.maximum(found.background, 1)
    level = light.mean(axis=-1)
    tint = np.abs(light - level[..., None]).max(axis=-1) * found.background.max(axis=-1)
    steep = _slope(picture.mean(axis=-1, dtype=np.float32)) > max(
        SLOPE / 2, SLOPE * (256 / max(level.shape)) ** 0.5
    )
    dim = (level > DARKEST) & (level < 1.05) & (tint < TINT + 2 * found.noise) & ~steep
    open_space = dim | ~found.mask
    gap = max(1, round(0.006 * max(level.shape)))
    flooded = silhouette.from_border(~silhouette.dilate(~open_space, gap))
    shadow = silhouette.dilate(flooded, gap + 1) & found.mask & (dim | _beside(flooded, steep))
    return shadow if shadow.sum() <= MOST * found.mask.sum() else np.zeros_like(shadow)


def _beside(flooded: np.ndarray, steep: np.ndarray) -> np.ndarray:
    """What is next to the flood without being steep: the rim that the gap's width took away."""
    return silhouette.dilate(flooded, 1) & ~steep


def _slope(grey: np.ndarray) -> np.ndarray:
    """Levels a pixel, the larger of both directions over two pixels, [h, w]."""
    out = np.zeros_like(grey)
    down, right = np.abs(grey[2:] - grey[:-2]) / 2, np.abs(grey[:, 2:] - grey[:, :-2]) / 2
    out[1:-1] = down
    out[:, 1:-1] = np.maximum(out[:, 1:-1], right)
    return out


def _holes(mask: np.ndarray, off: np.ndarray) -> np.ndarray:
    """bool [h, w]: enclosed regions of the mask that show the background.

    They have its very colour, as a white print rarely has, a sharp rim, as a highlight has not,
    and are smaller than the product around them, as the inside of a white product is not.
    """
    labels, sizes = silhouette.components(mask & (off <= 3 * SEEN))
    total = mask.sum()
    large = np.flatnonzero((sizes >= max(0.001 * total, 12)) & (sizes < 0.5 * total))
    holes = np.zeros_like(mask)
    for label in large:
        region = labels == label
        inner = ~silhouette.dilate(~region, 1)
        rim = silhouette.dilate(region, 3) & ~silhouette.dilate(region, 2) & mask
        if inner.any() and rim.any() and off[inner].mean() <= SEEN and np.median(off[rim]) >= STEP:
            holes |= silhouette.dilate(region, 1)
    return holes
