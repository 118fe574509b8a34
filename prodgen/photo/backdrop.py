"""A cut-out product on a background, a colour or an image, with a soft contact shadow.

Products are uint8 [H, W, 4] (RGBA, straight alpha), backgrounds uint8 [H, W, 3]. The same input
gives the same bytes.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from prodgen.photo import colorimetry

# Each of two shadows: standard deviations down and across, in shares of the product's shorter
# side, and its share of the strength.
CORE_SHADOW, HALO_SHADOW = (0.014, 0.024, 0.55), (0.05, 0.09, 0.45)
SHADOW_CUTOFF = 3.0  # standard deviations: beyond, a shadow is exactly 0
CONTACT_HEIGHT = 0.06  # of the product's height, above its lowest point: higher parts do not touch
BORDER_FRACTION = 0.02  # of the shorter side: the frame's border, which no shadow reaches
_LEVEL_TO_LIGHT = colorimetry.srgb_to_linear(np.arange(256) / 255)


def fill(shape: tuple[int, int], rgb: tuple[int, int, int]) -> np.ndarray:
    """A background (height, width) of one colour."""
    return np.broadcast_to(np.uint8(rgb), (*shape, 3)).copy()


def cover(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """An image uint8 [H, W, 3], scaled until it covers (height, width), and its centre cropped."""
    height, width = shape
    scale = max(height / image.shape[0], width / image.shape[1])
    crop = width / scale, height / scale
    left, top = (image.shape[1] - crop[0]) / 2, (image.shape[0] - crop[1]) / 2
    box = (max(0, left), max(0, top), left + crop[0], top + crop[1])
    box = (*box[:2], min(box[2], image.shape[1]), min(box[3], image.shape[0]))
    result = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS, box)
    return np.asarray(result)


def place(product: np.ndarray, shape: tuple[int, int], top: int, left: int) -> np.ndarray:
    """The product alone in a transparent frame (height, width); parts outside are cropped."""
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


def composite_with_shadow(
    product: np.ndarray, background: np.ndarray, strength: float = 0.0, softness: float = 1.0
) -> np.ndarray:
    """The product over a background of its size, uint8 [H, W, 3], with a contact shadow.

    strength: the share of the light that a shadow takes at most, [0, 1]; 0 for no shadow. softness:
    times the usual width. Pixels with alpha 0 outside the shadow are the background's, with alpha
    255 the product's. Other shapes or types are a ValueError.
    """
    _check_shapes(product, background)
    return composite_over(product, add_shadow(background, product[..., 3], strength, softness))


def composite_over(product: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Porter & Duff's "over" (1984), of the stored values, rounded to nearest.

    Not in linear light: photos were reduced, and alpha was estimated, from stored values. So a
    cut-out over its own background gives the photo again; browsers do the same. In linear light
    the edges of dark products would have a light fringe.
    """
    _check_shapes(product, background)
    alpha = product[..., 3:].astype(np.uint32)
    blend = alpha * product[..., :3] + (255 - alpha) * background
    return ((2 * blend + 255) // 510).astype(np.uint8)


def add_shadow(
    background: np.ndarray, alpha: np.ndarray, strength: float, softness: float = 1.0
) -> np.ndarray:
    """The background under the contact shadow of an alpha uint8 [H, W], in linear light."""
    if not 0 <= strength <= 1 or not softness > 0:
        raise ValueError(f"strength lies in [0, 1], softness above 0: {strength}, {softness}")
    absorption = strength * compute_shadow(alpha, softness)
    in_shadow = absorption > 0
    out = background.copy()
    light = _LEVEL_TO_LIGHT[background[in_shadow]] * (1 - absorption[in_shadow])[:, None]
    out[in_shadow] = np.rint(255 * colorimetry.linear_to_srgb(light)).astype(np.uint8)
    return out


def compute_shadow(alpha: np.ndarray, softness: float = 1.0) -> np.ndarray:
    """The density of the shadow, float64 [H, W] in [0, 1], of an alpha uint8 [H, W].

    The columns in which the product comes near its lowest row stand on the ground. Each casts a
    narrow and a wide ellipse around that row; their widths are shares of the product's shorter
    side. The density is 0 farther than SHADOW_CUTOFF deviations from the product, and at the
    frame's border.
    """
    mask = alpha > 127
    if not mask.any():
        return np.zeros(alpha.shape)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, ground = rows[-1] - rows[0] + 1, rows[-1]
    # Contact of each column with the ground, from 0 to 1.
    lowest_row = np.where(mask.any(axis=0), len(mask) - 1 - mask[::-1].argmax(axis=0), -np.inf)
    contact = np.exp(-np.square((ground - lowest_row) / (CONTACT_HEIGHT * height)))
    unit = softness * min(height, columns[-1] - columns[0] + 1)
    row_distance = np.arange(len(alpha)) - ground
    density = np.zeros(alpha.shape)
    for std_down, std_across, share in (CORE_SHADOW, HALO_SHADOW):
        profile = _truncated_gaussian(row_distance, std_down * unit)
        # Blur the contact along the ground; there is none outside the frame.
        radius = int(SHADOW_CUTOFF * (std_across * unit))
        kernel = _truncated_gaussian(np.arange(-radius, radius + 1), std_across * unit)
        blurred_contact = np.convolve(np.pad(contact, radius), kernel / kernel.sum(), "valid")
        density += share * profile[:, None] * blurred_contact[None]
    # Fade the shadow out towards the frame's border, over the width of the wide one.
    border = max(1, round(BORDER_FRACTION * min(alpha.shape)))
    fade_width = max(HALO_SHADOW[1] * unit, 1)
    to_border = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in alpha.shape)
    fade_y, fade_x = (np.clip((line - border + 1) / fade_width, 0, 1) for line in to_border)
    return density * (fade_y[:, None] * fade_x[None])


def _truncated_gaussian(x: np.ndarray, std: float) -> np.ndarray:
    """A Gaussian of height 1, lowered so that it ends at SHADOW_CUTOFF standard deviations."""
    end_value = np.exp(-(SHADOW_CUTOFF**2) / 2)
    return np.maximum((np.exp(-np.square(x / std) / 2) - end_value) / (1 - end_value), 0)


def _check_shapes(product: np.ndarray, background: np.ndarray) -> None:
    if product.dtype != np.uint8 or product.ndim != 3 or product.shape[2] != 4:
        raise ValueError(f"a product is uint8 [H, W, 4], not {product.dtype} {product.shape}")
    if background.dtype != np.uint8 or background.shape != (*product.shape[:2], 3):
        raise ValueError(f"a background {background.shape} does not fit {product.shape}")
