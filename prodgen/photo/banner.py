"""A banner: products side by side or on top of each other, a text beside or above, safe margins.

Pure geometry and pixels: the same input gives the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from prodgen.errors import UsageError
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
LEAST, MOST = 32, 8192  # pixels a side
GAP = 0.06  # of a product's cell, to its neighbours
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
    shown = [_scaled(p, at.box) for p, at in zip(products, placed, strict=True)]
    frames = [
        backdrop.placed(p, background.shape[:2], at.box[1], at.box[0])
        for p, at in zip(shown, placed, strict=True)
    ]
    picture = background
    for frame in frames:  # all shadows first: none falls on a neighbour
        picture = backdrop.shaded(picture, frame[..., 3], shadow)
    for frame in frames:
        picture = backdrop.over(frame, picture)
    if not setting:
        return Banner(picture, tuple(placed))
    align = "left" if _beside(safe) else "centre"
    picture, ratio, veil = lettering.drawn(picture, setting, font, words[0], words[1], align)
    return Banner(picture, tuple(placed), words, ratio, veil, setting.size)


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
    return round(min(0.46 * height, 0.15 * width))


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
    """Places of products (height, width) in rows; of all numbers of columns, the largest scale.

    Products of a row stand on one line; the rows are centred.
    """
    ways = [_rows(shapes, columns, room) for columns in range(1, len(shapes) + 1)]
    best = max(ways, key=lambda way: min(_area(one.box) for one in way))
    if min(min(_extent(one.box)) for one in best) < 8:
        raise UsageError(
            f"{len(shapes)} products do not fit: the smallest would be less than 8 px",
            "take fewer with --n, or a larger --size",
        )
    return best


def _area(box: Box) -> int:
    width, height = _extent(box)
    return width * height


def _rows(shapes: Sequence[tuple[int, int]], columns: int, room: Box) -> list[Placed]:
    """The products in rows of `columns`, each filling its cell."""
    width, height = _extent(room)
    lines = -(-len(shapes) // columns)
    cell = width / columns, height / lines
    inner = tuple(side * (1 - (GAP if n > 1 else 0)) for side, n in zip(cell, (columns, lines),
                  strict=True))  # fmt: skip
    found = []
    for start in range(0, len(shapes), columns):
        row = shapes[start : start + columns]
        scales = [min(inner[0] / w, inner[1] / h) for h, w in row]
        sizes = [(max(1, int(w * s)), max(1, int(h * s)))
                 for (h, w), s in zip(row, scales, strict=True)]  # fmt: skip
        tallest = max(h for _, h in sizes)
        ground = room[1] + cell[1] * (start // columns + 0.5) + tallest / 2
        first = room[0] + (width - cell[0] * len(row)) / 2
        for i, ((w, h), scale) in enumerate(zip(sizes, scales, strict=True)):
            left = round(first + cell[0] * (i + 0.5) - w / 2)
            top = round(ground) - h
            found.append(Placed((left, top, left + w, top + h), scale))
    return found


def _scaled(product: np.ndarray, box: Box) -> np.ndarray:
    """The product uint8 [h, w, 4] in the size of its box; Pillow multiplies alpha in meanwhile."""
    resized = Image.fromarray(product).resize(_extent(box), Image.Resampling.LANCZOS)
    return np.asarray(resized)
