"""A banner: products in rows, a text beside or above them, safe margins.

Pure geometry and pixels: the same input gives the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from prodgen.core.errors import UsageError
from prodgen.photo import text_layout
from prodgen.photo.placement import (
    Box,
    PlacedProduct,
    box_size,
    composite,
    find_safe_area,
    place_products,
)

PRESET_SIZES = {  # width, height in pixels, as advertising networks and social media require
    "leaderboard": (728, 90),
    "large_leaderboard": (970, 90),
    "billboard": (970, 250),
    "mobile": (320, 50),
    "large_mobile": (320, 100),
    "rectangle": (300, 250),
    "large_rectangle": (336, 280),
    "skyscraper": (160, 600),
    "half_page": (300, 600),
    "square": (1080, 1080),
    "portrait": (1080, 1350),
    "story": (1080, 1920),
    "landscape": (1200, 628),
    "wide": (1920, 1080),
}
# Of the height, above and below: covered by the app's own buttons.
RESERVED_FRACTIONS = {"story": (0.14, 0.18)}
MIN_SIDE, MAX_SIDE = 32, 4096  # pixels
MIN_ASPECT_TEXT_BESIDE = 1.5  # width over height: the text is above the products below it


@dataclasses.dataclass(frozen=True)
class Banner:
    """image: uint8 [H, W, 3]. text_box: of the text, None without. contrast: WCAG's ratio of it.

    panel_opacity: of a panel behind the text, [0, 1]. font_size: pixels.
    """

    image: np.ndarray
    products: tuple[PlacedProduct, ...]
    text_box: Box | None = None
    contrast: float = 0.0
    panel_opacity: float = 0.0
    font_size: int = 0


def parse_size(name: str) -> tuple[int, int]:
    """(width, height) of a preset's name or of "WxH"; UsageError lists the known names."""
    if name in PRESET_SIZES:
        return PRESET_SIZES[name]
    width, _, height = name.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        presets = ", ".join(f"{key} {w}x{h}" for key, (w, h) in PRESET_SIZES.items())
        raise UsageError(f"--size={name!r} is not known", f"WIDTHxHEIGHT in pixels, or: {presets}")
    size = int(width), int(height)
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise UsageError(
            f"--size={name}: a side is from {MIN_SIDE} to {MAX_SIDE} pixels",
            "choose another --size=WIDTHxHEIGHT",
        )
    return size


def make(
    products: Sequence[np.ndarray],
    background: np.ndarray,
    text: str = "",
    font: str = "",
    shadow: float = 0.0,
    reserved_fractions: tuple[float, float] = (0.0, 0.0),
) -> Banner:
    """The banner of trimmed products uint8 [h, w, 4] on a background uint8 [H, W, 3].

    shadow: strength in [0, 1]. reserved_fractions: of the height, above and below, that stay free.
    """
    safe_area = find_safe_area(background.shape[:2], reserved_fractions)
    shapes = [product.shape[:2] for product in products]
    if not text:
        placements = place_products(shapes, safe_area)
        return Banner(composite(products, placements, background, shadow), tuple(placements))
    # The text takes what it needs of its maximal box, the products all that remains.
    max_box = _max_text_box(safe_area)
    box_width, box_height = box_size(max_box)
    max_font_size = round(min(0.46 * box_height, 0.13 * box_width))
    layout = text_layout.fit_text(text, font, (box_width, box_height), max_font_size)
    text_box, product_area = _split_safe_area(safe_area, layout)
    placements = place_products(shapes, product_area)
    image = composite(products, placements, background, shadow)
    align = "left" if _is_text_beside(safe_area) else "centre"
    image, contrast, panel_opacity = text_layout.draw_text(
        image, layout, font, text_box[0], text_box[1], align
    )
    return Banner(image, tuple(placements), text_box, contrast, panel_opacity, layout.size)


def _is_text_beside(safe_area: Box) -> bool:
    """The text is beside the products, not above them."""
    width, height = box_size(safe_area)
    return width >= MIN_ASPECT_TEXT_BESIDE * height


def _max_text_box(safe_area: Box) -> Box:
    """The largest box that a text may take."""
    left, top, right, bottom = safe_area
    width, height = box_size(safe_area)
    if _is_text_beside(safe_area):
        return left, top, left + round(0.5 * width), bottom
    return left, top, right, top + round((0.34 if height > 2 * width else 0.26) * height)


def _split_safe_area(safe_area: Box, layout: text_layout.TextLayout) -> tuple[Box, Box]:
    """The text's own box, and the box that remains for the products, with a gap between them."""
    width, height = layout.extent
    left, top, right, bottom = safe_area
    if _is_text_beside(safe_area):
        start = (top + bottom - height) // 2
        gap = max(6, round(0.04 * (right - left)))
        return (left, start, left + width, start + height), (left + width + gap, top, right, bottom)
    start = left + (right - left - width) // 2
    gap = max(6, round(0.5 * layout.size))
    return (start, top, start + width, top + height), (left, top + height + gap, right, bottom)
