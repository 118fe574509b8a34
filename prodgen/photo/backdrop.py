"""A cut-out product onto a background: a colour or a picture, with a soft contact shadow.

Products are uint8 [H, W, 4] (RGBA, alpha not multiplied in), backgrounds uint8 [H, W, 3]. The same
input gives the same bytes.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from prodgen.photo import colour

CORE, HALO = (0.014, 0.024, 0.55), (0.05, 0.09, 0.45)  # deviations down, across; share of strength
REACH = 3.0  # deviations: beyond, a shadow is exactly nothing
TOUCH = 0.06  # of the height: what stands higher above the lowest point does not touch the ground
EDGE = 0.02  # of the shorter side: the frame's border, which no shadow reaches
_LIGHT = colour.linear(np.arange(256) / 255)


def fill(shape: tuple[int, int], rgb: tuple[int, int, int]) -> np.ndarray:
    """A background (height, width) of one colour."""
    return np.broadcast_to(np.uint8(rgb), (*shape, 3)).copy()


def cover(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A picture uint8 [H, W, 3], scaled until it covers (height, width), its middle cut out."""
    height, width = shape
    scale = max(height / picture.shape[0], width / picture.shape[1])
    part = width / scale, height / scale
    left, top = (picture.shape[1] - part[0]) / 2, (picture.shape[0] - part[1]) / 2
    box = (max(0, left), max(0, top), left + part[0], top + part[1])
    box = (*box[:2], min(box[2], picture.shape[1]), min(box[3], picture.shape[0]))
    found = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS, box)
    return np.asarray(found)


def placed(product: np.ndarray, shape: tuple[int, int], top: int, left: int) -> np.ndarray:
    """The product alone in a clear frame (height, width), what lies outside the frame cut off."""
    out = np.zeros((*shape, 4), np.uint8)
    starts = [min(max(0, at), n) for at, n in zip((top, left), shape, strict=True)]
    stops = [
        max(start, min(at + size, n))
        for start, at, size, n in zip(starts, (top, left), product.shape, shape, strict=False)
    ]
    out[starts[0] : stops[0], starts[1] : stops[1]] = product[
        starts[0] - top : stops[0] - top, starts[1] - left : stops[1] - left
    ]
    return out


def on(
    product: np.ndarray, background: np.ndarray, strength: float = 0.0, softness: float = 1.0
) -> np.ndarray:
    """The product over a background of its size, uint8 [H, W, 3], with a shadow if asked.

    strength: the share of the light that a shadow takes at most, [0, 1]. softness:
    times the usual width. Pixels with alpha 0 that no shadow reaches are the background's, with
    alpha 255 the product's. Other shapes or types are a ValueError.
    """
    _check(product, background)
    return over(product, shaded(background, product[..., 3], strength, softness))


def over(product: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Porter & Duff's "over" (1984), of the stored values, rounded to nearest.

    Not in linear light: photos were reduced, and alpha was estimated, from stored values, so a
    cut-out laid back on its own background gives the photo back; browsers do the same. In linear
    light the edges of dark products would grow a light fringe.
    """
    _check(product, background)
    alpha = product[..., 3:].astype(np.uint32)
    mixed = alpha * product[..., :3] + (255 - alpha) * background
    return ((2 * mixed + 255) // 510).astype(np.uint8)


def shaded(
    background: np.ndarray, alpha: np.ndarray, strength: float, softness: float = 1.0
) -> np.ndarray:
    """The background under the contact shadow of an alpha uint8 [H, W]; light is taken linearly."""
    if not 0 <= strength <= 1 or not softness > 0:
        raise ValueError(f"strength lies in [0, 1], softness above 0: {strength}, {softness}")
    taken = strength * shadow(alpha, softness)
    where = taken > 0
    out = background.copy()
    light = _LIGHT[background[where]] * (1 - taken[where])[:, None]
    out[where] = np.rint(255 * colour.encoded(light)).astype(np.uint8)
    return out


def shadow(alpha: np.ndarray, softness: float = 1.0) -> np.ndarray:
    """Where the ground is shaded, float64 [H, W] in [0, 1], by an alpha uint8 [H, W].

    The columns in which the product comes near its lowest row stand on the ground; each throws a
    narrow and a wide ellipse about that row. Widths are shares of the product's shorter side.
    Nothing is shaded farther than REACH deviations from the product, or at the frame's border.
    """
    solid = alpha > 127
    if not solid.any():
        return np.zeros(alpha.shape)
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    height, ground = rows[-1] - rows[0] + 1, rows[-1]
    lowest = np.where(solid.any(axis=0), len(solid) - 1 - solid[::-1].argmax(axis=0), -np.inf)
    touch = np.exp(-np.square((ground - lowest) / (TOUCH * height)))
    unit = softness * min(height, columns[-1] - columns[0] + 1)
    away = np.arange(len(alpha)) - ground
    total = np.zeros(alpha.shape)
    for down, across, share in (CORE, HALO):
        profile = _bell(away, down * unit)
        total += share * profile[:, None] * _spread(touch, across * unit)[None]
    return total * _inside(alpha.shape, HALO[1] * unit)


def _bell(x: np.ndarray, deviation: float) -> np.ndarray:
    """A Gaussian of height 1, lowered so that it ends at REACH deviations."""
    last = np.exp(-(REACH**2) / 2)
    return np.maximum((np.exp(-np.square(x / deviation) / 2) - last) / (1 - last), 0)


def _spread(line: np.ndarray, deviation: float) -> np.ndarray:
    """A line [W] in [0, 1] blurred by the bell, nothing beyond its ends."""
    reach = int(REACH * deviation)
    kernel = _bell(np.arange(-reach, reach + 1), deviation)
    return np.convolve(np.pad(line, reach), kernel / kernel.sum(), "valid")


def _inside(shape: tuple[int, int], ramp: float) -> np.ndarray:
    """0 on the frame's border, rising to 1 within `ramp` pixels of it, [H, W]."""
    edge = max(1, round(EDGE * min(shape)))
    lines = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in shape)
    down, across = (np.clip((line - edge + 1) / max(ramp, 1), 0, 1) for line in lines)
    return down[:, None] * across[None]


def _check(product: np.ndarray, background: np.ndarray) -> None:
    if product.dtype != np.uint8 or product.ndim != 3 or product.shape[2] != 4:
        raise ValueError(f"a product is uint8 [H, W, 4], not {product.dtype} {product.shape}")
    if background.dtype != np.uint8 or background.shape != (*product.shape[:2], 3):
        raise ValueError(f"a background {background.shape} does not fit {product.shape}")
