"""A banner: products side by side or on top of each other, a text beside or above, safe margins.

Pure geometry and pixels: the same input gives the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from prodgen.core.errors import UsageError
from prodgen.photo import backdrop, lettering

SIZES = {  # width, height in pixels: what advertising networks and social media ask for
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
COVERED = {"story": (0.14, 0.18)}  # of the height, above and below: the app's own buttons lie there
MARGIN = 0.07  # of the shorter side
LEAST, MOST = 32, 4096  # pixels a side
GAP = 0.16  # between products, of the root of a product's area
SMALLEST = 8  # pixels: a smaller product is a dot
BESIDE = 1.5  # width over height from which the text stands beside the products
Box = tuple[int, int, int, int]  # left, top, right, bottom; ends excluded


@dataclasses.dataclass(frozen=True)
class Placed:
    """A product of the banner: its box, and how many times it was enlarged (below 1: reduced)."""

    box: Box
    scale: float


@dataclasses.dataclass(frozen=True)
class Banner:
    """picture: uint8 [H, W, 3]. text: its box, None without. contrast: WCAG's ratio of the text.

    veil: the opacity of a panel behind it. size: of the letters, pixels.
    """

    picture: np.ndarray
    products: tuple[Placed, ...]
    text: Box | None = None
    contrast: float = 0.0
    veil: float = 0.0
    size: int = 0


def size_of(name: str) -> tuple[int, int]:
    """(width, height) of a preset's name or of "WxH"; UsageError lists what is known."""
    if name in SIZES:
        return SIZES[name]
    width, _, height = name.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        known = ", ".join(f"{key} {w}x{h}" for key, (w, h) in SIZES.items())
        raise UsageError(f"--size={name!r} is not known", f"WIDTHxHEIGHT in pixels, or: {known}")
    found = int(width), int(height)
    if not all(LEAST <= side <= MOST for side in found):
        raise UsageError(f"--size={name}: a side is from {LEAST} to {MOST} pixels")
    return found


def make(
    products: Sequence[np.ndarray],
    background: np.ndarray,
    text: str = "",
    font: str = "",
    shadow: float = 0.0,
    covered: tuple[float, float] = (0.0, 0.0),
) -> Banner:
    """The banner of trimmed products uint8 [h, w, 4] on a background uint8 [H, W, 3].

    shadow: strength in [0, 1]. covered: shares of the height, above and below, that stay free.
    """
    safe = _safe(background.shape, covered)
    words, room = _split(safe) if text else (None, safe)
    setting = lettering.fitted(text, font, _extent(words), _largest(words)) if text else None
    if setting:
        words, room = _settled(safe, words, room, setting)
    placed = _arranged([product.shape[:2] for product in products], room)
    picture = _laid(products, placed, background, shadow)
    if not setting:
        return Banner(picture, tuple(placed))
    align = "left" if _beside(safe) else "centre"
    picture, ratio, veil = lettering.drawn(picture, setting, font, words[0], words[1], align)
    return Banner(picture, tuple(placed), words, ratio, veil, setting.size)


def _laid(
    products: Sequence[np.ndarray], placed: Sequence[Placed], background: np.ndarray, shadow: float
) -> np.ndarray:
    """The products in their places, uint8 [H, W, 3]; all shadows first: none falls on a product."""
    shown = [_scaled(p, at.box) for p, at in zip(products, placed, strict=True)]
    for product, (left, top, _, _) in zip(shown, (at.box for at in placed), strict=True):
        frame = backdrop.placed(product, background.shape[:2], top, left)
        background = backdrop.shaded(background, frame[..., 3], shadow)
    for product, (left, top, _, _) in zip(shown, (at.box for at in placed), strict=True):
        frame = backdrop.placed(product, background.shape[:2], top, left)
        background = backdrop.over(frame, background)
    return background


def _safe(shape: tuple[int, ...], covered: tuple[float, float]) -> Box:
    """The frame without its margins, and without what is covered."""
    height, width = shape[:2]
    margin = max(4, round(MARGIN * min(height, width)))
    top, bottom = (max(margin, round(share * height)) for share in covered)
    return margin, top, width - margin, height - bottom


def _extent(box: Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]


def _beside(safe: Box) -> bool:
    width, height = _extent(safe)
    return width >= BESIDE * height


def _split(safe: Box) -> tuple[Box, Box]:
    """Room for the text at most, and for the products at least."""
    left, top, right, bottom = safe
    width, height = _extent(safe)
    if _beside(safe):
        middle = left + round(0.5 * width)
        return (left, top, middle, bottom), (middle, top, right, bottom)
    middle = top + round((0.34 if height > 2 * width else 0.26) * height)
    return (left, top, right, middle), (left, middle, right, bottom)


def _largest(words: Box) -> int:
    """The size of letters, pixels, beyond which a text shouts."""
    width, height = _extent(words)
    return round(min(0.46 * height, 0.13 * width))


def _settled(safe: Box, words: Box, room: Box, text: lettering.Setting) -> tuple[Box, Box]:
    """The text's own box, and what it leaves to the products, a gap between them."""
    width, height = text.extent
    left, top, right, bottom = safe
    if _beside(safe):
        start = (top + bottom - height) // 2
        gap = max(6, round(0.04 * (right - left)))
        return (left, start, left + width, start + height), (left + width + gap, top, right, bottom)
    start = left + (right - left - width) // 2
    gap = max(6, round(0.5 * text.size))
    return (start, top, start + width, top + height), (left, top + height + gap, right, bottom)


def _arranged(shapes: Sequence[tuple[int, int]], room: Box) -> list[Placed]:
    """Places of products (height, width): of all numbers of rows, the one that shows them largest.

    All take the same area, so that none outweighs another. Products of a row stand on one line,
    GAP apart; the group is centred.
    """
    ratios = np.array([width / height for height, width in shapes])
    units = np.stack([np.sqrt(ratios), 1 / np.sqrt(ratios)], axis=1)  # width, height of area 1
    ways = [np.array_split(units, count) for count in range(1, len(shapes) + 1)]
    side, rows = max(((_side(rows, room), rows) for rows in ways), key=lambda way: way[0])
    if side * units.min() < SMALLEST:
        raise UsageError(
            f"{len(shapes)} products do not fit: the smallest would be below {SMALLEST} px",
            "take fewer with --n, or a larger --size",
        )
    boxes = _boxes([row * side for row in rows], GAP * side, room)
    return [
        Placed(box, (box[3] - box[1]) / height)
        for box, (height, _) in zip(boxes, shapes, strict=True)
    ]


def _side(rows: Sequence[np.ndarray], room: Box) -> float:
    """The root of a product's area, pixels, with which rows of units [n, 2] fill the room."""
    width, height = _extent(room)
    widest = max(row[:, 0].sum() + GAP * (len(row) - 1) for row in rows)
    tall = sum(row[:, 1].max() for row in rows) + GAP * (len(rows) - 1)
    return min(width / widest, height / tall)


def _boxes(rows: Sequence[np.ndarray], gap: float, room: Box) -> list[Box]:
    """The boxes of rows of sizes [n, 2] (width, height) in pixels, the group in the middle."""
    tall = sum(row[:, 1].max() for row in rows) + gap * (len(rows) - 1)
    ground = (room[1] + room[3] - tall) / 2
    found = []
    for row in rows:
        ground += row[:, 1].max()
        x = (room[0] + room[2] - row[:, 0].sum() - gap * (len(row) - 1)) / 2
        for width, height in np.maximum(np.floor(row + 1e-6), 1).astype(int).tolist():
            left, bottom = int(x + 1e-6), int(ground + 1e-6)
            found.append((left, bottom - height, left + width, bottom))
            x += width + gap
        ground += gap
    return found


def _scaled(product: np.ndarray, box: Box) -> np.ndarray:
    """The product uint8 [h, w, 4] in the size of its box; Pillow multiplies alpha in meanwhile."""
    resized = Image.fromarray(product).resize(_extent(box), Image.Resampling.LANCZOS)
    return np.asarray(resized)
